import { expect, test } from 'vitest';
import { difference } from '../src/compare.ts';

test('equal answers have no difference', () => {
  const answer = [{ id: 1, name: 'a', blob: new Uint8Array([1, 2]), none: null, big: 2n ** 60n }];
  expect(difference(answer, structuredClone(answer))).toBeUndefined();
});

test.each([
  ['a value', [{ n: 1 }], [{ n: 2 }], 'row 1 of 1, column n: 1 instead of 2'],
  ['a type', [{ n: '1' }], [{ n: 1 }], 'row 1 of 1, column n: "1" instead of 1'],
  ['null is not zero', [{ n: null }], [{ n: 0 }], 'row 1 of 1, column n: null instead of 0'],
  ['a bigint is not its number', [{ n: 1n }], [{ n: 1 }], 'row 1 of 1, column n: 1n instead of 1'],
  ['a row too few', [{ n: 1 }], [{ n: 1 }, { n: 2 }], '1 rows instead of 2'],
  ['the order of rows', [{ n: 2 }, { n: 1 }], [{ n: 1 }, { n: 2 }], 'row 1 of 2, column n: 2 instead of 1'],
  ['the order of columns', [{ b: 1, a: 1 }], [{ a: 1, b: 1 }], 'row 1 of 1, columns (b, a) instead of (a, b)'],
  [
    'a byte',
    [{ n: new Uint8Array([1]) }],
    [{ n: new Uint8Array([2]) }],
    'row 1 of 1, column n: a blob of 1 bytes instead of a blob of 1 bytes',
  ],
])('%s', (_, actual, expected, text) => {
  expect(difference(actual, expected)).toBe(text);
});
