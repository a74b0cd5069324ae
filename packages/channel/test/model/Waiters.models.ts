/**
 * Models of those who wait on one side of a channel; Waiters.node.test.ts runs them. What they wait for is a number, so that more
 * schedules can be looked at than with whole channels, and it is certain who is told.
 */
import { ThreadRegistry } from '@heddle/atomics';
import { SLOT_UNREGISTERED, WAITING_ON_SEQUENCE } from '@heddle/atomics/internal';
import type { Model, ModelThread } from '@heddle/tools/model';
import { channel, channelByteLength } from '../../src/index.ts';
import { WATCHERS, WATCHER_TOKEN_SHIFT } from '../../src/internal/layout.ts';
import { openRecord } from '../../src/internal/record.ts';
import { Waiters } from '../../src/internal/Waiters.ts';
import { RECEIVER_WORDS } from '../../src/internal/words.ts';

/** How many messages there are. */
const MESSAGES = 0;
/** On which a select sleeps that waits elsewhere, too. */
const ELSEWHERE = 8;
/** How far `toldInstead` is. */
const STAGE = 1;
const REGISTRY = 64;
const REGISTRY_ID = (REGISTRY + 12) >> 2;
const CHANNEL = 1024;
const RING_BYTES = 64;
const BYTES = CHANNEL + channelByteLength(RING_BYTES);

// Registries are kept by their ids, and one execution must not find that of another.
let registryIdLast = 0;

const withWaiters = (threadCount: number): Pick<Model, 'byteLength' | 'setUp' | 'beforeEach'> => ({
  byteLength: BYTES,
  setUp: (buffer) => {
    channel({ ringByteLength: RING_BYTES, location: { buffer, byteOffset: CHANNEL } });
    const registry = ThreadRegistry.create({ capacity: threadCount, location: { buffer, byteOffset: REGISTRY } });
    for (let i = 0; i < threadCount; i += 1) registry.allocate();
  },
  beforeEach: (memory) => {
    registryIdLast += 1;
    new Int32Array(memory)[REGISTRY_ID] = registryIdLast;
  },
});

function enter(thread: ModelThread): ThreadRegistry {
  const registry = ThreadRegistry.at({ buffer: thread.memory, byteOffset: REGISTRY });
  registry.enter({ slot: thread.index + 1, generation: 1 });
  return registry;
}

const waitersOf = ({ memory }: ModelThread): Waiters => new Waiters(openRecord({ buffer: memory, byteOffset: CHANNEL }), RECEIVER_WORDS, 1);

const wordsOf = ({ memory }: ModelThread): Int32Array => new Int32Array(memory);

/** Takes a message if there is one. */
function take(thread: ModelThread): boolean {
  const words = wordsOf(thread);
  for (let count = Atomics.load(words, MESSAGES); count > 0;) {
    const seen = Atomics.compareExchange(words, MESSAGES, count, count - 1);
    if (seen === count) return true;
    count = seen;
  }
  return false;
}

const isEmpty = (thread: ModelThread): boolean => Atomics.load(wordsOf(thread), MESSAGES) === 0;

const send =
  (count: number) =>
  (thread: ModelThread): void => {
    enter(thread);
    const waiters = waitersOf(thread);
    for (let i = 0; i < count; i += 1) {
      Atomics.add(wordsOf(thread), MESSAGES, 1);
      waiters.signal();
    }
  };

const receive =
  (count: number) =>
  (thread: ModelThread): void => {
    enter(thread);
    const waiters = waitersOf(thread);
    for (let i = 0; i < count;) {
      const ticket = waiters.announce();
      if (take(thread)) {
        waiters.retire();
        i += 1;
      } else {
        waiters.block(ticket, Infinity, () => isEmpty(thread));
      }
    }
  };

const receiveAsync =
  (count: number) =>
  async (thread: ModelThread): Promise<void> => {
    enter(thread);
    const waiters = waitersOf(thread);
    const stopWatching = waiters.watchDeaths();
    for (let i = 0; i < count;) {
      const ticket = waiters.announce();
      if (take(thread)) {
        waiters.retire();
        i += 1;
      } else {
        // oxlint-disable-next-line no-await-in-loop -- one message after the other
        await waiters.wait(ticket, { timeoutMs: Infinity, signal: undefined, operation: 'receiving' });
      }
    }
    stopWatching();
  };

/** Takes a message that comes in time, and looks once more at the end. */
function receiveSoon(thread: ModelThread): void {
  enter(thread);
  const waiters = waitersOf(thread);
  const ticket = waiters.announce();
  if (take(thread)) waiters.retire();
  else if (waiters.block(ticket, 5, () => isEmpty(thread)) === 'ok') take(thread);
}

/** Takes a message if there is one. */
function receiveNow(thread: ModelThread): void {
  enter(thread);
  take(thread);
}

/** A select that sleeps here, and has something else to do as soon as it is woken. */
function selectOther(thread: ModelThread): void {
  enter(thread);
  const waiters = waitersOf(thread);
  const retire = waiters.announceSelect(waiters.eventsAddress);
  const { ticket } = waiters;
  if (!take(thread)) waiters.sleep(ticket, 5, () => isEmpty(thread));
  retire?.();
}

/** Reaps the dead. */
function reap(thread: ModelThread): void {
  const registry = enter(thread);
  for (let dead = thread.awaitDeath(); dead !== -1; dead = thread.awaitDeath()) registry.reap(dead + 1);
}

