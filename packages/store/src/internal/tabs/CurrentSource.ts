/**
 * The threads of whichever engine is within reach: this tab's own, another tab's, or none for now.
 *
 * # Invariants
 * 1. A call that waits for a thread waits on when the engine goes out of reach, for whoever comes next: nothing of it was sent.
 * 2. A thread goes back to where it came from.
 *
 * # Fairness
 * First come, first served, as far as one source goes; those who waited at one wait at the next in their order.
 */

import type { SqlThread } from '../SqlThread.ts';
import type { Stop } from '../Stop.ts';
import type { ThreadSource } from '../ThreadSource.ts';

/** Why a source that is out of reach refuses calls. They ask the next. */
export class SourceGone extends Error {
  override readonly name = 'SourceGone';
}

/** The threads of the engine that is within reach. */
export class CurrentSource implements ThreadSource {
  #current: ThreadSource | undefined;
  #closed: Error | undefined;
  readonly #waiting = new Set<() => void>();
  readonly #homes = new WeakMap<SqlThread, ThreadSource>();

  /** Sets the source. Whoever waits at the one before is refused there with {@link SourceGone}. */
  set(source: ThreadSource | undefined): void {
    this.#current = source;
    if (source) this.#wake();
  }

  /** Takes the source away, if it is still this one. */
  unset(source: ThreadSource): void {
    if (this.#current === source) this.#current = undefined;
  }

  /** Refuses whoever waits and whoever will ask. */
  close(error: Error): void {
    this.#closed ??= error;
    this.#wake();
  }

  #wake(): void {
    for (const wake of [...this.#waiting]) wake();
  }

  async acquire(stop: Stop): Promise<SqlThread> {
    for (;;) {
      if (stop.error) throw stop.error;
      if (this.#closed) throw this.#closed;
      const source = this.#current;
      if (!source) {
        // oxlint-disable-next-line no-await-in-loop -- one source after the other
        await this.#change(stop);
        continue;
      }
      try {
        // oxlint-disable-next-line no-await-in-loop
        const thread = await source.acquire(stop);
        this.#homes.set(thread, source);
        return thread;
      } catch (error) {
        if (!(error instanceof SourceGone)) throw error;
        this.unset(source);
      }
    }
  }

  /** Resolves when there may be a source, or a reason not to wait for one. */
  #change(stop: Stop): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        this.#waiting.delete(wake);
        stop.listen(undefined);
        resolve();
      };
      this.#waiting.add(wake);
      stop.listen(wake);
    });
  }

  release(thread: SqlThread): void {
    this.#homes.get(thread)?.release(thread);
  }
}
