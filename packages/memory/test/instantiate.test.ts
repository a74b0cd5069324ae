import { expect, test } from 'vitest';
import {
  createMemory,
  createMemoryFor,
  inspect,
  instantiate,
  MemoryError,
  PAGE_SIZE,
  readModule,
  type ThreadInstance,
  type WasmBindgenGlue,
} from '../src/index.ts';
import { activeModule, bareModule, moduleOf, modules } from './modules.ts';

test('a memory is shared, and as big as asked', () => {
  const memory = createMemory({ initialPages: 2, maximumPages: 4 });
  expect(memory.buffer).toBeInstanceOf(SharedArrayBuffer);
  expect(memory.buffer.byteLength).toBe(2 * PAGE_SIZE);
  memory.grow(2);
  expect(memory.buffer.byteLength).toBe(4 * PAGE_SIZE);
  expect(() => memory.grow(1)).toThrow(RangeError);
});

test('where the engine refuses the maximum, a lower one is taken', () => {
  const Memory = WebAssembly.Memory;
  const asked: number[] = [];
  // An engine with room for 100 pages.
  WebAssembly.Memory = class extends Memory {
    constructor(descriptor: WebAssembly.MemoryDescriptor) {
      asked.push(descriptor.maximum ?? 0);
      if ((descriptor.maximum ?? 0) > 100) throw new RangeError('could not allocate memory');
      super(descriptor);
    }
  };
  try {
    expect(createMemory({ initialPages: 1, maximumPages: 1000 }).buffer.byteLength).toBe(PAGE_SIZE);
    expect(asked).toEqual([1000, 500, 250, 125, 62]);
    expect(() => createMemory({ initialPages: 200, maximumPages: 300 })).toThrow(expect.objectContaining({ code: 'MEMORY_REFUSED' }));
  } finally {
    WebAssembly.Memory = Memory;
  }
});

test('each instance of a bare module has thread-local storage and a stack of its own', () => {
  const bytes = bareModule();
  const module = new WebAssembly.Module(bytes);
  const report = inspect(bytes);
  if (!report.memory) throw new Error('the module imports a memory');
  const memory = createMemoryFor(report.memory);
  const instance = (): ThreadInstance => instantiate({ module, memory, stackSize: PAGE_SIZE });
  const [first, second] = [instance(), instance()];
  const bump = ({ exports }: ThreadInstance): unknown => (exports['bump'] as () => number)();
  expect([bump(first), bump(first), bump(second), bump(first)]).toEqual([8, 9, 8, 10]);
  const stackOf = ({ exports }: ThreadInstance): unknown => (exports['__stack_pointer'] as WebAssembly.Global).value;
  for (const { block, ...of } of [first, second]) {
    expect(block?.stackSize).toBeGreaterThanOrEqual(PAGE_SIZE);
    expect(stackOf({ block, ...of })).toBe(block?.stackTop);
  }
  // Behind the page that the module began with, one behind the other.
  expect([first.block?.address, second.block?.address]).toEqual([PAGE_SIZE, PAGE_SIZE + (first.block?.size ?? 0)]);
});

test('instances of a bare module that Rust made share what is in its data segments', async () => {
  const bytes = await readModule(modules.memoryTesting);
  const { abi, problems, segments, memory: limits } = inspect(bytes);
  if (!limits) throw new Error('the module imports a memory');
  expect([abi, problems, segments.active]).toEqual(['bare', [], 0]);
  expect(segments.passive).toBeGreaterThan(0);
  const module = await WebAssembly.compile(bytes);
  const memory = createMemoryFor(limits, 64 * 1024 * 1024);
  const countUp = (): (() => number) => instantiate({ module, memory }).exports['count_up'] as () => number;
  const [first, second] = [countUp(), countUp()];
  // The second instance finds the segments copied, and leaves the counter alone.
  expect([first(), second(), first()]).toEqual([41, 42, 43]);
});

test('a module without what a thread needs is refused', () => {
  const module = new WebAssembly.Module(moduleOf([]));
  const memory = createMemory({ initialPages: 1, maximumPages: 1 });
  expect(() => instantiate({ module, memory })).toThrow(expect.objectContaining({ code: 'MODULE_NOT_THREADED' }));
});

test('imports that are missing are all named', () => {
  const module = new WebAssembly.Module(activeModule({ start: 'callsOut' }));
  const memory = createMemory({ initialPages: 1, maximumPages: 4 });
  const refused = (): unknown => instantiate({ module, memory, abi: 'plain' });
  expect(refused).toThrow(expect.objectContaining({ code: 'IMPORT_MISSING', message: expect.stringContaining('env.out') as string }));
});

test('no room for another stack is a named error', () => {
  const module = new WebAssembly.Module(bareModule());
  const memory = createMemory({ initialPages: 1, maximumPages: 16 });
  expect(() => instantiate({ module, memory })).toThrow(expect.objectContaining({ code: 'OUT_OF_MEMORY' }));
});

test('a glue that is none is refused', () => {
  const module = new WebAssembly.Module(moduleOf([]));
  const memory = createMemory({ initialPages: 1, maximumPages: 1 });
  const refused = (): unknown => instantiate({ module, memory, glue: {} as WasmBindgenGlue });
  expect(refused).toThrow(MemoryError);
  expect(refused).toThrow(expect.objectContaining({ code: 'BAD_GLUE' }));
});

test('a module of wasm-bindgen is instantiated through its glue, over the memory given', async () => {
  const bytes = await readModule(modules.threadTesting.module);
  const report = inspect(bytes);
  if (!report.memory) throw new Error('the module imports a memory');
  const memory = createMemoryFor(report.memory, 256 * 1024 * 1024);
  const glue = (await import(/* @vite-ignore */ modules.threadTesting.glue.href)) as WasmBindgenGlue;
  const { abi, exports } = instantiate({ module: await WebAssembly.compile(bytes), memory, glue });
  expect(abi).toBe('wasm-bindgen');
  expect((exports['add'] as (a: number, b: number) => number)(1, 2)).toBe(3);
});
