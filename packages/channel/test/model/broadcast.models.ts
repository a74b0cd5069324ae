/** Models of the broadcast and the watch channel; broadcast.node.test.ts runs them. */
import { Latch, ThreadRegistry } from '@heddle/atomics';
import type { Model, ModelThread } from '@heddle/tools/model';
import {
  BroadcastReceiver,
  BroadcastSender,
  LaggedError,
  WatchReceiver,
  WatchSender,
  broadcast,
  broadcastByteLength,
  watch,
  watchByteLength,
} from '../../src/index.ts';
import { BROADCAST_HEADER_CURSORS_OFFSET, CURSOR_TOKEN_OFFSET } from '../../src/internal/layout.ts';

/** What each thread received: a count, how many it has missed, and a word a message. */
const NOTES_BYTES = 64;
const LATCH = 384;
const REGISTRY = 512;
const CHANNEL = 1024;
const RING_BYTES = 128;
/** In which nothing is given up. */
const LARGE_RING_BYTES = 512;
const BYTES = CHANNEL + broadcastByteLength(LARGE_RING_BYTES);

const senderOf = ({ memory }: ModelThread): BroadcastSender =>
  BroadcastSender.from({ kind: 'heddle.BroadcastSender', codec: 'bytes', buffer: memory, byteOffset: CHANNEL });
const receiverOf = ({ memory }: ModelThread): BroadcastReceiver =>
  BroadcastReceiver.from({ kind: 'heddle.BroadcastReceiver', codec: 'bytes', buffer: memory, byteOffset: CHANNEL, next: 0 });
const latchOf = (memory: SharedArrayBuffer): Latch => Latch.at({ buffer: memory, byteOffset: LATCH });

interface Setting {
  readonly capacity: number;
  readonly backPressure?: boolean;
  readonly ringByteLength?: number;
  /** How many receivers senders wait for before they begin. */
  readonly receivers?: number;
}

const withBroadcast =
  ({ capacity, backPressure = false, ringByteLength = RING_BYTES, receivers = 0 }: Setting) =>
  (buffer: SharedArrayBuffer): void => {
    broadcast({ capacity, backPressure, ringByteLength, location: { buffer, byteOffset: CHANNEL } });
    Latch.create(receivers, { buffer, byteOffset: LATCH });
    // Nobody receives with the first end: it is open, so that the channel is, and is not waited for.
    new Int32Array(buffer)[(CHANNEL + BROADCAST_HEADER_CURSORS_OFFSET + CURSOR_TOKEN_OFFSET) >> 2] = 0;
  };

const notesOf = (memory: SharedArrayBuffer, index: number): Int32Array => new Int32Array(memory, index * NOTES_BYTES, NOTES_BYTES / 4);

/** The message number `n` of a thread; of different lengths, so that the ring wraps at different places. */
const message = (index: number, n: number): Uint8Array => new Uint8Array(2 + ((n * 13) % 29)).fill(n).fill(index, 0, 1);

/** Notes what was received; it must be whole. */
function note(thread: ModelThread, bytes: Uint8Array): void {
  const [sender, n] = bytes;
  thread.assert(bytes.length === 2 + ((n * 13) % 29) && bytes.subarray(1).every((byte) => byte === n), `torn: ${bytes.join(' ')}`);
  const notes = notesOf(thread.memory, thread.index);
  notes[2 + notes[0]] = sender * 256 + n;
  notes[0] += 1;
}

function noteMissed(thread: ModelThread, error: unknown): void {
  if (!(error instanceof LaggedError)) throw error;
  notesOf(thread.memory, thread.index)[1] += error.skipped;
}

const listOf = (memory: SharedArrayBuffer, index: number): number[] => {
  const notes = notesOf(memory, index);
  return Array.from(notes.subarray(2, 2 + notes[0]));
};

const send =
  (count: number) =>
  (thread: ModelThread): void => {
    latchOf(thread.memory).wait();
    const sender = senderOf(thread);
    for (let n = 1; n <= count; n += 1) sender.send(message(thread.index, n));
  };

const sendAsync =
  (count: number) =>
  async (thread: ModelThread): Promise<void> => {
    await latchOf(thread.memory).waitAsync();
    const sender = senderOf(thread);
    // oxlint-disable-next-line no-await-in-loop -- in their order
    for (let n = 1; n <= count; n += 1) await sender.sendAsync(message(thread.index, n));
  };

const sendAndClose =
  (count: number) =>
  (thread: ModelThread): void => {
    send(count)(thread);
    senderOf(thread).close();
  };

