/** Steps of one wait at each primitive, as `crates/atomics/examples/support/waits.rs` has them. */
import {
  Barrier,
  Condition,
  DeadlockError,
  Event,
  Latch,
  Mutex,
  Once,
  OnceCell,
  Parker,
  type ReadToken,
  RwLock,
  Semaphore,
  type SharedLocation,
  TimeoutError,
  type UnlockToken,
  Unparker,
  WaitGroup,
  type WriteToken,
  enableDeadlockDetection,
  u32,
} from '../../src/index.ts';
import type { Step } from './steps.ts';

/** What there is to wait for; the Rust steps know it by its place here. */
export const WAITS = [
  'a mutex',
  'the turn to read',
  'the turn to write',
  'a condition',
  'a semaphore',
  'a barrier',
  'a latch',
  'an event',
  'a parker',
  'a once',
  'a wait group',
  'a once cell',
] as const;

/** Those that can be waited for with a time limit in both languages. */
export const TIMED_WAITS: readonly number[] = WAITS.flatMap((name, kind) => (name === 'a once cell' ? [] : [kind]));

/** Room for any of them. */
export const WAIT_BYTE_LENGTH = 64;

/** Room for a message. */
export const TEXT_BYTE_LENGTH = 1024;

/** How one of them is prepared, waited for with a limit, and had by the waiter. */
interface Wait {
  prepare(): void;
  waitFor(limits: { timeoutMs: number }): unknown;
  wake(): void;
}

/** The steps over one memory. */
export function waitStepsOf(memory: WebAssembly.Memory): Record<string, Step> {
  const place = (byteOffset: number): SharedLocation => ({ memory, byteOffset });
  /** What this thread holds, by address. */
  const held = new Map<number, UnlockToken<unknown> | ReadToken<unknown> | WriteToken<unknown>>();
  const unlock = (at: number): void => {
    held.get(at)?.unlock();
    held.delete(at);
  };
  const waitsAt = (at: number): readonly Wait[] => [
    {
      prepare: () => void held.set(at, new Mutex(u32, place(at)).lock()),
      waitFor: (limits) => new Mutex(u32, place(at)).lock(limits).unlock(),
      wake: () => unlock(at),
    },
    {
      prepare: () => void held.set(at, new RwLock(u32, place(at)).write()),
      waitFor: (limits) => new RwLock(u32, place(at)).read(limits).unlock(),
      wake: () => unlock(at),
    },
    {
      prepare: () => void held.set(at, new RwLock(u32, place(at)).read()),
      waitFor: (limits) => new RwLock(u32, place(at)).write(limits).unlock(),
      wake: () => unlock(at),
    },
    {
      prepare: () => {},
      waitFor: ({ timeoutMs }) => {
        using lock = new Mutex(u32, place(at)).lock();
        const isThere = new Condition(place(at + Mutex.byteLengthOf(u32))).waitFor(lock, timeoutMs, () => lock.value !== 0);
        if (!isThere) throw new TimeoutError('waiting on the condition', timeoutMs);
      },
      wake: () => {
        using lock = new Mutex(u32, place(at)).lock();
        lock.value += 1;
        new Condition(place(at + Mutex.byteLengthOf(u32))).notifyOne();
      },
    },
    {
      prepare: () => void Semaphore.create(0, place(at)),
      waitFor: (limits) => Semaphore.at(place(at)).acquire(limits).release(),
      wake: () => Semaphore.at(place(at)).release(),
    },
    {
      prepare: () => void Barrier.create(2, place(at)),
      waitFor: (limits) => Barrier.at(place(at)).wait(limits),
      wake: () => void Barrier.at(place(at)).wait(),
    },
    {
      prepare: () => void Latch.create(1, place(at)),
      waitFor: (limits) => Latch.at(place(at)).wait(limits),
      wake: () => Latch.at(place(at)).countDown(),
    },
    {
      prepare: () => void Event.create({ autoReset: true, location: place(at) }),
      waitFor: (limits) => Event.at(place(at)).wait(limits),
      wake: () => void Event.at(place(at)).set(),
    },
    {
      prepare: () => {},
      waitFor: (limits) => new Parker(place(at)).park(limits),
      wake: () => new Unparker(place(at)).unpark(),
    },
    {
      prepare: () => {},
      waitFor: (limits) => new Once(place(at)).wait(limits),
      wake: () => void new Once(place(at)).call(() => {}),
    },
    {
      prepare: () => new WaitGroup(place(at)).add(1),
      waitFor: (limits) => new WaitGroup(place(at)).wait(limits),
      wake: () => new WaitGroup(place(at)).done(),
    },
    {
      prepare: () => {},
      waitFor: () => {
        throw new Error("a once cell's wait has no limit");
      },
      wake: () => void new OnceCell(u32, place(at)).getOrInit(() => 7),
    },
  ];

  return {
    wait_prepare: (kind, at) => {
      waitsAt(at)[kind].prepare();
      return 0;
    },
    wait_wake: (kind, at) => {
      waitsAt(at)[kind].wake();
      return 0;
    },
    wait_timed: (kind, at, timeoutMs) => {
      const start = performance.now();
      try {
        waitsAt(at)[kind].waitFor({ timeoutMs });
        return 1;
      } catch (error) {
        if (!(error instanceof TimeoutError)) throw error;
        return performance.now() - start + 1 < timeoutMs ? 2 : 0;
      }
    },
    take_two: (firstAt, secondAt, begunAt, textAt) => {
      enableDeadlockDetection();
      using _ = new Mutex(u32, place(firstAt)).lock({ acceptPoisoned: true });
      Latch.at(place(begunAt)).arriveAndWait();
      try {
        // Poisoned if Rust was told: its panic went through the lock.
        new Mutex(u32, place(secondAt)).lock({ acceptPoisoned: true }).unlock();
        return 0;
      } catch (error) {
        if (!(error instanceof DeadlockError)) throw error;
        const text = new TextEncoder().encode(error.message).subarray(0, TEXT_BYTE_LENGTH);
        new Uint8Array(memory.buffer, textAt).set(text);
        return text.length;
      }
    },
  };
}
