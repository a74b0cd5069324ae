/** Models of a channel; channel.node.test.ts runs them. They use nothing but what programs use, but for who tries: see `trying`. */
import { AbortedError, ThreadRegistry } from '@heddle/atomics';
import type { Model, ModelThread } from '@heddle/tools/model';
import { ChannelTimeoutError, ClosedError, Receiver, Sender, channel, channelByteLength } from '../../src/index.ts';
import { trying } from '../../src/internal/brief.ts';
import { HISTORY_BYTES, History, linearizabilityFault } from './history.ts';

trying.patienceMs = Infinity;

/** What each thread received: a count, and a word a message. */
const RECEIVED = 0;
const RECEIVED_BYTES = 64;
const REGISTRY = 512;
const CHANNEL = 1024;
const RING_BYTES = 64;
const BYTES = CHANNEL + channelByteLength(RING_BYTES);

const senderOf = ({ memory }: ModelThread): Sender =>
  Sender.from({ kind: 'heddle.Sender', codec: 'bytes', buffer: memory, byteOffset: CHANNEL });
const receiverOf = ({ memory }: ModelThread): Receiver =>
  Receiver.from({ kind: 'heddle.Receiver', codec: 'bytes', buffer: memory, byteOffset: CHANNEL });

const withChannel =
  (capacity: number) =>
  (buffer: SharedArrayBuffer): void =>
    void channel({ capacity, ringByteLength: RING_BYTES, location: { buffer, byteOffset: CHANNEL } });

/** The message number `n` of a thread; of different lengths, so that the ring wraps at different places. */
const message = ({ index }: ModelThread, n: number): Uint8Array => new Uint8Array(2 + ((n * 5) % 12)).fill(n).fill(index, 0, 1);

/** Notes what was received; it must be whole. */
function note(thread: ModelThread, bytes: Uint8Array): void {
  const [sender, n] = bytes;
  thread.assert(bytes.length === 2 + ((n * 5) % 12) && bytes.subarray(1).every((byte) => byte === n), `a torn message: ${bytes.join(' ')}`);
  const words = new Int32Array(thread.memory, RECEIVED + thread.index * RECEIVED_BYTES, RECEIVED_BYTES / 4);
  words[0] += 1;
  words[words[0]] = sender * 256 + n;
}

/** What each thread received, in its order. */
function received(memory: SharedArrayBuffer): { sender: number; n: number }[][] {
  return Array.from({ length: 6 }, (_, index) => {
    const words = new Int32Array(memory, RECEIVED + index * RECEIVED_BYTES, RECEIVED_BYTES / 4);
    return Array.from(words.subarray(1, 1 + words[0]), (word) => ({ sender: word >> 8, n: word & 0xff }));
  });
}

/**
 * Every message once, and those of one sender in their order at each receiver.
 *
 * @param counts how many each thread sends at most
 * @param isAllOrSome whether fewer may arrive
 */
const checkMessages =
  (counts: readonly number[], isAllOrSome: 'all' | 'some' = 'all') =>
  (memory: SharedArrayBuffer): void => {
    const lists = received(memory);
    for (const [sender, count] of counts.entries()) {
      const orders = lists.map((list) => list.filter((entry) => entry.sender === sender).map(({ n }) => n));
      for (const order of orders) {
        if (order.some((n, i) => i > 0 && n <= order[i - 1])) throw new Error(`out of order from thread ${sender}: ${order.join(' ')}`);
      }
      const seen = orders.flat().sort((a, b) => a - b);
      if (new Set(seen).size !== seen.length) throw new Error(`twice from thread ${sender}: ${seen.join(' ')}`);
      if (seen.length > count || (isAllOrSome === 'all' && seen.length < count)) {
        throw new Error(`of ${count} messages of thread ${sender} came: ${seen.join(' ')}`);
      }
    }
  };

const send =
  (count: number) =>
  (thread: ModelThread): void => {
    const sender = senderOf(thread);
    for (let n = 1; n <= count; n += 1) sender.send(message(thread, n));
  };

const sendAsync =
  (count: number) =>
  async (thread: ModelThread): Promise<void> => {
    const sender = senderOf(thread);
    // oxlint-disable-next-line no-await-in-loop -- in their order
    for (let n = 1; n <= count; n += 1) await sender.sendAsync(message(thread, n));
  };

