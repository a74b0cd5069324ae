/** What the workers of the tests do. */
import {
  AbortedError,
  Mutex,
  Semaphore,
  ThreadRegistry,
  type ThreadRegistryHandle,
  type ThreadToken,
  TimeoutError,
  type UnlockToken,
} from '@heddle/atomics';
import {
  BroadcastReceiver,
  type BroadcastReceiverHandle,
  BroadcastSender,
  type BroadcastSenderHandle,
  type Case,
  LaggedError,
  Receiver,
  type ReceiverHandle,
  Sender,
  type SenderHandle,
  WatchReceiver,
  type WatchReceiverHandle,
  WatchSender,
  type WatchSenderHandle,
  openReceiver,
  openSender,
  select,
  selectAsync,
  trySelect,
  openBroadcastSender,
  openWatchReceiver,
  openWatchSender,
} from '../../src/index.ts';
import { overcome } from './abandoned.ts';
import { codecOf } from './codecs.ts';
import { type Handles, OPERATIONS } from './waits.ts';
import { type Step, stepsOf } from './steps.ts';
import { type Jobs, browserPort, isBrowser, nodePort, serve } from './rpc.ts';

interface Glue {
  initSync(options: { module: WebAssembly.Module; memory: WebAssembly.Memory; thread_stack_size: number }): WebAssembly.Exports;
}

let memory: WebAssembly.Memory | undefined;
/** What this thread does of the steps that both languages know, in TypeScript. */
let steps: Record<string, Step> = {};
let exports: Record<string, (...args: number[]) => number> = {};

function memoryOfModule(): WebAssembly.Memory {
  if (memory === undefined) throw new Error('instantiate first');
  return memory;
}

const numbersOf = (bytes: Uint8Array): Uint32Array => new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength >> 2);

/** A number so often that its bytes are of one of sixteen lengths: part of it is no number, and neither are parts of two. */
function repeated(number: number): Uint8Array {
  return new Uint8Array(new Uint32Array(1 + (number % 16)).fill(number).buffer);
}

/** The number in the bytes of {@link repeated}. */
function numberOf(bytes: Uint8Array): number {
  const number = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
  const expected = repeated(number);
  if (bytes.length !== expected.length || bytes.some((byte, i) => byte !== expected[i])) throw new Error(`torn: ${bytes.join(' ')}`);
  return number;
}

/** Ends that a thread keeps until it ends. */
const kept: unknown[] = [];

