/**
 * A value that is made when it is first used, by whichever thread that is: a {@link OnceCell} and the function that makes it.
 *
 * Each thread gives its own function, and one of them runs. One that throws, or whose thread dies, leaves the value unmade: the
 * next use tries again. (A function of Rust's `Lazy` is gone when it panics; it is no record that TypeScript shares.)
 */
import type { WaitAsyncOptions, WaitOptions } from './internal/waiting.ts';
import type { OnceCell } from './OnceCell.ts';
import type { ReadonlyOf } from './SharedType.ts';

/** A value that is made when it is first used. */
export class Lazy<View, Init> {
  readonly #cell: OnceCell<View, Init>;
  readonly #make: () => Init;

  /**
   * @param cell where the value is kept
   * @param make makes it
   */
  constructor(cell: OnceCell<View, Init>, make: () => Init) {
    this.#cell = cell;
    this.#make = make;
  }

  /**
   * The value; makes it first if nobody has, and waits for whoever is making it, blocking.
   *
   * @throws as {@link OnceCell.getOrInit}
   */
  get value(): ReadonlyOf<View> {
    return this.force();
  }

  /** As {@link Lazy.value}, with a time limit. */
  force(options?: WaitOptions): ReadonlyOf<View> {
    return this.#cell.get() ?? this.#cell.getOrInit(this.#make, options);
  }

  /** As {@link Lazy.value}, without waiting: `undefined` if the value is being made elsewhere. */
  tryForce(): ReadonlyOf<View> | undefined {
    return this.#cell.get() ?? this.#cell.tryGetOrInit(this.#make);
  }

  /**
   * As {@link Lazy.value}, without blocking the thread.
   *
   * @throws as {@link OnceCell.getOrInitAsync}
   */
  async forceAsync(options: WaitAsyncOptions = {}): Promise<ReadonlyOf<View>> {
    return this.#cell.get() ?? this.#cell.getOrInitAsync(this.#make, options);
  }

  /** The value, or `undefined` while nobody has made it. */
  get(): ReadonlyOf<View> | undefined {
    return this.#cell.get();
  }
}
