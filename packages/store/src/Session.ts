/**
 * What a database, a connection and a transaction have in common: SQL goes in, rows come out.
 */

import { execute } from './internal/call.ts';
import type { Lane } from './internal/Lane.ts';
import type { StopOptions } from './internal/Stop.ts';
import { Query, type QueryOptions } from './Query.ts';
import type { Row, SqlParams } from './SqlValue.ts';
import { isStatement, type Statement } from './Statement.ts';

/** What statements changed. */
export interface ExecResult {
  /** Rows inserted, updated and deleted. */
  readonly changes: number;
  /** The rowid of the row inserted last on the thread that ran the statements; 0 where it never inserted one. */
  readonly lastInsertRowid: number | bigint;
}

/** Something that runs SQL. */
export abstract class Session {
  readonly #lane: Lane;

  /** Not for use outside this package. */
  constructor(lane: Lane) {
    this.#lane = lane;
  }

  /**
   * Prepares to read one statement's rows. Nothing runs before they are asked for; see {@link Query}.
   *
   * @param params values for `?` as an array, or for `:name` as an object
   * @throws {HeddleStoreError} `MISUSE` for a value that SQLite has no type for
   */
  query<R extends object = Row>(sql: string, params?: SqlParams, options?: QueryOptions): Query<R>;
  query<R extends object>(statement: Statement<R>, options?: QueryOptions): Query<R>;
  query<R extends object>(
    sql: string | Statement<R>,
    paramsOrOptions: SqlParams | QueryOptions = [],
    options: QueryOptions = {},
  ): Query<R> {
    if (isStatement(sql)) return new Query<R>(this.#lane, sql.text, sql.params, optionsBehind(paramsOrOptions));
    return new Query<R>(this.#lane, sql, paramsOrOptions as SqlParams, options);
  }

  /**
   * Runs one or more statements, separated by semicolons, and discards their rows. Values are for a single statement.
   *
   * @throws {HeddleStoreError} what the first statement that failed did; those before it stand unless a transaction was open
   */
  exec(sql: string, params?: SqlParams, options?: StopOptions): Promise<ExecResult>;
  exec(statement: Statement<object>, options?: StopOptions): Promise<ExecResult>;
  async exec(
    sql: string | Statement<object>,
    paramsOrOptions: SqlParams | StopOptions = [],
    options: StopOptions = {},
  ): Promise<ExecResult> {
    if (isStatement(sql)) return execute(this.#lane, sql.text, sql.params, optionsBehind(paramsOrOptions));
    return execute(this.#lane, sql, paramsOrOptions as SqlParams, options);
  }
}

function optionsBehind(value: SqlParams | StopOptions): StopOptions {
  return Array.isArray(value) ? {} : (value as StopOptions);
}
