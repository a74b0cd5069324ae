import { expect, test } from 'vitest';
import { checkParams } from '../src/SqlValue.ts';

test.each([[[null, 1, 1.5, NaN, 2n ** 63n - 1n, -(2n ** 63n), 'text', true, new Uint8Array(2)]], [[]], [{ a: 1, b: null }]])(
  'values that SQLite has a type for pass: %o',
  (params) => {
    expect(() => checkParams(params, '')).not.toThrow();
  },
);

test.each<[unknown, string]>([
  [[1, undefined], 'parameter 2 is undefined'],
  [[new Date(0)], 'parameter 1 is a Date'],
  [[{}], 'parameter 1 is an object'],
  [[[1]], 'parameter 1 is a Array'],
  [[Symbol('s')], 'parameter 1 is symbol'],
  [[2n ** 63n], 'parameter 1 does not fit'],
  [[-(2n ** 63n) - 1n], 'parameter 1 does not fit'],
  [{ name: () => 1 }, 'parameter "name" is function'],
  [new Uint8Array(1), 'parameters are an array, or an object'],
  ['text', 'parameters are an array, or an object'],
])('%o is MISUSE that names the parameter', (params, message) => {
  expect(() => checkParams(params as never, 'SELECT 1')).toThrow(
    expect.objectContaining({ code: 'MISUSE', sql: 'SELECT 1', message: expect.stringContaining(message) }),
  );
});