const opened =
  (hasLatch: boolean) =>
  (thread: ModelThread): BroadcastReceiver => {
    const receiver = receiverOf(thread);
    if (hasLatch) latchOf(thread.memory).countDown();
    return receiver;
  };

const receive =
  (count: number) =>
  (thread: ModelThread): void => {
    const receiver = receiverOf(thread);
    for (let i = 0; i < count; i += 1) note(thread, receiver.recv());
  };

const receiveAll =
  (hasLatch: boolean) =>
  (thread: ModelThread): void => {
    const receiver = opened(hasLatch)(thread);
    for (;;) {
      try {
        for (const bytes of receiver) note(thread, bytes);
        return;
      } catch (error) {
        noteMissed(thread, error);
      }
    }
  };

const receiveAllAsync =
  (hasLatch: boolean) =>
  async (thread: ModelThread): Promise<void> => {
    const receiver = opened(hasLatch)(thread);
    for (;;) {
      try {
        for await (const bytes of receiver) note(thread, bytes);
        return;
      } catch (error) {
        noteMissed(thread, error);
      }
    }
  };

/** Each of these threads received or missed so many messages, and received the last one. */
const checkCounts =
  (count: number, threads: readonly number[]) =>
  (memory: SharedArrayBuffer): void => {
    for (const index of threads) {
      const list = listOf(memory, index);
      const missed = notesOf(memory, index)[1];
      if (list.length + missed !== count) throw new Error(`thread ${index} received ${list.join(' ')} and missed ${missed} of ${count}`);
      // It may lag after it has received some, and what thread 0 sends is noted as its number.
      const isInOrder = list.every((n, i) => i === 0 || n > list[i - 1]);
      if (!isInOrder || list.at(-1) !== count) throw new Error(`thread ${index} received ${list.join(' ')}`);
    }
  };

/** These threads received the same, in the same order. */
const checkSame =
  (threads: readonly number[], countMin: number) =>
  (memory: SharedArrayBuffer): void => {
    const lists = threads.map((index) => listOf(memory, index).join(' '));
    if (new Set(lists).size !== 1) throw new Error(`received in different orders: ${lists.join(' | ')}`);
    const { length } = listOf(memory, threads[0]);
    if (length < countMin) throw new Error(`only ${length} of ${countMin} came`);
  };

export const lagging: Model = {
  byteLength: BYTES,
  setUp: withBroadcast({ capacity: 2 }),
  threads: [sendAndClose(4), receiveAll(false), receiveAllAsync(false)],
  check: checkCounts(4, [1, 2]),
};

export const oneOrder: Model = {
  byteLength: BYTES,
  setUp: withBroadcast({ capacity: 8 }),
  threads: [send(1), send(1), receive(2), receive(2)],
  check: checkSame([2, 3], 2),
};

export const backPressure: Model = {
  byteLength: BYTES,
  setUp: withBroadcast({ capacity: 1, backPressure: true, receivers: 2 }),
  threads: [sendAndClose(3), receiveAll(true), receiveAllAsync(true)],
  check: (memory) => {
    checkCounts(3, [1, 2])(memory);
    checkSame([1, 2], 3)(memory);
  },
};

export const backPressureAsync: Model = {
  byteLength: BYTES,
  setUp: withBroadcast({ capacity: 1, backPressure: true, receivers: 1 }),
  threads: [
    sendAsync(3),
    (thread) => {
      const receiver = opened(true)(thread);
      for (let i = 0; i < 3; i += 1) note(thread, receiver.recv());
    },
  ],
  check: checkSame([1], 3),
};

// Registries are kept by their ids, and one execution must not find that of another.
let registryIdLast = 0;
/** In a registry's header. */
const REGISTRY_ID = 12;

const withRegistry = (threadCount: number, setUp: (buffer: SharedArrayBuffer) => void): Pick<Model, 'setUp' | 'beforeEach'> => ({
  setUp: (buffer) => {
    setUp(buffer);
    const registry = ThreadRegistry.create({ capacity: threadCount, location: { buffer, byteOffset: REGISTRY } });
    for (let i = 0; i < threadCount; i += 1) registry.allocate();
  },
  beforeEach: (memory) => {
    registryIdLast += 1;
    new Int32Array(memory)[(REGISTRY + REGISTRY_ID) >> 2] = registryIdLast;
  },
});

const enter = (thread: ModelThread): ThreadRegistry => {
  const registry = ThreadRegistry.at({ buffer: thread.memory, byteOffset: REGISTRY });
  registry.enter({ slot: thread.index + 1, generation: 1 });
  return registry;
};

