/** What the threads of the stress test share. */
import type { ConditionHandle, MutexHandle, RwLockHandle, SemaphoreHandle, ThreadRegistryHandle } from '../../src/index.ts';

/** What all workers of a test share. */
export interface StressShare {
  readonly registry: ThreadRegistryHandle;
  readonly mutex: MutexHandle;
  readonly condition: ConditionHandle;
  readonly semaphore: SemaphoreHandle;
  readonly rwLock: RwLockHandle;
  readonly words: Int32Array;
}

// Words of the share.
/** Operations that are still to be done. */
export const LEFT = 0;
/** Two numbers that agree whenever nobody is in the lock. */
export const FIRST = 1;
export const SECOND = 2;
/** What one side puts in and the other takes out. */
export const ITEMS = 3;
export const PUT = 4;
export const TAKEN = 5;
/** How many have a permit. */
export const INSIDE = 6;
/** How many may. */
export const PERMITS = 7;
/** What went wrong. */
export const WRONG = 8;
/** A word a worker: what it counted itself. */
export const DONE = 16;
