/**
 * A condition variable: waiting, with a mutex let go of, until somebody says that the condition may have changed. Rust's
 * `heddle_atomics::RawCondvar` is the same one on the same record.
 *
 * It promises: a notification after the waiter has let go of the mutex reaches it. A wait may also end for no reason, so
 * look at the condition again, or give the wait a predicate.
 *
 * ## State
 * | word | means |
 * | --- | --- |
 * | `sequence` | one more with each notification; waiters sleep on the value they read while they held the mutex |
 * | `waiters` | how many have announced themselves; 0 spares the notifier the call to the host |
 *
 * ## Invariants
 * 1. A waiter reads `sequence` and counts itself before it lets go of the mutex. So whoever takes the mutex after it, changes
 *    the condition and notifies, changes the very value that the waiter sleeps on, and sees it counted.
 * 2. A reaper adds 1 for those who block, too: the dead may have changed the condition and not told it.
 *
 * ## Fairness
 * Waiters are woken in the order in which they began to sleep, blocking and asynchronous ones in one queue.
 *
 * ## Memory orderings
 * Every `Atomics` call is SeqCst; the mutex publishes the condition.
 *
 * ## Source
 * The futex condition variable of Rust's std, with the count added. The static forms are those of the TC39 structs
 * proposal.
 */
import { AbortedError, MayNotBlockError, NotOwnerError, PoisonedError } from './errors.ts';
import { type Agent, agentOf } from './internal/agent.ts';
import { mayBlock } from './internal/blocking.ts';
import { type WaitResult, block, waitAsync } from './internal/futex.ts';
import {
  CONDVAR_ALIGN,
  CONDVAR_SEQUENCE_OFFSET,
  CONDVAR_SIZE,
  CONDVAR_WAITERS_OFFSET,
  WAITING_FOR_CONDVAR,
  WAITING_ON_SEQUENCE,
} from './internal/layout.ts';
import { type Handle, type ResolvedLocation, type SharedLocation, checkKind, handleOf, resolveLocation } from './internal/location.ts';
import { deadlineAfter, remainingMs } from './internal/time.ts';
import { type Mutex, type UnlockToken, openRegistryOf } from './Mutex.ts';

const KIND = 'heddle.Condition';
const SEQUENCE = CONDVAR_SEQUENCE_OFFSET >> 2;
const WAITERS = CONDVAR_WAITERS_OFFSET >> 2;
const OPERATION = 'waiting on the condition';

/** What is posted of a condition; reopen it with {@link Condition.from}. */
export type ConditionHandle = Handle<typeof KIND>;

/** How an asynchronous wait ends early. */
export interface ConditionWaitOptions {
  /** The longest wait in milliseconds; no limit if not given. */
  readonly timeoutMs?: number;
  /** Gives the wait up. */
  readonly signal?: AbortSignal;
  /** Wait until this holds; it is called while the lock is held. */
  readonly predicate?: () => boolean;
}

/** A condition variable between threads and between asynchronous tasks. */
export class Condition {
  readonly #words: Int32Array;
  readonly #location: ResolvedLocation;
  readonly #agent: Agent;

