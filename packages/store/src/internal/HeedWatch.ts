/**
 * Looks after a SQL thread that was told to stop, until its request has ended.
 *
 * SQLite looks whether it is to stop between its instructions, and within the functions that take a few nanoseconds for each byte of their values.
 * What it does besides may take as long as it likes: `max` compares a value with each of a thousand others. Nothing but the end of its thread ends that.
 *
 * # Invariants
 * 1. A request is heedless only if it has neither ended nor shown any progress at {@link LOOKS} looks in a row. The looks are counted and not
 *    the time, for a machine that slept, or a page whose timers were held back, has done nothing meanwhile.
 * 2. Whoever looks whether it is to stop shows progress, and so does each request at its beginning, and who waits for another thread or the
 *    host, however long: `Activity` in `crates/store/src/activity.rs`.
 */

import type { ConnectionRecord } from './ConnectionRecord.ts';

/** After how much work without heed a request is given up, in milliseconds: far more than the longest step of a statement. */
export const HEED_MS = 60_000;

/** How many looks that takes. */
const LOOKS = 30;

/** The watch over one SQL thread. */
export class HeedWatch {
  readonly #record: ConnectionRecord;
  readonly #heedMs: number;
  readonly #onHeedless: () => void;
  #timer: ReturnType<typeof setInterval> | undefined;
  #progress = 0;
  #looks = 0;

  /** @param onHeedless called once a request that was told to stop is heedless */
  constructor(record: ConnectionRecord, heedMs: number, onHeedless: () => void) {
    this.#record = record;
    this.#heedMs = heedMs;
    this.#onHeedless = onHeedless;
  }

  /** The request that runs was told to stop, if one does: it sees `cancel`, or this sees it (`Activity::begin`). */
  begin(): void {
    if (this.#timer !== undefined || !this.#record.isInterrupted) return;
    this.#progress = this.#record.progress;
    this.#looks = 0;
    this.#timer = setInterval(() => this.#look(), this.#heedMs / LOOKS);
  }

  /** Nobody needs to know any more. */
  end(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #look(): void {
    const { isInterrupted, progress } = this.#record;
    if (!isInterrupted) {
      this.end();
      return;
    }
    const isWaiting = (progress & 1) !== 0;
    this.#looks = progress === this.#progress && !isWaiting ? this.#looks + 1 : 0;
    this.#progress = progress;
    if (this.#looks < LOOKS) return;
    this.end();
    this.#onHeedless();
  }
}
