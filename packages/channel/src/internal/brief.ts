/** How long a lock that is held for the time of one copy is waited for where waiting is not wanted. */

/** So long a thread spins that may not block, and so long an asynchronous form blocks one that may. */
export const BRIEF_MS = 2;

/**
 * How long the forms that try wait for others who have their side, on threads that may block. Models set it to for ever: there nobody has a
 * side for longer than a copy, and time is none.
 */
export const trying: { patienceMs: number } = { patienceMs: BRIEF_MS };

/** Pauses between two looks of who spins. */
export const BRIEF_SPIN_ROUNDS = 64;
