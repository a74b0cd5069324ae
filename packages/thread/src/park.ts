/**
 * Parking: a thread waits until another one unparks it, through {@link ThreadRef.unpark}. As in Rust's std there is one token: unparking
 * a thread that isn't parked lets its next parking through, and parking may end for no reason, so look again at what you wait for.
 *
 * The token lies on the thread's desk, and is the record of a `Parker` of @heddle/atomics.
 */
import { Parker, TimeoutError } from '@heddle/atomics';
import { endWorker, mayBlock } from '#platform';
import { checkTimeout } from './internal/checks.ts';
import { ownDesk } from './ThreadRef.ts';
import { ThreadError } from './ThreadError.ts';

/**
 * Waits until this thread is unparked, blocking.
 *
 * @throws ThreadError `WOULD_BLOCK` on a main thread that must not block, `NOT_CROSS_ORIGIN_ISOLATED`
 */
export function park(): void {
  parkTimeout(Infinity);
}

/**
 * As `park`, for at most so many milliseconds; whether it was unparked.
 *
 * @throws ThreadError as `park` does, and `BAD_ARGUMENT` for a time that is NaN
 */
export function parkTimeout(timeoutMs: number): boolean {
  checkTimeout(timeoutMs);
  const desk = ownDesk();
  const parker = new Parker(desk.parker);
  if (!parker.tryPark()) {
    if (!mayBlock()) throw new ThreadError('WOULD_BLOCK', 'this is a main thread, which must not block: await parkAsync()');
    try {
      parker.park({ timeoutMs });
    } catch (error) {
      if (error instanceof TimeoutError) return false;
      throw error;
    }
  }
  if (desk.isEnding) leave();
  return true;
}

/**
 * Waits until this thread is unparked, on its event loop.
 *
 * @throws ThreadError `ABORTED`, `TIMEOUT`, `NOT_CROSS_ORIGIN_ISOLATED`, `BAD_ARGUMENT` for a time that is NaN
 */
export async function parkAsync(options: { readonly timeoutMs?: number; readonly signal?: AbortSignal } = {}): Promise<void> {
  checkTimeout(options.timeoutMs ?? Infinity);
  const desk = ownDesk();
  try {
    await new Parker(desk.parker).parkAsync(options);
  } catch (error) {
    if (error instanceof TimeoutError) throw new ThreadError('TIMEOUT', 'the thread was not unparked in time', { cause: error });
    if (options.signal?.aborted) throw new ThreadError('ABORTED', 'the parking was aborted', { cause: options.signal.reason });
    throw error;
  }
  if (desk.isEnding) leave();
}

/** Ends a worker that was woken to be terminated: it must not go on as if it had been unparked. */
function leave(): never {
  endWorker();
  throw new ThreadError('THREAD_TERMINATED', 'the thread was terminated while it was parked');
}
