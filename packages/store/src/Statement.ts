/**
 * SQL text with its values and the type of its rows, made by the {@link sql} tag.
 *
 * When to use: wherever a value goes into SQL. What stands in `${…}` becomes a parameter, never text, so no value can change
 * the statement's meaning; and the rows' type is said once, where the columns are named.
 *
 * ```ts
 * const late = (minutes: number) => sql<{ id: number; delay: number }>`
 *   SELECT id, delay FROM flights WHERE delay > ${minutes}`;
 * const rows = await db.query(late(60)).all(); // { id: number; delay: number }[]
 * ```
 */

import type { Row, SqlParam } from './SqlValue.ts';

declare const rowType: unique symbol;

/** A statement whose rows have the type `R`. */
export interface Statement<out R extends object = Row> {
  /** The SQL text, a `?` for each value. */
  readonly text: string;
  /** The values, in the order of the `?`. */
  readonly params: readonly SqlParam[];
  /** The rows' type, for the compiler only: there is no such property. */
  readonly [rowType]?: R;
}

/** Makes a {@link Statement}. A `${…}` that holds a statement is spliced in with its values; any other becomes a parameter. */
export function sql<R extends object = Row>(
  texts: TemplateStringsArray,
  ...values: readonly (SqlParam | Statement<object>)[]
): Statement<R> {
  let text = texts[0] ?? '';
  const params: SqlParam[] = [];
  for (const [index, value] of values.entries()) {
    if (isStatement(value)) {
      text += value.text;
      params.push(...value.params);
    } else {
      text += '?';
      params.push(value);
    }
    text += texts[index + 1] ?? '';
  }
  return { text, params };
}

/** Whether a value is a {@link Statement}. */
export function isStatement(value: unknown): value is Statement<object> {
  return typeof value === 'object' && value !== null && 'text' in value && 'params' in value && !(value instanceof Uint8Array);
}
