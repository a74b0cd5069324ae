/** Exact comparison of two answers to the same SQL. */
import type { SqlValue } from '@heddle/store';
import type { Answer, Row } from './executions.ts';

/** The first difference in words, or undefined when the answers are equal: same rows, order, column names, types and values. */
export function difference(actual: Answer, expected: Answer): string | undefined {
  for (let index = 0; index < Math.min(actual.length, expected.length); index++) {
    const found = rowDifference(actual[index] as Row, expected[index] as Row);
    if (found !== undefined) return `row ${index + 1} of ${expected.length}, ${found}`;
  }
  if (actual.length !== expected.length) return `${actual.length} rows instead of ${expected.length}`;
  return undefined;
}

/** The first difference of two rows in words, or undefined. */
export function rowDifference(actual: Row, expected: Row): string | undefined {
  const names = Object.keys(expected);
  const actualNames = Object.keys(actual);
  if (actualNames.length !== names.length || names.some((name, index) => name !== actualNames[index]))
    return `columns (${actualNames.join(', ')}) instead of (${names.join(', ')})`;
  for (const name of names) {
    const ours = actual[name] as SqlValue;
    const theirs = expected[name] as SqlValue;
    if (!sameValue(ours, theirs)) return `column ${name}: ${show(ours)} instead of ${show(theirs)}`;
  }
  return undefined;
}

function sameValue(a: SqlValue, b: SqlValue): boolean {
  if (a instanceof Uint8Array && b instanceof Uint8Array) return a.length === b.length && a.every((byte, index) => byte === b[index]);
  return Object.is(a, b);
}

function show(value: SqlValue): string {
  if (value instanceof Uint8Array) return `a blob of ${value.length} bytes`;
  return typeof value === 'bigint' ? `${value}n` : (JSON.stringify(value) ?? String(value));
}
