/** The locks of `multithreading`, in the asynchronous form that its documentation recommends, and in its blocking one. */
import { move, Mutex, RwLock, spawn } from 'multithreading';
import type { Session, Subject } from '../../measurement.ts';
import { checkCounter, checkReads, lockCounter, READ_CASE, threadsOf } from '../locks.ts';
import { poolSession, timeTasks } from '../multithreading.ts';

const supports = (caseName: string): boolean => caseName === READ_CASE || threadsOf(caseName) !== undefined;

export const multithreading: Subject = {
  bench: 'atomics',
  name: 'multithreading',
  supports,
  async open(caseName): Promise<Session> {
    if (caseName === READ_CASE) {
      return readTasks((lock, share) =>
        spawn(move(lock, share), async (lock, share) => {
          let sum = 0;
          for (let n = 0; n < share; n += 1) {
            const guard = await lock.read();
            sum += guard.value[0] ?? 0;
            guard[Symbol.dispose]();
          }
          return sum;
        }).join(),
      );
    }
    return lockTasks(threadsOf(caseName) ?? 1, (mutex, share) =>
      spawn(move(mutex, share), async (mutex, share) => {
        for (let n = 0; n < share; n += 1) {
          const guard = await mutex.lock();
          guard.value[0] = (guard.value[0] ?? 0) + 1;
          guard.dispose();
        }
        return share;
      }).join(),
    );
  },
};

export const multithreadingBlocking: Subject = {
  bench: 'atomics',
  name: 'multithreading-blocking',
  supports,
  async open(caseName): Promise<Session> {
    if (caseName === READ_CASE) {
      return readTasks((lock, share) =>
        spawn(move(lock, share), (lock, share) => {
          let sum = 0;
          for (let n = 0; n < share; n += 1) {
            const guard = lock.blockingRead();
            sum += guard.value[0] ?? 0;
            guard[Symbol.dispose]();
          }
          return sum;
        }).join(),
      );
    }
    return lockTasks(threadsOf(caseName) ?? 1, (mutex, share) =>
      spawn(move(mutex, share), (mutex, share) => {
        for (let n = 0; n < share; n += 1) {
          const guard = mutex.blockingLock();
          guard.value[0] = (guard.value[0] ?? 0) + 1;
          guard.dispose();
        }
        return share;
      }).join(),
    );
  },
};

type Counter = Mutex<Int32Array<SharedArrayBuffer>>;
type Guarded = RwLock<Int32Array<SharedArrayBuffer>>;
type Task = Parameters<typeof timeTasks>[1][number];

function lockTasks(threads: number, start: (mutex: Counter, share: number) => Task): Session {
  const counter = lockCounter();
  const mutex: Counter = new Mutex(counter);
  return taskSession(
    threads,
    (share) => start(mutex, share),
    (_, added) => checkCounter(counter, added),
  );
}

function readTasks(start: (lock: Guarded, share: number) => Task): Session {
  const lock: Guarded = new RwLock(lockCounter().fill(1));
  return taskSession(2, (share) => start(lock, share), checkReads);
}

function taskSession(threads: number, start: (share: number) => Task, check: (results: readonly number[], count: number) => void): Session {
  return poolSession(async (count) => {
    const share = Math.ceil(count / threads);
    const startTime = performance.now();
    const tasks = Array.from({ length: threads }, () => start(share));
    const { elapsedNs, results } = await timeTasks(startTime, tasks);
    check(results, share * threads);
    return { count: share * threads, elapsedNs };
  });
}
