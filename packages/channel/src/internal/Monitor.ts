/**
 * One lock over a whole channel, and those who wait for what it guards to change: of the broadcast and the watch channel, whose
 * messages everybody reads, so that a lock for each side would win nothing.
 *
 * An operation is an attempt under the lock. If it can't be done now, its thread sleeps until something changed, and attempts again.
 *
 * ## Invariants
 * 1. Nobody sleeps with the lock.
 * 2. A sleeper counts itself before the attempt that fails, and who changed something tells the counted ones afterwards
 *    (invariant 1 of Waiters.ts).
 * 3. Whoever finds the lock poisoned repairs what its dead owner left, and goes on as if nothing had happened.
 *
 * ## Fairness
 * That of the lock: none beyond the host's queue.
 *
 * ## Source
 * Monitors: C. A. R. Hoare, "Monitors: An Operating System Structuring Concept" (1974); here the condition is signalled after the
 * lock was given back, and looked at again.
 */
import {
  type AsyncWaitOptions,
  FAILED,
  RawMutex,
  TAKEN_POISONED,
  WAITING_FOR_CHANNEL,
  deadlineAfter,
  remainingMs,
  spinPause,
} from '@heddle/atomics/internal';
import { AbortedError, MayNotBlockError, TimeoutError, mayBlock } from '@heddle/atomics';
import { BRIEF_MS, BRIEF_SPIN_ROUNDS, trying } from './brief.ts';
import { type Counted, Ends, type Side } from './Ends.ts';
import { type SharedRecord } from './record.ts';
import { NOT_NOW, type Result, TIMED_OUT } from './result.ts';
import { type Waiters } from './Waiters.ts';

/** What is done under the lock, and waited for while it can't be done. */
export interface Attempt {
  /** What is waited for, in errors. */
  readonly operation: string;
  /** Tries it, with the lock. */
  readonly run: () => Result;
  /** Whether, by a look without the lock, nothing has changed since it was tried and was NOT_NOW. */
  readonly isStill: () => boolean;
}

/** How long to wait, and what gives the wait up. */
export interface Patience {
  readonly timeoutMs: number;
  readonly signal: AbortSignal | undefined;
}

/** What a channel is to its monitor. */
export interface Monitored {
  /** Makes whole what an owner that died in the lock left; called with the lock. */
  repair(): void;
  /** Closes the channel, without the lock. */
  close(): void;
}

/** The lock and the ends of one channel, for one thread. */
export class Monitor {
  readonly #record: SharedRecord;
  readonly #lock: RawMutex;
  readonly #ends: Ends;
  readonly #channel: Monitored;

  /**
   * @param lock the index of the lock in the record
   * @param endsByteOffset where in the record the entries of the ends are
   */
  constructor(record: SharedRecord, lock: number, endsByteOffset: number, channel: Monitored) {
    this.#record = record;
    this.#lock = new RawMutex(record.words, lock, record.agent, { purpose: WAITING_FOR_CHANNEL });
    this.#ends = new Ends(record, endsByteOffset);
    this.#channel = channel;
  }

  /** Attempts once, without waiting for anything but the lock, and for that at most `lockTimeoutMs`. */
  attempt({ run }: Attempt, lockTimeoutMs: number = trying.patienceMs): Result {
    return this.#enterBriefly(lockTimeoutMs) ? this.#runAndLeave(run) : NOT_NOW;
  }

