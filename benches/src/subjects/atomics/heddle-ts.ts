/** `@heddle/atomics` between workers, blocking: each takes the lock, adds 1 to what it guards, and lets go. */
import { Mutex, type MutexHandle } from '@heddle/atomics';
import type { Run } from '../../agents/Agents.ts';
import type { Session, Subject } from '../../measurement.ts';
import { lockCounter, lockSession, threadsOf } from '../locks.ts';

const script = new URL(import.meta.url);

interface Setup {
  readonly mutex: MutexHandle;
  readonly counter: SharedArrayBuffer;
}

export const heddleTs: Subject = {
  bench: 'atomics',
  name: 'heddle-ts',
  supports: (caseName) => threadsOf(caseName) !== undefined,
  async open(caseName): Promise<Session> {
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
