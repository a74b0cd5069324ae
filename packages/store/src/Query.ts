/**
 * A query's rows, on their way.
 *
 * When to use: `for await` for results of any size – a batch is fetched when the loop asks for it, and the SQL thread waits in
 * between; `all()` for results that fit; `first()` for one row.
 *
 * ```ts
 * for await (const rows of db.query<{ id: number }>('SELECT id FROM flights')) show(rows);
 * const late = await db.query('SELECT count(*) AS n FROM flights WHERE delay > ?', [60]).first();
 * ```
 *
 * A query starts when its rows are first asked for, and can be read once. Until it has been read to its end – or the loop was left,
 * or it was disposed of – it holds a SQL thread.
 */

import { HeddleStoreError } from './HeddleStoreError.ts';
import { Cursor } from './internal/Cursor.ts';
import type { Lane, Use } from './internal/Lane.ts';
import type { Stop, StopOptions } from './internal/Stop.ts';
import { checkParams, checkSql, type Row, type SqlParams } from './SqlValue.ts';

/** How a query is read. */
export interface QueryOptions extends StopOptions {
  /** The most rows in a batch; 1024 by default. */
  readonly batchRows?: number | undefined;
}

const BATCH_ROWS_DEFAULT = 1024;
const BATCH_ROWS_MAX = 1 << 20;

/** A query's rows, on their way. */
export class Query<R extends object = Row> implements AsyncIterable<R[]>, AsyncDisposable {
  readonly #lane: Lane;
  readonly #sql: string;
  readonly #params: SqlParams;
  readonly #options: QueryOptions;
  #stop: Stop | undefined;
  #cursor: Promise<Cursor> | undefined;
  #read = false;

  /** Made by `query()` of a database, connection or transaction. */
  constructor(lane: Lane, sql: string, params: SqlParams, options: QueryOptions) {
    checkSql(sql);
    const { batchRows = BATCH_ROWS_DEFAULT } = options;
    if (!Number.isInteger(batchRows) || batchRows < 1 || batchRows > BATCH_ROWS_MAX) {
      throw new HeddleStoreError('MISUSE', `batchRows is ${batchRows}, not from 1 to ${BATCH_ROWS_MAX}`, { sql });
    }
    checkParams(params, sql);
    this.#lane = lane;
    this.#sql = sql;
    this.#params = params;
    this.#options = options;
  }

  /** The columns' names, in order. Starts the query; its rows can still be read. */
  async columns(): Promise<string[]> {
    const cursor = await this.#open('stream', this.#options.batchRows);
    return [...cursor.columns];
  }

  /** Reads every row. */
  async all(): Promise<R[]> {
    const cursor = await this.#begin('whole', this.#options.batchRows);
    const batches: Row[][] = [];
    try {
      for (let batch = await cursor.next(); batch; batch = await cursor.next()) batches.push(batch);
    } finally {
      await this.#end(cursor);
    }
    return (batches.length === 1 ? batches[0] : batches.flat()) as R[];
  }

  /** Reads the first row and ends the query; `undefined` where there is none. */
  async first(): Promise<R | undefined> {
    const cursor = await this.#begin('whole', 1);
    try {
      return (await cursor.next())?.[0] as R | undefined;
    } finally {
      await this.#end(cursor);
    }
  }

  /** Reads the rows in batches. Leaving the loop ends the query. */
  async *[Symbol.asyncIterator](): AsyncGenerator<R[], void, undefined> {
    const cursor = await this.#begin('stream', this.#options.batchRows);
    try {
      for (let batch = await cursor.next(); batch; batch = await cursor.next()) yield batch as R[];
    } finally {
      await this.#end(cursor);
    }
  }

  /** Ends the query, however far it has been read. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#read = true;
    if (!this.#cursor) return;
    const cursor = await this.#cursor.catch(() => undefined);
    if (cursor) await this.#end(cursor);
  }

  #begin(use: Use, batchRows: number | undefined): Promise<Cursor> {
    if (this.#read) {
      return Promise.reject(new HeddleStoreError('MISUSE', 'the query has been read already', { sql: this.#sql }));
    }
    this.#read = true;
    return this.#open(use, batchRows);
  }

  #open(use: Use, batchRows: number = BATCH_ROWS_DEFAULT): Promise<Cursor> {
    this.#cursor ??= this.#start(use, batchRows);
    return this.#cursor;
  }

  async #start(use: Use, batchRows: number): Promise<Cursor> {
    const stop = this.#lane.begin(this.#options, this.#sql);
    this.#stop = stop;
    try {
      return await Cursor.open({ lane: this.#lane, stop, use, sql: this.#sql, params: this.#params, batchRows });
    } catch (error) {
      this.#lane.end(stop);
      throw error;
    }
  }

  async #end(cursor: Cursor): Promise<void> {
    await cursor.close();
    if (this.#stop) this.#lane.end(this.#stop);
  }
}
