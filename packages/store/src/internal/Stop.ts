/**
 * The reasons for which a caller may no longer want an answer – its `AbortSignal`, its timeout, the end of the database – as one
 * thing to ask and to listen to.
 */

import { HeddleStoreError } from '../HeddleStoreError.ts';

/** What a caller may say about giving up. */
export interface StopOptions {
  /** Gives the call up when it fires: the statement is interrupted, and the call rejects with `ABORTED`. */
  readonly signal?: AbortSignal | undefined;
  /** Gives the call up after so many milliseconds, waiting for a free thread included: it rejects with `TIMEOUT`. */
  readonly timeoutMs?: number | undefined;
}

/** The longest delay that a host's timer can count. */
const DELAY_MS_MAX = 2 ** 31 - 1;

/** One call's reasons to stop. The first counts. */
export class Stop {
  #error: HeddleStoreError | undefined;
  #listener: ((error: HeddleStoreError) => void) | undefined;
  #disarm: (() => void) | undefined;

  constructor(options: StopOptions = {}, sql?: string) {
    const { signal, timeoutMs } = options;
    if (timeoutMs !== undefined && !(timeoutMs >= 0)) {
      throw new HeddleStoreError('MISUSE', `timeoutMs is ${timeoutMs}, not a number of milliseconds`, { sql });
    }
    if (signal?.aborted) {
      this.#error = aborted(signal, sql);
      return;
    }
    const abort = signal && (() => this.stop(aborted(signal, sql)));
    if (abort) signal.addEventListener('abort', abort, { once: true });
    const timer =
      timeoutMs === undefined || timeoutMs > DELAY_MS_MAX ? undefined : setTimeout(() => this.stop(timedOut(timeoutMs, sql)), timeoutMs);
    if (abort || timer !== undefined) {
      this.#disarm = () => {
        if (abort) signal.removeEventListener('abort', abort);
        clearTimeout(timer);
      };
    }
  }

  /** Why to stop; `undefined` while there is no reason. */
  get error(): HeddleStoreError | undefined {
    return this.#error;
  }

  /** Stops for a reason of the caller's. Later reasons change nothing. */
  stop(error: HeddleStoreError): void {
    if (this.#error !== undefined) return;
    this.#error = error;
    this.#disarm?.();
    this.#listener?.(error);
  }

  /** Sets the one listener, called once, at once where there is a reason already; `undefined` takes it away. */
  listen(listener: ((error: HeddleStoreError) => void) | undefined): void {
    this.#listener = listener;
    if (listener && this.#error !== undefined) listener(this.#error);
  }

  /** Lets go of the signal and the timer. */
  dispose(): void {
    this.#disarm?.();
    this.#listener = undefined;
  }
}

function aborted(signal: AbortSignal, sql: string | undefined): HeddleStoreError {
  const timedOut = signal.reason instanceof DOMException && signal.reason.name === 'TimeoutError';
  return new HeddleStoreError(timedOut ? 'TIMEOUT' : 'ABORTED', timedOut ? 'the signal timed out' : 'the call was aborted', {
    cause: signal.reason,
    sql,
  });
}

function timedOut(timeoutMs: number, sql: string | undefined): HeddleStoreError {
  return new HeddleStoreError('TIMEOUT', `the call took longer than ${timeoutMs} ms`, { sql });
}