const registered =
  (body: (thread: ModelThread) => void | Promise<void>) =>
  (thread: ModelThread): void | Promise<void> => {
    enter(thread);
    return body(thread);
  };

/** Reaps the dead, and does something when nobody else goes on. */
const supervise =
  (finish: (thread: ModelThread) => void) =>
  (thread: ModelThread): void => {
    const registry = enter(thread);
    for (let dead = thread.awaitDeath(); dead !== -1; dead = thread.awaitDeath()) registry.reap(dead + 1);
    finish(thread);
  };

/** A sender dies: what the other sends arrives all the same, and all see the same, also who comes when all is over. */
export const deathOfSender: Model = {
  byteLength: BYTES,
  ...withRegistry(4, withBroadcast({ capacity: 8, ringByteLength: LARGE_RING_BYTES })),
  threads: [
    registered(send(2)),
    registered(send(2)),
    registered(receiveAll(false)),
    supervise((thread) => {
      senderOf(thread).close();
      receiveAll(false)(thread);
    }),
  ],
  mortals: [1],
  check: checkSame([2, 3], 2),
};

/** A receiver dies: a sender that waits for it goes on, and the other receives everything. */
export const deathOfReceiver: Model = {
  byteLength: BYTES,
  ...withRegistry(4, withBroadcast({ capacity: 1, backPressure: true, receivers: 1 })),
  threads: [
    registered(send(3)),
    registered((thread) => {
      const receiver = receiverOf(thread);
      try {
        for (;;) note(thread, receiver.recv());
      } catch (error) {
        // It may have come late, or been the last.
        if ((error as { code?: unknown }).code !== 'CLOSED') noteMissed(thread, error);
        receiver.release();
      }
    }),
    registered(receiveAll(true)),
    supervise((thread) => senderOf(thread).close()),
  ],
  mortals: [1],
  check: checkSame([2], 3),
};

const WATCH_BYTES = CHANNEL + watchByteLength(32);
const watchSenderOf = ({ memory }: ModelThread): WatchSender =>
  WatchSender.from({ kind: 'heddle.WatchSender', codec: 'bytes', buffer: memory, byteOffset: CHANNEL });
const watchReceiverOf = ({ memory }: ModelThread): WatchReceiver =>
  WatchReceiver.from({ kind: 'heddle.WatchReceiver', codec: 'bytes', buffer: memory, byteOffset: CHANNEL, seen: 0 });
const withWatch = (buffer: SharedArrayBuffer): void =>
  void watch(message(0, 0), { valueByteLengthMax: 32, location: { buffer, byteOffset: CHANNEL } });

const change =
  (count: number) =>
  (thread: ModelThread): void => {
    const sender = watchSenderOf(thread);
    for (let n = 1; n <= count; n += 1) sender.send(message(0, n));
  };

function watchAll(thread: ModelThread): void {
  for (const bytes of watchReceiverOf(thread)) note(thread, bytes);
}

async function watchAllAsync(thread: ModelThread): Promise<void> {
  for await (const bytes of watchReceiverOf(thread)) note(thread, bytes);
}

/** What each saw was never older than what it had seen, and in the end it saw `last`, or what is there. */
const checkWatched =
  (threads: readonly number[], last: number | undefined) =>
  (memory: SharedArrayBuffer): void => {
    const lists = threads.map((index) => listOf(memory, index));
    for (const list of lists) {
      if (list.some((n, i) => i > 0 && n <= list[i - 1])) throw new Error(`went back: ${list.join(' ')}`);
    }
    const ends = new Set(lists.map((list) => list.at(-1)));
    if (ends.size !== 1 || (last !== undefined && !ends.has(last))) throw new Error(`ended with ${[...ends].join(' and ')}`);
  };

export const watched: Model = {
  byteLength: WATCH_BYTES,
  setUp: withWatch,
  threads: [
    (thread) => {
      change(3)(thread);
      watchSenderOf(thread).close();
    },
    watchAll,
    watchAllAsync,
  ],
  check: checkWatched([1, 2], 3),
};

/** A sender dies: the value is whole, and everybody ends with the same one. */
export const deathOfWatched: Model = {
  byteLength: WATCH_BYTES,
  ...withRegistry(4, withWatch),
  threads: [
    registered(change(2)),
    registered(watchAll),
    registered(watchAllAsync),
    supervise((thread) => {
      watchSenderOf(thread).close();
    }),
  ],
  mortals: [0],
  check: checkWatched([1, 2], undefined),
};