  /**
   * Attempts until it is done, blocking for at most `timeoutMs`.
   *
   * @throws MayNotBlockError `MAY_NOT_BLOCK` if it would have to wait where that isn't possible
   */
  perform(waiters: Waiters, attempt: Attempt, timeoutMs: number): Result {
    const deadline = deadlineAfter(timeoutMs);
    // Whoever has no time, or no more, waits for a copy all the same.
    const lockTimeoutMs = (): number => Math.max(remainingMs(deadline), trying.patienceMs);
    const first = this.attempt(attempt, lockTimeoutMs());
    if (first !== NOT_NOW) return first;
    if (!mayBlock()) throw new MayNotBlockError(`${attempt.operation} would have to wait; use the asynchronous form here`);
    for (;;) {
      // Invariant 2.
      const ticket = waiters.announce();
      try {
        if (!this.#enter(lockTimeoutMs())) return TIMED_OUT;
        const result = this.#runAndLeave(attempt.run);
        if (result !== NOT_NOW) return result;
        if (this.closeIfDeserted()) continue;
        const shouldWait = (): boolean => attempt.isStill() && !this.closeIfDeserted();
        if (waiters.sleep(ticket, remainingMs(deadline), shouldWait) === 'timed-out') return TIMED_OUT;
      } finally {
        waiters.retire();
      }
    }
  }

  /**
   * Attempts until it is done, waiting without blocking the thread: it may be the one that has to declare the owner of the lock dead.
   *
   * @throws AbortedError `ABORTED` if the signal gives the wait up
   */
  async performAsync(waiters: Waiters, attempt: Attempt, { timeoutMs, signal }: Patience): Promise<Result> {
    const deadline = deadlineAfter(timeoutMs);
    const options = (): AsyncWaitOptions => ({ timeoutMs: remainingMs(deadline), signal, operation: attempt.operation });
    const first = this.attempt(attempt, BRIEF_MS);
    if (first !== NOT_NOW) return first;
    // Before the look, so that no death falls between.
    const stopWatching = waiters.watchDeaths();
    try {
      for (;;) {
        const ticket = waiters.announce();
        try {
          // oxlint-disable-next-line no-await-in-loop -- one attempt after the other
          if (!this.#enterBriefly(BRIEF_MS) && !(await this.#enterAsync(options()))) return TIMED_OUT;
          const result = this.#runAndLeave(attempt.run);
          if (result !== NOT_NOW) return result;
          if (this.closeIfDeserted()) continue;
          // oxlint-disable-next-line no-await-in-loop -- one wait after the other
          if ((await waiters.waitForSelect(ticket, options())) === 'timed-out') return TIMED_OUT;
        } finally {
          waiters.retire();
        }
      }
    } finally {
      stopWatching();
    }
  }

  /**
   * Does something with the lock.
   *
   * @throws MayNotBlockError `MAY_NOT_BLOCK` if another thread keeps it longer than this one, which may not block, can spin
   */
  with<T>(action: () => T): T {
    if (!this.#enterBriefly(Infinity)) throw new MayNotBlockError('another thread is in the middle of a long copy; try again here');
    try {
      return action();
    } finally {
      this.#lock.unlock(this.#record.agent.token);
    }
  }

  /** {@link Monitor.with} without blocking the thread. */
  async withAsync<T>(action: () => T): Promise<T> {
    if (!this.#enterBriefly(BRIEF_MS)) await this.#enterAsync();
    try {
      return action();
    } finally {
      this.#lock.unlock(this.#record.agent.token);
    }
  }

  /** Counts one more end. */
  addEnd(side: Side): Counted {
    return this.#ends.add(side);
  }

  /** Makes an end that is counted already this thread's. */
  ownEnd(side: Side): Counted {
    return this.#ends.own(side);
  }

  /** Gives up an end; the last one of a side closes the channel. */
  removeEnd(side: Side, counted: Counted): void {
    if (this.#ends.remove(side, counted)) this.#channel.close();
  }

  /** {@link Monitor.attempt}, and once more where the channel turns out to be deserted, and is closed. */
  attemptOrClose(attempt: Attempt): Result {
    const result = this.attempt(attempt);
    return result === NOT_NOW && this.closeIfDeserted() ? this.attempt(attempt) : result;
  }

  /** Whether a side has lost its last end: whoever had one may be dead. */
  isDeserted(): boolean {
    return this.#ends.isDeserted();
  }

  /** Closes the channel if a side has lost its last end: whoever had one may be dead. */
  closeIfDeserted(): boolean {
    if (!this.isDeserted()) return false;
    this.#channel.close();
    return true;
  }

  #runAndLeave(run: () => Result): Result {
    try {
      return run();
    } finally {
      this.#lock.unlock(this.#record.agent.token);
    }
  }

  #enter(timeoutMs: number): boolean {
    if (this.#lock.takeFree(this.#record.agent.token)) return true;
    const outcome = this.#lock.take(timeoutMs);
    if (outcome === TAKEN_POISONED) this.#recover();
    return outcome !== FAILED;
  }

  async #enterAsync({ timeoutMs = Infinity, signal, operation = '' }: Partial<AsyncWaitOptions> = {}): Promise<boolean> {
    try {
      if ((await this.#lock.takeAsync(timeoutMs, signal)) === TAKEN_POISONED) this.#recover();
      return true;
    } catch (error) {
      if (error instanceof TimeoutError) return false;
      throw error instanceof AbortedError ? new AbortedError(operation, error.cause) : error;
    }
  }

  /** Takes the lock, blocking for at most `timeoutMs`; where this thread may not block it spins for the time of one copy. Whether it has it. */
  #enterBriefly(timeoutMs: number): boolean {
    if (this.#lock.takeFree(this.#record.agent.token)) return true;
    if (mayBlock()) return this.#enter(timeoutMs);
    const deadline = deadlineAfter(BRIEF_MS);
    do {
      const outcome = this.#lock.takeUnowned();
      if (outcome === TAKEN_POISONED) this.#recover();
      if (outcome !== FAILED) return true;
      for (let round = 0; round < BRIEF_SPIN_ROUNDS; round += 1) spinPause();
    } while (remainingMs(deadline) > 0);
    return false;
  }

  /** Invariant 3. If this owner dies in it too, the next one does it again. */
  #recover(): void {
    this.#channel.repair();
    this.#lock.clearPoison();
  }
}
