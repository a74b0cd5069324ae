/**
 * A mutual exclusion lock in one word of shared memory, which knows its owner. Rust's `heddle_atomics::RawMutex` is the
 * same lock on the same record.
 *
 * It promises: one owner at a time; what an owner wrote, the next one sees; an unlock with waiters wakes one; an owner that
 * died is noticed, by those who wait and by those who come.
 *
 * ## State
 * | word | means |
 * | --- | --- |
 * | 0 | free |
 * | owner | taken, nobody waits |
 * | owner + CONTENDED | taken, somebody may be waiting: unlocking must wake |
 * | POISONED | free; an owner died or panicked in it |
 * | owner + POISONED (+ CONTENDED) | taken, by somebody who was told |
 *
 * Owner is a registry slot and its generation (ThreadRegistry.ts); 4095 stands for all threads outside the registry.
 *
 * ## Invariants
 * 1. Only the owner takes itself out of the word, except when it is dead: then whoever finds that out does.
 * 2. Whoever sleeps has set CONTENDED or seen it set, and whoever wakes up takes the lock with CONTENDED: so while anybody
 *    sleeps, either the bit is set or somebody is awake who will set it.
 * 3. POISONED is set by the end of an owner and cleared by `clearPoison` only.
 *
 * ## Fairness
 * None beyond the host's queue: a thread that comes while the lock is free takes it, also before one just woken. A waiter
 * may be overtaken any number of times, but not slept through: each unlock wakes one. Tasks of one thread that wait
 * asynchronously are woken in the order in which they began.
 *
 * ## Memory orderings
 * Every `Atomics` call is SeqCst. The compare-exchange to 0 in `unlock` publishes what was done under the lock to the
 * compare-exchange of the next owner.
 *
 * ## Source
 * U. Drepper, "Futexes Are Tricky" (mutex 2), with the owner in the word as in Linux's robust futexes. The static forms
 * and UnlockToken are those of the TC39 structs proposal.
 */
import { AbortedError, MayNotBlockError, NotOwnerError, PoisonedError, TimeoutError, WouldDeadlockError } from './errors.ts';
import { type Agent, agentOf } from './internal/agent.ts';
import { learnFromSpin, mayBlock, spinPause, spinRounds } from './internal/blocking.ts';
import { type AsyncWaitOptions, block, waitAsync } from './internal/futex.ts';
import {
  CONTENDED as CONTENDED_UNSIGNED,
  MUTEX_ALIGN,
  MUTEX_SIZE,
  OWNER_MASK,
  OWNER_SLOT_MASK,
  POISONED,
  SLOT_UNREGISTERED,
  WAITING_ON_MUTEX,
} from './internal/layout.ts';
import { type Handle, type ResolvedLocation, type SharedLocation, checkKind, handleOf, resolveLocation } from './internal/location.ts';
import { defineDisposeSymbol } from './internal/dispose.ts';
import { deadlineAfter, remainingMs } from './internal/time.ts';
import { ThreadRegistry, freeAbandoned } from './ThreadRegistry.ts';

defineDisposeSymbol();

const KIND = 'heddle.Mutex';
// Int32Array elements are signed.
const CONTENDED = CONTENDED_UNSIGNED | 0;
const LOCK_OPERATION = 'locking the mutex';

/** What is posted of a mutex; reopen it with {@link Mutex.from}. */
export type MutexHandle = Handle<typeof KIND>;

/** How a lock is taken. */
export interface LockOptions {
  /** The longest wait in milliseconds; no limit if not given. */
  readonly timeoutMs?: number;
  /** Take the lock also if an owner died in it; the token's `poisoned` tells. */
  readonly acceptPoisoned?: boolean;
  /** An unlocked token to use again, so that nothing is allocated. */
  readonly token?: UnlockToken;
}

/** How a lock is taken asynchronously. */
export interface AsyncLockOptions extends LockOptions {
  /** Gives the wait up. */
  readonly signal?: AbortSignal;
}

/** How a lock was got: not at all, or with or without poison. */
type Outcome = typeof FAILED | typeof CLEAN | typeof TAKEN_POISONED;
const FAILED = 0;
const CLEAN = 1;
const TAKEN_POISONED = 2;

