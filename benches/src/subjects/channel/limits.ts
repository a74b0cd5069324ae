/** What no channel can do better: the copy alone, and the bare wait and notify. */
import type { Run } from '../../agents/Agents.ts';
import { capacityFor, oneWayOf } from '../../cases.ts';
import type { Session, Subject } from '../../measurement.ts';
import { agentSession, roundTripSession } from '../sessions.ts';
import { awaitTurn, giveTurn } from '../turns.ts';

const script = new URL(import.meta.url);

/** Copies a message into as many places of shared memory as a channel has. */
export const memcpy: Subject = {
  bench: 'channel',
  name: 'memcpy',
  supports(caseName) {
    const oneWay = oneWayOf(caseName);
    return oneWay?.pairs === 1 && !oneWay.isBorrowed;
  },
  async open(caseName): Promise<Session> {
    const size = oneWayOf(caseName)?.size ?? 0;
    const check = ([copied]: readonly number[], share: number): void => {
      if (copied !== share) throw new Error(`${copied} copies were made rather than ${share}`);
    };
    return agentSession({ script, parts: [{ role: 'copy', setup: { size } }], shares: 1, check });
  },
};

export function copy({ size }: { size: number }): Run {
  const source = new Uint8Array(size).fill(1);
  const capacity = capacityFor(size);
  const places = new Uint8Array(new SharedArrayBuffer(size * capacity));
  return (count) => {
    let copied = 0;
    for (let n = 0; n < count; n += 1) {
      const start = (n % capacity) * size;
      places.set(source, start);
      copied += places[start] ?? 0;
    }
    return copied;
  };
}

/** Two threads that wake each other in turn. */
export const waitNotify: Subject = {
  bench: 'channel',
  name: 'wait-notify',
  supports: (caseName) => caseName === 'roundtrip-8B',
  async open(): Promise<Session> {
    const buffer = new SharedArrayBuffer(4);
    return roundTripSession(script, [
      { role: 'ask', setup: { buffer } },
      { role: 'answer', setup: { buffer } },
    ]);
  },
};

interface Word {
  readonly buffer: SharedArrayBuffer;
}

export function ask({ buffer }: Word): Run {
  const word = new Int32Array(buffer);
  return (count) => {
    let sum = 0;
    for (let n = 0; n < count; n += 1) {
      giveTurn(word, 1);
      awaitTurn(word, 0);
      sum += n;
    }
    return sum;
  };
}

export function answer({ buffer }: Word): Run {
  const word = new Int32Array(buffer);
  return (count) => {
    for (let n = 0; n < count; n += 1) {
      awaitTurn(word, 1);
      giveTurn(word, 0);
    }
    return 0;
  };
}
