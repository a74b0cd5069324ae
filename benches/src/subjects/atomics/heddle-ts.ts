/** `@heddle/atomics` between workers, blocking: each takes the lock, adds 1 to what it guards or reads it, and lets go. */
import { Mutex, type MutexHandle, RwLock, type RwLockHandle } from '@heddle/atomics';
import type { Run } from '../../agents/Agents.ts';
import type { Session, Subject } from '../../measurement.ts';
import { checkReads, lockCounter, lockSession, READ_CASE, threadsOf } from '../locks.ts';
import { agentSession } from '../sessions.ts';

const script = new URL(import.meta.url);

interface Setup {
  readonly mutex: MutexHandle;
  readonly counter: SharedArrayBuffer;
}

export const heddleTs: Subject = {
  bench: 'atomics',
  name: 'heddle-ts',
  supports: (caseName) => caseName === READ_CASE || threadsOf(caseName) !== undefined,
  async open(caseName): Promise<Session> {
    if (caseName === READ_CASE) return readSession();
    const counter = lockCounter();
    const setup: Setup = { mutex: new Mutex().handle(), counter: counter.buffer };
    return lockSession(script, { role: 'lock', setup }, threadsOf(caseName) ?? 1, counter);
  },
};

export function lock({ mutex: handle, counter }: Setup): Run {
  const mutex = Mutex.from(handle);
  const words = new Int32Array(counter);
  return (count) => {
    for (let n = 0; n < count; n += 1) {
      const token = mutex.lock();
      words[0] = (words[0] ?? 0) + 1;
      token.unlock();
    }
    return count;
  };
}

interface ReadSetup {
  readonly lock: RwLockHandle;
  readonly guarded: SharedArrayBuffer;
}

function readSession(): Promise<Session> {
  const setup: ReadSetup = { lock: new RwLock().handle(), guarded: lockCounter().fill(1).buffer };
  const part = { role: 'read', setup };
  return agentSession({ script, parts: [part, part], shares: 2, check: (sums, share) => checkReads(sums, 2 * share) });
}

export function read({ lock: handle, guarded }: ReadSetup): Run {
  const lock = RwLock.from(handle);
  const words = new Int32Array(guarded);
  return (count) => {
    let sum = 0;
    for (let n = 0; n < count; n += 1) {
      const token = lock.read();
      sum += words[0] ?? 0;
      token.unlock();
    }
    return sum;
  };
}
