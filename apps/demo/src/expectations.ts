/** What node:sqlite says each execution of a query must give. */
import { difference } from './compare.ts';
import { EXECUTIONS, type DemoQuery, type Execution, type Statement } from './queries.ts';
import type { Answer, Observation } from './executions.ts';
import type { Reference } from './Reference.ts';

/** Adds up every column of the table: two tables that differ in one number differ here. */
export const FINGERPRINT: Statement = {
  sql: `SELECT count(*) AS flights, sum(id) AS ids, sum(date / 1000000) AS seconds, sum(delay) AS delay, sum(distance) AS distance,
sum(unicode(origin) * 3 + unicode(destination)) AS places FROM flights`,
  params: [],
};

export interface Expectations {
  /**
   * Per execution its right answers by count of write batches that are in the table: one answer for a query without write batches.
   */
  readonly answers: readonly (readonly Answer[])[];
  /** The table's fingerprint after all executions; undefined for a query that only reads. */
  readonly fingerprintAfter: Answer | undefined;
}

/** Runs all executions on the reference, in order, and leaves its table as it was. */
export function expect(reference: Reference, query: DemoQuery, rowsTotal: number): Expectations {
  const executions = Array.from({ length: EXECUTIONS }, (_, index) => query.execution(index, rowsTotal));
  const answers: Answer[][] = executions.map(() => []);
  const known = new Map<string, Answer>();
  const answer = (execution: Execution): Answer => {
    if (execution.kind !== 'read') return reference.execute(execution);
    const key = JSON.stringify(execution.statements);
    const rows = known.get(key) ?? reference.execute(execution);
    known.set(key, rows);
    return rows;
  };
  const hasBatches = executions.some(({ kind }) => kind === 'write');
  const answerReads = (): void => {
    known.clear();
    for (const [index, execution] of executions.entries()) if (execution.kind === 'read') answers[index]?.push(answer(execution));
  };
  if (hasBatches) answerReads();
  for (const [index, execution] of executions.entries()) {
    if (hasBatches && execution.kind === 'read') continue;
    answers[index]?.push(answer(execution));
    if (hasBatches) answerReads();
  }
  const fingerprintAfter = query.undo === undefined ? undefined : reference.all(FINGERPRINT);
  undo(reference, query, rowsTotal);
  return { answers, fingerprintAfter };
}

/** Puts the reference's table back into the state before the executions. */
export function undo(reference: Reference, query: DemoQuery, rowsTotal: number): void {
  for (const statement of query.undo?.(rowsTotal) ?? []) reference.run(statement);
}

/** Why an execution's outcome is wrong, in words; undefined when it is right. */
export function mismatch({ answers }: Expectations, { index, outcome, writesBefore, writesAfter }: Observation): string | undefined {
  if ('error' in outcome) return `failed: ${describeError(outcome.error)}`;
  const all = answers[index] ?? [];
  const possible = all.length === 1 ? all : all.slice(writesBefore, writesAfter + 1);
  let found: string | undefined;
  for (const expected of possible) {
    found = difference(outcome.answer, expected);
    if (found === undefined) return undefined;
  }
  const states = possible.length > 1 ? ` (none of the ${possible.length} states that it may see)` : '';
  return `${found ?? 'no answer was expected'}${states}`;
}

/** An error as one line. */
export function describeError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const code = 'code' in error ? ` ${String(error.code)}` : '';
  return `${error.name}${code}: ${error.message}`;
}