/** {@link reap}. When nobody goes on, nobody waits in front of a message; then it sends what is missing. */
function supervise(thread: ModelThread): void {
  reap(thread);
  const waiters = waitersOf(thread);
  const messages = Atomics.load(wordsOf(thread), MESSAGES);
  thread.assert(messages === 0 || waiters.count === 0, `${messages} messages, and ${waiters.count} wait for one`);
  Atomics.add(wordsOf(thread), MESSAGES, 2);
  waiters.signalAll();
}

/** Each message is for one, and as many come as are waited for. */
export const everyoneGetsOne: Model = { ...withWaiters(3), threads: [receive(1), receive(1), send(2)] };

/** One may be told before it sleeps, find that another was faster, and sleep. */
export const again: Model = { ...withWaiters(4), threads: [receive(2), receive(1), send(2), send(1)] };

export const asynchronous: Model = { ...withWaiters(4), threads: [receiveAsync(2), receive(1), send(2), send(1)] };

/** One gives up, told or not: the other gets what it left. */
export const givenUp: Model = { ...withWaiters(3), threads: [receive(1), receiveSoon, send(2)] };

/** A select that sleeps here keeps no wake-up from anybody, not even when it was told instead of a receiver. */
export const selected: Model = { ...withWaiters(4), threads: [receive(1), selectOther, receiveNow, send(3)] };

/** A receiver goes while it is being told. When it is back, it mustn't stand there as told. */
export const toldTooLate: Model = {
  ...withWaiters(2),
  threads: [
    receive(2),
    (thread) => {
      send(1)(thread);
      thread.yield();
      send(1)(thread);
    },
  ],
};

const awaitStage = (thread: ModelThread, stage: number): void => {
  while (wordsOf(thread)[STAGE] < stage) thread.yield();
};

/**
 * The schedules in which a select is told instead of a receiver. It came after the sender had looked who waits, and fell asleep before
 * the receiver: what the sender told of had been taken by then. When it went, the receiver stood there as told, and slept on in front
 * of what was sent next.
 */
export const toldInstead: Model = {
  ...withWaiters(3),
  threads: [
    (thread) => {
      enter(thread);
      const waiters = waitersOf(thread);
      const ticket = waiters.announce();
      wordsOf(thread)[STAGE] = 1;
      awaitStage(thread, 2);
      waiters.block(ticket, Infinity, () => isEmpty(thread));
      receive(1)(thread);
    },
    (thread) => {
      awaitStage(thread, 1);
      enter(thread);
      const waiters = waitersOf(thread);
      const retire = waiters.announceSelect(waiters.eventsAddress);
      const { ticket } = waiters;
      wordsOf(thread)[STAGE] = 2;
      waiters.sleep(ticket, 5, () => isEmpty(thread));
      retire?.();
      wordsOf(thread)[STAGE] = 3;
    },
    (thread) => {
      awaitStage(thread, 1);
      waitersOf(thread).signal();
      awaitStage(thread, 3);
      send(1)(thread);
    },
  ],
};

/** A receiver that was told dies before it looks, or anywhere else: the next one is told. */
export const deathOfReceiver: Model = {
  ...withWaiters(4),
  threads: [receive(1), receive(1), send(2), reap],
  mortals: [1],
};

/** A sender dies before or after it has told: its message is found. */
export const deathOfSender: Model = {
  ...withWaiters(4),
  threads: [receive(1), receiveSoon, send(2), supervise],
  mortals: [2],
};

/** A select that was told instead of a receiver dies. */
export const deathOfSelect: Model = {
  ...withWaiters(5),
  threads: [receive(1), selectOther, receiveNow, send(3), reap],
  mortals: [1],
};

/** How many watchers one side has room for, all but one of them taken for good. */
const CROWD = WATCHERS - 1;

/** A select that sleeps elsewhere; it needs the only place there is. */
function selectElsewhere(thread: ModelThread): void {
  const words = wordsOf(thread);
  const registry = enter(thread);
  const waiters = waitersOf(thread);
  const retire = waiters.announceSelect(ELSEWHERE);
  const ticket = Atomics.load(words, ELSEWHERE >> 2);
  if (retire !== undefined && isEmpty(thread)) {
    registry.beginWait(ELSEWHERE | WAITING_ON_SEQUENCE);
    if (isEmpty(thread)) Atomics.wait(words, ELSEWHERE >> 2, ticket);
    registry.endWait();
  }
  if (retire !== undefined) take(thread);
  retire?.();
}

/**
 * Selects that died in their sleep kept their places: when all places were taken, no further select could wait for the channel, though
 * nobody was there.
 */
export const deathOfSelectElsewhere: Model = {
  ...withWaiters(4),
  setUp: (buffer) => {
    withWaiters(4).setUp!(buffer);
    const watchers = new BigUint64Array(buffer, CHANNEL + RECEIVER_WORDS.watchers * 4, WATCHERS);
    // Of threads in no registry, which count as living.
    for (let i = 0; i < CROWD; i += 1) watchers[i] = (BigInt(SLOT_UNREGISTERED) << BigInt(WATCHER_TOKEN_SHIFT)) | BigInt(ELSEWHERE);
  },
  threads: [
    selectElsewhere,
    selectElsewhere,
    send(2),
    (thread) => {
      reap(thread);
      thread.assert(waitersOf(thread).announceSelect(ELSEWHERE) !== undefined, 'the place of the dead is not free');
    },
  ],
  mortals: [0],
};
