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
 * | RESERVED + CONTENDED (+ POISONED) | free, and kept for the claimant |
 *
 * Owner is a registry slot and its generation (ThreadRegistry.ts); 4095 stands for all threads outside the registry. A second word
 * names the *claimant*, a waiter that lost its patience; 0 is none.
 *
 * ## Invariants
 * 1. Only the owner takes itself out of the word, except when it is dead: then whoever finds that out does.
 * 2. Whoever sleeps has set CONTENDED or seen it set, and whoever wakes up takes the lock with CONTENDED: so while anybody
 *    sleeps, either the bit is set or somebody is awake who will set it.
 * 3. POISONED is set by the end of an owner and cleared by `clearPoison` only.
 * 4. A reservation holds as long as its claimant lives. Who sees that it doesn't, or that there is none, takes the lock as if it were
 *    free. So a claim can only cost time, never the lock; and who reserves wakes all, so that everybody sees it.
 * 5. The claimant never sleeps while the lock is kept: it looks at the word after it has claimed, for who reserves may have woken
 *    all between the two.
 *
 * ## Fairness
 * A thread that comes while the lock is free takes it, also before one just woken (barging): that keeps the lock busy, and each
 * unlock wakes a waiter. But a waiter that was woken PATIENCE times in vain claims the lock, unless somebody else has: from when it
 * sleeps again, the next unlock keeps it for the claimant, and whoever comes meanwhile waits. So a claimant is passed over no more, and
 * any waiter only while it loses PATIENCE wake-ups, in the order of the host's queue, and while other claimants are served. A
 * *fair* unlock, which Rust has, keeps the lock at once for whoever sleeps longest. A claimant
 * that nobody can know to be able to come – in no registry, or waiting asynchronously on a thread that may be busy – has
 * CLAIM_LIFETIME_MS.
 *
 * ## Memory orderings
 * Every `Atomics` call is SeqCst. The compare-exchange to 0 in `unlock` publishes what was done under the lock to the
 * compare-exchange of the next owner.
 *
 * ## Source
 * U. Drepper, "Futexes Are Tricky" (mutex 2), with the owner in the word as in Linux's robust futexes. That a lock which is unfair for
 * speed must become fair in the end is WebKit's `WTF::Lock`'s and parking_lot's; they go by time, this one by lost wake-ups.
 */
import { MayNotBlockError, NotOwnerError, TimeoutError, WouldDeadlockError } from '../errors.ts';
import { type Agent } from './agent.ts';
import { learnFromSpin, mayBlock, spinPause, spinRounds } from './blocking.ts';
import { checkDeadlock, checkOrder, detection, noteReleased, noteTaken } from './deadlock.ts';
import { block, waitAsync } from './futex.ts';
import {
  CLAIM_LIFETIME_MS,
  CLAIM_OPEN,
  CONTENDED as CONTENDED_UNSIGNED,
  MUTEX_CLAIMANT_OFFSET,
  OWNER_MASK,
  OWNER_SLOT_MASK,
  PATIENCE,
  POISONED,
  RESERVED,
  SLOT_UNREGISTERED,
  WAITING_FOR_MUTEX,
  WAITING_ON_MUTEX,
} from './layout.ts';
import { deadlineAfter, remainingMs } from './time.ts';

// Int32Array elements are signed.
const CONTENDED = CONTENDED_UNSIGNED | 0;
/** From the lock word to the claimant's. */
const CLAIMANT = MUTEX_CLAIMANT_OFFSET >> 2;

const isUnregistered = (token: number): boolean => (token & OWNER_SLOT_MASK) === SLOT_UNREGISTERED;

/** What locking is called in errors. */
export const LOCK_OPERATION = 'locking the mutex';
const NAME = 'the mutex';

/** How a lock was got: not at all, or with or without poison. */
export type Outcome = 0 | 1 | 2;
/** The lock was not to be had. */
export const FAILED = 0;
/** Every owner so far has let go properly. */
export const CLEAN = 1;
/** An owner died or panicked while it held the lock. */
export const TAKEN_POISONED = 2;

/** What a lock is a part of; where it is none, nothing. */
export interface RawMutexUse {
  /** What the lock is called in errors. */
  readonly name?: string;
  /** What is waited for: one of the WAITING_FOR_ constants. */
  readonly purpose?: number;
}

