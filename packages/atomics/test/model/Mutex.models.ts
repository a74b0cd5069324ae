/** Models of the mutex; Mutex.node.test.ts runs them. */
import type { Model, ModelThread } from '@heddle/tools/model';
import { AbortedError, Mutex, PoisonedError, TimeoutError, type UnlockToken } from '../../src/index.ts';
import { enter, supervise, withRegistry } from './registry.ts';

const MUTEX = 0;
/** How many threads are inside. */
const INSIDE = 8;
/** How often the lock was taken. */
const COUNT = 12;
const BYTES = 1024;

const mutexOf = ({ memory }: ModelThread): Mutex => new Mutex({ buffer: memory, byteOffset: MUTEX });
const wordsOf = (memory: SharedArrayBuffer): Int32Array => new Int32Array(memory);

/** What must look like one step: it isn't, if another thread is inside. */
function critical(thread: ModelThread): void {
  const words = wordsOf(thread.memory);
  thread.assert(words[INSIDE >> 2] === 0, 'two threads hold the lock');
  words[INSIDE >> 2] = 1;
  const count = words[COUNT >> 2];
  thread.step();
  words[COUNT >> 2] = count + 1;
  words[INSIDE >> 2] = 0;
}

function lock(thread: ModelThread): void {
  using _ = mutexOf(thread).lock();
  critical(thread);
}

async function lockAsync(thread: ModelThread): Promise<void> {
  using _ = await mutexOf(thread).lockAsync();
  critical(thread);
}

/** Takes the lock within a time, or doesn't. */
function lockSoon(thread: ModelThread): void {
  try {
    using _ = mutexOf(thread).lock({ timeoutMs: 5 });
    critical(thread);
  } catch (error) {
    if (!(error instanceof TimeoutError)) throw error;
  }
}

async function lockSoonAsync(thread: ModelThread): Promise<void> {
  try {
    using _ = await mutexOf(thread).lockAsync({ timeoutMs: 5 });
    critical(thread);
  } catch (error) {
    if (!(error instanceof TimeoutError)) throw error;
  }
}

/** Asks for the lock, and changes its mind some time later. */
async function lockAborted(thread: ModelThread): Promise<void> {
  const controller = new AbortController();
  const locking = mutexOf(thread)
    .lockAsync({ signal: controller.signal })
    .then((token) => {
      critical(thread);
      token.unlock();
    })
    .catch((error: unknown) => {
      if (!(error instanceof AbortedError)) throw error;
    });
  await thread.turn();
  controller.abort();
  await locking;
}

const checkFree = (memory: SharedArrayBuffer): void => {
  const mutex = new Mutex({ buffer: memory, byteOffset: MUTEX });
  if (mutex.isLocked) throw new Error('the lock is still taken');
};

const checkCount =
  (count: number) =>
  (memory: SharedArrayBuffer): void => {
    checkFree(memory);
    const counted = wordsOf(memory)[COUNT >> 2];
    if (counted !== count) throw new Error(`the lock was taken ${count} times, and ${counted} are counted`);
  };

export const two: Model = { byteLength: BYTES, threads: [lock, lock], check: checkCount(2) };

/** Who doesn't get the lock at once goes away. */
const tryLock = (thread: ModelThread): void => {
  using token = mutexOf(thread).tryLock();
  if (token !== undefined) critical(thread);
};
export const tried: Model = { byteLength: BYTES, threads: [tryLock, tryLock], check: checkFree };

export const three: Model = { byteLength: BYTES, threads: [lock, lock, lock], check: checkCount(3) };

const lockTwice = (thread: ModelThread): void => {
  lock(thread);
  lock(thread);
};
export const many: Model = { byteLength: BYTES, threads: [lockTwice, lockTwice, lockTwice, lockTwice], check: checkCount(8) };

const TIMES = 9;
const lockOften = (thread: ModelThread): void => {
  for (let i = 0; i < TIMES; i += 1) lock(thread);
};
const lockOftenAsync = async (thread: ModelThread): Promise<void> => {
  // oxlint-disable-next-line no-await-in-loop -- one after the other
  for (let i = 0; i < TIMES; i += 1) await lockAsync(thread);
};

/** So many come and go that a waiter is passed over until it has enough of it. */
export const crowded: Model = {
  byteLength: BYTES,
  threads: [lock, lockOften, lockOften, lockOftenAsync],
  check: checkCount(3 * TIMES + 1),
};

export const timed: Model = { byteLength: BYTES, threads: [lock, lockSoon, lock], check: checkFree };

export const asynchronous: Model = { byteLength: BYTES, threads: [lockAsync, lock, lockAsync], check: checkCount(3) };