const sendAndClose =
  (count: number) =>
  (thread: ModelThread): void => {
    send(count)(thread);
    senderOf(thread).close();
  };

const receive =
  (count: number) =>
  (thread: ModelThread): void => {
    const receiver = receiverOf(thread);
    for (let i = 0; i < count; i += 1) note(thread, receiver.recv());
  };

const receiveAsync =
  (count: number) =>
  async (thread: ModelThread): Promise<void> => {
    const receiver = receiverOf(thread);
    // oxlint-disable-next-line no-await-in-loop -- in their order
    for (let i = 0; i < count; i += 1) note(thread, await receiver.recvAsync());
  };

function receiveAll(thread: ModelThread): void {
  for (const bytes of receiverOf(thread)) note(thread, bytes);
}

async function receiveAllAsync(thread: ModelThread): Promise<void> {
  for await (const bytes of receiverOf(thread)) note(thread, bytes);
}

const unless =
  (...kinds: readonly (new (...args: never[]) => Error)[]) =>
  (error: unknown): void => {
    if (!kinds.some((kind) => error instanceof kind)) throw error;
  };

/** Takes a message if one comes in time. */
function receiveSoon(thread: ModelThread): void {
  try {
    note(thread, receiverOf(thread).recv({ timeoutMs: 5 }));
  } catch (error) {
    unless(ChannelTimeoutError, ClosedError)(error);
  }
}

/** Waits for a message and changes its mind: then it must not have taken one. */
async function receiveAborted(thread: ModelThread): Promise<void> {
  const controller = new AbortController();
  const receiving = receiverOf(thread)
    .recvAsync({ signal: controller.signal })
    .then((bytes) => note(thread, bytes))
    .catch(unless(AbortedError, ClosedError));
  await thread.turn();
  controller.abort();
  await receiving;
}

/** Sends what there is room for in time, and closes. What was refused must not arrive. */
function sendSoonAndClose(thread: ModelThread): void {
  const sender = senderOf(thread);
  let n = 1;
  for (let i = 0; i < 3; i += 1) {
    try {
      sender.send(message(thread, n), { timeoutMs: 5 });
      n += 1;
    } catch (error) {
      unless(ChannelTimeoutError)(error);
    }
  }
  sender.close();
  // For the check: so many must arrive.
  new Int32Array(thread.memory, RECEIVED + 5 * RECEIVED_BYTES, 16)[15] = n - 1;
}

/** Sends in a rendezvous, to a receiver that sleeps if there is one, and closes. */
function meetAndClose(thread: ModelThread): void {
  const sender = senderOf(thread);
  for (let n = 1; n <= 3; n += 1) {
    const bytes = message(thread, n);
    if (thread.choose(2) === 0 && sender.trySend(bytes)) continue;
    sender.send(bytes);
  }
  sender.close();
}

async function meetAsyncAndClose(thread: ModelThread): Promise<void> {
  const sender = senderOf(thread);
  for (let n = 1; n <= 3; n += 1) {
    const bytes = message(thread, n);
    if (thread.choose(2) === 0 && sender.trySend(bytes)) continue;
    // oxlint-disable-next-line no-await-in-loop -- in their order
    await sender.sendAsync(bytes);
  }
  sender.close();
}

export const inOrder: Model = {
  byteLength: BYTES,
  setUp: withChannel(1),
  threads: [send(2), receive(2)],
  check: checkMessages([2]),
};

export const full: Model = {
  byteLength: BYTES,
  setUp: withChannel(8),
  // More than the ring holds.
  threads: [send(6), receive(6)],
  check: checkMessages([6]),
};

export const twoSenders: Model = {
  byteLength: BYTES,
  setUp: withChannel(1),
  threads: [send(2), send(2), receive(4)],
  check: checkMessages([2, 2]),
};

export const twoReceivers: Model = {
  byteLength: BYTES,
  setUp: withChannel(2),
  threads: [sendAndClose(3), receiveAll, receiveAll],
  check: checkMessages([3]),
};

