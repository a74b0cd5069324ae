/** What the threads share that stop in the middle of what waits for a word. */
import type { ThreadRegistryHandle } from '../../src/index.ts';

/** What all workers of a run share. */
export interface DeathsShare {
  readonly registry: ThreadRegistryHandle;
  /** The records, at the offsets below. */
  readonly buffer: SharedArrayBuffer;
  /** A number for each round, and the records of the rounds behind them, where each round has one of its own. */
  readonly rounds: Int32Array;
  readonly words: Int32Array;
}

// Byte offsets of the records.
export const MUTEX_AT = 0;
export const BARRIER_AT = 8;
export const EVENT_AT = 16;
export const PARKERS_AT = 32;
export const GROUP_AT = 40;
export const REGISTRY_AT = 64;

/** How many arrive at the barrier together: one fewer than there are workers. */
export const PARTIES = 3;

// Words of the share.
/** Operations that are still to be done. */
export const LEFT = 0;
/** What went wrong. */
export const WRONG = 1;
/** Given out one by one. */
export const TICKET = 2;
/** Nobody changes it; who has nothing to do sleeps on it for a moment. */
export const PAUSE = 3;
// A word a worker each.
/** What it has done. */
export const DONE = 16;
/** How often it led, or set, or unparked. */
export const LED = 24;
/** Where it is: the latch's round, twice, and 1 more when it has counted down; or whether it is a member of the group. */
export const WHERE = 32;
