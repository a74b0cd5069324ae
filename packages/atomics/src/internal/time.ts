/** Deadlines in milliseconds on this thread's clock. */
import { InvalidArgumentError } from '../errors.ts';

/**
 * A timeout that is no number would never run out.
 *
 * @throws InvalidArgumentError `INVALID_ARGUMENT`
 */
export function checkTimeout(timeoutMs: number): void {
  if (Number.isNaN(timeoutMs))
    throw new InvalidArgumentError('the timeout is NaN: give it in milliseconds, or leave it out to wait for as long as it takes');
}

/**
 * The moment `timeoutMs` from now.
 *
 * @throws InvalidArgumentError `INVALID_ARGUMENT` if it is NaN
 */
export function deadlineAfter(timeoutMs: number): number {
  checkTimeout(timeoutMs);
  return timeoutMs === Infinity ? Infinity : performance.now() + timeoutMs;
}

/** The milliseconds left until `deadline`; 0 or less when it has passed. */
export function remainingMs(deadline: number): number {
  return deadline === Infinity ? Infinity : deadline - performance.now();
}
