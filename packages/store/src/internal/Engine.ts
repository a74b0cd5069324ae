/**
 * What the rest of the package knows of the engine: SQL threads over one memory, and an end.
 */

import type { HeddleStoreError } from '../HeddleStoreError.ts';
import type { IoQueueLocation } from './io/IoServer.ts';
import type { SqlThread } from './SqlThread.ts';

/** Why an engine stopped by itself. */
export interface EngineFailure {
  /** What happened; its code is `ENGINE_FAILED`, or `NOT_FOUND` where the files were removed: then no engine can follow. */
  readonly error: HeddleStoreError;
  /** The SQL thread that stopped the engine, where it was one of those. */
  readonly culprit: SqlThread | undefined;
}

/** A running engine with an open database. */
export interface Engine {
  /** Its SQL threads, at least one. */
  readonly threads: readonly SqlThread[];
  /** Where its requests for files are queued; undefined where it has no files. */
  readonly queue: IoQueueLocation | undefined;
  /** Whether it has stopped by itself, and why. Its files are out of its reach then. */
  readonly failure: EngineFailure | undefined;
  /** Called once, at the moment the engine stops by itself. Who is called fails the threads. */
  onFailure: ((failure: EngineFailure) => void) | undefined;
  /**
   * Ends what is left of an engine that has failed – no thread of it runs any more when the next one touches the files – and starts
   * another over what is durable. May be called again where it rejected. Absent where nothing is durable.
   */
  readonly restart: ((signal: AbortSignal) => Promise<Engine>) | undefined;
  /** Before `close`, when all that runs was told to stop: has what doesn't heed that end the engine, also where no other can follow. */
  endHeedless?(): void;
  /** Closes the database and ends all threads, or what is left of an engine that has failed. Called when every SQL thread is quiet. */
  close(): Promise<void>;
  /** Lets go of files at once and without waiting, because the page goes away. What was acknowledged is safe. */
  abandon(): void;
  /** The same where the page is frozen the next moment: returns when the files are closed, if that doesn't take too long. */
  abandonBeforeFreezing(): void;
}
