/** Models of the condition variable; Condition.node.test.ts runs them. */
import type { Model, ModelThread } from '@heddle/tools/model';
import { AbortedError, Condition, Mutex, PoisonedError, type UnlockToken } from '../../src/index.ts';
import { enter, supervise, withRegistry } from './registry.ts';

const MUTEX = 0;
const CONDITION = 8;
/** What the condition is about: items that were put and not taken. */
const ITEMS = 16;
const TAKEN = 20;
const BYTES = 1024;

const mutexOf = ({ memory }: ModelThread): Mutex => new Mutex({ buffer: memory, byteOffset: MUTEX });
const conditionOf = ({ memory }: ModelThread): Condition => new Condition({ buffer: memory, byteOffset: CONDITION });
const words = (memory: SharedArrayBuffer): Int32Array => new Int32Array(memory);
const items = ({ memory }: ModelThread): number => words(memory)[ITEMS >> 2];

function takeItem({ memory }: ModelThread): void {
  words(memory)[ITEMS >> 2] -= 1;
  words(memory)[TAKEN >> 2] += 1;
}

/** Puts items in, and tells as many waiters. */
const put =
  (count: number, options: { readonly tellAll?: boolean } = {}) =>
  (thread: ModelThread): void => {
    using _ = mutexOf(thread).lock();
    words(thread.memory)[ITEMS >> 2] += count;
    if (options.tellAll === true) conditionOf(thread).notifyAll();
    else for (let i = 0; i < count; i += 1) conditionOf(thread).notifyOne();
  };

/** The same, telling after the mutex was let go of. */
const putThenTell = (thread: ModelThread): void => {
  const token = mutexOf(thread).lock();
  words(thread.memory)[ITEMS >> 2] += 1;
  token.unlock();
  conditionOf(thread).notifyOne();
};

const putTwice = (thread: ModelThread): void => {
  put(1)(thread);
  put(1)(thread);
};

function take(thread: ModelThread): void {
  using token = mutexOf(thread).lock();
  while (items(thread) === 0) conditionOf(thread).wait(token);
  takeItem(thread);
}

async function takeAsync(thread: ModelThread): Promise<void> {
  using token = await mutexOf(thread).lockAsync();
  await conditionOf(thread).waitAsync(token, { predicate: () => items(thread) > 0 });
  takeItem(thread);
}

/** Takes an item if one comes in time. */
function takeSoon(thread: ModelThread): void {
  using token = mutexOf(thread).lock();
  const isThere = conditionOf(thread).waitFor(token, 5, () => items(thread) > 0);
  thread.assert(token.locked, 'the lock is not held after a wait');
  thread.assert(isThere === items(thread) > 0, 'the answer is wrong');
  if (isThere) takeItem(thread);
}

async function takeSoonAsync(thread: ModelThread): Promise<void> {
  using token = await mutexOf(thread).lockAsync();
  if (await conditionOf(thread).waitAsync(token, { timeoutMs: 5, predicate: () => items(thread) > 0 })) takeItem(thread);
}

/** Waits, changes its mind, and passes on what may have been meant for it. */
async function takeAborted(thread: ModelThread): Promise<void> {
  const controller = new AbortController();
  const taking = takeUnlessAborted(thread, controller.signal);
  await thread.turn();
  controller.abort();
  await taking;
}

async function takeUnlessAborted(thread: ModelThread, signal: AbortSignal): Promise<void> {
  using token = await mutexOf(thread).lockAsync();
  try {
    await conditionOf(thread).waitAsync(token, { signal, predicate: () => items(thread) > 0 });
    takeItem(thread);
  } catch (error) {
    if (!(error instanceof AbortedError)) throw error;
    thread.assert(token.locked, 'the lock is not held after an abort');
    if (items(thread) > 0) conditionOf(thread).notifyOne();
  }
}

