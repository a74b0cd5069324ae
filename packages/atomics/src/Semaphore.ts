/**
 * A counting semaphore: so many permits, taken one at a time, given back by anybody. Rust's `heddle_atomics::RawSemaphore`
 * is the same one on the same record.
 *
 * It promises: never more permits out than were put in; a release that makes an acquire possible wakes a waiter. Nobody owns
 * a permit: those of a thread that died are gone until somebody releases them in its place.
 *
 * ## State
 * | word | means |
 * | --- | --- |
 * | `permits` | those that may be taken now; waiters sleep while it is 0 |
 * | `waiters` | how many have announced themselves; 0 spares the releaser the call to the host |
 *
 * ## Invariants
 * 1. A waiter counts itself before its last look at `permits`; a releaser adds permits before it looks at `waiters`. Either
 *    the waiter sees the permits or the releaser sees the waiter.
 * 2. Whoever takes a permit after waiting and leaves others wakes the next waiter.
 *
 * ## Fairness
 * None beyond the host's queue: who comes while permits are there takes one, also before somebody just woken.
 *
 * ## Memory orderings
 * Every `Atomics` call is SeqCst. The add of a release publishes what was done before it to the compare-exchange that
 * takes the permit.
 */
import { AbortedError, InvalidArgumentError, MayNotBlockError, TimeoutError } from './errors.ts';
import { type Agent, agentOf } from './internal/agent.ts';
import { learnFromSpin, mayBlock, spinPause, spinRounds } from './internal/blocking.ts';
import { block, waitAsync } from './internal/futex.ts';
import { SEMAPHORE_ALIGN, SEMAPHORE_PERMITS_OFFSET, SEMAPHORE_SIZE, SEMAPHORE_WAITERS_OFFSET } from './internal/layout.ts';
import { type Handle, type ResolvedLocation, type SharedLocation, checkKind, handleOf, resolveLocation } from './internal/location.ts';
import { defineDisposeSymbol } from './internal/dispose.ts';
import { deadlineAfter, remainingMs } from './internal/time.ts';
import { openRegistryOf } from './Mutex.ts';

defineDisposeSymbol();

const KIND = 'heddle.Semaphore';
const PERMITS = SEMAPHORE_PERMITS_OFFSET >> 2;
const WAITERS = SEMAPHORE_WAITERS_OFFSET >> 2;
const OPERATION = 'acquiring a permit';
const PERMITS_MAX = 0xffff_ffff;

/** What is posted of a semaphore; reopen it with {@link Semaphore.from}. */
export type SemaphoreHandle = Handle<typeof KIND>;

/** How a permit is acquired. */
export interface AcquireOptions {
  /** The longest wait in milliseconds; no limit if not given. */
  readonly timeoutMs?: number;
}

/** How a permit is acquired asynchronously. */
export interface AsyncAcquireOptions extends AcquireOptions {
  /** Gives the wait up. */
  readonly signal?: AbortSignal;
}

/** A permit, given back by `release` or at the end of a `using` block. */
export class Permit {
  #semaphore: Semaphore | undefined;

  /** @param semaphore where the permit was taken */
  constructor(semaphore: Semaphore) {
    this.#semaphore = semaphore;
  }

  /** Gives the permit back; a second call is harmless. */
  release(): void {
    this.#semaphore?.release();
    this.#semaphore = undefined;
  }

  /** Gives the permit back at the end of a `using` block. */
  [Symbol.dispose](): void {
    this.release();
  }
}

/** A counting semaphore between threads and between asynchronous tasks. */
export class Semaphore {
  readonly #words: Int32Array;
  readonly #location: ResolvedLocation;
  readonly #agent: Agent;

  private constructor(location: SharedLocation) {
    this.#location = resolveLocation(location, 'a semaphore', SEMAPHORE_SIZE, SEMAPHORE_ALIGN);
    this.#words = new Int32Array(this.#location.buffer, this.#location.byteOffset, SEMAPHORE_SIZE / 4);
    this.#agent = agentOf(this.#location.memory ?? this.#location.buffer);
  }

  /** The bytes that a semaphore takes; it is aligned to 4. */
  static readonly byteLength: number = SEMAPHORE_SIZE;

