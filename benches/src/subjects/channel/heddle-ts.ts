/** `@heddle/channel` between workers, in its blocking form. */
import { channel, Receiver, Sender, type ReceiverHandle, type SenderHandle } from '@heddle/channel';
import type { Run } from '../../agents/Agents.ts';
import { capacityFor, oneWayOf } from '../../cases.ts';
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
  supports: (caseName) => caseName === 'roundtrip-8B' || oneWayOf(caseName)?.isBorrowed === false,
  async open(caseName): Promise<Session> {
    const oneWay = oneWayOf(caseName);
    if (!oneWay) {
      const [there, back] = [newChannel(8), newChannel(8)];
      return roundTripSession(script, [
        { role: 'ask', setup: { sender: there.sender, receiver: back.receiver } },
        { role: 'answer', setup: { sender: back.sender, receiver: there.receiver } },
      ]);
    }
    const { size, pairs } = oneWay;
    const { sender, receiver } = newChannel(size);
    const parts = Array.from({ length: pairs }, () => [
      { role: 'produce', setup: { sender, size } },
      { role: 'consume', setup: { receiver } },
    ]);
    return oneWaySession(script, pairs, parts.flat());
  },
};

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

interface Ends {
  readonly sender: SenderHandle;
  readonly receiver: ReceiverHandle;
}

export function ask(ends: Ends): Run {
  const sender = Sender.from(ends.sender);
  const receiver = Receiver.from(ends.receiver);
  const message = new Uint8Array(8);
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
