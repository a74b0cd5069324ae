/** Values that each thread has for itself. */
import { currentThread } from './internal/current.ts';

/**
 * A value of each thread's own, made when the thread first asks for it.
 *
 * It lasts as long as its thread: until a spawned function has ended, and in a pool as long as the worker, so that jobs find what
 * those before them have left. A value that can be disposed of (`Symbol.dispose`) is when a spawned thread ends; what that throws is the thread's
 * error. When a worker is terminated nothing runs.
 *
 * ```ts
 * const parser = new ThreadLocal(() => new Parser());
 * export const parse = (text: string) => parser.get().parse(text);
 * ```
 */
export class ThreadLocal<T> {
  readonly #init: () => T;

  constructor(init: () => T) {
    this.#init = init;
  }

  /** This thread's value. */
  get(): T {
    const { locals } = currentThread();
    if (!locals.has(this)) locals.set(this, this.#init());
    return locals.get(this) as T;
  }

  /** Gives this thread another value. The one before is not disposed of: it is returned by {@link replace}. */
  set(value: T): void {
    currentThread().locals.set(this, value);
  }

  /** Gives this thread another value and returns the one before. */
  replace(value: T): T {
    const before = this.get();
    this.set(value);
    return before;
  }

  /** Whether this thread has a value already. */
  get isInitialized(): boolean {
    return currentThread().locals.has(this);
  }
}