let setToken: (token: UnlockToken, mutex: Mutex, owner: number, isPoisoned: boolean) => void;

/** The right to unlock: held, it is the proof that its mutex is locked. Works with `using`. */
export class UnlockToken {
  #mutex: Mutex | undefined;
  #owner = 0;
  #isPoisoned = false;

  static {
    setToken = (token, mutex, owner, isPoisoned) => {
      token.#mutex = mutex;
      token.#owner = owner;
      token.#isPoisoned = isPoisoned;
    };
  }

  /** Whether this token holds a lock. */
  get locked(): boolean {
    return this.#mutex !== undefined;
  }

  /** Whether an owner had died in the lock when this token got it. */
  get poisoned(): boolean {
    return this.#isPoisoned;
  }

  /** The mutex that this token holds. */
  get mutex(): Mutex | undefined {
    return this.#mutex;
  }

  /**
   * Lets go of the lock.
   *
   * @returns whether there was one; a second call is harmless
   * @throws NotOwnerError `NOT_OWNER` if the lock was taken away meanwhile, because the registry had this thread declared dead
   */
  unlock(): boolean {
    const mutex = this.#mutex;
    if (mutex === undefined) return false;
    this.#mutex = undefined;
    unlockOwned(mutex, this.#owner);
    return true;
  }

  /** Lets go of the lock at the end of a `using` block. */
  [Symbol.dispose](): void {
    this.unlock();
  }
}

let unlockOwned: (mutex: Mutex, owner: number) => void;

/** A mutual exclusion lock between threads and between asynchronous tasks. */
export class Mutex {
  readonly #words: Int32Array;
  readonly #location: ResolvedLocation;
  readonly #agent: Agent;

