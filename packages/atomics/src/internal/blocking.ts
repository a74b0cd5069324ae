/** Whether this thread may block, and the rounds it may spin before it does. */

let isAllowed: boolean | undefined;

/**
 * Whether this thread may block: `false` on a browser's main thread.
 */
export function mayBlock(): boolean {
  if (isAllowed === undefined) {
    try {
      // Not made at import: a page that isn't cross-origin isolated has no SharedArrayBuffer, and must still be able to import this
      // package to be told so. The word is not 1, so this doesn't wait; where waiting is forbidden it throws all the same.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 1, 0);
      isAllowed = true;
    } catch {
      isAllowed = false;
    }
  }
  return isAllowed;
}

/**
 * Overrides what {@link mayBlock} says, for a thread that must never stop: a server's main thread, or Node's in a test
 * that stands for a browser.
 *
 * @param allowed whether this thread may block; `undefined` goes back to what the host allows
 */
export function setMayBlock(allowed: boolean | undefined): void {
  isAllowed = allowed;
}

// Spinning saves a sleep of tens of microseconds when the owner is about to let go, and only burns the owner's own
// processor when there are more threads than processors. So the budget grows when spinning got the lock and halves when
// it didn't; when it is empty, one wait in 64 tries a little, to notice better times.
const ROUNDS_MAX = 160;
const ROUNDS_MIN = 8;
const PROBE_INTERVAL = 64;
const PROBE_ROUNDS = 24;

const processorCount: number = (globalThis as { navigator?: { hardwareConcurrency?: number } }).navigator?.hardwareConcurrency ?? 2;
let budget = processorCount > 1 ? 100 : 0;
let waitsWithoutSpin = 0;

/** The rounds that this wait may spin. */
export function spinRounds(): number {
  if (budget > 0) return budget;
  waitsWithoutSpin = (waitsWithoutSpin + 1) % PROBE_INTERVAL;
  return waitsWithoutSpin === 0 && processorCount > 1 ? PROBE_ROUNDS : 0;
}

/** Tells whether the spinning of a wait was worth it. */
export function learnFromSpin(wasWorthIt: boolean): void {
  if (wasWorthIt) budget = Math.min(ROUNDS_MAX, budget + (budget >> 2) + PROBE_ROUNDS);
  else budget = budget >> 1 < ROUNDS_MIN ? 0 : budget >> 1;
}

/** Spins a little while `words[index]` is `expected`, as long as that has been worth it lately. `true` if it changed. */
export function spinWhile(words: Int32Array, index: number, expected: number): boolean {
  const rounds = spinRounds();
  for (let round = 0; round < rounds; round += 1) {
    spinPause();
    if (Atomics.load(words, index) !== expected) {
      learnFromSpin(true);
      return true;
    }
  }
  if (rounds > 0) learnFromSpin(false);
  return false;
}

/** The longest that a batch is waited for, in rounds. */
const LINGER_ROUNDS_MAX = 128;
/** Where no batches came lately, one wait in so many looks for one. */
const LINGER_PROBE_INTERVAL = 16;

let lingerRounds = 1;
let waitsWithoutLinger = 0;

/**
 * As {@link spinWhile}, for a word that counts what another thread makes: once it has changed, this gives it some time for more, as long
 * as more came lately. What is passed on one at a time takes the time that cache lines need to go to and fro, many times what it takes to
 * make one. Who waits for a single answer finds no more, and doesn't linger.
 */
export function spinForBatch(words: Int32Array, index: number, expected: number): boolean {
  if (!spinWhile(words, index, expected)) return false;
  let rounds = lingerRounds;
  if (rounds === 0) {
    waitsWithoutLinger = (waitsWithoutLinger + 1) % LINGER_PROBE_INTERVAL;
    if (waitsWithoutLinger !== 0) return true;
    rounds = 1;
  }
  const seen = Atomics.load(words, index);
  for (let round = 0; round < rounds; round += 1) spinPause();
  lingerRounds = Atomics.load(words, index) === seen ? rounds >> 1 : Math.min(LINGER_ROUNDS_MAX, rounds * 2);
  return true;
}

const pause: ((iterations?: number) => void) | undefined = (Atomics as { pause?: (iterations?: number) => void }).pause?.bind(Atomics);

/** Tells the processor that this thread waits for another one. */
export const spinPause: () => void = pause === undefined ? () => {} : () => pause();
