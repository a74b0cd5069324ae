/**
 * `@heddle/channel` between workers, in its blocking form. The `-borrowed` cases copy the message into its place in the ring and
 * read it there; `heddle-ts-into` receives into bytes of the consumer's, as ringbuf.js does.
 */
import { channel, Receiver, Sender, type ReceiverHandle, type SenderHandle } from '@heddle/channel';
import type { Run } from '../../agents/Agents.ts';
import { capacityFor, type OneWay, oneWayOf, roundTripSizeOf } from '../../cases.ts';
import type { Session, Subject } from '../../measurement.ts';
import { oneWaySession, roundTripSession } from '../sessions.ts';
import { putStamp, stampOf } from '../stamps.ts';

const script = new URL(import.meta.url);

/** The ring that holds a channel's capacity of messages with their headers. */
function newChannel(size: number): { sender: SenderHandle; receiver: ReceiverHandle } {
  const capacity = capacityFor(size);
  const ringByteLength = 2 ** Math.ceil(Math.log2(capacity * (size + 8)));
  const { sender, receiver } = channel({ capacity, ringByteLength });
  return { sender: sender.handle(), receiver: receiver.handle() };
}

export const heddleTs: Subject = {
  bench: 'channel',
  name: 'heddle-ts',
  supports: (caseName) => roundTripSizeOf(caseName) !== undefined || oneWayOf(caseName) !== undefined,
  async open(caseName): Promise<Session> {
    const oneWay = oneWayOf(caseName);
    if (!oneWay) {
      const size = roundTripSizeOf(caseName) ?? 8;
      const [there, back] = [newChannel(size), newChannel(size)];
      return roundTripSession(script, [
        { role: 'ask', setup: { sender: there.sender, receiver: back.receiver, size } },
        { role: 'answer', setup: { sender: back.sender, receiver: there.receiver, size } },
      ]);
    }
    return oneWay.isBorrowed ? oneWaySessionOf(oneWay, 'produceInPlace', 'consumeInPlace') : oneWaySessionOf(oneWay, 'produce', 'consume');
  },
};

export const heddleTsInto: Subject = {
  bench: 'channel',
  name: 'heddle-ts-into',
  supports: (caseName) => oneWayOf(caseName)?.isBorrowed === false,
  open: (caseName) => oneWaySessionOf(oneWayOf(caseName) ?? { size: 8, pairs: 1 }, 'produce', 'consumeInto'),
};

function oneWaySessionOf({ size, pairs }: Pick<OneWay, 'size' | 'pairs'>, producer: string, consumer: string): Promise<Session> {
  const { sender, receiver } = newChannel(size);
  const parts = Array.from({ length: pairs }, () => [
    { role: producer, setup: { sender, size } },
    { role: consumer, setup: { receiver, size } },
  ]);
  return oneWaySession(script, pairs, parts.flat());
}

export function produce({ sender: handle, size }: { sender: SenderHandle; size: number }): Run {
  const sender = Sender.from(handle);
  const message = new Uint8Array(size).fill(1);
  return (count) => {
    for (let stamp = 0; stamp < count; stamp += 1) {
      putStamp(message, stamp);
      sender.send(message);
    }
    return 0;
  };
}

export function consume({ receiver: handle }: { receiver: ReceiverHandle }): Run {
  const receiver = Receiver.from(handle);
  return (count) => {
    let sum = 0;
    for (let n = 0; n < count; n += 1) sum += stampOf(receiver.recv());
    return sum;
  };
}

export function consumeInto({ receiver: handle, size }: { receiver: ReceiverHandle; size: number }): Run {
  const receiver = Receiver.from(handle);
  const message = new Uint8Array(size);
  return (count) => {
    let sum = 0;
    for (let n = 0; n < count; n += 1) {
      receiver.recvInto(message);
      sum += stampOf(message);
    }
    return sum;
  };
}

export function produceInPlace({ sender: handle, size }: { sender: SenderHandle; size: number }): Run {
  const sender = Sender.from(handle);
  const source = new Uint8Array(size).fill(1);
  return (count) => {
    for (let stamp = 0; stamp < count; stamp += 1) {
      const place = sender.reserve(size);
      place.set(source);
      putStamp(place.bytes, stamp);
      place.commit();
    }
    return 0;
  };
}

export function consumeInPlace({ receiver: handle }: { receiver: ReceiverHandle }): Run {
  const receiver = Receiver.from(handle);
  return (count) => {
    let sum = 0;
    for (let n = 0; n < count; n += 1) {
      const message = receiver.borrow();
      sum += stampOf(message.bytes);
      message.release();
    }
    return sum;
  };
}

interface Ends {
  readonly sender: SenderHandle;
  readonly receiver: ReceiverHandle;
  readonly size: number;
}

export function ask(ends: Ends): Run {
  const sender = Sender.from(ends.sender);
  const receiver = Receiver.from(ends.receiver);
  const message = new Uint8Array(ends.size);
  return (count) => {
    let sum = 0;
    for (let stamp = 0; stamp < count; stamp += 1) {
      putStamp(message, stamp);
      sender.send(message);
      sum += stampOf(receiver.recv());
    }
    return sum;
  };
}

export function answer(ends: Ends): Run {
  const sender = Sender.from(ends.sender);
  const receiver = Receiver.from(ends.receiver);
  return (count) => {
    for (let n = 0; n < count; n += 1) sender.send(receiver.recv());
    return 0;
  };
}
