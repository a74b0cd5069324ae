/**
 * An open database.
 *
 * Calls run on SQL threads, as many at a time as there are threads; further calls wait their turn. The thread that holds the
 * `Database` – usually the page's main thread – runs no SQL and never blocks.
 */

import { onPageHide } from '#platform';
import { Connection } from './Connection.ts';
import { HeddleStoreError } from './HeddleStoreError.ts';
import { importInto, type ImportOptions, type ImportResult, type ImportSource } from './Importer.ts';
import { call } from './internal/call.ts';
import type { Engine } from './internal/Engine.ts';
import { ConnectionLane, PoolLane } from './internal/Lane.ts';
import { Scheduler } from './internal/Scheduler.ts';
import type { SqlThread } from './internal/SqlThread.ts';
import { Stop, type StopOptions } from './internal/Stop.ts';
import { Session } from './Session.ts';
import { runTransaction, type Transaction, type TransactionOptions } from './Transaction.ts';

/** What one SQL thread does at the moment. */
export interface ThreadActivity {
  /** Its number, from 0. */
  readonly index: number;
  /** A name to show. */
  readonly name: string;
  /** `running` a call, `reserved` by a connection or transaction between its calls, or `idle`. */
  readonly state: 'idle' | 'reserved' | 'running';
  /** The SQL text that runs. */
  readonly sql?: string | undefined;
  /** For how many milliseconds the call has been running. */
  readonly sinceMs?: number | undefined;
  /** How many statements it has run since the database was opened. */
  readonly statements: number;
}

/** An open database. Made by `open()`. */
export class Database extends Session implements AsyncDisposable {
  readonly #engine: Engine;
  readonly #scheduler: Scheduler;
  readonly #lane: PoolLane;
  readonly #reserved: Map<SqlThread, ConnectionLane> = new Map();
  readonly #stopListening: () => void;
  #closed: Promise<void> | undefined;

  /** Not for use outside this package. */
  constructor(engine: Engine) {
    const scheduler = new Scheduler(engine.threads);
    const lane = new PoolLane(scheduler);
    super(lane);
    this.#engine = engine;
    this.#scheduler = scheduler;
    this.#lane = lane;
    this.#stopListening = onPageHide(() => this.#abandon());
  }

  /** Reserves a SQL thread, when one is free. Without it, the other calls have one thread less. */
  async connection(options: StopOptions = {}): Promise<Connection> {
    const lane = await this.#reserve(options);
    return new Connection(lane, () => this.#giveBack(lane));
  }

  /**
   * Runs a transaction on a thread of its own: commits when the function's promise is fulfilled, rolls back when it rejects, and
   * runs the function again when another transaction was first. See {@link Transaction}.
   *
   * The function uses `tx`, not the database: a call on the database would be outside the transaction.
   */
  async transaction<T>(work: (transaction: Transaction) => Promise<T>, options: TransactionOptions = {}): Promise<T> {
    const lane = await this.#reserve({ signal: options.signal, timeoutMs: options.timeoutMs });
    try {
      return await runTransaction(lane, work, options);
    } finally {
      await lane.close(new HeddleStoreError('CLOSED', 'the transaction has ended'));
      this.#giveBack(lane);
    }
  }

  /**
   * Reads a Parquet or Arrow file into a table.
   *
   * Rows come in batches, each of which is there whole or not at all; other threads read meanwhile, and see whole batches. What
   * was acknowledged stays when the import is given up or fails later.
   *
   * @throws {HeddleStoreError} `BAD_IMPORT` where the file is truncated, of another format or doesn't fit the table
   */
  async import(source: ImportSource, options: ImportOptions): Promise<ImportResult> {
    return importInto({ lane: this.#lane, memory: this.#engine.memory }, source, options);
  }

  /** What each SQL thread does at the moment. */
  threads(): ThreadActivity[] {
    return this.#engine.threads.map((thread) => {
      const { index, activity } = thread;
      const { statements } = thread.link.record;
      const name = `SQL ${index + 1}`;
      if (!activity) return { index, name, state: this.#reserved.has(thread) ? 'reserved' : 'idle', statements };
      return { index, name, state: 'running', sql: activity.sql, sinceMs: performance.now() - activity.startMs, statements };
    });
  }

  /** Figures of the engine: caches, files, tables. Their names may change between versions. */
  async stats(): Promise<Record<string, number>> {
    const stop = this.#lane.begin({});
    try {
      const { stats } = await call(this.#lane, { op: 'stats' }, stop);
      return { ...stats };
    } finally {
      this.#lane.end(stop);
    }
  }

  /**
   * Closes the database: calls under way are interrupted, calls that wait are refused, both with `CLOSED`; open transactions are
   * rolled back; files are released. A page that is left closes its databases by itself. Again, it changes nothing.
   */
  close(): Promise<void> {
    this.#closed ??= this.#close(new HeddleStoreError('CLOSED', 'the database has been closed'));
    return this.#closed;
  }

  async #close(error: HeddleStoreError): Promise<void> {
    this.#stopListening();
    this.#lane.calls.close(error);
    await Promise.all(
      [...this.#reserved.values()].map(async (lane) => {
        await lane.close(error);
        this.#giveBack(lane);
      }),
    );
    for (const _ of this.#engine.threads) await this.#scheduler.acquire(new Stop());
    this.#scheduler.close(error);
    await this.#engine.close();
  }

  /** Lets go of the files at once, because the page goes away. Whatever is under way rejects with `CLOSED`. */
  #abandon(): void {
    this.#stopListening();
    this.#closed ??= Promise.resolve();
    const error = new HeddleStoreError('CLOSED', 'the page was left, and the database with it: open it again');
    this.#lane.calls.refuse(error);
    for (const lane of this.#reserved.values()) lane.calls.refuse(error);
    for (const thread of this.#engine.threads) thread.fail(error);
    this.#scheduler.close(error);
    this.#engine.abandon();
  }

  /** {@link close} */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #reserve(options: StopOptions): Promise<ConnectionLane> {
    const stop = this.#lane.begin(options);
    try {
      const thread = await this.#scheduler.acquire(stop);
      if (stop.error) {
        this.#scheduler.release(thread);
        throw stop.error;
      }
      const lane = new ConnectionLane(thread);
      this.#reserved.set(thread, lane);
      return lane;
    } finally {
      this.#lane.end(stop);
    }
  }

  #giveBack(lane: ConnectionLane): void {
    if (this.#reserved.delete(lane.thread)) this.#scheduler.release(lane.thread);
  }
}