/** The lock at one word. */
export class RawMutex {
  readonly #words: Int32Array;
  readonly #index: number;
  readonly #agent: Agent;
  readonly #name: string;
  readonly #operation: string;
  /** What is told of a wait for it. */
  readonly #kind: number;

  /**
   * @param words a view of shared memory
   * @param index the index of the lock word in it
   * @param agent this thread, as the locks of that memory see it
   * @param use what it is a part of
   */
  constructor(words: Int32Array, index: number, agent: Agent, { name = NAME, purpose = WAITING_FOR_MUTEX }: RawMutexUse = {}) {
    this.#words = words;
    this.#index = index;
    this.#agent = agent;
    this.#name = name;
    this.#kind = WAITING_ON_MUTEX | purpose;
    this.#operation = name === NAME ? LOCK_OPERATION : `taking ${name}`;
  }

  /** The lock word; of the past as soon as it is known. */
  get word(): number {
    return Atomics.load(this.#words, this.#index);
  }

  /** Whether somebody holds the lock; of the past as soon as it is known. */
  get isLocked(): boolean {
    return (this.word & OWNER_SLOT_MASK) !== 0;
  }

  /** The token of the waiter for whom the next unlock keeps the lock, or this one has; 0 for none. For tests. */
  get claimant(): number {
    const claimant = Atomics.load(this.#words, this.#index + CLAIMANT);
    // A claim counts as soon as the claimant waits: an unlock without waiters doesn't look for it.
    return (this.word & CONTENDED) === 0 ? 0 : claimant;
  }

  /** Whether `owner` holds the lock. */
  isOwnedBy(owner: number): boolean {
    return (this.word & OWNER_MASK) === owner;
  }

  /** How a reader finds the lock: FAILED if it isn't anybody's to take. */
  get free(): Outcome {
    const { word } = this;
    if ((word & OWNER_MASK) !== 0) return FAILED;
    return (word & POISONED) === 0 ? CLEAN : TAKEN_POISONED;
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
    if (Atomics.compareExchange(this.#words, this.#index, 0, owner) !== 0) return false;
    if (detection.keepsOrder) this.noteTaken();
    return true;
  }

  /** Where the lock is, as the registry and the reports of deadlocks know it. */
  get #address(): number {
    return this.#words.byteOffset + this.#index * 4;
  }

  /** To be called before a lock is taken for as long as it takes, if `detection.keepsOrder`. */
  checkOrder(): void {
    checkOrder(this.#agent, this.#address);
  }

  /** To be called when this thread has got the lock, or a part in it, if `detection.keepsOrder`. */
  noteTaken(): void {
    noteTaken(this.#agent, this.#address);
  }

  /** To be called when it lets go of that. */
  noteReleased(): void {
    noteReleased(this.#agent, this.#address);
  }

  /**
   * Takes the lock if nobody lives in it and it isn't kept for somebody else. `extra` is CONTENDED once this thread has slept
   * (invariant 2).
   */
  takeUnowned(extra: number = 0, isClaimant: boolean = false): Outcome {
    const words = this.#words;
    const index = this.#index;
    const { token, registry } = this.#agent;
    let word = Atomics.load(words, index);
    for (;;) {
      const owner = word & OWNER_MASK;
      let taken;
      if ((owner & OWNER_SLOT_MASK) === 0) {
        if (owner !== 0 && !isClaimant && this.#isKept(extra !== 0)) return FAILED;
        taken = token | extra | (word & (POISONED | CONTENDED));
      } else if (registry !== undefined && !registry.isLiveToken(owner)) taken = token | POISONED | CONTENDED;
      else return FAILED;
      const seen = Atomics.compareExchange(words, index, word, taken);
      if (seen === word) {
        if ((owner & RESERVED) !== 0) Atomics.compareExchange(words, index + CLAIMANT, CLAIM_OPEN, 0);
        if (detection.keepsOrder) this.noteTaken();
        return (taken & POISONED) === 0 ? CLEAN : TAKEN_POISONED;
      }
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
   * @throws MayNotBlockError, WouldDeadlockError, DeadlockError, LockOrderError
   */
  take(timeoutMs: number): Outcome {
    if (detection.keepsOrder && timeoutMs === Infinity) this.checkOrder();
    let outcome = this.takeUnowned();
    if (outcome !== FAILED || timeoutMs <= 0) return outcome;
    const agent = this.#agent;
    const isRegistered = (agent.token & OWNER_SLOT_MASK) !== SLOT_UNREGISTERED;
    if (isRegistered && (this.word & OWNER_MASK) === agent.token) throw new WouldDeadlockError(`holds ${this.#name}`);
    outcome = this.spin();
    if (outcome !== FAILED) return outcome;
    if (!mayBlock())
      throw new MayNotBlockError(`${this.#name} is held by somebody else; use the asynchronous form here, or the one that tries`);

    const deadline = deadlineAfter(timeoutMs);
    const claim = new Claim(this.#words, this.#index, agent.token);
    try {
      for (;;) {
        const word = this.#announce(claim.isMade);
        let isOver = false;
        if (word !== undefined) {
          // Whoever is waited for may have died before a reaper could know that we wait.
          const lives = (): boolean => {
            if (timeoutMs === Infinity) checkDeadlock(agent.registry, agent.token, this.#address);
            return this.#isHeld(word);
          };
          const [left, expires] = this.#patience(word, remainingMs(deadline));
          const ended = block(this.#words, this.#index, word, left, agent, this.#kind, this.#operation, lives);
          if (ended === 'timed-out' && expires) this.#expire(word);
          else isOver = ended === 'timed-out';
        }
        outcome = this.takeUnowned(CONTENDED, claim.isMade);
        if (outcome !== FAILED || isOver) return outcome;
        claim.losePatience();
      }
    } finally {
      claim.end();
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
    // Nobody can know when this thread gets to it.
    const claim = new Claim(this.#words, this.#index, SLOT_UNREGISTERED);
    try {
      for (;;) {
        const word = this.#announce(claim.isMade);
        let isOver = false;
        if (word !== undefined && this.#isHeld(word)) {
          const [left, expires] = this.#patience(word, remainingMs(deadline));
          const result = waitAsync(this.#words, this.#index, word, { timeoutMs: left, signal, operation: this.#operation });
          const ended = typeof result === 'string' ? result : await result;
          if (ended === 'timed-out' && expires) this.#expire(word);
          else isOver = ended === 'timed-out';
        }
        const outcome = this.takeUnowned(CONTENDED, claim.isMade);
        if (outcome !== FAILED) return outcome;
        claim.losePatience();
        if (isOver) throw new TimeoutError(this.#operation, timeoutMs);
      }
    } finally {
      claim.end();
      stopWatching?.();
    }
  }

  /**
   * Lets go of the lock that `owner` holds.
   *
   * @throws NotOwnerError `NOT_OWNER` if it doesn't
   */
  unlock(owner: number): void {
    if (detection.keepsOrder) this.noteReleased();
    // Publishes what was done under the lock to the next owner's compare-exchange.
    if (Atomics.compareExchange(this.#words, this.#index, owner, 0) !== owner) this.#unlockSlowly(owner);
  }

  #unlockSlowly(owner: number): void {
    const words = this.#words;
    const index = this.#index;
    let { word } = this;
    for (;;) {
      if ((word & OWNER_MASK) !== owner) throw new NotOwnerError('unlocking');
      const isContended = (word & CONTENDED) !== 0;
      const keeps = isContended && this.#claimantLives();
      const seen = Atomics.compareExchange(words, index, word, (word & POISONED) | (keeps ? RESERVED | CONTENDED : 0));
      if (seen === word) {
        // Invariant 4: the claimant isn't always the first in the queue.
        if (isContended) Atomics.notify(words, index, keeps ? Infinity : 1);
        return;
      }
      word = seen;
    }
  }

  /** Says that somebody waits: the word as it is then; `undefined` if it changed before, or the lock is there to be taken. */
  #announce(isClaimant: boolean): number | undefined {
    const { word } = this;
    // Invariant 5.
    if ((word & (isClaimant ? OWNER_SLOT_MASK : OWNER_MASK)) === 0) return undefined;
    if ((word & CONTENDED) !== 0) return word;
    return Atomics.compareExchange(this.#words, this.#index, word, word | CONTENDED) === word ? word | CONTENDED : undefined;
  }

  /** Whether somebody lives for whom the lock is held, or kept. */
  #isHeld(word: number): boolean {
    if ((word & OWNER_SLOT_MASK) === 0) return this.#claimantLives();
    return this.#agent.registry?.isLiveToken(word & OWNER_MASK) ?? true;
  }

  /** Whether a reserved lock is kept for somebody else than who asks, and has slept for it or not. */
  #isKept(hasSlept: boolean): boolean {
    const isOpen = Atomics.load(this.#words, this.#index + CLAIMANT) === CLAIM_OPEN;
    return isOpen ? !hasSlept : this.#claimantLives();
  }

  /** Whether there is a claimant that may still come. */
  #claimantLives(): boolean {
    const claimant = Atomics.load(this.#words, this.#index + CLAIMANT);
    return claimant !== 0 && (this.#agent.registry?.isLiveToken(claimant) ?? true);
  }

  /** How long to sleep on `word` if the wait may last `leftMs`, and whether that is how long a reservation lives. */
  #patience(word: number, leftMs: number): [sleepMs: number, expires: boolean] {
    const isReserved = (word & OWNER_SLOT_MASK) === 0;
    if (!isReserved || leftMs <= CLAIM_LIFETIME_MS) return [leftMs, false];
    const claimant = Atomics.load(this.#words, this.#index + CLAIMANT);
    // A reaper can't tell a thread outside the registry that the claimant has died.
    return isUnregistered(claimant) || isUnregistered(this.#agent.token) ? [CLAIM_LIFETIME_MS, true] : [leftMs, false];
  }

  /** Ends the claim for which the lock has been kept, as `word` says, for as long as a claim lives. */
  #expire(word: number): void {
    const claimant = Atomics.load(this.#words, this.#index + CLAIMANT);
    if (this.word === word && isUnregistered(claimant)) Atomics.compareExchange(this.#words, this.#index + CLAIMANT, claimant, 0);
  }

  #freeIfAbandoned(): void {
    const { registry } = this.#agent;
    if (registry !== undefined) freeAbandonedMutex(this.#words, this.#index, (owner) => !registry.isLiveToken(owner));
    Atomics.notify(this.#words, this.#index);
  }
}

/** The claim that a waiter makes when it has been patient for long enough; `end` it with the wait, however that ends. */
class Claim {
  readonly #words: Int32Array;
  readonly #index: number;
  readonly #token: number;
  #lost = 0;
  #isMade = false;

  constructor(words: Int32Array, index: number, token: number) {
    this.#words = words;
    this.#index = index;
    this.#token = token;
  }

  get isMade(): boolean {
    return this.#isMade;
  }

  /** A wake-up was in vain. */
  losePatience(): void {
    this.#lost += 1;
    if (this.#lost < PATIENCE) return;
    // One that expired, or was taken for another's by waits that share a token, is made again.
    const claimant = Atomics.compareExchange(this.#words, this.#index + CLAIMANT, 0, this.#token);
    this.#isMade = claimant === 0 || (this.#isMade && claimant === this.#token);
  }

  /** Once the wait is over, nothing must be kept for it. */
  end(): void {
    if (!this.#isMade) return;
    this.#isMade = false;
    dropClaim(this.#words, this.#index, this.#token);
  }
}

/** Ends the claim of `claimant`, if it is the present one; a lock that was kept for it becomes free, and everybody looks. */
function dropClaim(words: Int32Array, index: number, claimant: number): void {
  if (Atomics.compareExchange(words, index + CLAIMANT, claimant, 0) !== claimant) return;
  let word = Atomics.load(words, index);
  while ((word & OWNER_SLOT_MASK) === 0 && (word & RESERVED) !== 0) {
    const seen = Atomics.compareExchange(words, index, word, word & POISONED);
    if (seen === word) {
      Atomics.notify(words, index);
      return;
    }
    word = seen;
  }
}

/** {@link freeAbandoned} for a whole mutex: a claim of the dead ends, too. */
export function freeAbandonedMutex(words: Int32Array, index: number, isDead: (token: number) => boolean): void {
  const claimant = Atomics.load(words, index + CLAIMANT);
  if (claimant !== 0 && isDead(claimant)) dropClaim(words, index, claimant);
  freeAbandoned(words, index, isDead);
}

/**
 * Frees the lock at `words[index]`, poisoned, if `isDead` says so of its owner. Whether it did or not, the caller wakes everybody who
 * waits for it: the dead may have unlocked and not come to wake, or been woken in vain.
 */
export function freeAbandoned(words: Int32Array, index: number, isDead: (token: number) => boolean): void {
  let word = Atomics.load(words, index);
  while ((word & OWNER_SLOT_MASK) !== 0 && isDead(word & OWNER_MASK)) {
    const seen = Atomics.compareExchange(words, index, word, POISONED);
    if (seen === word) return;
    word = seen;
  }
}
