/** Models of what waits for a word and nothing else: barrier, latch, event, parker, once, wait group. waiting.node.test.ts runs them. */
import type { Model, ModelThread } from '@heddle/tools/model';
import {
  AbortedError,
  Barrier,
  Event,
  Latch,
  Once,
  type OnceState,
  OncePoisonedError,
  Parker,
  type SharedLocation,
  TimeoutError,
  Unparker,
  WaitGroup,
} from '../../src/index.ts';
import { enter, supervise, withRegistry } from './registry.ts';

const RECORD = 8;
/** A word that is written before what is waited for, and read after it. */
const DATA = 32;
const COUNT = 36;
const BYTES = 1024;

const place = (buffer: SharedArrayBuffer): SharedLocation => ({ buffer, byteOffset: RECORD });
const words = ({ memory }: ModelThread): Int32Array => new Int32Array(memory);

function write(thread: ModelThread): void {
  words(thread)[DATA >> 2] += 1;
}

function expectWritten(thread: ModelThread, least: number): void {
  thread.assert(words(thread)[DATA >> 2] >= least, 'it went on before it could');
}

function count(thread: ModelThread): void {
  words(thread)[COUNT >> 2] += 1;
}

const checkCount =
  (expected: number) =>
  (memory: SharedArrayBuffer): void => {
    const counted = new Int32Array(memory)[COUNT >> 2];
    if (counted !== expected) throw new Error(`${counted} are counted, not ${expected}`);
  };

const isGivenUp = (error: unknown): boolean => error instanceof TimeoutError || error instanceof AbortedError;

/** Runs a wait that is given up some time later. */
async function givenUpLater(thread: ModelThread, wait: (signal: AbortSignal) => Promise<unknown>): Promise<boolean> {
  const controller = new AbortController();
  const waiting = wait(controller.signal).then(
    () => true,
    (error: unknown) => {
      if (!isGivenUp(error)) throw error;
      return false;
    },
  );
  await thread.turn();
  controller.abort();
  return waiting;
}

// Latch.

const latchOf = ({ memory }: ModelThread): Latch => Latch.at(place(memory));

const countDown = (thread: ModelThread): void => {
  write(thread);
  latchOf(thread).countDown();
};

export const latch: Model = {
  byteLength: BYTES,
  setUp: (memory) => void Latch.create(2, place(memory)),
  threads: [
    countDown,
    (thread) => {
      write(thread);
      latchOf(thread).arriveAndWait();
      expectWritten(thread, 2);
    },
    (thread) => {
      latchOf(thread).wait();
      expectWritten(thread, 2);
    },
    async (thread) => {
      await latchOf(thread).waitAsync();
      expectWritten(thread, 2);
    },
  ],
};

// Barrier.

const barrierOf = ({ memory }: ModelThread): Barrier => Barrier.at(place(memory));

/** Two generations of two parties; one leader each. */
const meetTwice = (thread: ModelThread): void => {
  for (const generation of [1, 2]) {
    Atomics.add(words(thread), DATA >> 2, 1);
    if (barrierOf(thread).wait().isLeader) Atomics.add(words(thread), COUNT >> 2, 1);
    expectWritten(thread, generation * 2);
  }
};

const meetTwiceAsync = async (thread: ModelThread): Promise<void> => {
  for (const generation of [1, 2]) {
    Atomics.add(words(thread), DATA >> 2, 1);
    // oxlint-disable-next-line no-await-in-loop -- one generation after the other
    if ((await barrierOf(thread).waitAsync()).isLeader) Atomics.add(words(thread), COUNT >> 2, 1);
    expectWritten(thread, generation * 2);
  }
};

const withBarrier = (memory: SharedArrayBuffer): void => void Barrier.create(2, place(memory));

export const barrier: Model = { byteLength: BYTES, setUp: withBarrier, threads: [meetTwice, meetTwice], check: checkCount(2) };

export const barrierAsync: Model = { byteLength: BYTES, setUp: withBarrier, threads: [meetTwice, meetTwiceAsync], check: checkCount(2) };