const checkTaken =
  (count: number) =>
  (memory: SharedArrayBuffer): void => {
    const [left, taken] = [words(memory)[ITEMS >> 2], words(memory)[TAKEN >> 2]];
    if (left !== 0 || taken !== count) throw new Error(`${taken} of ${count} items were taken, ${left} are left`);
    const [waiters] = new Int32Array(memory, CONDITION + 4, 1);
    if (waiters !== 0) throw new Error(`${waiters} are still counted as waiting`);
  };

const checkSum =
  (count: number) =>
  (memory: SharedArrayBuffer): void => {
    const sum = words(memory)[ITEMS >> 2] + words(memory)[TAKEN >> 2];
    if (sum !== count) throw new Error(`of ${count} items ${sum} are left or taken`);
  };

export const one: Model = { byteLength: BYTES, threads: [take, put(1)], check: checkTaken(1) };

export const toldLate: Model = { byteLength: BYTES, threads: [take, putThenTell], check: checkTaken(1) };

export const each: Model = { byteLength: BYTES, threads: [take, take, putTwice], check: checkTaken(2) };

export const all: Model = { byteLength: BYTES, threads: [take, take, put(2, { tellAll: true })], check: checkTaken(2) };

export const asynchronous: Model = { byteLength: BYTES, threads: [takeAsync, take, putTwice], check: checkTaken(2) };

/** A wait that runs out: the item is there for somebody, and who waits without end gets one of the two. */
export const timed: Model = { byteLength: BYTES, threads: [takeSoon, take, putTwice], check: checkSum(2) };

export const timedAsync: Model = { byteLength: BYTES, threads: [takeSoonAsync, take, putTwice], check: checkSum(2) };

export const cancelled: Model = { byteLength: BYTES, threads: [takeAborted, take, putTwice], check: checkSum(2) };

/** Registered, and told that somebody died in the mutex: the items are then what they are. */
const registered =
  (body: (thread: ModelThread, token: UnlockToken) => void) =>
  (thread: ModelThread): void => {
    enter(thread);
    using token = mutexOf(thread).lock({ acceptPoisoned: true });
    body(thread, token);
  };

const takeRegistered = registered((thread, token) => {
  while (items(thread) === 0) {
    try {
      conditionOf(thread).wait(token);
    } catch (error) {
      if (!(error instanceof PoisonedError)) throw error;
      thread.assert(token.locked, 'the lock is not held after poison');
    }
  }
  takeItem(thread);
});

const putRegistered = registered((thread) => {
  words(thread.memory)[ITEMS >> 2] += 1;
  conditionOf(thread).notifyOne();
});

/** Two put, one waits: one of the two may die anywhere, also before it tells. The waiter goes on with what is there. */
export const death: Model = {
  byteLength: BYTES,
  ...withRegistry(4),
  threads: [supervise, takeRegistered, putRegistered, putRegistered],
  mortals: [3],
};

/** A waiter dies that may have been the one who was told. */
export const deathOfWaiter: Model = {
  byteLength: BYTES,
  ...withRegistry(5),
  threads: [supervise, takeRegistered, takeRegistered, putRegistered, putRegistered],
  mortals: [2],
};

/** Puts an item in and dies perhaps before it tells anybody, after it has let go of the mutex. */
const putThenTellRegistered = (thread: ModelThread): void => {
  enter(thread);
  putThenTell(thread);
};

/** Reaps, and puts an item in if the dead had not: whoever waits must have found it otherwise. */
function superviseAndPut(thread: ModelThread): void {
  const registry = enter(thread);
  const dead = thread.awaitDeath();
  if (dead === -1) return;
  registry.reap(dead + 1);
  thread.awaitDeath();
  // Nobody else goes on now.
  const [left, taken] = [items(thread), words(thread.memory)[TAKEN >> 2]];
  if (left === 0 && taken === 0) putRegistered(thread);
}

/**
 * Who waits on a condition looks, and says so in the registry only then. A death between, of a thread that had changed the condition
 * and not told it yet, left it asleep: nobody was there to wake, and the word that it slept on hadn't changed.
 */
export const deathOfTeller: Model = {
  byteLength: BYTES,
  ...withRegistry(3),
  threads: [superviseAndPut, takeRegistered, putThenTellRegistered],
  mortals: [2],
};
