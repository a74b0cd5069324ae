/**
 * What the rest of the package knows of the engine: SQL threads, the memory they share, and an end.
 */

import type { HeddleStoreError } from '../HeddleStoreError.ts';
import type { SqlThread } from './SqlThread.ts';

/** A running engine with an open database. */
export interface Engine {
  /** Its SQL threads, at least one. */
  readonly threads: readonly SqlThread[];
  /** The memory that they share. Its buffer is another one after it has grown. */
  readonly memory: { readonly buffer: ArrayBufferLike };
  /** Settles with the reason, if the engine stops by itself. Its threads fail with the same error. */
  readonly failed: Promise<HeddleStoreError>;
  /** Closes the database and ends all threads. Called once, when every SQL thread is quiet. */
  close(): Promise<void>;
  /** Lets go of files at once and without waiting, because the page goes away. What was acknowledged is safe. */
  abandon(): void;
}
