/**
 * A latch: a count that goes down to 0 once, and threads that wait for that. Rust's `heddle_atomics::Latch` is the same one on
 * the same record.
 *
 * It promises: whoever waits goes on once the count is 0, and sees what was done before each counting down; a latch that is open
 * stays open. It never counts below 0.
 *
 * ## State
 * | word | means |
 * | --- | --- |
 * | `count` | what is left; waiters sleep on whatever it is, 0 is open |
 *
 * ## Invariants
 * 1. Nothing but counting down changes the count, and whoever brings it to 0 wakes everybody. A waiter compares the count as it
 *    falls asleep, so it either sees 0 or is woken.
 *
 * ## Threads that die
 * Nobody knows who was to count down. A thread that dies before it did leaves the latch closed, until somebody counts down in its
 * place: whoever reaps it, or a waiter with a timeout.
 *
 * Every `Atomics` call is SeqCst: the compare-exchange of each counting down publishes what was done before it.
 *
 * ## Source
 * `std::latch` of C++20, and `CountDownLatch` of Java.
 */
import { CountError, InvalidArgumentError } from './errors.ts';
import { LATCH_ALIGN, LATCH_COUNT_OFFSET, LATCH_SIZE, WAITING_FOR_LATCH } from './internal/layout.ts';
import { type Handle, type SharedLocation, checkKind } from './internal/location.ts';
import { OpenRecord, type RecordKind } from './internal/record.ts';
import {
  type Attempt,
  DONE,
  type WaitAsyncOptions,
  type WaitOptions,
  type WaitSite,
  waitUntil,
  waitUntilAsync,
} from './internal/waiting.ts';
import { openRegistryOf } from './Mutex.ts';

const KIND: RecordKind<'heddle.Latch'> = { kind: 'heddle.Latch', what: 'a latch', size: LATCH_SIZE, align: LATCH_ALIGN };
const COUNT = LATCH_COUNT_OFFSET >> 2;
const COUNT_MAX = 0xffff_ffff;

/** What is posted of a latch; reopen it with {@link Latch.from}. */
export type LatchHandle = Handle<typeof KIND.kind>;

/** A count that goes down to 0 once. */
export class Latch {
  readonly #record: OpenRecord<typeof KIND.kind>;
  readonly #site: WaitSite;
  readonly #attempt: Attempt;

  private constructor(location?: SharedLocation) {
    this.#record = new OpenRecord(KIND, location);
    const { words, agent } = this.#record;
    this.#site = {
      words,
      index: COUNT,
      agent,
      operation: 'waiting for the latch',
      advice: 'the latch is closed; use waitAsync or tryWait here',
      kind: WAITING_FOR_LATCH,
    };
    this.#attempt = () => {
      const count = Atomics.load(words, COUNT);
      return count === 0 ? DONE : count;
    };
  }

  /** The bytes that a latch takes; it is aligned to 4. */
  static readonly byteLength: number = LATCH_SIZE;

  /**
   * A new latch that opens after `count` was counted down, at `location` or in a SharedArrayBuffer of its own.
   *
   * @throws InvalidArgumentError `INVALID_ARGUMENT` if count isn't 0 to 2^32 - 1
   * @throws InvalidRecordError `INVALID_RECORD` for a place where it can't be
   */
  static create(count: number, location?: SharedLocation): Latch {
    if (!Number.isInteger(count) || count < 0 || count > COUNT_MAX) {
      throw new InvalidArgumentError(`a latch counts down from 0 to ${COUNT_MAX}, not ${String(count)}`);
    }
    const latch = new Latch(location);
    Atomics.store(latch.#record.words, COUNT, count | 0);
    return latch;
  }

  /**
   * Opens the latch at a place, as it is.
   *
   * @throws InvalidRecordError `INVALID_RECORD` for a place where it can't be
   */
  static at(location: SharedLocation): Latch {
    return new Latch(location);
  }

  /**
   * Reopens a latch that another thread posted.
   *
   * @throws InvalidRecordError `INVALID_RECORD` if the handle is no latch's
   */
  static from(handle: LatchHandle): Latch {
    checkKind(handle, KIND.kind);
    openRegistryOf(handle);
    return new Latch(handle as SharedLocation);
  }

  /** What to post to another thread. */
  handle(): LatchHandle {
    return this.#record.handle();
  }

  /** What is left to count down; of the past as soon as it is known, unless it is 0. */
  get count(): number {
    return Atomics.load(this.#record.words, COUNT) >>> 0;
  }

  /**
   * Counts down by `n` without waiting. Whoever gets to 0 wakes everybody who waits.
   *
   * @throws CountError `COUNT_OUT_OF_RANGE` if less than `n` is left; the count stays
   * @throws InvalidArgumentError `INVALID_ARGUMENT` if n isn't a whole number, 0 or more
   */
  countDown(n: number = 1): void {
    if (!Number.isSafeInteger(n) || n < 0) throw new InvalidArgumentError(`a latch counts down by 0 or more, not ${String(n)}`);
    const { words } = this.#record;
    let count = Atomics.load(words, COUNT);
    for (;;) {
      const left = (count >>> 0) - n;
      if (left < 0) throw new CountError(count >>> 0, -n, COUNT_MAX);
      const seen = Atomics.compareExchange(words, COUNT, count, left | 0);
      if (seen === count) {
        if (left === 0 && n > 0) Atomics.notify(words, COUNT);
        return;
      }
      count = seen;
    }
  }

  /** Whether the latch is open. */
  tryWait(): boolean {
    return this.count === 0;
  }

  /**
   * Waits until the latch is open, blocking.
   *
   * @throws MayNotBlockError `MAY_NOT_BLOCK` if it is closed and this thread may not block; use `waitAsync` there
   * @throws TimeoutError `TIMEOUT` if the time ran out
   */
  wait(options?: WaitOptions): void {
    waitUntil(this.#site, this.#attempt, options?.timeoutMs);
  }

  /**
   * Waits until the latch is open, without blocking the thread.
   *
   * @throws TimeoutError `TIMEOUT` if the time ran out
   * @throws AbortedError `ABORTED` if the signal gave the wait up; its reason is the `cause`
   */
  waitAsync(options: WaitAsyncOptions = {}): Promise<void> {
    return waitUntilAsync(this.#site, this.#attempt, options);
  }

  /**
   * Counts down by `n` and waits until the latch is open, blocking.
   *
   * @throws MayNotBlockError `MAY_NOT_BLOCK` as {@link Latch.wait}; it has counted down then
   * @throws CountError, InvalidArgumentError as {@link Latch.countDown}; it hasn't waited then
   */
  arriveAndWait(n: number = 1, options?: WaitOptions): void {
    this.countDown(n);
    this.wait(options);
  }
}
