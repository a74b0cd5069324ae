/**
 * An open database.
 *
 * Calls run on SQL threads, as many at a time as there are threads; further calls wait their turn. The thread that holds the
 * `Database` – usually the page's main thread – runs no SQL and never blocks.
 *
 * When the engine stops by itself, another takes its place: calls under way reject with `ENGINE_RESTARTED`, calls made meanwhile
 * wait.
 */

import { onPageHide } from '#platform';
import { Connection } from './Connection.ts';
import { HeddleStoreError } from './HeddleStoreError.ts';
import { importInto, type ImportOptions, type ImportResult, type ImportSource } from './Importer.ts';
import { call } from './internal/call.ts';
import type { Keeper, Role } from './internal/Keeper.ts';
import { ConnectionLane, PoolLane } from './internal/Lane.ts';
import type { SqlThread } from './internal/SqlThread.ts';
import type { Stop, StopOptions } from './internal/Stop.ts';
import { Session } from './Session.ts';
import type { ThreadActivity } from './ThreadActivity.ts';
import { Attempts, runTransaction, type Transaction, type TransactionOptions } from './Transaction.ts';

/** An open database. Made by `open()`. */
export class Database extends Session implements AsyncDisposable {
  readonly #keeper: Keeper;
  readonly #lane: PoolLane;
  readonly #reserved: Map<SqlThread, ConnectionLane> = new Map();
  readonly #stopListening: () => void;
  #closed: Promise<void> | undefined;

  /** Not for use outside this package. */
  constructor(keeper: Keeper) {
    const lane = new PoolLane(keeper.source);
    super(lane);
    this.#keeper = keeper;
    this.#lane = lane;
    keeper.onStop = (error, isForGood) => this.#onStop(error, isForGood);
    this.#stopListening = onPageHide(() => this.#abandon());
  }

  /** Reserves a SQL thread, when one is free. Without it, the other calls have one thread less. */
  async connection(options: StopOptions = {}): Promise<Connection> {
    const stop = this.#lane.begin(options);
    try {
      const lane = await this.#reserve(stop);
      return new Connection(lane, () => this.#giveBack(lane));
    } finally {
      this.#lane.end(stop);
    }
  }

  /**
   * Runs a transaction on a thread of its own: commits when the function's promise is fulfilled, rolls back when it rejects, and
   * runs the function again when another transaction was first, or the engine stopped before the commit. See {@link Transaction}.
   *
   * The function uses `tx`, not the database: a call on the database would be outside the transaction.
   */
  async transaction<T>(work: (transaction: Transaction) => Promise<T>, options: TransactionOptions = {}): Promise<T> {
    const stop = this.#lane.begin(options);
    const attempts = new Attempts(options);
    try {
      for (;;) {
        const lane = await this.#reserve(stop);
        try {
          return await runTransaction(lane, work, attempts, stop);
        } catch (error) {
          if (!attempts.mayRepeatAfterRestart(error, lane.thread)) throw error;
        } finally {
          await lane.close(new HeddleStoreError('CLOSED', 'the transaction has ended'));
          this.#giveBack(lane);
        }
      }
    } finally {
      this.#lane.end(stop);
    }
  }

  /**
   * Reads a Parquet, Arrow or CSV file into a table.
   *
   * Rows come in batches, each of which is there whole or not at all; other threads read meanwhile, and see whole batches. What
   * was acknowledged stays when the import is given up or fails later.
   *
   * @throws {HeddleStoreError} `BAD_IMPORT` where the file is truncated, of another format or doesn't fit the table
   */
  async import(source: ImportSource, options: ImportOptions): Promise<ImportResult> {
    return importInto(this.#lane, source, options);
  }

  /** Whether this `Database` runs the engine, or another tab that shares it and answers its calls. */
  get role(): Role {
    return this.#keeper.role;
  }

  /** What each SQL thread does at the moment; where another tab runs the engine, what it did a moment ago. */
  threads(): ThreadActivity[] {
    return this.#keeper.threads();
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
    const lanes = [...this.#reserved.values()].map(async (lane) => {
      await lane.close(error);
      this.#giveBack(lane);
    });
    await this.#keeper.close(error, Promise.all(lanes));
  }

  /** The engine has stopped: what was reserved of it is gone. */
  #onStop(error: HeddleStoreError, isForGood: boolean): void {
    if (isForGood) this.#lane.calls.close(error);
    for (const lane of this.#reserved.values()) lane.calls.close(error);
  }

  /** Lets go of the files at once, because the page goes away. Whatever is under way rejects with `CLOSED`. */
  #abandon(): void {
    this.#stopListening();
    this.#closed ??= Promise.resolve();
    const error = new HeddleStoreError('CLOSED', 'the page was left, and the database with it: open it again');
    this.#lane.calls.refuse(error);
    for (const lane of this.#reserved.values()) lane.calls.refuse(error);
    this.#keeper.abandon(error);
  }

  /** {@link close} */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #reserve(stop: Stop): Promise<ConnectionLane> {
    const thread = await this.#keeper.source.acquire(stop);
    if (stop.error) {
      this.#keeper.source.release(thread);
      throw stop.error;
    }
    const lane = new ConnectionLane(thread);
    this.#reserved.set(thread, lane);
    return lane;
  }

  #giveBack(lane: ConnectionLane): void {
    if (this.#reserved.delete(lane.thread)) this.#keeper.source.release(lane.thread);
  }
}
