import { expect, test } from 'vitest';
import {
  createMemory,
  createMemoryFor,
  inspect,
  instantiate,
  MemoryError,
  MemoryViews,
  PAGE_SIZE,
  renew,
  ThreadBlocks,
  type ThreadInstance,
} from '../src/index.ts';
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

test('a thread that asks for more stack gets a block that holds it, and leaves it to the next one that does', () => {
  const blocks = blocksIn(64);
  const big = blocks.take(3 * PAGE_SIZE);
  expect(big.stackSize).toBeGreaterThanOrEqual(3 * PAGE_SIZE);
  // As its list has them: of one page, two, four.
  expect(big.size).toBe(4 * PAGE_SIZE);
  const small = blocks.take();
  expect(small.address).toBe(big.address + big.size);
  big.free();
  small.free();
  expect(blocks.take().address).toBe(small.address);
  expect(ThreadBlocks.from(blocks.handle).take(2 * PAGE_SIZE).address).toBe(big.address);
  expect(blocks.createdCount).toBe(2);
  // Those that are no size made blocks whose stacks began outside of them.
  for (const stackSize of [64 * PAGE_SIZE, 2 ** 32, Infinity, -1, -PAGE_SIZE, Number.NaN]) {
    expect(() => blocks.take(stackSize)).toThrow(expect.objectContaining({ code: 'OUT_OF_MEMORY' }));
  }
  const create = (): unknown => ThreadBlocks.create({ memory: blocks.handle.memory, stackSize: -1, tls: { size: 4, align: 4 } });
  expect(create).toThrow(expect.objectContaining({ code: 'OUT_OF_MEMORY' }));
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

test('an instance serves one thread after the other, each with fresh thread-local storage', async () => {
  const bytes = bareModule();
  const { memory: limits, tls } = inspect(bytes);
  if (!limits || !tls) throw new Error('the module has a memory and thread-local storage');
  const memory = createMemoryFor(limits);
  const blocks = ThreadBlocks.create({ memory, stackSize: 1024, tls });
  const bump = ({ exports }: ThreadInstance): unknown => (exports['bump'] as () => number)();
  const first = instantiate({ module: await WebAssembly.compile(bytes), memory, blocks });
  expect([bump(first), bump(first)]).toEqual([8, 9]);
  first.block?.free();
  const second = renew(first, blocks);
  expect(second.exports).toBe(first.exports);
  expect([bump(second), second.block?.address, blocks.createdCount]).toEqual([8, first.block?.address, 1]);
  second.block?.free();
  const roomy = renew(first, blocks, 3 * PAGE_SIZE);
  expect([bump(roomy), roomy.block?.size, blocks.createdCount]).toEqual([8, 4 * PAGE_SIZE, 2]);
  const plain = { ...first, abi: 'plain', block: undefined } as const;
  expect(() => renew(plain, blocks)).toThrow(expect.objectContaining({ code: 'MODULE_NOT_THREADED' }));
});

test('blocks that are too small for a module are refused', () => {
  const memory = createMemory({ initialPages: 1, maximumPages: 16 });
  const blocks = ThreadBlocks.create({ memory, stackSize: 1024, tls: { size: 0, align: 1 } });
  const module = new WebAssembly.Module(bareModule());
  expect(() => instantiate({ module, memory, blocks })).toThrow(expect.objectContaining({ code: 'BAD_HANDLE' }));
});
