/**
 * A query that runs: the thread it holds, and its batches of rows.
 */

import { HeddleStoreError } from '../HeddleStoreError.ts';
import type { Row, SqlParams } from '../SqlValue.ts';
import type { Lane, Lease, Use } from './Lane.ts';
import { type Exchange, failureOf } from './SqlThread.ts';
import type { Stop } from './Stop.ts';

/**
 * A statement that writes and returns rows. Interrupting it would undo what it wrote, so for a reader who has seen enough it
 * runs on to its end instead. A match elsewhere in the text only costs the rows that nobody reads.
 */
const RETURNING = /\bRETURNING\b/i;

/** What a cursor is opened with. */
export interface CursorOptions {
  readonly lane: Lane;
  readonly stop: Stop;
  readonly use: Use;
  readonly sql: string;
  readonly params: SqlParams;
  readonly batchRows: number;
}

/** A query that runs. Whoever opens it reads it to its end or closes it. */
export class Cursor {
  /** The columns' names. */
  readonly columns: readonly string[];
  readonly #options: CursorOptions;
  readonly #lease: Lease;
  readonly #exchange: Exchange;
  #closing: Promise<HeddleStoreError | undefined> | undefined;

  private constructor(options: CursorOptions, lease: Lease, exchange: Exchange, columns: readonly string[]) {
    this.#options = options;
    this.#lease = lease;
    this.#exchange = exchange;
    this.columns = columns;
  }

  /** Starts a query, when a thread is free, and waits for its columns. */
  static async open(options: CursorOptions): Promise<Cursor> {
    const { lane, stop, use, sql, params, batchRows } = options;
    const lease = await lane.acquire(stop, use, sql);
    try {
      if (stop.error) throw stop.error;
      const exchange = await lease.thread.start({ op: 'query', sql, params, batchRows });
      stop.listen(() => exchange.interrupt());
      const first = await exchange.next();
      if (first?.type === 'error') throw failureOf(first, stop, sql);
      const cursor = new Cursor(options, lease, exchange, first?.type === 'columns' ? first.names : []);
      // Nobody may be reading when the reason to stop comes: the thread is freed all the same.
      stop.listen(() => {
        exchange.interrupt();
        void cursor.close();
      });
      return cursor;
    } catch (error) {
      await lease.release();
      throw error;
    }
  }

  /** The next batch of rows; `undefined` behind the last. */
  async next(): Promise<Row[] | undefined> {
    const { stop, sql } = this.#options;
    if (stop.error === undefined) {
      const response = await this.#exchange.next();
      if (response?.type === 'error') {
        await this.close();
        throw failureOf(response, stop, sql);
      }
      if (stop.error === undefined) {
        if (response?.type === 'rows') return response.rows;
        const amiss = (await this.close()) ?? (response?.type === 'columns' ? severalStatements(sql) : undefined);
        if (amiss) throw amiss;
        return undefined;
      }
    }
    await this.close();
    throw stop.error;
  }

  /** Ends the query, wherever it is, and gives its thread back. Returns what was wrong with that, if anything; never rejects. */
  close(): Promise<HeddleStoreError | undefined> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<HeddleStoreError | undefined> {
    const { stop, sql } = this.#options;
    if (!this.#exchange.ended) {
      if (stop.error === undefined && !RETURNING.test(sql)) this.#exchange.interrupt();
      try {
        await this.#exchange.drain();
      } catch (error) {
        await this.#lease.release();
        return error as HeddleStoreError;
      }
    }
    stop.listen(undefined);
    return this.#lease.release();
  }
}

function severalStatements(sql: string): HeddleStoreError {
  return new HeddleStoreError('MISUSE', 'query() reads the rows of one statement; for several, use exec()', { sql });
}
