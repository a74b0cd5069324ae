/**
 * ringbuf.js: a wait-free ring of bytes for one producer and one consumer. It has no way to wait, so both sides try again
 * until there is room, or a whole message; and no messages, so both sides agree on their size.
 */
import { RingBuffer } from 'ringbuf.js';
import type { Run } from '../../agents/Agents.ts';
import { capacityFor, oneWayOf, roundTripSizeOf } from '../../cases.ts';
import type { Session, Subject } from '../../measurement.ts';
import { oneWaySession, roundTripSession } from '../sessions.ts';
import { putStamp, stampOf } from '../stamps.ts';

const script = new URL(import.meta.url);

interface Setup {
  readonly storage: SharedArrayBuffer;
  readonly size: number;
}

const newStorage = (size: number): SharedArrayBuffer => RingBuffer.getStorageForCapacity(size * capacityFor(size), Uint8Array);

export const ringbuf: Subject = {
  bench: 'channel',
  name: 'ringbuf.js',
  supports(caseName) {
    const oneWay = oneWayOf(caseName);
    return roundTripSizeOf(caseName) !== undefined || (oneWay?.pairs === 1 && !oneWay.isBorrowed);
  },
  async open(caseName): Promise<Session> {
    const oneWay = oneWayOf(caseName);
    if (!oneWay) {
      const size = roundTripSizeOf(caseName) ?? 8;
      const setup: Rings = { there: newStorage(size), back: newStorage(size), size };
      return roundTripSession(script, [
        { role: 'ask', setup },
        { role: 'answer', setup },
      ]);
    }
    const setup: Setup = { storage: newStorage(oneWay.size), size: oneWay.size };
    return oneWaySession(script, 1, [
      { role: 'produce', setup },
      { role: 'consume', setup },
    ]);
  },
};

function push(ring: RingBuffer, message: Uint8Array): void {
  // A part of a message must not be pushed: it would be popped as one.
  while (ring.availableWrite() < message.length);
  ring.push(message);
}

function pop(ring: RingBuffer, message: Uint8Array): void {
  while (ring.availableRead() < message.length);
  ring.pop(message);
}

export function produce({ storage, size }: Setup): Run {
  const ring = new RingBuffer(storage, Uint8Array);
  const message = new Uint8Array(size).fill(1);
  return (count) => {
    for (let stamp = 0; stamp < count; stamp += 1) {
      putStamp(message, stamp);
      push(ring, message);
    }
    return 0;
  };
}

export function consume({ storage, size }: Setup): Run {
  const ring = new RingBuffer(storage, Uint8Array);
  const message = new Uint8Array(size);
  return (count) => {
    let sum = 0;
    for (let n = 0; n < count; n += 1) {
      pop(ring, message);
      sum += stampOf(message);
    }
    return sum;
  };
}

interface Rings {
  readonly there: SharedArrayBuffer;
  readonly back: SharedArrayBuffer;
  readonly size: number;
}

export function ask({ there, back, size }: Rings): Run {
  const [out, into] = [new RingBuffer(there, Uint8Array), new RingBuffer(back, Uint8Array)];
  const message = new Uint8Array(size);
  return (count) => {
    let sum = 0;
    for (let stamp = 0; stamp < count; stamp += 1) {
      putStamp(message, stamp);
      push(out, message);
      pop(into, message);
      sum += stampOf(message);
    }
    return sum;
  };
}

export function answer({ there, back, size }: Rings): Run {
  const [into, out] = [new RingBuffer(there, Uint8Array), new RingBuffer(back, Uint8Array)];
  const message = new Uint8Array(size);
  return (count) => {
    for (let n = 0; n < count; n += 1) {
      pop(into, message);
      push(out, message);
    }
    return 0;
  };
}
