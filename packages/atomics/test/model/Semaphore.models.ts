/** Models of the semaphore; Semaphore.node.test.ts runs them. */
import type { Model, ModelThread } from '@heddle/tools/model';
import { AbortedError, Semaphore, TimeoutError } from '../../src/index.ts';
import { SEMAPHORE_WAITERS_OFFSET } from '../../src/internal/layout.ts';
import { enter, supervise, withRegistry } from './registry.ts';

// Where a wait looks to the registry as none does.
const SEMAPHORE = 0;
/** How many are inside, and how many may be. */
const INSIDE = 40;
const LIMIT = 44;
const BYTES = 1024;

const semaphoreOf = ({ memory }: ModelThread): Semaphore => Semaphore.at({ buffer: memory, byteOffset: SEMAPHORE });

const withPermits =
  (permits: number) =>
  (memory: SharedArrayBuffer): void => {
    Semaphore.create(permits, { buffer: memory, byteOffset: SEMAPHORE });
    new Int32Array(memory)[LIMIT >> 2] = permits;
  };

/** Between taking and giving back. */
function inside(thread: ModelThread): void {
  const words = new Int32Array(thread.memory);
  words[INSIDE >> 2] += 1;
  thread.assert(words[INSIDE >> 2] <= words[LIMIT >> 2], 'more are inside than there are permits');
  thread.step();
  words[INSIDE >> 2] -= 1;
}

function pass(thread: ModelThread): void {
  using _ = semaphoreOf(thread).acquire();
  inside(thread);
}

async function passAsync(thread: ModelThread): Promise<void> {
  using _ = await semaphoreOf(thread).acquireAsync();
  inside(thread);
}

const unlessTooLate = (error: unknown): void => {
  if (!(error instanceof TimeoutError) && !(error instanceof AbortedError)) throw error;
};

function passSoon(thread: ModelThread): void {
  try {
    using _ = semaphoreOf(thread).acquire({ timeoutMs: 5 });
    inside(thread);
  } catch (error) {
    unlessTooLate(error);
  }
}

/** Waits for a while, changes its mind, or gets a permit. */
async function passAborted(thread: ModelThread): Promise<void> {
  const controller = new AbortController();
  const passing = semaphoreOf(thread)
    .acquireAsync({ signal: controller.signal, timeoutMs: 5 })
    .then((permit) => {
      inside(thread);
      permit.release();
    })
    .catch(unlessTooLate);
  await thread.turn();
  controller.abort();
  await passing;
}

const acquire = (thread: ModelThread): void => void semaphoreOf(thread).acquire();
const acquireAsync = async (thread: ModelThread): Promise<void> => void (await semaphoreOf(thread).acquireAsync());
const release = (thread: ModelThread): void => semaphoreOf(thread).release();
const releaseTwo = (thread: ModelThread): void => semaphoreOf(thread).release(2);
const releaseTwice = (thread: ModelThread): void => {
  release(thread);
  release(thread);
};

const checkAvailable =
  (permits: number) =>
  (memory: SharedArrayBuffer): void => {
    const { available } = Semaphore.at({ buffer: memory, byteOffset: SEMAPHORE });
    if (available !== permits) throw new Error(`${available} permits are there, not ${permits}`);
    const [waiters] = new Int32Array(memory, SEMAPHORE + SEMAPHORE_WAITERS_OFFSET, 1);
    if (waiters !== 0) throw new Error(`${waiters} are still counted as waiting`);
  };

export const one: Model = { byteLength: BYTES, setUp: withPermits(1), threads: [pass, pass], check: checkAvailable(1) };

export const many: Model = { byteLength: BYTES, setUp: withPermits(2), threads: [pass, pass, pass, passAsync], check: checkAvailable(2) };

/** Two wait, and one release is enough for both. */
export const together: Model = { byteLength: BYTES, threads: [acquire, acquire, releaseTwo], check: checkAvailable(0) };

export const inTurn: Model = { byteLength: BYTES, threads: [acquire, acquire, releaseTwice], check: checkAvailable(0) };

export const asynchronous: Model = { byteLength: BYTES, threads: [acquireAsync, acquire, releaseTwice], check: checkAvailable(0) };

export const timed: Model = { byteLength: BYTES, setUp: withPermits(1), threads: [pass, passSoon, pass], check: checkAvailable(1) };

export const cancelled: Model = { byteLength: BYTES, setUp: withPermits(1), threads: [pass, passAborted, pass], check: checkAvailable(1) };

/** A task waits while its thread blocks in the same queue: the task must not swallow what others need. */
export const mixed: Model = {
  byteLength: BYTES,
  threads: [
    async (thread) => {
      const task = acquireAsync(thread);
      acquire(thread);
      await task;
    },
    acquire,
    release,
    releaseTwice,
  ],
  check: checkAvailable(0),
};

const registered =
  (body: (thread: ModelThread) => void | Promise<void>) =>
  (thread: ModelThread): void | Promise<void> => {
    enter(thread);
    return body(thread);
  };

/** Two release and one acquires, so that a releaser may die, also between the permit and the wake-up. */
export const deathOfReleaser: Model = {
  byteLength: BYTES,
  ...withRegistry(4),
  threads: [supervise, registered(acquire), registered(release), registered(release)],
  mortals: [3],
};

/** One permit, and another one if the first was taken: if it wasn't, a dead waiter must not have swallowed its wake-up. */
function releaseAndSupervise(thread: ModelThread): void {
  const registry = enter(thread);
  release(thread);
  const dead = thread.awaitDeath();
  if (dead !== -1) {
    registry.reap(dead + 1);
    thread.awaitDeath();
  }
  // Nobody else goes on now.
  if (semaphoreOf(thread).available === 0) release(thread);
}

/** A waiter dies that may have been woken for the only permit. */
export const deathOfWaiter: Model = {
  byteLength: BYTES,
  ...withRegistry(3),
  threads: [releaseAndSupervise, registered(acquire), registered(acquire)],
  mortals: [2],
};

/** The same among those who wait without blocking. */
export const deathOfAsyncWaiter: Model = {
  byteLength: BYTES,
  ...withRegistry(3),
  threads: [releaseAndSupervise, registered(acquireAsync), registered(acquireAsync)],
  mortals: [2],
};
