/** Deadlines in milliseconds on this thread's clock. */

/** The moment `timeoutMs` from now. */
export function deadlineAfter(timeoutMs: number): number {
  return timeoutMs === Infinity ? Infinity : performance.now() + timeoutMs;
}

/** The milliseconds left until `deadline`; 0 or less when it has passed. */
export function remainingMs(deadline: number): number {
  return deadline === Infinity ? Infinity : deadline - performance.now();
}
