/**
 * What this thread blocks on, told to whoever has started it: a thread that sleeps can't answer, so it says so before.
 *
 * Who listens lies on the global object, because a worker's script and the modules that it imports may each have a copy of this package
 * bundled into them.
 */

/** Hears of each wait that blocks this thread. */
export interface OwnWaits {
  /**
   * A wait begins.
   *
   * @param purpose one of the WAITING_FOR_ constants, 0 for a word that nobody has said more of, or a number of the listener's own
   * @param buffer the memory that it is on
   */
  begin(purpose: number, buffer: ArrayBufferLike): void;
  /** It is over. Waits don't nest: a thread that sleeps runs nothing. */
  end(): void;
}

const KEY = Symbol.for('heddle.atomics.ownWaits');

type Global = Record<typeof KEY, OwnWaits | undefined>;

/** Has `listener` hear of this thread's waits from now on. */
export function setOwnWaits(listener: OwnWaits | undefined): void {
  (globalThis as unknown as Global)[KEY] = listener;
}

/** Who hears of this thread's waits; mostly nobody. */
export function ownWaits(): OwnWaits | undefined {
  return (globalThis as unknown as Global)[KEY];
}

/** Waits, and tells of it if somebody listens. */
export function noted<Result>(purpose: number, buffer: ArrayBufferLike, wait: () => Result): Result {
  const listener = ownWaits();
  if (listener === undefined) return wait();
  listener.begin(purpose, buffer);
  try {
    return wait();
  } finally {
    listener.end();
  }
}
