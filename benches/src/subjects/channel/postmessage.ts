/**
 * The platform: `postMessage` over a `MessageChannel` between two workers. It has no back-pressure, so it never waits for room.
 *
 * The `-borrowed` cases transfer a buffer that was allocated for the message, which is how the platform avoids the copy.
 */
import type { Run } from '../../agents/Agents.ts';
import { oneWayOf, roundTripSizeOf } from '../../cases.ts';
import type { Session, Subject } from '../../measurement.ts';
import { oneWaySession, roundTripSession } from '../sessions.ts';
import { putStamp, stampOf } from '../stamps.ts';

const script = new URL(import.meta.url);

interface Setup {
  readonly port: MessagePort;
  readonly size: number;
  readonly isTransferred: boolean;
}

export const postMessageSubject: Subject = {
  bench: 'channel',
  name: 'postmessage',
  supports: (caseName) => roundTripSizeOf(caseName) !== undefined || oneWayOf(caseName) !== undefined,
  async open(caseName): Promise<Session> {
    const { size, pairs, isBorrowed } = oneWayOf(caseName) ?? { size: roundTripSizeOf(caseName) ?? 8, pairs: 1, isBorrowed: false };
    const roles = oneWayOf(caseName) ? ['produce', 'consume'] : ['ask', 'answer'];
    // Two pairs don't share anything: a port has one other end.
    const parts = Array.from({ length: pairs }, () => {
      const { port1, port2 } = new MessageChannel();
      return [port1, port2].map((port, index) => ({
        role: roles[index] ?? '',
        setup: { port, size, isTransferred: isBorrowed } satisfies Setup,
        transfer: [port],
      }));
    });
    return oneWayOf(caseName) ? oneWaySession(script, pairs, parts.flat()) : roundTripSession(script, parts.flat());
  },
};

export function produce({ port, size, isTransferred }: Setup): Run {
  const message = new Uint8Array(size).fill(1);
  return (count) => {
    for (let stamp = 0; stamp < count; stamp += 1) {
      if (isTransferred) {
        const bytes = message.slice();
        putStamp(bytes, stamp);
        port.postMessage(bytes, [bytes.buffer]);
      } else {
        putStamp(message, stamp);
        port.postMessage(message);
      }
    }
    return 0;
  };
}

/** Messages of a port, for who waits for so many of them. */
function listen(port: MessagePort, take: (message: Uint8Array) => number): Run {
  let sum = 0;
  let missing = 0;
  let finished: ((sum: number) => void) | undefined;
  const finish = (): void => {
    if (missing > 0 || !finished) return;
    finished(sum);
    finished = undefined;
    sum = 0;
  };
  port.addEventListener('message', ({ data }: MessageEvent<Uint8Array>) => {
    sum += take(data);
    missing -= 1;
    finish();
  });
  port.start();
  return (count) => {
    // Some may have come before the round was told here.
    missing += count;
    return new Promise((resolve) => {
      finished = resolve;
      finish();
    });
  };
}

export const consume = ({ port }: Setup): Run => listen(port, stampOf);

export function ask({ port, size }: Setup): Run {
  const message = new Uint8Array(size);
  let next = 0;
  const send = (): void => {
    putStamp(message, next);
    next += 1;
    port.postMessage(message);
  };
  let left = 0;
  const run = listen(port, (answer) => {
    left -= 1;
    if (left > 0) send();
    return stampOf(answer);
  });
  return (count) => {
    next = 0;
    left = count;
    const sum = run(count);
    send();
    return sum;
  };
}

export function answer({ port }: Setup): Run {
  return listen(port, (message) => {
    port.postMessage(message);
    return 0;
  });
}
