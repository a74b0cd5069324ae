/**
 * A mutual exclusion lock in one word of shared memory, which knows its owner: the algorithm of `Mutex`. Rust's
 * `heddle_atomics::RawMutex` is the same lock on the same record.
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
 * U. Drepper, "Futexes Are Tricky" (mutex 2), with the owner in the word as in Linux's robust futexes.
 */
import { MayNotBlockError, NotOwnerError, TimeoutError, WouldDeadlockError } from '../errors.ts';
import { type Agent } from './agent.ts';
import { learnFromSpin, mayBlock, spinPause, spinRounds } from './blocking.ts';
import { block, waitAsync } from './futex.ts';
import { CONTENDED as CONTENDED_UNSIGNED, OWNER_MASK, OWNER_SLOT_MASK, POISONED, SLOT_UNREGISTERED, WAITING_ON_MUTEX } from './layout.ts';
import { deadlineAfter, remainingMs } from './time.ts';

// Int32Array elements are signed.
const CONTENDED = CONTENDED_UNSIGNED | 0;

/** What locking is called in errors. */
export const LOCK_OPERATION = 'locking the mutex';

/** How a lock was got: not at all, or with or without poison. */
export type Outcome = 0 | 1 | 2;
/** The lock was not to be had. */
export const FAILED = 0;
/** Every owner so far has let go properly. */
export const CLEAN = 1;
/** An owner died or panicked while it held the lock. */
export const TAKEN_POISONED = 2;

/** The lock at one word. */
export class RawMutex {
  readonly #words: Int32Array;
  readonly #index: number;
  readonly #agent: Agent;

  /**
   * @param words a view of shared memory
   * @param index the index of the lock word in it
   * @param agent this thread, as the locks of that memory see it
   */
  constructor(words: Int32Array, index: number, agent: Agent) {
    this.#words = words;
    this.#index = index;
    this.#agent = agent;
  }

