/**
 * The one error class of this package. Programs tell failures apart by {@link HeddleStoreError.code}; the message is for people.
 *
 * Errors end up in logs, and with strangers. So a message names tables, columns, files and row numbers, never what is in a row or bound to a
 * parameter; and of the SQL text, which may have values in it, no more than a word. The whole text, and the key that is to blame, are there for
 * who asks for them: they are no properties that `console.log`, `util.inspect` or `JSON.stringify` would show.
 */

import type { Row } from './SqlValue.ts';

/**
 * What kind of failure it was.
 *
 * | code | meaning | what to do |
 * |---|---|---|
 * | `SQL_ERROR` | the SQL text is malformed or names something that doesn't exist | mend the SQL; `offset` says where, if known |
 * | `CONSTRAINT` | a NULL, duplicate or otherwise forbidden value | mend the data |
 * | `TYPE_MISMATCH` | a value's type is not its column's | mend the data |
 * | `CONFLICT` | another transaction committed first what this one read or wrote, or has the ordinary tables or an attached file | retry the transaction |
 * | `BUSY` | another connection writes the ordinary tables, or has an attached file | wait, retry |
 * | `TABLE_BUSY` | the table is being imported into or changed | wait, retry |
 * | `INTERRUPTED` | the statement was stopped, not by the caller's own signal or timeout | |
 * | `ABORTED` | the caller's `AbortSignal` fired; `cause` is its reason | |
 * | `TIMEOUT` | `timeoutMs` ran out | |
 * | `CLOSED` | the database or connection has been closed | |
 * | `LOCKED` | another process, or a page that doesn't share it, has the directory open | close it there |
 * | `VERSION_MISMATCH` | another tab shares the database with another version of this package | reload the older tab |
 * | `PERMISSION_DENIED` | the host refuses access to a file or directory | |
 * | `OUT_OF_MEMORY` | the memory that statements may take is used up | commit in smaller steps, sort less, or open with more `memoryBytes` |
 * | `TOO_BIG` | a value, a statement or a transaction is larger than the store takes: 256 MiB, 240 MiB of a transaction's rows | |
 * | `NO_SPACE` | the disk or the origin's quota is full | make room, retry |
 * | `IO_ERROR` | the host failed to read or write | |
 * | `CORRUPT` | stored bytes are not what was written | restore a copy |
 * | `BAD_IMPORT` | the file to import is truncated, foreign or doesn't fit the table | |
 * | `NOT_FOUND` | a file, directory or table that must exist doesn't | |
 * | `MISUSE` | the call itself is wrong: the message says how | mend the program |
 * | `NOT_CROSS_ORIGIN_ISOLATED` | the page may not share memory between threads | serve two headers, see the message |
 * | `ENGINE_RESTARTED` | the engine stopped under the call, or the tab that ran it is gone, and another is started; a commit under way is there whole or not at all | read what is there, then repeat |
 * | `ENGINE_FAILED` | the engine stopped for good; what was acknowledged is on disk | open again |
 * | | or, as one statement's error: a panic within it, which harmed nothing else; what it said is printed with `showsPanics` | |
 */
export type StoreErrorCode =
  | 'SQL_ERROR'
  | 'CONSTRAINT'
  | 'TYPE_MISMATCH'
  | 'CONFLICT'
  | 'BUSY'
  | 'TABLE_BUSY'
  | 'INTERRUPTED'
  | 'ABORTED'
  | 'TIMEOUT'
  | 'CLOSED'
  | 'LOCKED'
  | 'VERSION_MISMATCH'
  | 'PERMISSION_DENIED'
  | 'OUT_OF_MEMORY'
  | 'TOO_BIG'
  | 'NO_SPACE'
  | 'IO_ERROR'
  | 'CORRUPT'
  | 'BAD_IMPORT'
  | 'NOT_FOUND'
  | 'MISUSE'
  | 'NOT_CROSS_ORIGIN_ISOLATED'
  | 'ENGINE_RESTARTED'
  | 'ENGINE_FAILED';

/** What is known about a failure beside its code and message. */
export interface StoreErrorDetails {
  /** SQLite's extended result code, where SQLite reported the failure. */
  readonly sqliteCode?: number | undefined;
  /** Where in {@link HeddleStoreError.sql} the error was seen, as an index into the string (UTF-16 units). */
  readonly offset?: number | undefined;
  /** The SQL text of the call that failed. */
  readonly sql?: string | undefined;
  /** The table whose key is to blame. */
  readonly table?: string | undefined;
  /** The columns of that key, in its order. */
  readonly columns?: readonly string[] | undefined;
  /** The values in those columns. */
  readonly key?: Readonly<Row> | undefined;
  /** What caused it: an abort signal's reason, an error of the host. */
  readonly cause?: unknown;
}

/** A failed call to the store. */
export class HeddleStoreError extends Error {
  override readonly name: 'HeddleStoreError' = 'HeddleStoreError';
  /** What kind of failure; see {@link StoreErrorCode}. */
  readonly code: StoreErrorCode;
  /** SQLite's extended result code, where SQLite reported the failure. */
  readonly sqliteCode: number | undefined;
  /** Where in {@link sql} SQLite saw the error, as an index into the string (UTF-16 units). */
  readonly offset: number | undefined;
  /** The table whose key is to blame; see {@link key}. */
  readonly table: string | undefined;
  /** The columns of that key, in its order. */
  readonly columns: readonly string[] | undefined;
  readonly #sql: string | undefined;
  readonly #key: Readonly<Row> | undefined;

  constructor(code: StoreErrorCode, message: string, details: StoreErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.sqliteCode = details.sqliteCode;
    this.offset = details.offset;
    this.table = details.table;
    this.columns = details.columns;
    this.#sql = details.sql;
    this.#key = details.key;
  }

  /** The SQL text of the call that failed. */
  get sql(): string | undefined {
    return this.#sql;
  }

  /**
   * The key that is to blame, as a row of {@link columns}: of a `CONSTRAINT`, the refused row's values in the PRIMARY KEY, UNIQUE constraint or
   * unique index that another row has them in; of a `BAD_IMPORT`, the key that the file has twice or the table has already; of a
   * `CONFLICT`, the key of a row that another transaction has written first. `undefined` where there is none or it isn't known, as
   * always of ordinary tables, of which SQLite tells the columns in the message and no values.
   *
   * It is what is in a row: mind where it goes.
   */
  get key(): Readonly<Row> | undefined {
    return this.#key;
  }
}
