/** How the operations of a channel end; the ends make errors of it. */

/** How an operation ended. */
export type Result = typeof DONE | typeof NOT_NOW | typeof TIMED_OUT | typeof CLOSED | typeof TOO_LARGE | typeof LAGGED;
/** Sent, or received; a place, or a message. */
export const DONE = 0;
/** Full, or empty. */
export const NOT_NOW = 1;
/** Full, or empty, until the time ran out. */
export const TIMED_OUT = 2;
/** Closed; for a receiver also empty. */
export const CLOSED = 3;
/** The message is longer than the receiver takes; it stays. */
export const TOO_LARGE = 4;
/** Messages were overwritten before this receiver received them; the next attempt receives the oldest one that is kept. */
export const LAGGED = 5;