  /** The lock word; of the past as soon as it is known. */
  get word(): number {
    return Atomics.load(this.#words, this.#index);
  }

  /** Whether somebody holds the lock; of the past as soon as it is known. */
  get isLocked(): boolean {
    return (this.word & OWNER_MASK) !== 0;
  }

  /** Whether an owner died in the lock. */
  get isPoisoned(): boolean {
    return (this.word & POISONED) !== 0;
  }

  /** Declares what the lock guards sound again. */
  clearPoison(): void {
    Atomics.and(this.#words, this.#index, ~POISONED);
  }

  /** Takes the lock for `owner` if it is free and nothing is to be said about it: the fast path. */
  takeFree(owner: number): boolean {
    return Atomics.compareExchange(this.#words, this.#index, 0, owner) === 0;
  }

  /** Takes the lock if nobody lives in it. `extra` is CONTENDED once this thread has slept (invariant 2). */
  takeUnowned(extra: number = 0): Outcome {
    const words = this.#words;
    const index = this.#index;
    const { token, registry } = this.#agent;
    let word = Atomics.load(words, index);
    for (;;) {
      const owner = word & OWNER_MASK;
      let taken;
      if (owner === 0) taken = token | extra | (word & (POISONED | CONTENDED));
      else if (registry !== undefined && !registry.isLiveToken(owner)) taken = token | POISONED | CONTENDED;
      else return FAILED;
      const seen = Atomics.compareExchange(words, index, word, taken);
      if (seen === word) return (taken & POISONED) === 0 ? CLEAN : TAKEN_POISONED;
      word = seen;
    }
  }

  /** Spins a little for the lock, as long as that has been worth it lately. */
  spin(): Outcome {
    const rounds = spinRounds();
    // While nobody sleeps: behind sleepers it would only be unfair.
    for (let round = 0; round < rounds && (this.word & CONTENDED) === 0; round += 1) {
      spinPause();
      if ((this.word & OWNER_MASK) !== 0) continue;
      const outcome = this.takeUnowned();
      if (outcome !== FAILED) {
        learnFromSpin(true);
        return outcome;
      }
    }
    if (rounds > 0) learnFromSpin(false);
    return FAILED;
  }

  /**
   * Takes the lock, blocking for at most `timeoutMs`.
   *
   * @throws MayNotBlockError, WouldDeadlockError
   */
  take(timeoutMs: number): Outcome {
    let outcome = this.takeUnowned();
    if (outcome !== FAILED || timeoutMs <= 0) return outcome;
    const agent = this.#agent;
    const isRegistered = (agent.token & OWNER_SLOT_MASK) !== SLOT_UNREGISTERED;
    if (isRegistered && (this.word & OWNER_MASK) === agent.token) throw new WouldDeadlockError();
    outcome = this.spin();
    if (outcome !== FAILED) return outcome;
    if (!mayBlock()) throw new MayNotBlockError('the mutex is locked by somebody else; use lockAsync or tryLock here');

    const deadline = deadlineAfter(timeoutMs);
    for (;;) {
      const word = this.#announce();
      let isOver = false;
      if (word !== undefined) {
        // The owner may have died before a reaper could know that we wait.
        const ownerLives = (): boolean => this.#ownerLives(word);
        const left = remainingMs(deadline);
        isOver = block(this.#words, this.#index, word, left, agent, WAITING_ON_MUTEX, LOCK_OPERATION, ownerLives) === 'timed-out';
      }
      outcome = this.takeUnowned(CONTENDED);
      if (outcome !== FAILED || isOver) return outcome;
    }
  }

  /**
   * Takes the lock, waiting without blocking the thread.
   *
   * @throws TimeoutError, AbortedError
   */
  async takeAsync(timeoutMs: number, signal: AbortSignal | undefined): Promise<Outcome> {
    const deadline = deadlineAfter(timeoutMs);
    // A reaper doesn't know of asynchronous waiters: they look after each death themselves.
    const stopWatching = this.#agent.registry?.watchDeaths(() => this.#freeIfAbandoned());
    try {
      for (;;) {
        const word = this.#announce();
        let isOver = false;
        if (word !== undefined && this.#ownerLives(word)) {
          const options = { timeoutMs: remainingMs(deadline), signal, operation: LOCK_OPERATION };
          const result = waitAsync(this.#words, this.#index, word, options);
          isOver = (typeof result === 'string' ? result : await result) === 'timed-out';
        }
        const outcome = this.takeUnowned(CONTENDED);
        if (outcome !== FAILED) return outcome;
        if (isOver) throw new TimeoutError(LOCK_OPERATION, timeoutMs);
      }
    } finally {
      stopWatching?.();
    }
  }

  /**
   * Lets go of the lock that `owner` holds.
   *
   * @throws NotOwnerError `NOT_OWNER` if it doesn't
   */
  unlock(owner: number): void {
    // Publishes what was done under the lock to the next owner's compare-exchange.
    if (Atomics.compareExchange(this.#words, this.#index, owner, 0) !== owner) this.#unlockSlowly(owner);
  }

  #unlockSlowly(owner: number): void {
    if ((this.word & OWNER_MASK) !== owner) throw new NotOwnerError('unlocking');
    if ((Atomics.and(this.#words, this.#index, POISONED) & CONTENDED) !== 0) Atomics.notify(this.#words, this.#index, 1);
  }

  /** Says that somebody waits: the word as it is then, `undefined` if it changed before. */
  #announce(): number | undefined {
    const { word } = this;
    if ((word & OWNER_MASK) === 0) return undefined;
    if ((word & CONTENDED) !== 0) return word;
    return Atomics.compareExchange(this.#words, this.#index, word, word | CONTENDED) === word ? word | CONTENDED : undefined;
  }

  #ownerLives(word: number): boolean {
    return this.#agent.registry?.isLiveToken(word & OWNER_MASK) ?? true;
  }

  #freeIfAbandoned(): void {
    const { registry } = this.#agent;
    if (registry !== undefined) freeAbandoned(this.#words, this.#index, (owner) => !registry.isLiveToken(owner));
    Atomics.notify(this.#words, this.#index);
  }
}

/**
 * Frees the lock at `words[index]`, poisoned, if `isDead` says so of its owner. Whether it did or not, the caller wakes everybody who
 * waits for it: the dead may have unlocked and not come to wake, or been woken in vain.
 */
export function freeAbandoned(words: Int32Array, index: number, isDead: (owner: number) => boolean): void {
  let word = Atomics.load(words, index);
  while ((word & OWNER_MASK) !== 0 && isDead(word & OWNER_MASK)) {
    const seen = Atomics.compareExchange(words, index, word, POISONED);
    if (seen === word) return;
    word = seen;
  }
}
