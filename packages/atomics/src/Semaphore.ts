/**
 * A counting semaphore: so many permits, taken one or several at a time, given back by anybody. Rust's
 * `heddle_atomics::RawSemaphore` is the same one on the same record.
 *
 * It promises: never more permits out than were put in; a release that makes an acquire possible wakes a waiter. Nobody owns
 * a permit: those of a thread that died are gone until somebody releases them in its place.
 *
 * ## State
 * | word | means |
 * | --- | --- |
 * | `permits` | those that may be taken now |
 * | `waiters` | how many have announced themselves; 0 spares the releaser the rest |
 * | `sequence` | one more when waiters should look again; they sleep on the value they read before they looked |
 * | `claimant` | a waiter that lost its patience: permits are kept for it; 0 is none |
 * | `demand` | how many the claimant waits for |
 * | `heavy` | how many waiters want more than one permit |
 *
 * ## Invariants
 * 1. A waiter counts itself and reads `sequence` before it looks at `permits`; a releaser adds permits before it looks at `waiters`,
 *    and changes `sequence` before it wakes. Either the waiter sees the permits or it doesn't sleep on.
 * 2. Whoever takes permits after waiting and leaves others wakes the next waiter.
 * 3. A wake of some must not end with one that can't use it: while there is a claimant, or a heavy waiter, all are woken.
 * 4. The end of a claim, however it ends, has all waiters look.
 *
 * ## Fairness
 * Who comes while permits are there takes them, also before somebody just woken. But a waiter that was woken PATIENCE times in vain
 * claims permits, unless somebody else has: from then on nobody begins to take any, until the claimant has had as many as it waits
 * for; each thread that had looked just before may still take what it came for. So neither a waiter for one permit nor one for many
 * starves. (One that wants more than there will ever be keeps all others out once it has claimed.) A claimant that nobody can know to
 * be able to come – in no registry, or waiting asynchronously on a thread that may be busy – is passed over when its permits have been
 * there for CLAIM_LIFETIME_MS.
 *
 * ## Memory orderings
 * Every `Atomics` call is SeqCst. The add of a release publishes what was done before it to the compare-exchange that takes the
 * permit.
 */
import { AbortedError, InvalidArgumentError, MayNotBlockError, TimeoutError } from './errors.ts';
import { type Agent, agentOf } from './internal/agent.ts';
import { learnFromSpin, mayBlock, spinPause, spinRounds } from './internal/blocking.ts';
import { block, waitAsync } from './internal/futex.ts';
import {
  CLAIM_LIFETIME_MS,
  OWNER_SLOT_MASK,
  PATIENCE,
  SEMAPHORE_ALIGN,
  SEMAPHORE_CLAIMANT_OFFSET,
  SEMAPHORE_DEMAND_OFFSET,
  SEMAPHORE_HEAVY_OFFSET,
  SEMAPHORE_PERMITS_OFFSET,
  SEMAPHORE_SEQUENCE_OFFSET,
  SEMAPHORE_SIZE,
  SEMAPHORE_WAITERS_OFFSET,
  SLOT_UNREGISTERED,
  WAITING_FOR_SEMAPHORE,
  WAITING_ON_SEQUENCE,
} from './internal/layout.ts';
import { type Handle, type ResolvedLocation, type SharedLocation, checkKind, handleOf, resolveLocation } from './internal/location.ts';
import { defineDisposeSymbol } from './internal/dispose.ts';
import { deadlineAfter, remainingMs } from './internal/time.ts';
import { openRegistryOf } from './Mutex.ts';

defineDisposeSymbol();

const KIND = 'heddle.Semaphore';
const PERMITS = SEMAPHORE_PERMITS_OFFSET >> 2;
const WAITERS = SEMAPHORE_WAITERS_OFFSET >> 2;
const SEQUENCE = SEMAPHORE_SEQUENCE_OFFSET >> 2;
const CLAIMANT = SEMAPHORE_CLAIMANT_OFFSET >> 2;
const DEMAND = SEMAPHORE_DEMAND_OFFSET >> 2;
const HEAVY = SEMAPHORE_HEAVY_OFFSET >> 2;
const OPERATION = 'acquiring a permit';
const PERMITS_MAX = 0xffff_ffff;

/** What is posted of a semaphore; reopen it with {@link Semaphore.from}. */
export type SemaphoreHandle = Handle<typeof KIND>;

/** How permits are acquired without waiting. */
export interface TryAcquireOptions {
  /** How many permits to take at once, 1 if not given. */
  readonly count?: number;
}

/** How permits are acquired. */
export interface AcquireOptions extends TryAcquireOptions {
  /** The longest wait in milliseconds; no limit if not given. */
  readonly timeoutMs?: number;
}

/** How permits are acquired asynchronously. */
export interface AsyncAcquireOptions extends AcquireOptions {
  /** Gives the wait up. */
  readonly signal?: AbortSignal;
}

/** A permit, or several, given back by `release` or at the end of a `using` block. */
export class Permit {
  #semaphore: Semaphore | undefined;
  /** How many permits these are. */
  readonly count: number;