/** Who gives up takes its arrival back, or has been let through: the other two meet, or one of them meets the first. */
export const barrierCancelled: Model = {
  byteLength: BYTES,
  setUp: withBarrier,
  threads: [
    async (thread) => {
      if (await givenUpLater(thread, (signal) => barrierOf(thread).waitAsync({ signal }))) Atomics.add(words(thread), COUNT >> 2, 1);
    },
    (thread) => {
      try {
        barrierOf(thread).wait({ timeoutMs: 5 });
        Atomics.add(words(thread), COUNT >> 2, 1);
      } catch (error) {
        if (!isGivenUp(error)) throw error;
      }
    },
  ],
  check: (memory) => {
    const met = new Int32Array(memory)[COUNT >> 2];
    const { arrived } = Barrier.at(place(memory));
    if ((met !== 0 && met !== 2) || arrived !== 0) throw new Error(`${met} went on, ${arrived} are still there`);
  },
};

// Event.

const eventOf = ({ memory }: ModelThread): Event => Event.at(place(memory));
const withEvent = (memory: SharedArrayBuffer): void => void Event.create({ location: place(memory) });
const withAutoEvent = (memory: SharedArrayBuffer): void => void Event.create({ autoReset: true, location: place(memory) });

const awaitEvent = (thread: ModelThread): void => {
  eventOf(thread).wait();
  expectWritten(thread, 1);
  Atomics.add(words(thread), COUNT >> 2, 1);
};

const awaitEventAsync = async (thread: ModelThread): Promise<void> => {
  await eventOf(thread).waitAsync();
  expectWritten(thread, 1);
  Atomics.add(words(thread), COUNT >> 2, 1);
};

const setEvent = (thread: ModelThread): void => {
  write(thread);
  eventOf(thread).set();
};

export const eventManual: Model = {
  byteLength: BYTES,
  setUp: withEvent,
  threads: [awaitEvent, awaitEventAsync, setEvent],
  check: checkCount(2),
};

/** Each setting lets one through: with two settings that are not lost in one another, both. */
export const eventAuto: Model = {
  byteLength: BYTES,
  setUp: withAutoEvent,
  threads: [
    awaitEvent,
    awaitEventAsync,
    (thread) => {
      setEvent(thread);
      while (!eventOf(thread).set()) thread.yield();
    },
  ],
  check: checkCount(2),
};

const registered =
  (body: (thread: ModelThread) => void | Promise<void>) =>
  (thread: ModelThread): void | Promise<void> => {
    enter(thread);
    return body(thread);
  };

/** One setting, and another if the first was used: if it wasn't, a dead waiter must not have swallowed its wake-up. */
function setAndSupervise(thread: ModelThread): void {
  const registry = enter(thread);
  setEvent(thread);
  const dead = thread.awaitDeath();
  if (dead !== -1) {
    registry.reap(dead + 1);
    thread.awaitDeath();
  }
  // Nobody else goes on now.
  if (!eventOf(thread).isSet) eventOf(thread).set();
}

export const eventDeath: Model = {
  byteLength: BYTES,
  ...withRegistryAnd(3, withAutoEvent),
  threads: [setAndSupervise, registered(awaitEvent), registered(awaitEventAsync)],
  mortals: [1, 2],
};

export const eventDeathAsync: Model = {
  ...eventDeath,
  threads: [setAndSupervise, registered(awaitEventAsync), registered(awaitEventAsync)],
};

function withRegistryAnd(threadCount: number, setUp: (memory: SharedArrayBuffer) => void): Pick<Model, 'setUp' | 'beforeEach'> {
  const registry = withRegistry(threadCount);
  return {
    ...registry,
    setUp: (memory) => {
      registry.setUp!(memory);
      setUp(memory);
    },
  };
}

// Parker.

const parkerOf = ({ memory }: ModelThread): Parker => new Parker(place(memory));

