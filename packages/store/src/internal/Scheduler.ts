/**
 * Hands SQL threads to calls.
 *
 * A free thread goes to the call that asks; when all are taken, calls wait in order. A call that is given up leaves the queue at
 * once and harms nobody behind it.
 *
 * When the engine stops, its threads are withdrawn: calls go on waiting, for those of the next.
 *
 * # Fairness
 * First come, first served. A thread that was used last is handed out first, for its caches are warm. A call that never gives
 * its thread back – a query that is not read to its end – starves the others, who may set a timeout.
 */

import type { SqlThread } from './SqlThread.ts';
import type { Stop } from './Stop.ts';
import type { ThreadSource } from './ThreadSource.ts';

interface Waiter {
  readonly resolve: (thread: SqlThread) => void;
  readonly reject: (error: Error) => void;
}

/** The free threads of a database and the calls that wait for one. */
export class Scheduler implements ThreadSource {
  /** Those that it hands out. */
  readonly #threads: Set<SqlThread>;
  #free: SqlThread[];
  readonly #waiting: Set<Waiter> = new Set();
  #closed: Error | undefined;

  /** @param threads the threads to hand out; the first is handed out first */
  constructor(threads: readonly SqlThread[]) {
    this.#threads = new Set(threads);
    this.#free = threads.toReversed();
  }

  async acquire(stop: Stop): Promise<SqlThread> {
    if (stop.error) throw stop.error;
    if (this.#closed) throw this.#closed;
    return this.#free.pop() ?? this.#wait(stop);
  }

  #wait(stop: Stop): Promise<SqlThread> {
    return new Promise((resolve, reject) => {
      const waiter: Waiter = {
        resolve: (thread) => {
          stop.listen(undefined);
          resolve(thread);
        },
        reject: (error) => {
          stop.listen(undefined);
          this.#waiting.delete(waiter);
          reject(error);
        },
      };
      this.#waiting.add(waiter);
      stop.listen(waiter.reject);
    });
  }

  /** Whether nobody has the thread. */
  isFree(thread: SqlThread): boolean {
    return this.#free.includes(thread);
  }

  /** Hands out no thread any more, until there are others. Those that are out need not come back. */
  withdraw(): void {
    this.#threads.clear();
    this.#free = [];
  }

  /** Hands out these threads as well. */
  add(threads: readonly SqlThread[]): void {
    for (const thread of threads) {
      this.#threads.add(thread);
      this.release(thread);
    }
  }

  /** The oldest waiting call gets the thread. One that was withdrawn is forgotten. */
  release(thread: SqlThread): void {
    if (!this.#threads.has(thread)) return;
    const [next] = this.#waiting;
    if (next) {
      this.#waiting.delete(next);
      next.resolve(thread);
    } else {
      this.#free.push(thread);
    }
  }

  /** Rejects whoever waits and whoever will ask. */
  close(error: Error): void {
    if (this.#closed) return;
    this.#closed = error;
    for (const waiter of [...this.#waiting]) waiter.reject(error);
  }
}
