/** What the workers of the tests do. */
import {
  AtomicF64,
  AtomicI32,
  AtomicI64,
  AtomicU16,
  AtomicU32,
  AtomicU64,
  Barrier,
  Condition,
  type ConditionHandle,
  DeadlockError,
  Event,
  type Handle,
  Latch,
  LockOrder,
  LockOrderError,
  type LockOrderHandle,
  Mutex,
  type MutexHandle,
  Once,
  OnceCell,
  type OnceCellHandle,
  type OnceHandle,
  Parker,
  PoisonedError,
  RwLock,
  type RwLockHandle,
  Semaphore,
  type SemaphoreHandle,
  ThreadRegistry,
  type ThreadRegistryHandle,
  type ThreadToken,
  WaitGroup,
  enableDeadlockDetection,
  nameLock,
  nameThread,
  provideWaitAsync,
} from '../../src/index.ts';
import { RawMutex, agentOf } from '../../src/internal/index.ts';
import { type Step, stepsOf } from './steps.ts';
import { Visit } from './types.ts';
import { WAITS } from './waitOperations.ts';
import { beOfEngine } from './engine.ts';
import { type Jobs, browserPort, isBrowser, nodePort, serve } from './rpc.ts';

beOfEngine();
provideWaitAsync();

const pauseWord = new Int32Array(new SharedArrayBuffer(4));
const pause = (ms: number): void => void Atomics.wait(pauseWord, 0, 0, ms);

const openers: Record<string, { from(handle: never): object }> = {
  'heddle.Barrier': Barrier,
  'heddle.Event': Event,
  'heddle.Latch': Latch,
  'heddle.Parker': Parker,
  'heddle.WaitGroup': WaitGroup,
};

interface Glue {
  initSync(options: { module: WebAssembly.Module; memory: WebAssembly.Memory; thread_stack_size: number }): WebAssembly.Exports;
}

/** What this thread does of the steps that both languages know, by language. */
const steps: Record<'typescript' | 'rust', Record<string, Step>> = { typescript: {}, rust: {} };

interface WaitableClass {
  from(handle: Handle<string>): { wait(expected: number | bigint): string };
}

const waitableCells = {
  'heddle.AtomicI32': AtomicI32,
  'heddle.AtomicU32': AtomicU32,
  'heddle.AtomicI64': AtomicI64,
  'heddle.AtomicU64': AtomicU64,
} as unknown as Record<string, WaitableClass>;