const unpark = (thread: ModelThread): void => {
  write(thread);
  new Unparker(place(thread.memory)).unpark();
};

export const parker: Model = {
  byteLength: BYTES,
  threads: [
    (thread) => {
      parkerOf(thread).park();
      expectWritten(thread, 1);
    },
    unpark,
  ],
};

/** A parking that is given up leaves the token for the next one, or has taken it. */
export const parkerCancelled: Model = {
  byteLength: BYTES,
  threads: [
    async (thread) => {
      const hasParked = await givenUpLater(thread, (signal) => parkerOf(thread).parkAsync({ signal, timeoutMs: 5 }));
      if (!hasParked) await parkerOf(thread).parkAsync();
      expectWritten(thread, 1);
    },
    unpark,
  ],
};

// Once.

const onceOf = ({ memory }: ModelThread): Once => new Once(place(memory));

const initialise = (thread: ModelThread) => (): void => {
  count(thread);
  thread.step();
  write(thread);
};

const callOnce = (thread: ModelThread): void => {
  onceOf(thread).call(initialise(thread));
  expectWritten(thread, 1);
};

const callOnceAsync = async (thread: ModelThread): Promise<void> => {
  await onceOf(thread).callAsync(initialise(thread));
  expectWritten(thread, 1);
};

export const once: Model = { byteLength: BYTES, threads: [callOnce, callOnce], check: checkCount(1) };

export const onceAsync: Model = { byteLength: BYTES, threads: [callOnce, callOnceAsync, callOnceAsync], check: checkCount(1) };

/**
 * A thread that had made it and left the registry looked dead to one that had seen it make it: that one was told of poison, although
 * nobody had failed.
 */
export const onceLeft: Model = {
  byteLength: BYTES,
  ...withRegistry(2),
  threads: [
    (thread) => {
      const registry = enter(thread);
      callOnce(thread);
      registry.leave();
    },
    (thread) => {
      enter(thread);
      thread.assert(!onceOf(thread).isPoisoned, 'nobody has failed');
      callOnce(thread);
    },
  ],
  check: checkCount(1),
};

/** The first try fails: the others are told, and one of them makes it. */
export const oncePoisoned: Model = {
  byteLength: BYTES,
  threads: [
    (thread) => {
      try {
        onceOf(thread).call(() => {
          thread.step();
          throw new RangeError('not this time');
        });
      } catch (error) {
        if (!(error instanceof RangeError) && !(error instanceof OncePoisonedError)) throw error;
      }
    },
    callForce,
    callForce,
  ],
  check: checkCount(1),
};

function callForce(thread: ModelThread): void {
  onceOf(thread).callForce(initialise(thread));
  expectWritten(thread, 1);
}

/** What a dead initialiser wrote doesn't count. */
const callForceUnlessCounted = (thread: ModelThread): void => {
  onceOf(thread).callForce(({ isPoisoned }: OnceState) => {
    if (isPoisoned) words(thread)[COUNT >> 2] = 0;
    initialise(thread)();
  });
  expectWritten(thread, 1);
};

export const onceDeath: Model = {
  byteLength: BYTES,
  ...withRegistry(4),
  threads: [supervise, registered(callForceUnlessCounted), registered(callForceUnlessCounted), registered(callForceUnlessCounted)],
  mortals: [1],
  check: checkCount(1),
};

// Wait group.

const groupOf = ({ memory }: ModelThread): WaitGroup => new WaitGroup(place(memory));

const finish = (thread: ModelThread): void => {
  Atomics.add(words(thread), DATA >> 2, 1);
  groupOf(thread).done();
};

export const waitGroup: Model = {
  byteLength: BYTES,
  setUp: (memory) => new WaitGroup(place(memory)).add(2),
  threads: [
    finish,
    finish,
    (thread) => {
      groupOf(thread).wait();
      expectWritten(thread, 2);
    },
    async (thread) => {
      await groupOf(thread).waitAsync();
      expectWritten(thread, 2);
    },
  ],
};