  /**
   * @param semaphore where the permits were taken
   * @param count how many
   */
  constructor(semaphore: Semaphore, count: number = 1) {
    this.#semaphore = semaphore;
    this.count = count;
  }

  /** Gives all of it back; a second call is harmless. */
  release(): void {
    this.#semaphore?.release(this.count);
    this.#semaphore = undefined;
  }

  /** Gives all of it back at the end of a `using` block. */
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
    semaphore.#words.fill(0);
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
   * Takes a permit, or several at once, blocking as long as it takes or as the options say.
   *
   * @throws MayNotBlockError `MAY_NOT_BLOCK` if there is none and this thread may not block; use `acquireAsync` there
   * @throws TimeoutError `TIMEOUT` if the time ran out
   * @throws InvalidArgumentError `INVALID_ARGUMENT` if count isn't 0 to 2^32 - 1
   */
  acquire(options?: AcquireOptions): Permit {
    const count = checkCount(options?.count ?? 1);
    if (!this.#tryTake(count)) this.#takeBlocking(count, options?.timeoutMs ?? Infinity);
    return new Permit(this, count);
  }

  /**
   * Takes a permit, or several at once, if they are there and aren't kept for somebody who has waited too long; `undefined` if not.
   *
   * @throws InvalidArgumentError `INVALID_ARGUMENT` if count isn't 0 to 2^32 - 1
   */
  tryAcquire(options?: TryAcquireOptions): Permit | undefined {
    const count = checkCount(options?.count ?? 1);
    return this.#tryTake(count) ? new Permit(this, count) : undefined;
  }

  /**
   * Takes a permit, or several at once, without blocking the thread.
   *
   * @throws TimeoutError `TIMEOUT` if the time ran out
   * @throws AbortedError `ABORTED` if the signal gave the wait up; its reason is the `cause`
   * @throws InvalidArgumentError `INVALID_ARGUMENT` if count isn't 0 to 2^32 - 1
   */
  async acquireAsync(options: AsyncAcquireOptions = {}): Promise<Permit> {
    if (options.signal?.aborted === true) throw new AbortedError(OPERATION, options.signal.reason);
    const count = checkCount(options.count ?? 1);
    if (!this.#tryTake(count)) await this.#takeAsync(count, options);
    return new Permit(this, count);
  }

  /**
   * Adds `count` permits and wakes those who can use them.
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
    if (Atomics.load(words, WAITERS) !== 0) this.#wake(count);
  }

  /** Takes `count` permits if they are there and aren't kept for somebody else. */
  #tryTake(count: number): boolean {
    return !this.#isClaimed() && this.#take(count);
  }

  #take(count: number): boolean {
    const words = this.#words;
    let permits = Atomics.load(words, PERMITS);
    while (permits >>> 0 >= count) {
      const seen = Atomics.compareExchange(words, PERMITS, permits, (permits - count) | 0);
      if (seen === permits) return true;
      permits = seen;
    }
    return false;
  }

  #takeBlocking(count: number, timeoutMs: number): void {
    const words = this.#words;
    const rounds = timeoutMs > 0 ? spinRounds() : 0;
    for (let round = 0; round < rounds; round += 1) {
      spinPause();
      if (this.#tryTake(count)) {
        learnFromSpin(true);
        return;
      }
    }
    if (rounds > 0) learnFromSpin(false);
    if (timeoutMs > 0 && !mayBlock()) throw new MayNotBlockError('no permit is there; use acquireAsync or tryAcquire here');
    const deadline = deadlineAfter(timeoutMs);
    const agent = this.#agent;
    const waiter = this.#beginWait(count, agent.token);
    try {
      for (let isOver = false; ; waiter.lost += 1) {
        const sequence = Atomics.load(words, SEQUENCE);
        if (this.#takeAs(waiter)) return;
        if (isOver) throw new TimeoutError(OPERATION, timeoutMs);
        const [left, looksAgain] = this.#patience(remainingMs(deadline));
        const ended = block(words, SEQUENCE, sequence, left, agent, WAITING_ON_SEQUENCE | WAITING_FOR_SEMAPHORE, OPERATION);
        if (ended === 'timed-out' && looksAgain) this.#expire(sequence);
        else isOver = ended === 'timed-out';
      }
    } finally {
      this.#endWait(waiter);
    }
  }

