/** What options must be to be meant. */
import { ThreadError } from '../ThreadError.ts';

/** Whether a number counts something. */
export const isCount = (value: number): boolean => Number.isSafeInteger(value) && value >= 0;

/**
 * A time that is no number would never run out.
 *
 * @throws ThreadError `BAD_ARGUMENT`
 */
export function checkTimeout(timeoutMs: number): void {
  if (Number.isNaN(timeoutMs)) {
    throw new ThreadError('BAD_ARGUMENT', 'the time is NaN: give it in milliseconds, or leave it out to wait for as long as it takes');
  }
}

/** How many threads there are from the start, and at most. */
export interface ThreadCounts {
  readonly threads: number;
  readonly threadsMax: number;
}

/**
 * What was asked for, completed by `defaults` that keep to it.
 *
 * @throws ThreadError `BAD_ARGUMENT` for what are no counts, and for fewer at most than from the start
 */
export function threadCounts(
  { threads, maxThreads }: { readonly threads?: number | undefined; readonly maxThreads?: number | undefined },
  defaults: ThreadCounts,
): ThreadCounts {
  if (!isCount(threads ?? 0) || !isCount(maxThreads ?? 0)) throw new ThreadError('BAD_ARGUMENT', 'threads and maxThreads are counts');
  if (maxThreads === 0) throw new ThreadError('BAD_ARGUMENT', 'maxThreads is 0, with which nothing could run');
  if (threads !== undefined && maxThreads !== undefined && maxThreads < threads) {
    throw new ThreadError(
      'BAD_ARGUMENT',
      `there can't be ${threads} threads from the start and ${maxThreads} at most: raise maxThreads, or lower threads`,
    );
  }
  const threadsMax = maxThreads ?? Math.max(threads ?? 0, defaults.threadsMax);
  return { threads: threads ?? Math.min(defaults.threads, threadsMax), threadsMax };
}
