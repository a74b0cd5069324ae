/** How long a lock that is held for the time of one copy is waited for where waiting is not wanted. */

/** So long a thread spins that may not block, and so long an asynchronous form blocks one that may. */
export const BRIEF_MS = 2;

/** Pauses between two looks of who spins. */
export const BRIEF_SPIN_ROUNDS = 64;