export const many: Model = {
  byteLength: BYTES,
  setUp: withChannel(2),
  threads: [send(2), send(2), receive(2), receive(2)],
  check: checkMessages([2, 2]),
};

export const asynchronous: Model = {
  byteLength: BYTES,
  setUp: withChannel(1),
  threads: [sendAsync(2), send(1), receiveAsync(2), receive(1)],
  check: checkMessages([2, 1]),
};

export const asynchronousClose: Model = {
  byteLength: BYTES,
  setUp: withChannel(1),
  threads: [sendAndClose(2), receiveAllAsync, receiveAll],
  check: checkMessages([2]),
};

/** Somebody closes while one waits for room and another for a message: all come back. */
export const closed: Model = {
  byteLength: BYTES,
  setUp: withChannel(1),
  threads: [
    (thread) => {
      const sender = senderOf(thread);
      for (let n = 1; n <= 3; n += 1) {
        const bytes = message(thread, n);
        try {
          sender.send(bytes);
        } catch (error) {
          if (!(error instanceof ClosedError)) throw error;
          thread.assert(error.value === bytes, 'the value did not come back');
          return;
        }
      }
    },
    receiveAll,
    (thread) => senderOf(thread).close(),
  ],
  check: checkMessages([3], 'some'),
};

export const timed: Model = {
  byteLength: BYTES,
  setUp: withChannel(1),
  threads: [sendSoonAndClose, receiveSoon, receiveAll],
  check: (memory) => checkMessages([new Int32Array(memory, RECEIVED + 5 * RECEIVED_BYTES, 16)[15]])(memory),
};

export const cancelled: Model = {
  byteLength: BYTES,
  setUp: withChannel(1),
  threads: [sendAndClose(3), receiveAborted, receiveAll],
  check: checkMessages([3]),
};

/** A receiver gives up while a sender counts on it: what it was sent is not overtaken by what the sender sends next. */
export const rendezvousGivenUp: Model = {
  byteLength: BYTES,
  setUp: withChannel(0),
  threads: [meetAndClose, receiveSoon, receiveAll],
  check: checkMessages([3]),
};

export const rendezvousCancelled: Model = {
  byteLength: BYTES,
  setUp: withChannel(0),
  threads: [meetAsyncAndClose, receiveAborted, receiveAllAsync],
  check: checkMessages([3]),
};

// Registries are kept by their ids, and one execution must not find that of another.
let registryIdLast = 0;
/** In a registry's header. */
const REGISTRY_ID = 12;

