import { expect, test } from 'vitest';
import { mismatch, type Expectations } from '../src/expectations.ts';
import type { Answer } from '../src/executions.ts';

/** A reader beside three batches of ten rows: right after 0, 1, 2 or 3 of them. */
const beside: Expectations = { answers: [[0, 10, 20, 30].map((rows): Answer => [{ rows }])], fingerprintAfter: undefined };

function seen(rows: number, writesBefore: number, writesAfter: number): string | undefined {
  return mismatch(beside, { index: 0, outcome: { answer: [{ rows }] }, writesBefore, writesAfter });
}

test('a read may see any whole number of batches between its begin and its end', () => {
  expect(seen(10, 1, 2)).toBeUndefined();
  expect(seen(20, 1, 2)).toBeUndefined();
});

test('a read that misses an acknowledged batch is wrong', () => {
  expect(seen(0, 1, 2)).toMatch(/none of the 2 states/);
});

test('a read that sees a batch which was not issued yet is wrong', () => {
  expect(seen(30, 1, 2)).toMatch(/none of the 2 states/);
});

test('a read that sees half a batch is wrong', () => {
  expect(seen(15, 0, 3)).toMatch(/none of the 4 states/);
});

test('a failed execution is a mismatch that tells the error', () => {
  const outcome = { error: Object.assign(new Error('no such table: flights'), { code: 'SQL_ERROR' }) };
  expect(mismatch(beside, { index: 0, outcome, writesBefore: 0, writesAfter: 0 })).toBe('failed: Error SQL_ERROR: no such table: flights');
});
