import { expect, test } from 'vitest';
import { parseOptions, UsageError } from '../src/options.ts';

test('without arguments: 200,000 flights on one, two and four threads', () => {
  expect(parseOptions([])).toMatchObject({ rows: 200_000, threads: [1, 2, 4], json: false, keep: false });
});

test('thread counts are sorted and unique', () => {
  expect(parseOptions(['--threads', '4,1,4'])).toMatchObject({ threads: [1, 4] });
});

test.each([
  ['--rows', 'many'],
  ['--rows', '999'],
  ['--threads', '0'],
  ['--threads', '1,,2'],
  ['--threads', '65'],
  ['--cache-bytes', '-1'],
  ['--speed', '11'],
])('%s %s is refused', (...args) => {
  expect(() => parseOptions(args)).toThrow(UsageError);
});

test('--help', () => {
  expect(parseOptions(['--help'])).toBe('help');
});