/** Two tasks of one thread, and a thread that blocks. */
export const tasks: Model = {
  byteLength: BYTES,
  threads: [async (thread) => void (await Promise.all([lockAsync(thread), lockAsync(thread)])), lock],
  check: checkCount(3),
};

export const cancelled: Model = { byteLength: BYTES, threads: [lock, lockAborted, lock], check: checkFree };

export const cancelledTimed: Model = { byteLength: BYTES, threads: [lockSoonAsync, lockAborted, lock, lockAsync], check: checkFree };

/** Inside, with the lock: a dead one may have been there before if the lock is poisoned. */
function criticalUnless(thread: ModelThread, token: UnlockToken): void {
  if (token.poisoned) wordsOf(thread.memory)[INSIDE >> 2] = 0;
  critical(thread);
}

function lockRegistered(thread: ModelThread): void {
  enter(thread);
  using token = mutexOf(thread).lock({ acceptPoisoned: true });
  criticalUnless(thread, token);
}

async function lockRegisteredAsync(thread: ModelThread): Promise<void> {
  enter(thread);
  using token = await mutexOf(thread).lockAsync({ acceptPoisoned: true });
  criticalUnless(thread, token);
}

/** Gives up for poison, and tries again as the error offers. */
function lockRefused(thread: ModelThread): void {
  enter(thread);
  const mutex = mutexOf(thread);
  try {
    using token = mutex.lock();
    criticalUnless(thread, token);
  } catch (error) {
    if (!(error instanceof PoisonedError)) throw error;
    using token = error.lock();
    thread.assert(token.poisoned, 'the poison was lost');
    criticalUnless(thread, token);
  }
}

/**
 * An unlock clears the word and then wakes. A thread that was killed between left its waiter asleep for ever in front of a free
 * lock: the reaper only looked at locks that the dead still held.
 */
export const death: Model = {
  byteLength: BYTES,
  ...withRegistry(3),
  threads: [supervise, lockRegistered, lockRegistered],
  mortals: [1],
};

export const deathAmongMany: Model = {
  byteLength: BYTES,
  ...withRegistry(4),
  threads: [supervise, lockRegistered, lockRefused, lockRegistered],
  mortals: [1, 2, 3],
};

export const deathAsync: Model = {
  byteLength: BYTES,
  ...withRegistry(4),
  threads: [supervise, lockRegistered, lockRegisteredAsync, lockRegistered],
  mortals: [1, 2],
};

const lockRegisteredOften = (thread: ModelThread): void => {
  for (let i = 0; i < TIMES; i += 1) lockRegistered(thread);
};

/**
 * A waiter that had just claimed the lock announced itself and fell asleep, with the lock already kept for it: its claim had been
 * seen, and all had been woken. Everybody waited for the claimant, and the claimant for everybody. All are registered, so that no
 * claim grows old.
 */
export const crowdedRegistered: Model = {
  byteLength: BYTES,
  ...withRegistry(4),
  threads: [lockRegisteredOften, lockRegisteredOften, lockRegisteredOften, lockRegisteredOften],
  check: checkCount(4 * TIMES),
};

/** Those who are passed over may die of it. */
export const deathInCrowd: Model = {
  byteLength: BYTES,
  ...withRegistry(5),
  threads: [supervise, lockRegistered, lockRegisteredAsync, lockRegisteredOften, lockRegisteredOften],
  mortals: [1, 2, 3],
};

/** Who a supervisor that may die itself was told of last. */
const TOLD = 16;

/** A supervisor that may die; it keeps a book of whom it was told of. */
function superviseMortally(thread: ModelThread): void {
  const registry = enter(thread);
  for (let dead = thread.awaitDeath(); dead !== -1; dead = thread.awaitDeath()) {
    wordsOf(thread.memory)[TOLD >> 2] = dead + 1;
    registry.reap(dead + 1);
  }
}

/** The supervisor of that one: when it dies, whom it was told of is looked after as well. */
function superviseAll(thread: ModelThread): void {
  const registry = enter(thread);
  for (let dead = thread.awaitDeath(); dead !== -1; dead = thread.awaitDeath()) {
    registry.reap(dead + 1);
    const told = wordsOf(thread.memory)[TOLD >> 2];
    if (dead === 1 && told !== 0) registry.reap(told);
  }
}

/** A reaper that was killed left `reaping` as it was: the next one spun for ever, and nobody was woken. */
export const deathOfReaper: Model = {
  byteLength: BYTES,
  ...withRegistry(4),
  threads: [superviseAll, superviseMortally, lockRegistered, lockRegistered],
  mortals: [1, 2],
};
