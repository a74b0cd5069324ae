/** Where calls get SQL threads: from this page's engine, or from that of another. */

import type { SqlThread } from './SqlThread.ts';
import type { Stop } from './Stop.ts';

/** Hands SQL threads to calls. */
export interface ThreadSource {
  /** Takes a thread, when one is free. Whoever takes it gives it back by {@link release}. */
  acquire(stop: Stop): Promise<SqlThread>;
  /** Gives a thread back, quiet and without an open transaction. */
  release(thread: SqlThread): void;
}
