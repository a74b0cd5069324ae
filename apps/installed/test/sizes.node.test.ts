import { expect, test } from 'vitest';
import { compare } from '../src/sizes.ts';

const gzip = (bytes: number): { minified: number; gzip: number } => ({ minified: 3 * bytes, gzip: bytes });

test('a size may be a tenth above its budget, and no more', () => {
  expect(compare({ lock: gzip(1100) }, { lock: 1000 })).toEqual([]);
  expect(compare({ lock: gzip(1101) }, { lock: 1000 })).toEqual(['lock: 1101 bytes, where the budget is 1000']);
});

test('what has no budget, or only a budget, is told', () => {
  expect(compare({ lock: gzip(10) }, { channel: 10 })).toEqual(['lock: has no budget', 'channel: has a budget, but is not there any more']);
});