  /**
   * A condition at `location`, or in a SharedArrayBuffer of its own. Zeroed bytes are one that nobody waits on, and
   * constructing doesn't write.
   *
   * @throws InvalidRecordError `INVALID_RECORD` for a place where it can't be
   */
  constructor(location?: SharedLocation) {
    this.#location = resolveLocation(
      location ?? { buffer: new SharedArrayBuffer(CONDVAR_SIZE) },
      'a condition',
      CONDVAR_SIZE,
      CONDVAR_ALIGN,
    );
    this.#words = new Int32Array(this.#location.buffer, this.#location.byteOffset, CONDVAR_SIZE / 4);
    this.#agent = agentOf(this.#location.memory ?? this.#location.buffer);
  }

  /** The bytes that a condition takes; it is aligned to 4. */
  static readonly byteLength: number = CONDVAR_SIZE;

  /**
   * Reopens a condition that another thread posted.
   *
   * @throws InvalidRecordError `INVALID_RECORD` if the handle is no condition's
   */
  static from(handle: ConditionHandle): Condition {
    checkKind(handle, KIND);
    openRegistryOf(handle);
    return new Condition(handle as SharedLocation);
  }

  /** The form of the TC39 proposal of {@link Condition.wait}. */
  static wait(condition: Condition, token: UnlockToken): void {
    condition.wait(token);
  }

  /** The form of the TC39 proposal of {@link Condition.waitFor}. */
  static waitFor(condition: Condition, token: UnlockToken, timeoutMs: number, predicate?: () => boolean): boolean {
    return condition.waitFor(token, timeoutMs, predicate);
  }

  /** The form of the TC39 proposal of {@link Condition.notify}. */
  static notify(condition: Condition, count?: number): number {
    return condition.notify(count);
  }

  /** What to post to another thread. */
  handle(): ConditionHandle {
    return handleOf(KIND, this.#location, this.#agent.registry?.byteOffset);
  }

  /** Where the condition is in its memory, in bytes. */
  get byteOffset(): number {
    return this.#location.byteOffset;
  }

  /**
   * Lets go of the lock that `token` holds, waits for a notification, blocking, and takes the lock again with the same token.
   *
   * @throws NotOwnerError `NOT_OWNER` if the token holds no lock
   * @throws MayNotBlockError `MAY_NOT_BLOCK` on a thread that may not block; the lock is still held
   * @throws PoisonedError `POISONED` if an owner died in the lock meanwhile; the token holds the lock
   */
  wait(token: UnlockToken): void {
    this.#waitOnce(token, Infinity);
  }

  /**
   * Waits, blocking, until `predicate` holds, or without one for a notification; for at most `timeoutMs` milliseconds.
   *
   * @returns whether it holds, or whether there was a notification; `false` if the time ran out
   * @throws NotOwnerError `NOT_OWNER` if the token holds no lock
   * @throws MayNotBlockError `MAY_NOT_BLOCK` on a thread that may not block; the lock is still held
   * @throws PoisonedError `POISONED` if an owner died in the lock meanwhile; the token holds the lock
   */
  waitFor(token: UnlockToken, timeoutMs: number, predicate?: () => boolean): boolean {
    const deadline = deadlineAfter(timeoutMs);
    if (predicate === undefined) return this.#waitOnce(token, timeoutMs);
    lockedMutexOf(token);
    while (!predicate()) {
      if (!this.#waitOnce(token, remainingMs(deadline))) return predicate();
    }
    return true;
  }

  /**
   * Lets go of the lock that `token` holds, waits without blocking the thread, and takes the lock again with the same token.
   *
   * @returns as {@link Condition.waitFor}
   * @throws NotOwnerError `NOT_OWNER` if the token holds no lock
   * @throws AbortedError `ABORTED` if the signal gave the wait up; the token holds the lock
   * @throws PoisonedError `POISONED` if an owner died in the lock meanwhile; the token holds the lock
   */
  async waitAsync(token: UnlockToken, options: ConditionWaitOptions = {}): Promise<boolean> {
    const { predicate, signal } = options;
    const deadline = deadlineAfter(options.timeoutMs ?? Infinity);
    if (predicate === undefined) return this.#waitOnceAsync(token, remainingMs(deadline), signal);
    lockedMutexOf(token);
    while (!predicate()) {
      if (!(await this.#waitOnceAsync(token, remainingMs(deadline), signal))) return predicate();
    }
    return true;
  }

  /**
   * Wakes up to `count` waiters, all of them if not given.
   *
   * @returns how many were woken
   */
  notify(count: number = Infinity): number {
    const words = this.#words;
    if (Atomics.load(words, WAITERS) === 0) return 0;
    Atomics.add(words, SEQUENCE, 1);
    return Atomics.notify(words, SEQUENCE, count);
  }

  /** Wakes one waiter, if there is one. */
  notifyOne(): number {
    return this.notify(1);
  }

  /** Wakes every waiter. */
  notifyAll(): number {
    return this.notify();
  }

  #waitOnce(token: UnlockToken, timeoutMs: number): boolean {
    const mutex = lockedMutexOf(token);
    // Before anything is let go of: there is no way back from here.
    if (!mayBlock()) throw new MayNotBlockError('waiting on a condition blocks; use waitAsync here');
    const words = this.#words;
    const sequence = Atomics.load(words, SEQUENCE);
    Atomics.add(words, WAITERS, 1);
    token.unlock();
    let result: WaitResult;
    try {
      result = block(words, SEQUENCE, sequence, timeoutMs, this.#agent, WAITING_ON_SEQUENCE | WAITING_FOR_CONDVAR, OPERATION);
    } finally {
      Atomics.sub(words, WAITERS, 1);
    }
    mutex.lock({ token, acceptPoisoned: true });
    checkPoison(token, mutex);
    return result !== 'timed-out' || Atomics.load(words, SEQUENCE) !== sequence;
  }

  async #waitOnceAsync(token: UnlockToken, timeoutMs: number, signal: AbortSignal | undefined): Promise<boolean> {
    const mutex = lockedMutexOf(token);
    if (signal?.aborted === true) throw new AbortedError(OPERATION, signal.reason);
    const words = this.#words;
    const sequence = Atomics.load(words, SEQUENCE);
    Atomics.add(words, WAITERS, 1);
    token.unlock();
    let result: WaitResult;
    try {
      result = await waitAsync(words, SEQUENCE, sequence, { timeoutMs, signal, operation: OPERATION, agent: this.#agent });
    } finally {
      Atomics.sub(words, WAITERS, 1);
      // Also after an abort: whoever holds the token goes on holding the lock.
      await mutex.lockAsync({ token, acceptPoisoned: true });
    }
    checkPoison(token, mutex);
    return result !== 'timed-out' || Atomics.load(words, SEQUENCE) !== sequence;
  }
}

function lockedMutexOf(token: UnlockToken): Mutex {
  const { mutex } = token;
  if (mutex === undefined) throw new NotOwnerError(OPERATION);
  return mutex;
}

function checkPoison(token: UnlockToken, mutex: Mutex): void {
  if (token.poisoned) throw new PoisonedError(mutex);
}