  async #takeAsync(count: number, { timeoutMs = Infinity, signal }: AsyncAcquireOptions): Promise<void> {
    const words = this.#words;
    const deadline = deadlineAfter(timeoutMs);
    // Nobody can know when this thread gets to it.
    const waiter = this.#beginWait(count, SLOT_UNREGISTERED);
    // A reaper doesn't know of asynchronous waiters: they look after each death themselves, for a claimant may have died.
    const stopWatching = this.#agent.registry?.watchDeaths(() => this.#wakeAll());
    try {
      for (let isOver = false; ; waiter.lost += 1) {
        const sequence = Atomics.load(words, SEQUENCE);
        if (this.#takeAs(waiter)) return;
        if (isOver) throw new TimeoutError(OPERATION, timeoutMs);
        const [left, looksAgain] = this.#patience(remainingMs(deadline));
        const result = waitAsync(words, SEQUENCE, sequence, { timeoutMs: left, signal, operation: OPERATION });
        const ended = typeof result === 'string' ? result : await result;
        if (ended === 'timed-out' && looksAgain) this.#expire(sequence);
        else isOver = ended === 'timed-out';
      }
    } finally {
      stopWatching?.();
      this.#endWait(waiter);
    }
  }

  #beginWait(count: number, token: number): Waiter {
    Atomics.add(this.#words, WAITERS, 1);
    if (count > 1) Atomics.add(this.#words, HEAVY, 1);
    return { count, token, lost: 0, isClaimant: false, hasTaken: false };
  }

  /** Takes what `waiter` waits for, or has it claim that, when it has been patient for long enough. */
  #takeAs(waiter: Waiter): boolean {
    const words = this.#words;
    if (waiter.lost >= PATIENCE) {
      const before = Atomics.load(words, CLAIMANT);
      if (before !== 0 && this.#lives(before)) waiter.isClaimant &&= before === waiter.token;
      // The dead keep nothing for themselves.
      else if (Atomics.compareExchange(words, CLAIMANT, before, waiter.token) === before) {
        waiter.isClaimant = true;
        Atomics.store(words, DEMAND, waiter.count | 0);
      }
    }
    waiter.hasTaken = waiter.isClaimant ? this.#take(waiter.count) : this.#tryTake(waiter.count);
    return waiter.hasTaken;
  }

  #endWait({ count, token, isClaimant, hasTaken }: Waiter): void {
    const words = this.#words;
    if (count > 1) Atomics.sub(words, HEAVY, 1);
    Atomics.sub(words, WAITERS, 1);
    if (isClaimant) this.#endClaimOf(token);
    // Invariant 2.
    else if (hasTaken && Atomics.load(words, PERMITS) !== 0 && Atomics.load(words, WAITERS) !== 0) this.#wake(1);
  }

  /** Has `count` waiters look again, or all of them (invariant 3). */
  #wake(count: number): void {
    const words = this.#words;
    Atomics.add(words, SEQUENCE, 1);
    const isForAll = Atomics.load(words, CLAIMANT) !== 0 || Atomics.load(words, HEAVY) !== 0;
    Atomics.notify(words, SEQUENCE, isForAll ? Infinity : count);
  }

  #wakeAll(): void {
    Atomics.add(this.#words, SEQUENCE, 1);
    Atomics.notify(this.#words, SEQUENCE);
  }

  #lives(token: number): boolean {
    return this.#agent.registry?.isLiveToken(token) ?? true;
  }

  /** Whether there is a claimant that may still come. */
  #isClaimed(): boolean {
    const claimant = Atomics.load(this.#words, CLAIMANT);
    return claimant !== 0 && this.#lives(claimant);
  }

  #endClaimOf(claimant: number): void {
    const words = this.#words;
    // Invariant 4.
    if (Atomics.compareExchange(words, CLAIMANT, claimant, 0) === claimant && Atomics.load(words, WAITERS) !== 0) this.#wakeAll();
  }

  /** How long to sleep if the wait may last `leftMs`, and whether to look again then: nobody might tell that a claimant won't come. */
  #patience(leftMs: number): [sleepMs: number, looksAgain: boolean] {
    const claimant = Atomics.load(this.#words, CLAIMANT);
    if (claimant === 0 || leftMs <= CLAIM_LIFETIME_MS) return [leftMs, false];
    const looksAgain = isUnregistered(claimant) || isUnregistered(this.#agent.token);
    return looksAgain ? [CLAIM_LIFETIME_MS, true] : [leftMs, false];
  }

  /** Ends a claim for which the permits have been there for as long as a claim lives, with nothing new since `sequence`. */
  #expire(sequence: number): void {
    const words = this.#words;
    const claimant = Atomics.load(words, CLAIMANT);
    const couldHaveCome = this.available >= Atomics.load(words, DEMAND) >>> 0;
    if (isUnregistered(claimant) && couldHaveCome && Atomics.load(words, SEQUENCE) === sequence) this.#endClaimOf(claimant);
  }
}

const isUnregistered = (token: number): boolean => (token & OWNER_SLOT_MASK) === SLOT_UNREGISTERED;

/** One that waits: counted from its beginning to its end, and perhaps the claimant. */
interface Waiter {
  readonly count: number;
  readonly token: number;
  /** Wake-ups in vain. */
  lost: number;
  isClaimant: boolean;
  hasTaken: boolean;
}

function checkCount(count: number): number {
  if (Number.isInteger(count) && count >= 0 && count <= PERMITS_MAX) return count;
  throw new InvalidArgumentError(`0 to ${PERMITS_MAX} permits can be taken, not ${String(count)}`);
}
