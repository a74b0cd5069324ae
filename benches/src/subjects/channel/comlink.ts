/**
 * Comlink over a `MessagePort`: the producer calls a method of the consumer's. Calls are made in batches that are awaited
 * together, so that one call's way back doesn't hold up the next; a bare `await` a call is several times slower.
 */
import * as Comlink from 'comlink';
import type { Run } from '../../agents/Agents.ts';
import { oneWayOf, roundTripSizeOf } from '../../cases.ts';
import type { Session, Subject } from '../../measurement.ts';
import { oneWaySession, roundTripSession } from '../sessions.ts';
import { putStamp, stampOf } from '../stamps.ts';

const script = new URL(import.meta.url);
const BATCH = 64;

interface Setup {
  readonly port: MessagePort;
  readonly size: number;
}

/** What the consumer exposes. */
interface Consumer {
  receive(message: Uint8Array): void;
  echo(message: Uint8Array): Uint8Array;
}

export const comlink: Subject = {
  bench: 'channel',
  name: 'comlink',
  supports: (caseName) => roundTripSizeOf(caseName) !== undefined || oneWayOf(caseName)?.isBorrowed === false,
  async open(caseName): Promise<Session> {
    const oneWay = oneWayOf(caseName);
    const { size, pairs } = oneWay ?? { size: roundTripSizeOf(caseName) ?? 8, pairs: 1 };
    const parts = Array.from({ length: pairs }, () => {
      const { port1, port2 } = new MessageChannel();
      return [port1, port2].map((port, index) => ({
        role: index === 1 ? 'consume' : oneWay ? 'produce' : 'ask',
        setup: { port, size } satisfies Setup,
        transfer: [port],
      }));
    });
    return oneWay ? oneWaySession(script, pairs, parts.flat()) : roundTripSession(script, parts.flat());
  },
};

export function produce({ port, size }: Setup): Run {
  const consumer = Comlink.wrap<Consumer>(port);
  const message = new Uint8Array(size).fill(1);
  return async (count) => {
    for (let stamp = 0; stamp < count;) {
      const calls: Promise<void>[] = [];
      for (; stamp < count && calls.length < BATCH; stamp += 1) {
        putStamp(message, stamp);
        calls.push(consumer.receive(message));
      }
      await Promise.all(calls);
    }
    return 0;
  };
}

export function consume({ port }: Setup): Run {
  let sum = 0;
  let missing = 0;
  let finished: ((sum: number) => void) | undefined;
  const finish = (): void => {
    if (missing > 0 || !finished) return;
    finished(sum);
    finished = undefined;
    sum = 0;
  };
  const consumer: Consumer = {
    receive(message) {
      sum += stampOf(message);
      missing -= 1;
      finish();
    },
    echo(message) {
      missing -= 1;
      finish();
      return message;
    },
  };
  Comlink.expose(consumer, port);
  return (count) => {
    missing += count;
    return new Promise((resolve) => {
      finished = resolve;
      finish();
    });
  };
}

export function ask({ port, size }: Setup): Run {
  const consumer = Comlink.wrap<Consumer>(port);
  const message = new Uint8Array(size);
  return async (count) => {
    let sum = 0;
    for (let stamp = 0; stamp < count; stamp += 1) {
      putStamp(message, stamp);
      sum += stampOf(await consumer.echo(message));
    }
    return sum;
  };
}