const withRegistry = (threadCount: number, capacity: number): Pick<Model, 'setUp' | 'beforeEach'> => ({
  setUp: (buffer) => {
    withChannel(capacity)(buffer);
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

/** Reaps the dead, and closes the channel when nobody else goes on: so all that was sent has been received. */
function superviseAndClose(thread: ModelThread): void {
  const registry = enter(thread);
  for (let dead = thread.awaitDeath(); dead !== -1; dead = thread.awaitDeath()) registry.reap(dead + 1);
  receiverOf(thread).close();
}

/** A sender dies: what the others send arrives all the same, and of its own messages the first ones. */
export const deathOfSender: Model = {
  byteLength: BYTES,
  ...withRegistry(4, 1),
  threads: [registered(send(2)), registered(send(2)), registered(receiveAll), superviseAndClose],
  mortals: [1],
  check: (memory) => {
    checkMessages([2])(memory);
    checkMessages([2, 2], 'some')(memory);
  },
};

/** A receiver dies: at most the message that it was receiving is gone. */
export const deathOfReceiver: Model = {
  byteLength: BYTES,
  ...withRegistry(4, 1),
  threads: [registered(send(3)), registered(receiveAll), registered(receiveAll), superviseAndClose],
  mortals: [1],
  check: (memory) => {
    checkMessages([3], 'some')(memory);
    const count = received(memory).flat().length;
    if (count < 2) throw new Error(`of 3 messages only ${count} arrived`);
  },
};

/** The same with those who wait without blocking. */
export const deathOfAsyncReceiver: Model = {
  ...deathOfReceiver,
  threads: [registered(sendAsync(3)), registered(receiveAllAsync), registered(receiveAllAsync), superviseAndClose],
};

// What each operation did is written behind the channel, and behind a second one.
const SECOND = BYTES;
const HISTORY = SECOND + channelByteLength(RING_BYTES);

const historyOf = (memory: SharedArrayBuffer): History => new History(memory, HISTORY);
const named = ({ index }: ModelThread, n: number): number => index * 256 + n;

/** Sends so many values in one form or another, and notes when. */
const sendNoted =
  (count: number, endsOf: (thread: ModelThread, n: number) => Sender) =>
  async (thread: ModelThread): Promise<void> => {
    const history = historyOf(thread.memory);
    for (let n = 1; n <= count; n += 1) {
      const sender = endsOf(thread, n);
      const bytes = message(thread, n);
      const begin = history.tick();
      const form = thread.choose(3);
      if (form === 0 && sender.trySend(bytes)) {
        history.add(thread.index, 'send', named(thread, n), begin);
        continue;
      }
      // oxlint-disable-next-line no-await-in-loop -- in their order
      if (form === 1) await sender.sendAsync(bytes);
      else sender.send(bytes);
      history.add(thread.index, 'send', named(thread, n), begin);
    }
  };

/** Receives so many values in one form or another, and notes when, and when there was none. */
const receiveNoted =
  (count: number, endsOf: (thread: ModelThread) => Receiver[]) =>
  async (thread: ModelThread): Promise<void> => {
    const history = historyOf(thread.memory);
    const receivers = endsOf(thread);
    for (let got = 0, looks = 0; got < count; looks += 1) {
      const receiver = receivers[looks % receivers.length];
      const begin = history.tick();
      const form = thread.choose(3);
      // A few looks only: there is room for so many notes.
      const isLook = form === 0 && looks < 6;
      let bytes: Uint8Array | undefined;
      if (isLook || receivers.length > 1) bytes = receiver.tryRecv();
      // oxlint-disable-next-line no-await-in-loop -- in their order
      else if (form === 1) bytes = await receiver.recvAsync();
      else bytes = receiver.recv();
      if (bytes === undefined) {
        if (looks < 6) history.add(thread.index, 'empty', 0, begin);
        else thread.yield();
      } else {
        const [sender, n] = bytes;
        history.add(thread.index, 'recv', sender * 256 + n, begin);
        got += 1;
      }
    }
  };

function checkHistory(memory: SharedArrayBuffer): void {
  const { entries } = historyOf(memory);
  const fault = linearizabilityFault(entries);
  if (fault !== undefined)
    throw new Error(`${fault}: ${entries.map(({ did, value, begin, end }) => `${did} ${value} ${begin}–${end}`).join(', ')}`);
}

const oneSender = (thread: ModelThread): Sender => senderOf(thread);
const oneReceiver = (thread: ModelThread): Receiver[] => [receiverOf(thread)];

/** What each operation did could have been done by one after the other, in an order that those who watch a clock agree with. */
export const linearizable: Model = {
  byteLength: HISTORY + HISTORY_BYTES,
  setUp: withChannel(2),
  threads: [sendNoted(2, oneSender), sendNoted(2, oneSender), receiveNoted(2, oneReceiver), receiveNoted(2, oneReceiver)],
  check: checkHistory,
};

export const linearizableOfOne: Model = { ...linearizable, setUp: withChannel(1) };

export const linearizableRendezvous: Model = { ...linearizable, setUp: withChannel(0) };

const secondOf = ({ memory }: ModelThread) => ({ codec: 'bytes', buffer: memory, byteOffset: SECOND });

/** Two channels that are taken for one, as a queue with lanes would be: of two sent by different threads the later may overtake. */
export const lanes: Model = {
  ...linearizable,
  setUp: (buffer) => {
    withChannel(2)(buffer);
    channel({ capacity: 2, ringByteLength: RING_BYTES, location: { buffer, byteOffset: SECOND } });
  },
  threads: [
    sendNoted(2, (thread, n) => (n === 1 ? senderOf(thread) : Sender.from({ ...secondOf(thread), kind: 'heddle.Sender' }))),
    receiveNoted(2, (thread) => [Receiver.from({ ...secondOf(thread), kind: 'heddle.Receiver' }), receiverOf(thread)]),
  ],
};
