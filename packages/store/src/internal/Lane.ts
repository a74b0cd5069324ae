/**
 * Where a call runs: on any thread of the pool, or on the one thread of a connection.
 *
 * # Invariants
 * 1. A lease is released once, whatever happened to its call, the engine's failure included: nobody waits for a thread in vain.
 * 2. In the pool, no transaction outlives the call that opened it, and no setting of a thread the call or the connection that made it.
 */

import { HeddleStoreError } from '../HeddleStoreError.ts';
import { Scheduler } from './Scheduler.ts';
import type { SqlThread } from './SqlThread.ts';
import { Stop, type StopOptions } from './Stop.ts';
import type { ThreadSource } from './ThreadSource.ts';

/** How a call uses its thread: `stream` for as long as its reader takes, `whole` for as long as the engine takes. */
export type Use = 'stream' | 'whole';

/** A thread, held by a call. */
export interface Lease {
  readonly thread: SqlThread;
  /** Gives the thread back. Returns what was wrong with the way it was left, if anything; never rejects. */
  release(): Promise<HeddleStoreError | undefined>;
}

/** Gives threads to calls. */
export interface Lane {
  /** Begins a call: its reasons to stop, the end of the lane among them. */
  begin(options: StopOptions, sql?: string): Stop;
  /** Takes a thread, when it is the call's turn. */
  acquire(stop: Stop, use: Use, sql?: string): Promise<Lease>;
  /** Ends a call. */
  end(stop: Stop): void;
}

/** The calls under way in one lane. */
export class Calls {
  readonly #stops: Set<Stop> = new Set();
  #closed: HeddleStoreError | undefined;

  /** Begins a call. */
  begin(options: StopOptions, sql?: string): Stop {
    this.check();
    const stop = new Stop(options, sql);
    this.#stops.add(stop);
    return stop;
  }

  /** Throws where calls are refused. */
  check(): void {
    if (this.#closed) throw this.#closed;
  }

  /** Makes a call that began elsewhere one of these as well. */
  add(stop: Stop): void {
    this.#stops.add(stop);
  }

  /** Ends a call. */
  end(stop: Stop): void {
    this.#stops.delete(stop);
    stop.dispose();
  }

  /** Refuses further calls. */
  refuse(error: HeddleStoreError): void {
    this.#closed ??= error;
  }

  /** Stops every call under way and refuses others. */
  close(error: HeddleStoreError): void {
    this.refuse(error);
    for (const stop of [...this.#stops]) stop.stop(error);
  }
}

/**
 * SQL that may leave a transaction open. A match in a string, a comment or a trigger's body costs one more round trip, no more;
 * there is no way to open a transaction without one of these words.
 */
const OPENS_TRANSACTION = /\b(?:BEGIN|SAVEPOINT)\b/i;

/** SQL that may change a setting of its thread. As above. */
const CHANGES_SETTINGS = /\bPRAGMA\b/i;

const LEFT_OPEN =
  'the call left its transaction open, and it was rolled back: the next call may run on another thread. Use db.transaction() or db.connection()';

/** Rolls back what is open on a thread, and tells whether something was. */
export async function rollBack(thread: SqlThread): Promise<boolean> {
  const { rolledBack } = await thread.request({ op: 'reset' }, undefined);
  return rolledBack;
}

/** As {@link rollBack}; and the thread's settings are as they were when it began. */
export async function restore(thread: SqlThread): Promise<boolean> {
  const { rolledBack } = await thread.request({ op: 'restore' }, undefined);
  return rolledBack;
}

/** Runs each call on any free thread. */
export class PoolLane implements Lane {
  readonly calls: Calls = new Calls();
  readonly #source: ThreadSource;

  constructor(source: ThreadSource) {
    this.#source = source;
  }

  begin(options: StopOptions, sql?: string): Stop {
    return this.calls.begin(options, sql);
  }

  end(stop: Stop): void {
    this.calls.end(stop);
  }

  async acquire(stop: Stop, _use: Use, sql: string = ''): Promise<Lease> {
    const thread = await this.#source.acquire(stop);
    return { thread, release: () => this.#release(thread, sql) };
  }

  async #release(thread: SqlThread, sql: string): Promise<HeddleStoreError | undefined> {
    try {
      if (!OPENS_TRANSACTION.test(sql) && !CHANGES_SETTINGS.test(sql)) return undefined;
      return (await restore(thread)) ? new HeddleStoreError('MISUSE', LEFT_OPEN, { sql }) : undefined;
    } catch (error) {
      return error as HeddleStoreError;
    } finally {
      this.#source.release(thread);
    }
  }
}

/** Runs each call on one thread, in the order of the calls. */
export class ConnectionLane implements Lane {
  readonly calls: Calls = new Calls();
  readonly thread: SqlThread;
  readonly #turns: Scheduler;
  #streams = 0;
  #mayBeOpen = false;
  #mayBeSet = false;
  #closing: Promise<void> | undefined;

  constructor(thread: SqlThread) {
    this.thread = thread;
    this.#turns = new Scheduler([thread]);
  }

  begin(options: StopOptions, sql?: string): Stop {
    return this.calls.begin(options, sql);
  }

  end(stop: Stop): void {
    this.calls.end(stop);
  }

  async acquire(stop: Stop, use: Use, sql: string = ''): Promise<Lease> {
    if (this.#streams > 0) throw new HeddleStoreError('MISUSE', STILL_READ, { sql });
    const streams = use === 'stream' ? 1 : 0;
    this.#streams += streams;
    try {
      const thread = await this.#turns.acquire(stop);
      this.#mayBeOpen ||= OPENS_TRANSACTION.test(sql);
      this.#mayBeSet ||= CHANGES_SETTINGS.test(sql);
      return {
        thread,
        release: async () => {
          this.#streams -= streams;
          this.#turns.release(thread);
          return undefined;
        },
      };
    } catch (error) {
      this.#streams -= streams;
      throw error;
    }
  }

  /** Rolls back what is open, after the calls that were made before. */
  async rollBack(): Promise<void> {
    await this.#turns.acquire(new Stop());
    try {
      await rollBack(this.thread);
      this.#mayBeOpen = false;
    } finally {
      this.#turns.release(this.thread);
    }
  }

  /** Notes that a commit succeeded: no transaction is open. */
  committed(): void {
    this.#mayBeOpen = false;
  }

  /** Stops all calls, for good, and returns when the thread is quiet, has no transaction open, and its settings are as they were. Never rejects. */
  close(error: HeddleStoreError): Promise<void> {
    this.#closing ??= this.#close(error);
    return this.#closing;
  }

  async #close(error: HeddleStoreError): Promise<void> {
    this.calls.close(error);
    await this.#turns.acquire(new Stop());
    this.#turns.close(error);
    // Where this fails, the engine has stopped, and nothing is open any more.
    if (this.#mayBeOpen || this.#mayBeSet) await restore(this.thread).catch(() => false);
  }
}

const STILL_READ = 'a query of this connection is being read: finish or leave its loop first, or use all()';