const jobs: Jobs = {
  ping: () => 'pong',

  overcome,

  /** Sends messages that say who sent them, which they are, and how long they are. */
  sendNumbered: (handle: SenderHandle, who: number, count: number, lengthMax: number) => {
    using sender = Sender.from(handle);
    for (let n = 0; n < count; n += 1) {
      const message = new Uint8Array(8 + ((n * 7919) % (lengthMax - 7))).fill(n % 251);
      numbersOf(message.subarray(0, 8)).set([who, n]);
      sender.send(message);
    }
  },

  /** Receives such messages until the channel is closed: who sent which, in the order in which they came. */
  receiveNumbered: (handle: ReceiverHandle, lengthMax: number) => {
    const received: [number, number][] = [];
    for (const message of Receiver.from(handle)) {
      const [who, n] = numbersOf(message.slice(0, 8)) as unknown as [number, number];
      if (message.length !== 8 + ((n * 7919) % (lengthMax - 7))) throw new Error(`message ${who}.${n} is of ${message.length} bytes`);
      if (message.subarray(8).some((byte) => byte !== n % 251)) throw new Error(`message ${who}.${n} is torn`);
      received.push([who, n]);
    }
    return received;
  },

  /** Enters a registry, as whoever runs threads does. */
  enter: (registry: ThreadRegistryHandle) => ThreadRegistry.from(registry).enter(),

  /** Opens a sending end and keeps it. */
  keepSender: (handle: SenderHandle) => void kept.push(Sender.from(handle)),

  /** Opens a receiving end and keeps it. */
  keepReceiver: (handle: ReceiverHandle) => void kept.push(Receiver.from(handle)),

  /** Receives numbered messages into one buffer until the channel is closed: how many. */
  receiveInto: (handle: ReceiverHandle, lengthMax: number) => {
    using receiver = Receiver.from(handle);
    const buffer = new Uint8Array(lengthMax);
    let count = 0;
    try {
      for (; ; count += 1) {
        const length = receiver.recvInto(buffer);
        const n = numbersOf(buffer)[1];
        if (length !== 8 + ((n * 7919) % (lengthMax - 7))) throw new Error(`message ${n} is of ${length} bytes`);
        if (buffer.subarray(8, length).some((byte) => byte !== n % 251)) throw new Error(`message ${n} is torn`);
      }
    } catch (error) {
      if ((error as { code?: unknown }).code !== 'CLOSED') throw error;
      return count;
    }
  },

  /** Sends the numbers below `count` in batches. */
  sendBatches: (handle: SenderHandle, count: number, batch: number) => {
    using sender = Sender.from(handle);
    for (let n = 0; n < count; n += batch) {
      sender.sendMany(Array.from({ length: Math.min(batch, count - n) }, (_, i) => Uint8Array.of((n + i) & 255, (n + i) >> 8)));
    }
  },

  /** Selects among receivers until all of their channels are closed: how many messages came from each. */
  selectAll: (handles: readonly ReceiverHandle[]) => {
    const open = new Map(handles.map((handle, i) => [String(i), Receiver.from(handle)]));
    const counts = handles.map(() => 0);
    while (open.size > 0) {
      const cases: Record<string, Case> = Object.fromEntries(Array.from(open, ([name, recv]) => [name, { recv }]));
      try {
        counts[Number(select(cases).chosen)] += 1;
      } catch (error) {
        if ((error as { code?: unknown }).code !== 'CLOSED') throw error;
        for (const [name, receiver] of open) if (receiver.closed && receiver.isEmpty) open.delete(name);
      }
    }
    return counts;
  },

  /** Selects between receivers once: the chosen one and its value. */
  selectOnce: (handles: readonly ReceiverHandle[], timeoutMs: number = Infinity) =>
    select(Object.fromEntries(handles.map((handle, i) => [String(i), { recv: Receiver.from<unknown>(handle) }])), { timeoutMs }),

  /** Selects to send news, blocking, beside a receiver to which nothing comes: what was chosen. */
  selectToTell: (handle: BroadcastSenderHandle, value: string, beside: ReceiverHandle, timeoutMs: number = Infinity) => {
    using sender = BroadcastSender.from<string>(handle);
    using receiver = Receiver.from(beside);
    return select({ told: { send: sender, value }, received: { recv: receiver } }, { timeoutMs }).chosen;
  },

  /** Selects between news and a state until it has the last of both: what it got of each. */
  selectNews: (newsHandle: BroadcastReceiverHandle, stateHandle: WatchReceiverHandle, last: string) => {
    const cases = { news: { recv: BroadcastReceiver.from<string>(newsHandle) }, states: { recv: WatchReceiver.from<string>(stateHandle) } };
    const got: { news: string[]; states: string[] } = { news: [], states: [] };
    while (got.news.at(-1) !== last || got.states.at(-1) !== last) {
      const { chosen, value } = select(cases);
      got[chosen].push(value);
    }
    return got;
  },

  /** What each form that doesn't wait comes to. */
  tryAll: (to: SenderHandle, from: ReceiverHandle) => {
    using sender = Sender.from<Uint8Array>(to);
    using receiver = Receiver.from<Uint8Array>(from);
    const value = new Uint8Array(1);
    return {
      trySend: sender.trySend(value),
      trySendMany: sender.trySendMany([value, value]),
      tryReserve: sender.tryReserve(1),
      tryRecv: receiver.tryRecv(),
      tryRecvInto: receiver.tryRecvInto(value),
      tryBorrow: receiver.tryBorrow(),
      drain: receiver.drain(),
      trySelect: trySelect({ sent: { send: sender, value }, received: { recv: receiver } }),
    };
  },

  /** Selects one operation on each of the ends, blocking or not: the first that is possible. */
  selectOf: (to: SenderHandle | undefined, from: ReceiverHandle | undefined, blocks: boolean, timeoutMs?: number) => {
    const cases = {
      ...(to === undefined ? {} : { sent: { send: Sender.from<Uint8Array>(to), value: new Uint8Array([7]) } }),
      ...(from === undefined ? {} : { received: { recv: Receiver.from<Uint8Array>(from) } }),
    };
    const options = timeoutMs === undefined ? {} : { timeoutMs };
    return blocks ? select(cases, options) : selectAsync(cases, options);
  },

  /** Holds a message, or a place for one, until the word is another one. */
  holdUntil: (to: SenderHandle | undefined, from: ReceiverHandle | undefined, word: Int32Array) => {
    const held = to === undefined ? Receiver.from(from!).borrow() : Sender.from(to).reserve(1);
    Atomics.store(word, 0, 1);
    Atomics.wait(word, 0, 1);
    held[Symbol.dispose]();
  },

  receiveAsync: async (handle: ReceiverHandle) => {
    const received: unknown[] = [];
    for await (const value of Receiver.from<unknown>(handle)) received.push(value);
    return received;
  },

  /** Sends on what it receives, blocking, until the channel is closed; closes the other one. How many values there were. */
  echo: (from: ReceiverHandle, to: SenderHandle) => {
    using receiver = Receiver.from<unknown>(from, { codec: codecOf(from) });
    using sender = Sender.from<unknown>(to, { codec: codecOf(to) });
    let count = 0;
    for (const value of receiver) {
      sender.send(value);
      count += 1;
    }
    sender.close();
    return count;
  },

  /** Sends the numbers below `count` to all, with who sends them. */
  broadcastNumbered: (handle: BroadcastSenderHandle, who: number, count: number) => {
    using sender = BroadcastSender.from<[number, number]>(handle);
    for (let n = 0; n < count; n += 1) sender.send([who, n]);
  },

  /** Receives a broadcast, blocking, until it is closed: the messages, and how many were missed. */
  receiveBroadcast: (handle: BroadcastReceiverHandle) => {
    using receiver = BroadcastReceiver.from<unknown>(handle);
    const received: unknown[] = [];
    for (let skipped = 0; ;) {
      try {
        for (const message of receiver) received.push(message);
        return { received, skipped };
      } catch (error) {
        if (!(error instanceof LaggedError)) throw error;
        skipped += error.skipped;
      }
    }
  },

  /** The same without blocking. */
  receiveBroadcastAsync: async (handle: BroadcastReceiverHandle) => {
    using receiver = BroadcastReceiver.from<unknown>(handle);
    const received: unknown[] = [];
    for (let skipped = 0; ;) {
      try {
        for await (const message of receiver) received.push(message);
        return { received, skipped };
      } catch (error) {
        if (!(error instanceof LaggedError)) throw error;
        skipped += error.skipped;
      }
    }
  },

  /** Does an operation that has to wait, blocking, for at most so long. */
  waitInVain: (operation: string, handles: Handles, timeoutMs: number) => {
    const { open, block } = OPERATIONS[operation];
    using ends = open(handles);
    block(ends, { timeoutMs });
  },

  /** Opens a broadcast receiver and keeps it. */
  keepBroadcastReceiver: (handle: BroadcastReceiverHandle) => void kept.push(BroadcastReceiver.from<unknown>(handle)),

  /** Receives one message of a broadcast, blocking. */
  receiveBroadcastOnce: (handle: BroadcastReceiverHandle, timeoutMs: number) => {
    using receiver = BroadcastReceiver.from<unknown>(handle);
    return receiver.recv({ timeoutMs });
  },

  /** Waits for a change of the watched value, blocking. */
  watchChange: (handle: WatchReceiverHandle, timeoutMs: number) => {
    using receiver = WatchReceiver.from<unknown>(handle);
    receiver.changed({ timeoutMs });
  },

  /** Sends the numbers up to `last` as the value that is watched. */
  watchSend: (handle: WatchSenderHandle, last: number) => {
    using sender = WatchSender.from<number[]>(handle);
    for (let n = 1; n <= last; n += 1) sender.send(Array.from({ length: 1 + (n % 20) }, () => n));
  },

  /** Sees the values of a watch, blocking, until it is closed. */
  watchAll: (handle: WatchReceiverHandle) => {
    using receiver = WatchReceiver.from<unknown>(handle);
    return [...receiver];
  },

  /** The same without blocking. */
  watchAllAsync: async (handle: WatchReceiverHandle) => {
    using receiver = WatchReceiver.from<unknown>(handle);
    const seen: unknown[] = [];
    for await (const value of receiver) seen.push(value);
    return seen;
  },

  /** Opens a watch sender and keeps it. */
  keepWatchSender: (handle: WatchSenderHandle) => void kept.push(WatchSender.from<unknown>(handle)),

  send: (handle: SenderHandle, value: never, timeoutMs: number = Infinity) => Sender.from(handle).send(value, { timeoutMs }),

  /** Sends on the event loop. */
  sendAsync: (handle: SenderHandle, value: never) => Sender.from(handle).sendAsync(value),

  receive: (handle: ReceiverHandle, timeoutMs: number = Infinity) => Receiver.from<unknown>(handle).recv({ timeoutMs }),

  /** Instantiates the Wasm module and enters its registry, as whoever runs threads does. */
  instantiate: async (glueUrl: string, module: WebAssembly.Module, shared: WebAssembly.Memory) => {
    memory = shared;
    steps = stepsOf(shared);
    const glue = (await import(/* @vite-ignore */ glueUrl)) as Glue;
    exports = glue.initSync({ module, memory: shared, thread_stack_size: 1 << 20 }) as unknown as typeof exports;
    const registry = ThreadRegistry.at({ memory: shared, byteOffset: exports['__heddle_registry']() });
    const token: ThreadToken = registry.enter();
    exports['__heddle_enter'](token.slot, token.generation, 1);
    return token;
  },

  /** Does a step in one of the languages. */
  step: (language: 'typescript' | 'rust', name: string, ...args: number[]) =>
    (language === 'rust' ? exports[name](...args) : steps[name](...args)) >>> 0,

  /** Calls an export of the Wasm module. */
  wasm: (name: string, ...args: number[]) => exports[name](...args) >>> 0,

  /** Runs a task of the Wasm module on this thread's event loop; what it gives. */
  task: async (name: string, ...args: number[]) => {
    const task = exports[name](...args);
    for (;;) {
      const result = exports['task_poll'](task) >>> 0;
      if (result !== 0) {
        exports['task_drop'](task);
        return result;
      }
      // oxlint-disable-next-line no-await-in-loop -- the event loop has a turn, in which the task may be woken
      await new Promise((resolve) => void setTimeout(resolve, 0));
    }
  },

  /** Adds 1 to the number at `valueAt` so many times, each time under the mutex at `mutexAt`. */
  increment: (mutexAt: number, valueAt: number, times: number) => {
    const mutex = new Mutex({ memory: memoryOfModule(), byteOffset: mutexAt });
    const value = new Uint32Array(memoryOfModule().buffer, valueAt, 1);
    for (let i = 0; i < times; i += 1) {
      using _ = mutex.lock();
      value[0] = value[0] + 1;
    }
  },

  /** Adds to a number under a mutex, both in the module's memory, until `shared[0]` is used up; counts in `shared[index]`. */
  incrementSomehow: async (mutexAt: number, valueAt: number, shared: Int32Array, index: number) => {
    const mutex = new Mutex({ memory: memoryOfModule(), byteOffset: mutexAt });
    const value = new Uint32Array(memoryOfModule().buffer, valueAt, 1);
    const inside = (token: UnlockToken): void => {
      value[0] += 1;
      shared[index] += 1;
      token.unlock();
    };
    const unlessGivenUp = (error: unknown): void => {
      if (!(error instanceof TimeoutError) && !(error instanceof AbortedError)) throw error;
    };
    const acceptPoisoned = true;
    for (let n = 0; Atomics.sub(shared, 0, 1) > 0; n += 1) {
      if (n % 16 === 0) {
        const controller = new AbortController();
        queueMicrotask(() => controller.abort());
        // oxlint-disable-next-line no-await-in-loop -- one after the other
        await mutex.lockAsync({ acceptPoisoned, signal: controller.signal }).then(inside, unlessGivenUp);
      } else if (n % 16 === 1) {
        // oxlint-disable-next-line no-await-in-loop -- one after the other
        await mutex.lockAsync({ acceptPoisoned, timeoutMs: n % 3 }).then(inside, unlessGivenUp);
      } else {
        inside(mutex.lock({ acceptPoisoned }));
      }
    }
  },

  /** The same in Rust, ten at a time. */
  incrementInRust: (shared: Int32Array, index: number) => {
    while (Atomics.sub(shared, 0, 10) > 0) {
      exports['counter_increment'](10);
      shared[index] += 10;
    }
  },

  /** Takes so many permits from the semaphore at an address, giving up and asking again now and then. */
  acquireSomehow: async (semaphoreAt: number, count: number) => {
    const semaphore = Semaphore.at({ memory: memoryOfModule(), byteOffset: semaphoreAt });
    for (let taken = 0; taken < count;) {
      const controller = new AbortController();
      if (taken % 3 === 0) queueMicrotask(() => controller.abort());
      try {
        if (taken % 2 === 0) semaphore.acquire();
        // oxlint-disable-next-line no-await-in-loop -- one after the other
        else await semaphore.acquireAsync({ signal: controller.signal, timeoutMs: 1 + (taken % 5) });
        taken += 1;
      } catch (error) {
        if (!(error instanceof TimeoutError) && !(error instanceof AbortedError)) throw error;
      }
    }
  },

  /** Puts so many permits there. */
  release: (semaphoreAt: number, count: number) => {
    const semaphore = Semaphore.at({ memory: memoryOfModule(), byteOffset: semaphoreAt });
    for (let left = count; left > 0; left -= Math.min(left, 3)) semaphore.release(Math.min(left, 3));
  },

  /** Takes the mutex at an address and ends the job with it. */
  keep: (mutexAt: number) => void new Mutex({ memory: memoryOfModule(), byteOffset: mutexAt }).lock(),

  /** Sends messages of growing length into a channel in the memory and closes it. */
  sendToMemory: (channelAt: number, count: number) => {
    const sender = openSender({ location: { memory: memoryOfModule(), byteOffset: channelAt } });
    for (let n = 0; n < count; n += 1) sender.send(Uint8Array.from({ length: n % 100 }, (_, i) => (n + i) % 256));
    sender.close();
  },

  /** Receives what came back reversed; how many messages were right. */
  receiveReversed: (channelAt: number) => {
    const receiver = openReceiver({ location: { memory: memoryOfModule(), byteOffset: channelAt } });
    let n = 0;
    for (const message of receiver) {
      const isRight = message.length === n % 100 && message.every((byte, i) => byte === (n + message.length - 1 - i) % 256);
      if (!isRight) throw new Error(`message ${n} came back wrong`);
      n += 1;
    }
    return n;
  },

  /** Receives numbers until the channel is closed: their sum, modulo 2^32. */
  sumNumbers: (channelAt: number) => {
    let sum = 0;
    for (const message of openReceiver({ location: { memory: memoryOfModule(), byteOffset: channelAt } })) sum += numbersOf(message)[0];
    return sum >>> 0;
  },

  /** Sends the numbers from `start` on, repeated. */
  broadcastNumbers: (channelAt: number, start: number, count: number) => {
    using sender = openBroadcastSender({ location: { memory: memoryOfModule(), byteOffset: channelAt } });
    for (let n = start; n < start + count; n += 1) sender.send(repeated(n));
  },

  /** Receives all numbers that were ever sent until the channel is closed; what it returns depends on all of them and their order. */
  digestOfBroadcast: (channelAt: number) => {
    const place = { memory: memoryOfModule(), byteOffset: channelAt };
    using receiver = BroadcastReceiver.from({ kind: 'heddle.BroadcastReceiver', codec: 'bytes', ...place, next: 0 });
    let digest = 0;
    for (const bytes of receiver) digest = (Math.imul(digest, 31) + numberOf(bytes)) >>> 0;
    return digest;
  },

  /** Makes the numbers up to `count` the value, one after the other, and closes the channel. */
  countInWatch: (channelAt: number, count: number) => {
    using sender = openWatchSender({ location: { memory: memoryOfModule(), byteOffset: channelAt } });
    for (let n = 1; n <= count; n += 1) sender.send(repeated(n));
    sender.close();
  },

  /** Follows the value until the channel is closed: the last number. */
  followWatch: (channelAt: number) => {
    using receiver = openWatchReceiver({ location: { memory: memoryOfModule(), byteOffset: channelAt } });
    let last = 0;
    for (const bytes of receiver) {
      const number = numberOf(bytes);
      if (number < last) throw new Error(`${number} after ${last}`);
      last = number;
    }
    return last;
  },
};

if (isBrowser) serve(browserPort(), jobs);
else serve(await nodePort(), jobs);
