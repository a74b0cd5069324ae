import { expect, test } from 'vitest';
import { createMemory, createMemoryFor, inspect, instantiate, MemoryError, MemoryViews, PAGE_SIZE, ThreadBlocks } from '../src/index.ts';
import { bareModule } from './modules.ts';
import { runInWorkers } from './support/spawn.ts';

const sizes = { stackSize: 1000, tls: { size: 100, align: 64 } };

function blocksIn(maximumPages: number): ThreadBlocks {
  return ThreadBlocks.create({ memory: createMemory({ initialPages: 1, maximumPages }), ...sizes });
}

test("a block has room for the stack and aligned thread-local storage, and doesn't overlap others", () => {
  const blocks = blocksIn(16);
  const taken = [blocks.take(), blocks.take(), blocks.take()];
  for (const { address, size, stackTop, stackSize, tlsBase } of taken) {
    expect(stackSize).toBeGreaterThanOrEqual(sizes.stackSize);
    expect([tlsBase % sizes.tls.align, stackTop % 16]).toEqual([0, 0]);
    expect(stackTop).toBeLessThan(tlsBase);
    expect(tlsBase + sizes.tls.size).toBeLessThanOrEqual(address + size);
  }
  const starts = taken.map(({ address }) => address);
  expect(starts).toEqual([2 * PAGE_SIZE, 3 * PAGE_SIZE, 4 * PAGE_SIZE]);
});

test('what a thread has given back the next one gets, with its thread-local storage cleared', () => {
  const blocks = blocksIn(16);
  const [first, second] = [blocks.take(), blocks.take()];
  const views = new MemoryViews(blocks.handle.memory);
  views.bytes.fill(7, first.tlsBase, first.tlsBase + sizes.tls.size);
  first.free();
  second.free();
  second.free();
  // The newest one first; freed twice, it is there once.
  expect([blocks.take().address, blocks.take().address, blocks.take().address]).toEqual([second.address, first.address, 4 * PAGE_SIZE]);
  expect(blocks.createdCount).toBe(3);
  expect(views.bytes.subarray(first.tlsBase, first.tlsBase + sizes.tls.size).some((byte) => byte !== 0)).toBe(false);
});

test('a stack that was left by its end is a named error, and its block is used no more', () => {
  const blocks = blocksIn(16);
  const block = blocks.take();
  const { words } = new MemoryViews(blocks.handle.memory);
  expect(block.isWhole).toBe(true);
  // The last word that is the stack's, and the first that isn't.
  words[(block.stackTop - block.stackSize) / 4] = 1;
  block.check();
  words[(block.stackTop - block.stackSize) / 4 - 1] = 1;
  expect(block.isWhole).toBe(false);
  expect(() => block.check()).toThrow(expect.objectContaining({ name: 'MemoryError', code: 'STACK_OVERFLOW' }));
  expect(() => block.free()).toThrow(MemoryError);
  expect(blocks.take().address).not.toBe(block.address);
});

test('another agent opens the list by its handle; what is none is refused', () => {
  const blocks = blocksIn(16);
  const { address } = blocks.take();
  const other = ThreadBlocks.from({ ...blocks.handle });
  other.take().free();
  expect(blocks.take().address).toBe(address + PAGE_SIZE);
  const refused = (): unknown => ThreadBlocks.from({ ...blocks.handle, address: 0 });
  expect(refused).toThrow(expect.objectContaining({ code: 'BAD_HANDLE' }));
});

test('a memory that is full says so', () => {
  const blocks = blocksIn(3);
  blocks.take();
  expect(() => blocks.take()).toThrow(expect.objectContaining({ code: 'OUT_OF_MEMORY' }));
});

test('four workers that take and free blocks all the time need four', async () => {
  const bytes = bareModule();
  const { memory: limits, tls } = inspect(bytes);
  if (!limits || !tls) throw new Error('the module has a memory and thread-local storage');
  const memory = createMemoryFor(limits);
  const blocks = ThreadBlocks.create({ memory, stackSize: 1024, tls });
  const module = await WebAssembly.compile(bytes);
  const results = await runInWorkers(4, { module, memory, blocks: blocks.handle, name: 'bump', times: 20, instances: 300 });
  // Each instance counts from the 7 of its thread-local: nobody else wrote into its block.
  const once = Array.from({ length: 20 }, (_, n) => 8 + n);
  for (const numbers of results) expect(numbers).toEqual(Array.from({ length: 300 }, () => once).flat());
  expect(blocks.createdCount).toBeLessThanOrEqual(4);
});

test('blocks that are too small for a module are refused', () => {
  const memory = createMemory({ initialPages: 1, maximumPages: 16 });
  const blocks = ThreadBlocks.create({ memory, stackSize: 1024, tls: { size: 0, align: 1 } });
  const module = new WebAssembly.Module(bareModule());
  expect(() => instantiate({ module, memory, blocks })).toThrow(expect.objectContaining({ code: 'BAD_HANDLE' }));
});
