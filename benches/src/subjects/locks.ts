/** What sessions with locks share: a counter that only its lock guards. */
import type { Part } from '../agents/Agents.ts';
import type { Session } from '../measurement.ts';
import { agentSession } from './sessions.ts';

/** Threads of a case that takes a lock for itself; undefined for other cases. */
export function threadsOf(caseName: string): number | undefined {
  if (caseName === 'lock-uncontended') return 1;
  const [, threads] = /^lock-(\d)-threads$/.exec(caseName) ?? [];
  return threads === undefined ? undefined : Number(threads);
}

/** A number that threads add to; without an atomic operation, so that a lock that doesn't exclude loses some. */
export const lockCounter = (): Int32Array<SharedArrayBuffer> => new Int32Array(new SharedArrayBuffer(4));

/** Takes what the counter has come to, and compares it with what was added. */
export function checkCounter(counter: Int32Array, added: number): void {
  const counted = Atomics.exchange(counter, 0, 0);
  if (counted !== added) throw new Error(`${added} additions under the lock come to ${counted}`);
}

/** The case of a lock that many may read under. */
export const READ_CASE = 'rwlock-read-2-threads';

/** Compares the sum of what was read, 1 each time, with how often it was. */
export function checkReads(sums: readonly number[], count: number): void {
  const sum = sums.reduce((total, part) => total + part, 0);
  if (sum !== count) throw new Error(`${count} reads of 1 come to ${sum}`);
}

/** So many agents of one role at one lock. */
export function lockSession(script: URL, part: Part, threads: number, counter: Int32Array): Promise<Session> {
  const parts = Array.from({ length: threads }, () => part);
  return agentSession({ script, parts, shares: threads, check: (_, share) => checkCounter(counter, share * threads) });
}
