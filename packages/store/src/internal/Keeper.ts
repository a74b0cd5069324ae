/** What a database knows of whoever keeps an engine for it: of its own, or shared with other tabs. */

import type { HeddleStoreError } from '../HeddleStoreError.ts';
import type { ThreadActivity } from '../ThreadActivity.ts';
import type { ThreadSource } from './ThreadSource.ts';

/** Who runs the engine: this `Database`, or another tab's that answers its calls. */
export type Role = 'leader' | 'follower';

/** The engine stopped, and another has taken its place. */
export interface EngineRestart {
  /** Why the engine before stopped. */
  readonly error: HeddleStoreError;
  /** How long calls had to wait, in milliseconds. */
  readonly durationMs: number;
}

/** Keeps an engine running, or within reach. */
export interface Keeper {
  /** Hands out its threads. */
  readonly source: ThreadSource;
  /** Who runs the engine. */
  readonly role: Role;
  /**
   * Called when the engine has stopped: for good, or to be followed by another. Its threads have failed with this error; calls that wait
   * for one wait on.
   */
  onStop: ((error: HeddleStoreError, isForGood: boolean) => void) | undefined;
  /** What each SQL thread does. */
  threads(): ThreadActivity[];
  /**
   * Closes the database, when `quiet` says that the calls under way have given their threads back. Calls that wait are refused with the
   * error.
   */
  close(error: HeddleStoreError, quiet: Promise<unknown>): Promise<void>;
  /** Lets go of the files at once, because the page goes away. Whatever is under way rejects with the error. */
  abandon(error: HeddleStoreError): void;
}

/** Calls a listener of the application's. What it throws is told where uncaught errors are, and harms nobody here. */
export function tell<T>(listener: ((notice: T) => void) | undefined, notice: T): void {
  try {
    listener?.(notice);
  } catch (thrown) {
    queueMicrotask(() => {
      throw thrown;
    });
  }
}