  static {
    unlockOwned = (mutex, owner) => {
      // Publishes what was done under the lock to the next owner's compare-exchange.
      if (Atomics.compareExchange(mutex.#words, 0, owner, 0) !== owner) mutex.#unlockSlowly(owner);
    };
  }

  /**
   * A mutex at `location`, or in a SharedArrayBuffer of its own. Zeroed bytes are an unlocked mutex, and constructing
   * doesn't write: several threads may construct the mutex of one place.
   *
   * @throws InvalidRecordError `INVALID_RECORD` for a place where it can't be
   */
  constructor(location?: SharedLocation) {
    this.#location = resolveLocation(location ?? { buffer: new SharedArrayBuffer(MUTEX_SIZE) }, 'a mutex', MUTEX_SIZE, MUTEX_ALIGN);
    this.#words = new Int32Array(this.#location.buffer, this.#location.byteOffset, MUTEX_SIZE / 4);
    this.#agent = agentOf(this.#location.memory ?? this.#location.buffer);
  }

  /** The bytes that a mutex takes; it is aligned to 4. */
  static readonly byteLength: number = MUTEX_SIZE;

  /**
   * Reopens a mutex that another thread posted.
   *
   * @throws InvalidRecordError `INVALID_RECORD` if the handle is no mutex's
   */
  static from(handle: MutexHandle): Mutex {
    checkKind(handle, KIND);
    openRegistryOf(handle);
    return new Mutex(handle as SharedLocation);
  }

  /** Takes the lock, blocking: the form of the TC39 proposal. See {@link Mutex.lock} of the instance. */
  static lock(mutex: Mutex, token?: UnlockToken): UnlockToken {
    return token === undefined ? mutex.lock() : mutex.lock({ token });
  }

  /**
   * Takes the lock if it is to be had within `timeoutMs` (0 if not given): the form of the TC39 proposal.
   *
   * @returns `null` if it wasn't
   * @throws MayNotBlockError `MAY_NOT_BLOCK` if it would have to wait where that isn't possible
   * @throws PoisonedError `POISONED` if an owner died in it
   */
  static lockIfAvailable(mutex: Mutex, timeoutMs = 0, token?: UnlockToken): UnlockToken | null {
    const outcome = mutex.#take(timeoutMs);
    return outcome === FAILED ? null : mutex.#hold(outcome, token, false);
  }

  /** What to post to another thread. */
  handle(): MutexHandle {
    return handleOf(KIND, this.#location, this.#agent.registry?.byteOffset);
  }

  /** Where the mutex is in its memory, in bytes. */
  get byteOffset(): number {
    return this.#location.byteOffset;
  }

  /** Whether somebody holds the lock; of the past as soon as it is known. */
  get isLocked(): boolean {
    return (Atomics.load(this.#words, 0) & OWNER_MASK) !== 0;
  }

  /** Whether an owner died in the lock. */
  get isPoisoned(): boolean {
    return (Atomics.load(this.#words, 0) & POISONED) !== 0;
  }

  /** Declares what the mutex guards sound again. */
  clearPoison(): void {
    Atomics.and(this.#words, 0, ~POISONED);
  }

  /**
   * Takes the lock, blocking as long as it takes or as the options say.
   *
   * @throws MayNotBlockError `MAY_NOT_BLOCK` if the lock is taken and this thread may not block; use `lockAsync` there
   * @throws TimeoutError `TIMEOUT` if the time ran out
   * @throws PoisonedError `POISONED` if an owner died in it
   * @throws WouldDeadlockError `WOULD_DEADLOCK` if this thread, being registered, holds it already
   */
  lock(options?: LockOptions): UnlockToken {
    const owner = this.#agent.token;
    if (Atomics.compareExchange(this.#words, 0, 0, owner) === 0) {
      const token = options?.token ?? new UnlockToken();
      setToken(token, this, owner, false);
      return token;
    }
    const timeoutMs = options?.timeoutMs ?? Infinity;
    const outcome = this.#take(timeoutMs);
    if (outcome === FAILED) throw new TimeoutError(LOCK_OPERATION, timeoutMs);
    return this.#hold(outcome, options?.token, options?.acceptPoisoned);
  }

  /**
   * Takes the lock if that is possible without waiting.
   *
   * @returns `undefined` if it wasn't
   * @throws PoisonedError `POISONED` if an owner died in it
   */
  tryLock(options?: Omit<LockOptions, 'timeoutMs'>): UnlockToken | undefined {
    const outcome = this.#takeUnowned(0);
    return outcome === FAILED ? undefined : this.#hold(outcome, options?.token, options?.acceptPoisoned);
  }

  /**
   * Takes the lock without blocking the thread; its other tasks run on.
   *
   * @throws TimeoutError `TIMEOUT` if the time ran out
   * @throws AbortedError `ABORTED` if the signal gave the wait up; its reason is the `cause`
   * @throws PoisonedError `POISONED` if an owner died in it
   */
  async lockAsync(options: AsyncLockOptions = {}): Promise<UnlockToken> {
    if (options.signal?.aborted === true) throw new AbortedError(LOCK_OPERATION, options.signal.reason);
    let outcome = this.#takeUnowned(0);
    if (outcome === FAILED) outcome = await this.#takeAsync(options);
    return this.#hold(outcome, options.token, options.acceptPoisoned);
  }

  /** Puts the lock that was just taken into a token, or refuses it for poison. */
  #hold(outcome: Outcome, token: UnlockToken | undefined, acceptPoisoned: boolean | undefined): UnlockToken {
    const isPoisoned = outcome === TAKEN_POISONED;
    if (isPoisoned && acceptPoisoned !== true) {
      unlockOwned(this, this.#agent.token);
      throw new PoisonedError(this);
    }
    const held = token ?? new UnlockToken();
    setToken(held, this, this.#agent.token, isPoisoned);
    return held;
  }

  /** Takes the lock if nobody lives in it. `extra` is CONTENDED once this thread has slept (invariant 2). */
  #takeUnowned(extra: number): Outcome {
    const words = this.#words;
    const { token, registry } = this.#agent;
    let word = Atomics.load(words, 0);
    for (;;) {
      const owner = word & OWNER_MASK;
      let taken;
      if (owner === 0) taken = token | extra | (word & (POISONED | CONTENDED));
      else if (registry !== undefined && !registry.isLiveToken(owner)) taken = token | POISONED | CONTENDED;
      else return FAILED;
      const seen = Atomics.compareExchange(words, 0, word, taken);
      if (seen === word) return (taken & POISONED) === 0 ? CLEAN : TAKEN_POISONED;
      word = seen;
    }
  }

  /** Says that somebody waits. `undefined` if the word changed before, else the word as it is then. */
  #announce(): number | undefined {
    const word = Atomics.load(this.#words, 0);
    if ((word & OWNER_MASK) === 0) return undefined;
    if ((word & CONTENDED) !== 0) return word;
    return Atomics.compareExchange(this.#words, 0, word, word | CONTENDED) === word ? word | CONTENDED : undefined;
  }

  #take(timeoutMs: number): Outcome {
    let outcome = this.#takeUnowned(0);
    if (outcome !== FAILED || timeoutMs <= 0) return outcome;
    const words = this.#words;
    const agent = this.#agent;
    const isRegistered = (agent.token & OWNER_SLOT_MASK) !== SLOT_UNREGISTERED;
    if (isRegistered && (Atomics.load(words, 0) & OWNER_MASK) === agent.token) throw new WouldDeadlockError();

    const rounds = spinRounds();
    // Spin while nobody sleeps: behind sleepers it would only be unfair.
    for (let round = 0; round < rounds && (Atomics.load(words, 0) & CONTENDED) === 0; round += 1) {
      spinPause();
      if ((Atomics.load(words, 0) & OWNER_MASK) !== 0) continue;
      outcome = this.#takeUnowned(0);
      if (outcome !== FAILED) {
        learnFromSpin(true);
        return outcome;
      }
    }
    if (rounds > 0) learnFromSpin(false);
    if (!mayBlock()) throw new MayNotBlockError('the mutex is locked by somebody else; use lockAsync or tryLock here');

    const deadline = deadlineAfter(timeoutMs);
    for (;;) {
      const word = this.#announce();
      let isOver = false;
      if (word !== undefined) {
        // The owner may have died before a reaper could know that we wait.
        const ownerLives = () => agent.registry?.isLiveToken(word & OWNER_MASK) ?? true;
        const left = remainingMs(deadline);
        isOver = block(words, 0, word, left, agent, WAITING_ON_MUTEX, LOCK_OPERATION, ownerLives) === 'timed-out';
      }
      outcome = this.#takeUnowned(CONTENDED);
      if (outcome !== FAILED || isOver) return outcome;
    }
  }

  async #takeAsync(options: AsyncLockOptions): Promise<Outcome> {
    const words = this.#words;
    const timeoutMs = options.timeoutMs ?? Infinity;
    const deadline = deadlineAfter(timeoutMs);
    const { registry } = this.#agent;
    // A reaper doesn't know of asynchronous waiters: they look after each death themselves.
    const stopWatching = registry?.watchDeaths(() => freeAbandoned(words, 0, (owner) => !registry.isLiveToken(owner)));
    try {
      for (;;) {
        const word = this.#announce();
        let isOver = false;
        if (word !== undefined && (registry === undefined || registry.isLiveToken(word & OWNER_MASK))) {
          const waitOptions: AsyncWaitOptions = {
            timeoutMs: remainingMs(deadline),
            signal: options.signal,
            operation: LOCK_OPERATION,
          };
          const result = waitAsync(words, 0, word, waitOptions);
          isOver = (typeof result === 'string' ? result : await result) === 'timed-out';
        }
        const outcome = this.#takeUnowned(CONTENDED);
        if (outcome !== FAILED) return outcome;
        if (isOver) throw new TimeoutError(LOCK_OPERATION, timeoutMs);
      }
    } finally {
      stopWatching?.();
    }
  }

  #unlockSlowly(owner: number): void {
    const words = this.#words;
    if ((Atomics.load(words, 0) & OWNER_MASK) !== owner) throw new NotOwnerError('unlocking');
    if ((Atomics.and(words, 0, POISONED) & CONTENDED) !== 0) Atomics.notify(words, 0, 1);
  }
}

/** Lets the locks of a handle's memory know its registry, if the handle tells where that is. */
export function openRegistryOf(handle: Handle<string>): void {
  if (handle.registryByteOffset === undefined) return;
  ThreadRegistry.at({ ...(handle as SharedLocation), byteOffset: handle.registryByteOffset });
}