const jobs: Jobs = {
  ping: () => 'pong',

  enter: (registry: ThreadRegistryHandle) => ThreadRegistry.from(registry).enter(),

  /** Adds 1 to `value[0]` so many times, each time under the lock, without an atomic operation. */
  increment: (handle: MutexHandle, value: Uint32Array, times: number) => {
    const mutex = Mutex.from(handle);
    for (let i = 0; i < times; i += 1) {
      using _ = mutex.lock();
      value[0] = value[0] + 1;
    }
  },

  /** The same, waiting asynchronously. */
  incrementAsync: async (handle: MutexHandle, value: Uint32Array, times: number) => {
    const mutex = Mutex.from(handle);
    for (let i = 0; i < times; i += 1) {
      using _ = await mutex.lockAsync();
      value[0] = value[0] + 1;
    }
  },

  /** Takes the lock, says so in `state[0]`, and keeps it for so long; for ever without a time. */
  hold: (handle: MutexHandle, state: Int32Array, ms: number) => {
    const token = Mutex.from(handle).lock();
    Atomics.store(state, 0, 1);
    Atomics.notify(state, 0);
    pause(ms);
    token.unlock();
  },

  /** Takes the lock and ends the job with it. */
  keep: (handle: MutexHandle) => void Mutex.from(handle).lock(),

  /** Takes the first lock, waits until `parties` threads have taken theirs, and takes the second: 'done', or the report of a deadlock. */
  takeTwo: (
    first: MutexHandle | RwLockHandle,
    second: MutexHandle | RwLockHandle,
    begun: Int32Array,
    parties: number,
    names: { locks: [MutexHandle | RwLockHandle, string][]; threads: [ThreadToken, string][] },
  ) => {
    const open = (handle: MutexHandle | RwLockHandle) => (handle.kind === 'heddle.RwLock' ? RwLock.from(handle) : Mutex.from(handle));
    const take = (lock: Mutex | RwLock) => (lock instanceof RwLock ? lock.write() : lock.lock());
    enableDeadlockDetection();
    for (const [handle, name] of names.locks) nameLock(open(handle), name);
    for (const [token, name] of names.threads) nameThread(token, name);
    using _ = take(open(first));
    Atomics.add(begun, 0, 1);
    Atomics.notify(begun, 0);
    for (let count = Atomics.load(begun, 0); count < parties; count = Atomics.load(begun, 0)) Atomics.wait(begun, 0, count);
    try {
      take(open(second)).unlock();
      return 'done';
    } catch (error) {
      if (error instanceof DeadlockError) return error.message;
      throw error;
    }
  },

  /** Takes the locks, each while it holds those before, so many times: 'done', or the report of an opposite order. */
  takeInOrder: (orderHandle: LockOrderHandle, names: [MutexHandle | RwLockHandle, string][], times: number = 1) => {
    enableDeadlockDetection({ order: LockOrder.from(orderHandle) });
    const locks = names.map(([handle, name]) => {
      const lock = handle.kind === 'heddle.RwLock' ? RwLock.from(handle) : Mutex.from(handle);
      nameLock(lock, name);
      return lock;
    });
    const held: { unlock(): boolean }[] = [];
    try {
      for (let time = 0; time < times; time += 1) {
        for (const lock of locks) held.push(lock instanceof Mutex ? lock.lock() : time % 2 === 0 ? lock.read() : lock.write());
        for (const token of held.splice(0)) token.unlock();
      }
      return 'done';
    } catch (error) {
      if (error instanceof LockOrderError) return error.message;
      throw error;
    } finally {
      for (const token of held) token.unlock();
    }
  },

  /** Takes the lock, blocking, and lets go of it. */
  lock: (handle: MutexHandle, timeoutMs: number = Infinity) => {
    const mutex = Mutex.from(handle);
    try {
      mutex.lock({ timeoutMs }).unlock();
      return 'clean';
    } catch (error) {
      if (!(error instanceof PoisonedError)) throw error;
      const token = error.lock();
      const wasPoisoned = token.poisoned;
      token.unlock();
      return wasPoisoned ? 'poisoned' : 'clean';
    }
  },

  /**
   * Lets go of the lock only to take it again, until `served[0]` is `times`. How often this thread had the lock again although it saw
   * that the next one in had to be the claimant `waiter`.
   */
  barge: (handle: MutexHandle, served: Int32Array, times: number, waiter: number) => {
    const mutex = Mutex.from(handle);
    const raw = new RawMutex(new Int32Array(handle.buffer!, handle.byteOffset, 2), 0, agentOf(handle.buffer!));
    let passedOver = 0;
    for (let owed = -1; ;) {
      using _ = mutex.lock();
      if (owed === served[0]) passedOver += 1;
      if (served[0] === times) return passedOver;
      owed = raw.claimant === waiter ? served[0] : -1;
    }
  },

  /** Takes the lock so many times, and counts in `served[0]`. */
  beServed: (handle: MutexHandle, served: Int32Array, times: number) => {
    const mutex = Mutex.from(handle);
    for (let i = 0; i < times; i += 1) {
      using _ = mutex.lock();
      served[0] = served[0] + 1;
    }
  },

  lockIfAvailable: (handle: MutexHandle, timeoutMs: number) => {
    const token = Mutex.lockIfAvailable(Mutex.from(handle), timeoutMs);
    token?.unlock();
    return token !== null;
  },

  lockTwice: (handle: MutexHandle) => {
    const mutex = Mutex.from(handle);
    using _ = mutex.lock();
    mutex.lock();
  },

  /** Waits until `values[0]` is at least `least`, blocking; what it was then. */
  waitUntil: (mutexHandle: MutexHandle, conditionHandle: ConditionHandle, values: Int32Array, least: number) => {
    const condition = Condition.from(conditionHandle);
    using token = Mutex.from(mutexHandle).lock();
    condition.waitFor(token, Infinity, () => values[0] >= least);
    return values[0];
  },

  waitFor: (mutexHandle: MutexHandle, conditionHandle: ConditionHandle, timeoutMs: number) => {
    using token = Mutex.from(mutexHandle).lock();
    const isNotified = Condition.from(conditionHandle).waitFor(token, timeoutMs);
    return { isNotified, isLocked: token.locked };
  },

  /** Takes and gives back a permit so many times; the most that were inside at once. */
  enterAndLeave: (handle: SemaphoreHandle, inside: Int32Array, times: number) => {
    const semaphore = Semaphore.from(handle);
    let most = 0;
    for (let i = 0; i < times; i += 1) {
      using _ = semaphore.acquire();
      most = Math.max(most, Atomics.add(inside, 0, 1) + 1);
      Atomics.sub(inside, 0, 1);
    }
    return most;
  },

  /** Takes and gives back a permit again and again, until `served[0]` is `times`. */
  takePermits: (handle: SemaphoreHandle, served: Int32Array, times: number) => {
    const semaphore = Semaphore.from(handle);
    while (Atomics.load(served, 0) < times) semaphore.acquire().release();
  },

  /** Takes so many permits at once so many times, and counts in `served[0]`. */
  takeMany: (handle: SemaphoreHandle, count: number, served: Int32Array, times: number) => {
    const semaphore = Semaphore.from(handle);
    for (let i = 0; i < times; i += 1) {
      using permit = semaphore.acquire({ count });
      Atomics.add(served, 0, permit.count / count);
    }
  },

  acquire: (handle: SemaphoreHandle, timeoutMs: number = Infinity) => {
    Semaphore.from(handle).acquire({ timeoutMs });
    return true;
  },

  /** Reads so many pairs; how many were torn. */
  readPairs: (handle: RwLockHandle, pair: Uint32Array, times: number) => {
    const rwLock = RwLock.from(handle);
    let torn = 0;
    for (let i = 0; i < times; i += 1) {
      using _ = rwLock.read();
      torn += pair[0] === pair[1] ? 0 : 1;
    }
    return torn;
  },

  /** The same, waiting asynchronously. */
  readPairsAsync: async (handle: RwLockHandle, pair: Uint32Array, times: number) => {
    const rwLock = RwLock.from(handle);
    let torn = 0;
    for (let i = 0; i < times; i += 1) {
      using _ = await rwLock.readAsync();
      torn += pair[0] === pair[1] ? 0 : 1;
    }
    return torn;
  },

  /** Adds 1 to both of the pair so many times; how many were torn before. */
  writePairs: (handle: RwLockHandle, pair: Uint32Array, times: number) => {
    const rwLock = RwLock.from(handle);
    let torn = 0;
    for (let i = 0; i < times; i += 1) {
      using _ = rwLock.write();
      torn += pair[0] === pair[1] ? 0 : 1;
      pair[0] = pair[0] + 1;
      pair[1] = pair[1] + 1;
    }
    return torn;
  },

  /** Reads again and again until `stop[0]` is set, and counts itself in `stop[1]` when it has begun. */
  readUntil: (handle: RwLockHandle, stop: Int32Array) => {
    const rwLock = RwLock.from(handle);
    Atomics.add(stop, 1, 1);
    while (Atomics.load(stop, 0) === 0) rwLock.read().unlock();
  },

  /** Writes again and again until `stop[0]` is set, and counts itself in `stop[1]` when it has begun. */
  writeUntil: (handle: RwLockHandle, stop: Int32Array) => {
    const rwLock = RwLock.from(handle);
    Atomics.add(stop, 1, 1);
    while (Atomics.load(stop, 0) === 0) rwLock.write().unlock();
  },

  readOnce: (handle: RwLockHandle, timeoutMs: number = Infinity) => RwLock.from(handle).read({ timeoutMs }).unlock(),
  writeOnce: (handle: RwLockHandle, timeoutMs: number = Infinity) => RwLock.from(handle).write({ timeoutMs }).unlock(),
  keepReading: (handle: RwLockHandle) => void RwLock.from(handle).read(),
  keepWriting: (handle: RwLockHandle) => void RwLock.from(handle).write(),

  readInWrite: (handle: RwLockHandle) => {
    const rwLock = RwLock.from(handle);
    using _ = rwLock.write();
    rwLock.read();
  },

  writeInRead: (handle: RwLockHandle) => {
    const rwLock = RwLock.from(handle);
    using _ = rwLock.read();
    rwLock.write();
  },

  writeInWrite: (handle: RwLockHandle) => {
    const rwLock = RwLock.from(handle);
    using _ = rwLock.write();
    rwLock.write();
  },
  /** Opens what a handle names and calls a method of it. */
  on: (handle: Handle<string>, method: string, ...args: unknown[]): unknown => {
    const record = openers[handle.kind].from(handle as never) as Record<string, (...args: unknown[]) => unknown>;
    return record[method](...args);
  },

  /** Waits while the cell has this value. */
  waitOnCell: (handle: Handle<string>, expected: number | bigint) => waitableCells[handle.kind].from(handle).wait(expected),

  /** Adds 1, 1 and a half so many times. */
  addToCells: (
    integerHandle: Handle<'heddle.AtomicU16'>,
    bigHandle: Handle<'heddle.AtomicI64'>,
    floatHandle: Handle<'heddle.AtomicF64'>,
    times: number,
  ) => {
    const [integer, big, float] = [AtomicU16.from(integerHandle), AtomicI64.from(bigHandle), AtomicF64.from(floatHandle)];
    for (let time = 0; time < times; time += 1) {
      integer.add(1);
      big.add(1n);
      float.add(0.5);
    }
  },

  /** Visits so many times, each time under the lock of what is guarded. */
  visit: (handle: MutexHandle, times: number) => {
    const mutex = Mutex.from(handle, Visit);
    for (let time = 0; time < times; time += 1) {
      using lock = mutex.lock();
      lock.value.hits += 1;
      lock.value.sum += 0.5;
      lock.value.last.worker = true;
    }
  },

  /** What the cell has; 77 hits if this thread makes it, which it counts. */
  getOrInit: (handle: OnceCellHandle, made: Int32Array) =>
    OnceCell.from(handle, Visit).getOrInit(() => {
      Atomics.add(made, 0, 1);
      return { hits: 77, sum: 1, last: { worker: true, name: [1, 2] }, recent: [1, 2, 3, 4] };
    }).hits,

  /** Instantiates the Wasm module and enters its registry, as whoever runs threads does. */
  instantiate: async (glueUrl: string, module: WebAssembly.Module, memory: WebAssembly.Memory) => {
    const glue = (await import(/* @vite-ignore */ glueUrl)) as Glue;
    const exports = glue.initSync({ module, memory, thread_stack_size: 1 << 20 }) as unknown as Record<
      string,
      (...args: number[]) => number
    >;
    steps.rust = exports;
    steps.typescript = stepsOf(memory);
    const registry = ThreadRegistry.at({ memory, byteOffset: exports['__heddle_registry']() });
    const token = registry.enter();
    exports['__heddle_enter'](token.slot, token.generation, 1);
    return { token, registry: registry.handle() };
  },

  /** Does a step in one of the languages. */
  step: async (language: 'typescript' | 'rust', name: string, ...args: number[]) => (await steps[language][name](...args)) >>> 0,

  /** Meets the others at the barrier so many times, adding 1 to `value[0]` before each; how often it led. */
  meet: (handle: Handle<'heddle.Barrier'>, value: Int32Array, times: number) => {
    const barrier = Barrier.from(handle);
    let led = 0;
    for (let time = 1; time <= times; time += 1) {
      Atomics.add(value, 0, 1);
      if (barrier.wait().isLeader) led += 1;
      const met = Atomics.load(value, 0);
      if (met !== time * barrier.parties) throw new Error(`${met} arrivals were seen after meeting ${time}`);
      barrier.wait();
    }
    return led;
  },

  /** Has `value[0]` made, once: the number that it is afterwards. */
  once: (handle: OnceHandle, value: Int32Array, how: 'call' | 'callForce' | 'tryCall' = 'call') => {
    let wasPoisoned = false;
    Once.from(handle)[how]((state) => {
      wasPoisoned = state.isPoisoned;
      // Without an atomic operation: the once has to publish it.
      value[0] = value[0] + 1;
    });
    return { value: value[0], wasPoisoned };
  },

  onceWait: (handle: OnceHandle) => Once.from(handle).wait(),

  onceFail: (handle: OnceHandle) =>
    Once.from(handle).call(() => {
      throw new Error('on purpose');
    }),

  onceTwice: (handle: OnceHandle) => {
    const once = Once.from(handle);
    once.call(() => void once.call(() => {}));
  },

  /** Begins the initialiser, says so in `state[0]`, and never ends it. */
  onceStay: (handle: OnceHandle, state: Int32Array) =>
    Once.from(handle).callAsync(() => {
      Atomics.store(state, 0, 1);
      return new Promise(() => {});
    }),

  /** Does an operation that has to wait, blocking, for at most so long. */
  waitInVain: (operation: string, handle: Handle<string>, timeoutMs: number) => WAITS[operation].block(handle, { timeoutMs }),

  /** Reaps a thread, as a supervisor would. */
  reap: (registry: ThreadRegistryHandle, token: ThreadToken) => ThreadRegistry.from(registry).reap(token),
};

if (isBrowser) serve(browserPort(), jobs);
else serve(await nodePort(), jobs);
