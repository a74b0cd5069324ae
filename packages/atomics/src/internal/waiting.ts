/**
 * Waiting until a word says so, in the three ways a thread can: the loops that the barrier, the latch, the wait group, the
 * event, the parker and the once share.
 *
 * Each of them is an *attempt*: it succeeds ({@link DONE}), or it answers with the value of the word that it failed with. The
 * word is slept on with that value, so a change between the attempt and the sleep is seen; whoever makes an attempt possible
 * notifies the word.
 */
import { AbortedError, MayNotBlockError, TimeoutError } from '../errors.ts';
import type { Agent } from './agent.ts';
import { learnFromSpin, mayBlock, spinPause, spinRounds } from './blocking.ts';
import { block, waitAsync } from './futex.ts';
import { deadlineAfter, remainingMs } from './time.ts';

/** How long a blocking operation may wait. */
export interface WaitOptions {
  /** The longest wait in milliseconds; no limit if not given. */
  readonly timeoutMs?: number;
}

/** How an asynchronous wait ends early. */
export interface WaitAsyncOptions extends WaitOptions {
  /** Gives the wait up. */
  readonly signal?: AbortSignal;
}

/** An attempt has succeeded. */
export const DONE = undefined;

/** Succeeds, or tells the value of the word to sleep on. */
export type Attempt = () => number | typeof DONE;

/** What is waited on. */
export interface WaitSite {
  readonly words: Int32Array;
  readonly index: number;
  readonly agent: Agent;
  /** What is waited for, as `waiting for the latch`. */
  readonly operation: string;
  /** Why a thread that may not block can't go on, and what to use instead. */
  readonly advice: string;
  /** What is told of the wait: one of the WAITING_FOR_ constants, together with a WAITING_ON_ kind of the word; 0 if not given. */
  readonly kind?: number;
  /** Whether the owner in a value of the word lives; looked at after the registry was told of the wait. */
  readonly ownerLives?: (word: number) => boolean;
}

/**
 * Waits until `attempt` succeeds, blocking.
 *
 * @throws MayNotBlockError, TimeoutError
 */
export function waitUntil(site: WaitSite, attempt: Attempt, timeoutMs: number = Infinity): void {
  if (attempt() === DONE) return;
  if (timeoutMs > 0) {
    const rounds = spinRounds();
    for (let round = 0; round < rounds; round += 1) {
      spinPause();
      if (attempt() === DONE) {
        learnFromSpin(true);
        return;
      }
    }
    if (rounds > 0) learnFromSpin(false);
    if (!mayBlock()) throw new MayNotBlockError(site.advice);
  }
  const { words, index, agent, operation, kind = 0, ownerLives } = site;
  const deadline = deadlineAfter(timeoutMs);
  for (;;) {
    const word = attempt();
    if (word === DONE) return;
    const shouldWait = ownerLives === undefined ? undefined : (): boolean => ownerLives(word);
    if (block(words, index, word, remainingMs(deadline), agent, kind, operation, shouldWait) !== 'timed-out') continue;
    // It may have become possible at the last moment.
    if (attempt() === DONE) return;
    throw new TimeoutError(operation, timeoutMs);
  }
}

/**
 * Waits until `attempt` succeeds, without blocking the thread.
 *
 * @throws TimeoutError, AbortedError
 */
export async function waitUntilAsync(site: WaitSite, attempt: Attempt, { timeoutMs = Infinity, signal }: WaitAsyncOptions): Promise<void> {
  const { words, index, agent, operation, ownerLives } = site;
  if (signal?.aborted === true) throw new AbortedError(operation, signal.reason);
  const deadline = deadlineAfter(timeoutMs);
  for (;;) {
    const word = attempt();
    if (word === DONE) return;
    if (ownerLives !== undefined && !ownerLives(word)) continue;
    const result = waitAsync(words, index, word, { timeoutMs: remainingMs(deadline), signal, operation, agent });
    if ((typeof result === 'string' ? result : await result) !== 'timed-out') continue;
    if (attempt() === DONE) return;
    throw new TimeoutError(operation, timeoutMs);
  }
}
