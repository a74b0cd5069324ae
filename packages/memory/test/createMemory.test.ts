import { expect, test } from 'vitest';
import { createMemory, createMemoryFor, PAGE_SIZE } from '../src/index.ts';

test('a memory has the pages that were asked for, and can have no more than its maximum', () => {
  const memory = createMemory({ initialPages: 1, maximumPages: 2 });
  expect(memory.buffer).toBeInstanceOf(SharedArrayBuffer);
  expect(memory.buffer.byteLength).toBe(PAGE_SIZE);
  expect(memory.grow(1)).toBe(1);
  expect(() => memory.grow(1)).toThrow(RangeError);
});

test('a maximum in bytes is no more than the module allows, and no less than it begins with', () => {
  const limits = { initialPages: 2, maximumPages: 3, isShared: true };
  for (const [bytes, most] of [
    [PAGE_SIZE, 2],
    [3 * PAGE_SIZE - 1, 2],
    [9 * PAGE_SIZE, 3],
  ] as const) {
    const memory = createMemoryFor(limits, bytes);
    expect(() => memory.grow(most - 2)).not.toThrow();
    expect(() => memory.grow(1)).toThrow(RangeError);
  }
});

// The search for a maximum that the engine agrees to didn't end: halves of these never come down to what the memory begins with.
test.each([
  [Number.NaN, 2],
  [undefined, 2],
  [-1, undefined],
  [1.5, 2],
  [1, Number.NaN],
  [1, -1],
  [1e6, undefined],
])('%s pages at first and %s at most are refused', (initialPages, maximumPages) => {
  const create = (): unknown => createMemory({ initialPages: initialPages as number, maximumPages });
  expect(create).toThrow(expect.objectContaining({ code: 'MEMORY_REFUSED' }));
});
