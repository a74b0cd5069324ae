/**
 * Declaring threads dead: what the reaper of a registry does, of whom there is one at a time. ThreadRegistry.ts tells the rules; the
 * invariants are its.
 */
import { spinPause } from './blocking.ts';
import {
  LIFE_DEAD,
  LIFE_FREE,
  LIFE_LIVE,
  LIFE_STATE_MASK,
  OWNER_GENERATION_MASK,
  OWNER_MASK,
  OWNER_SLOT_MASK,
  REAPER_LIFETIME_MS,
  SLOT_UNREGISTERED,
  WAITING_KIND_MASK,
  WAITING_ON_MUTEX,
  WAITING_ON_OWNER,
  WAITING_ON_SEQUENCE,
} from './layout.ts';
import { freeAbandoned, freeAbandonedMutex } from './RawMutex.ts';
import { REAPING, DEATHS, lifeOf, waitingOnOf, wholeWaitingOnOf, waiterGeneration, wordIndexOf, isLiveIn } from './registryWords.ts';
import { deadlineAfter, remainingMs } from './time.ts';

/** The reaper of one registry, on one thread. */
export class Reaper {
  readonly #words: Int32Array;
  readonly #pairs: BigInt64Array;
  readonly #capacity: number;
  readonly #memoryWords: () => Int32Array;

  /** @param memoryWords the whole memory as it is now, since a waiter's address may lie anywhere in it */
  constructor(words: Int32Array, capacity: number, memoryWords: () => Int32Array) {
    this.#words = words;
    this.#pairs = new BigInt64Array(words.buffer, words.byteOffset, words.length >> 1);
    this.#capacity = capacity;
    this.#memoryWords = memoryWords;
  }

  /**
   * Declares the thread that `dead` names dead, in the name of the thread with `token`.
   *
   * @returns whether it was alive by the registry's books
   */
  reap(dead: number, token: number): boolean {
    const words = this.#words;
    const life = lifeOf(dead & OWNER_SLOT_MASK);
    const generationBits = dead & OWNER_GENERATION_MASK;
    const ticket = this.#begin(dead, token);
    const wasLive =
      Atomics.compareExchange(words, life, generationBits | LIFE_LIVE, generationBits | LIFE_DEAD) === (generationBits | LIFE_LIVE);
    if (wasLive) this.#bury(dead, ticket);
    // Not if another thread has taken over (invariant 6).
    if (Atomics.compareExchange(words, REAPING, ticket, 0) === ticket) Atomics.notify(words, REAPING);
    if (wasLive) Atomics.notify(words, DEATHS);
    return wasLive;
  }

  /** Becomes the reaper, of whom there is one at a time: what `reaping` is until this thread gives it back. */
  #begin(dead: number, token: number): number {
    // Who declares itself dead must not look like a dead reaper.
    const me = token === dead ? SLOT_UNREGISTERED : token;
    return Atomics.compareExchange(this.#words, REAPING, 0, me) === 0 ? me : this.#beginContended(me, dead);
  }

  #beginContended(me: number, dead: number): number {
    const words = this.#words;
    let known = 0;
    let deadline = 0;
    // Reaping takes microseconds, so the others spin.
    for (;;) {
      const reaper = Atomics.compareExchange(words, REAPING, 0, me);
      if (reaper === 0) return me;
      if (reaper !== known) {
        known = reaper;
        deadline = deadlineAfter(REAPER_LIFETIME_MS);
      }
      const named = reaper & OWNER_MASK;
      if (named !== dead && isLiveIn(words, this.#capacity, named) && remainingMs(deadline) > 0) {
        spinPause();
        continue;
      }
      // The two bits above the token count who has taken over: threads outside the registry share one.
      const ticket = me | ((reaper & ~OWNER_MASK) + OWNER_MASK + 1);
      if (Atomics.compareExchange(words, REAPING, reaper, ticket) !== reaper) continue;
      for (let slot = 1; slot <= this.#capacity; slot += 1) {
        const life = Atomics.load(words, lifeOf(slot));
        if ((life & LIFE_STATE_MASK) === LIFE_DEAD) this.#bury((life & OWNER_GENERATION_MASK) | slot, ticket);
      }
      Atomics.notify(words, DEATHS);
      return ticket;
    }
  }

  /** What a reaper does about a thread whose slot is DEAD; the slot is free in the end. */
  #bury(dead: number, ticket: number): void {
    const words = this.#words;
    const slotOfDead = dead & OWNER_SLOT_MASK;
    const generationBits = dead & OWNER_GENERATION_MASK;
    // Invariant 5: before the look at who waits.
    Atomics.add(words, DEATHS, 1);
    const memoryWords = this.#memoryWords();
    for (let slot = 1; slot <= this.#capacity; slot += 1) {
      const waitingOn = Atomics.load(words, waitingOnOf(slot));
      if (waitingOn === 0 || slot === slotOfDead) continue;
      // Who has taken over does all of it, and keeps the waiters for itself (invariant 6).
      if (Atomics.load(words, REAPING) !== ticket) return;
      abandon(memoryWords, waitingOn, dead);
    }
    // The dead may have been handed a wake-up that it will never use. First the wake-up, then the record of it: who takes over from
    // a reaper that died between wakes again.
    const swallowed = Atomics.load(this.#pairs, wholeWaitingOnOf(slotOfDead));
    const [waitingOn, generation] = [Number(BigInt.asIntN(32, swallowed)), Number(swallowed >> 32n)];
    if (waitingOn !== 0 && generation === waiterGeneration(dead)) {
      Atomics.notify(memoryWords, wordIndexOf(waitingOn));
      // In vain if another reaper has done it (invariant 7).
      Atomics.compareExchange(this.#pairs, wholeWaitingOnOf(slotOfDead), swallowed, BigInt(generation) << 32n);
    }
    // A wait at the very beginning of the memory looks like none, and is ended in any case.
    Atomics.notify(memoryWords, 0);
    Atomics.compareExchange(words, lifeOf(slotOfDead), generationBits | LIFE_DEAD, generationBits | LIFE_FREE);
  }
}

/**
 * Frees the lock somebody waits on, if `dead` owns it, or counts the death, if somebody waits for events; and has the waiter look again
 * in any case: the dead may have changed the word and not come to wake anybody any more.
 */
function abandon(memoryWords: Int32Array, waitingOn: number, dead: number): void {
  const index = wordIndexOf(waitingOn);
  if (index >= memoryWords.length) return;
  const kind = waitingOn & WAITING_KIND_MASK;
  const isDead = (token: number): boolean => token === dead;
  if (kind === WAITING_ON_OWNER) freeAbandoned(memoryWords, index, isDead);
  else if (kind === WAITING_ON_MUTEX && index + 1 < memoryWords.length) freeAbandonedMutex(memoryWords, index, isDead);
  // A change, not a mere wake: the waiter may be about to fall asleep.
  else if (kind === WAITING_ON_SEQUENCE) Atomics.add(memoryWords, index, 1);
  Atomics.notify(memoryWords, index);
}
