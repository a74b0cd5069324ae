/** A colour of yarn for every query: tones that stand on light and dark alike, named after the dyes. */
import { QUERIES, type DemoQuery } from '@heddle/demo/queries';

const YARN = ['#3d6fb6', '#2a8f9e', '#6d8f3b', '#d8922a', '#c6533b', '#a8487c', '#7b5fa9', '#8c6b4f', '#3f9d6d', '#5c7ede'];
export const OWN_COLOUR = '#0d9d9d';
export const IMPORT_COLOUR = '#97927f';

export function colourOfQuery(query: DemoQuery): string {
  return YARN[QUERIES.indexOf(query) % YARN.length] ?? OWN_COLOUR;
}

/** The demo's queries by the text of their statements: so that a running statement is recognised. */
const byStatement = new Map<string, DemoQuery>();
const ROWS_ANY = 100_000;
for (const query of QUERIES) {
  const statements = [0, 1].flatMap((index) => [...query.execution(index, ROWS_ANY).statements]);
  for (const { sql } of [...statements, ...(query.undo?.(ROWS_ANY) ?? [])]) byStatement.set(sql, query);
}

/** What surrounds the statements of a transaction. */
const TRANSACTION = /^\s*(begin|commit|rollback|savepoint|release)\b/i;

/** The colour of a running statement; undefined is an import. */
export function colourOf(sql: string | undefined): string {
  if (sql === undefined || TRANSACTION.test(sql)) return IMPORT_COLOUR;
  const query = byStatement.get(sql);
  return query === undefined ? OWN_COLOUR : colourOfQuery(query);
}

/** What a running statement is called. */
export function nameOf(sql: string | undefined): string {
  if (sql === undefined) return 'Import';
  if (TRANSACTION.test(sql)) return 'Transaction';
  return byStatement.get(sql)?.title ?? 'Your SQL';
}