  /**
   * A new semaphore with `permits`, at `location` or in a SharedArrayBuffer of its own.
   *
   * @throws InvalidArgumentError `INVALID_ARGUMENT` if permits isn't 0 to 2^32 - 1
   * @throws InvalidRecordError `INVALID_RECORD` for a place where it can't be
   */
  static create(permits: number, location?: SharedLocation): Semaphore {
    if (!Number.isInteger(permits) || permits < 0 || permits > PERMITS_MAX) {
      throw new InvalidArgumentError(`a semaphore has 0 to ${PERMITS_MAX} permits, not ${String(permits)}`);
    }
    const semaphore = new Semaphore(location ?? { buffer: new SharedArrayBuffer(SEMAPHORE_SIZE) });
    Atomics.store(semaphore.#words, WAITERS, 0);
    Atomics.store(semaphore.#words, PERMITS, permits | 0);
    return semaphore;
  }

  /**
   * Opens the semaphore at a place, as it is.
   *
   * @throws InvalidRecordError `INVALID_RECORD` for a place where it can't be
   */
  static at(location: SharedLocation): Semaphore {
    return new Semaphore(location);
  }

  /**
   * Reopens a semaphore that another thread posted.
   *
   * @throws InvalidRecordError `INVALID_RECORD` if the handle is no semaphore's
   */
  static from(handle: SemaphoreHandle): Semaphore {
    checkKind(handle, KIND);
    openRegistryOf(handle);
    return new Semaphore(handle as SharedLocation);
  }

  /** What to post to another thread. */
  handle(): SemaphoreHandle {
    return handleOf(KIND, this.#location, this.#agent.registry?.byteOffset);
  }

  /** How many permits are there now; of the past as soon as it is known. */
  get available(): number {
    return Atomics.load(this.#words, PERMITS) >>> 0;
  }

  /**
   * Takes a permit, blocking as long as it takes or as the options say.
   *
   * @throws MayNotBlockError `MAY_NOT_BLOCK` if there is none and this thread may not block; use `acquireAsync` there
   * @throws TimeoutError `TIMEOUT` if the time ran out
   */
  acquire(options?: AcquireOptions): Permit {
    if (!this.#take()) this.#takeBlocking(options?.timeoutMs ?? Infinity);
    return new Permit(this);
  }

  /** Takes a permit if there is one; `undefined` if there isn't. */
  tryAcquire(): Permit | undefined {
    return this.#take() ? new Permit(this) : undefined;
  }

  /**
   * Takes a permit without blocking the thread.
   *
   * @throws TimeoutError `TIMEOUT` if the time ran out
   * @throws AbortedError `ABORTED` if the signal gave the wait up; its reason is the `cause`
   */
  async acquireAsync(options: AsyncAcquireOptions = {}): Promise<Permit> {
    if (options.signal?.aborted === true) throw new AbortedError(OPERATION, options.signal.reason);
    if (!this.#take()) await this.#takeAsync(options);
    return new Permit(this);
  }

  /**
   * Adds `count` permits and wakes as many waiters.
   *
   * @throws InvalidArgumentError `INVALID_ARGUMENT` if count isn't 0 or more, or there would be more than 2^32 - 1 permits
   */
  release(count: number = 1): void {
    if (!Number.isInteger(count) || count < 0) {
      throw new InvalidArgumentError(`0 or more permits can be released, not ${String(count)}`);
    }
    const words = this.#words;
    let permits = Atomics.load(words, PERMITS);
    for (;;) {
      const more = (permits >>> 0) + count;
      if (more > PERMITS_MAX) throw new InvalidArgumentError(`a semaphore has at most ${PERMITS_MAX} permits`);
      const seen = Atomics.compareExchange(words, PERMITS, permits, more | 0);
      if (seen === permits) break;
      permits = seen;
    }
    if (Atomics.load(words, WAITERS) !== 0) Atomics.notify(words, PERMITS, count);
  }

  #take(): boolean {
    const words = this.#words;
    let permits = Atomics.load(words, PERMITS);
    while (permits !== 0) {
      const seen = Atomics.compareExchange(words, PERMITS, permits, (permits - 1) | 0);
      if (seen === permits) return true;
      permits = seen;
    }
    return false;
  }

  #takeBlocking(timeoutMs: number): void {
    const words = this.#words;
    const rounds = timeoutMs > 0 ? spinRounds() : 0;
    for (let round = 0; round < rounds; round += 1) {
      spinPause();
      if (this.#take()) {
        learnFromSpin(true);
        return;
      }
    }
    if (rounds > 0) learnFromSpin(false);
    if (timeoutMs > 0 && !mayBlock()) throw new MayNotBlockError('no permit is there; use acquireAsync or tryAcquire here');
    const deadline = deadlineAfter(timeoutMs);
    Atomics.add(words, WAITERS, 1);
    let isTaken = false;
    try {
      for (let isOver = false; !isOver;) {
        isTaken = this.#take();
        if (isTaken) break;
        isOver = block(words, PERMITS, 0, remainingMs(deadline), this.#agent, 0, OPERATION) === 'timed-out';
      }
      isTaken ||= this.#take();
    } finally {
      this.#endWait(isTaken);
    }
    if (!isTaken) throw new TimeoutError(OPERATION, timeoutMs);
  }

  async #takeAsync({ timeoutMs = Infinity, signal }: AsyncAcquireOptions): Promise<void> {
    const words = this.#words;
    const deadline = deadlineAfter(timeoutMs);
    Atomics.add(words, WAITERS, 1);
    let isTaken = false;
    try {
      for (let isOver = false; !isOver;) {
        isTaken = this.#take();
        if (isTaken) break;
        const result = waitAsync(words, PERMITS, 0, { timeoutMs: remainingMs(deadline), signal, operation: OPERATION, agent: this.#agent });
        isOver = (typeof result === 'string' ? result : await result) === 'timed-out';
      }
      isTaken ||= this.#take();
    } finally {
      this.#endWait(isTaken);
    }
    if (!isTaken) throw new TimeoutError(OPERATION, timeoutMs);
  }

  #endWait(hasTaken: boolean): void {
    const words = this.#words;
    Atomics.sub(words, WAITERS, 1);
    // Invariant 2.
    if (hasTaken && Atomics.load(words, PERMITS) !== 0 && Atomics.load(words, WAITERS) !== 0) {
      Atomics.notify(words, PERMITS, 1);
    }
  }
}
