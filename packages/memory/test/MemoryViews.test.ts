import { expect, test } from 'vitest';
import { createMemory, MemoryViews, PAGE_SIZE } from '../src/index.ts';

test('what has grown is within reach, where views that were kept end too early', () => {
  const memory = createMemory({ initialPages: 1, maximumPages: 3 });
  const views = new MemoryViews(memory);
  const { bytes: kept } = views;
  memory.grow(1);
  expect(kept.length).toBe(PAGE_SIZE);
  expect([views.bytes.length, views.words.length, views.longs.length, views.data.byteLength]).toEqual([
    2 * PAGE_SIZE,
    PAGE_SIZE / 2,
    PAGE_SIZE / 4,
    2 * PAGE_SIZE,
  ]);
  views.words[PAGE_SIZE / 4] = 0x0102_0304;
  expect([views.bytes[PAGE_SIZE], views.data.getUint32(PAGE_SIZE, true), views.longs[PAGE_SIZE / 8]]).toEqual([
    4,
    0x0102_0304,
    0x0102_0304n,
  ]);
});

test('views are made anew only when the memory has grown', () => {
  const memory = createMemory({ initialPages: 1, maximumPages: 3 });
  const views = new MemoryViews(memory);
  expect(views.words).toBe(views.words);
  const before = views.words;
  memory.grow(1);
  expect(views.words).not.toBe(before);
  expect(views.words.buffer).toBeInstanceOf(SharedArrayBuffer);
});
