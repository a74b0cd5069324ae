/**
 * The values that go into and come out of SQL.
 *
 * | SQLite | from the store | to the store |
 * |---|---|---|
 * | NULL | `null` | `null` |
 * | INTEGER | `number`; `bigint` beyond ±(2^53 − 1) | a safe integer as `number`, any `bigint` of 64 bits, `boolean` as 0 or 1 |
 * | REAL | `number` | every other `number` (`NaN` becomes NULL, as SQLite has it) |
 * | TEXT | `string` | `string` |
 * | BLOB | `Uint8Array`, the caller's own | `Uint8Array`, copied at the call |
 */

import { HeddleStoreError } from './HeddleStoreError.ts';

/** A value of a result row. */
export type SqlValue = null | number | bigint | string | Uint8Array;

/** A value given to a statement. */
export type SqlParam = SqlValue | boolean;

/** Values for `?`, in order, or for `:name`, `@name` and `$name`, by name without the prefix. */
export type SqlParams = readonly SqlParam[] | Readonly<Record<string, SqlParam>>;

/** A result row: an object with a property for each column. Of columns of the same name, the last counts. */
export type Row = Record<string, SqlValue>;

const INTEGER_MIN = -(2n ** 63n);
const INTEGER_MAX = 2n ** 63n - 1n;

/**
 * Checks what a caller gives as SQL: the engine would not know what to make of anything else.
 *
 * @throws {HeddleStoreError} `MISUSE`
 */
export function checkSql(sql: unknown): asserts sql is string {
  if (typeof sql !== 'string') throw new HeddleStoreError('MISUSE', `the SQL is ${sql === null ? 'null' : typeof sql}, not a string`);
}

/**
 * Checks values given by a caller, so that what can't be stored is an error that names it and not a surprise in a table.
 *
 * @throws {HeddleStoreError} `MISUSE`, naming the parameter
 */
export function checkParams(params: SqlParams, sql: string): void {
  if (Array.isArray(params)) {
    for (let index = 0; index < params.length; index++) checkParam(params[index], `parameter ${index + 1}`, sql);
    return;
  }
  if (typeof params !== 'object' || params === null || ArrayBuffer.isView(params)) {
    throw new HeddleStoreError('MISUSE', 'parameters are an array, or an object of names and values', { sql });
  }
  for (const [name, value] of Object.entries(params)) checkParam(value, `parameter "${name}"`, sql);
}

function checkParam(value: unknown, what: string, sql: string): void {
  switch (typeof value) {
    case 'number':
    case 'string':
    case 'boolean':
      return;
    case 'bigint':
      if (value >= INTEGER_MIN && value <= INTEGER_MAX) return;
      throw new HeddleStoreError('MISUSE', `${what} does not fit SQLite's INTEGER of 64 bits`, { sql });
    case 'object':
      if (value === null || value instanceof Uint8Array) return;
      throw new HeddleStoreError('MISUSE', `${what} is ${describe(value)}, which SQLite has no type for`, { sql });
    default:
      throw new HeddleStoreError('MISUSE', `${what} is ${typeof value}, which SQLite has no type for`, { sql });
  }
}

function describe(value: object): string {
  const name = value.constructor?.name;
  return name === undefined || name === 'Object' ? 'an object' : `a ${name}`;
}
