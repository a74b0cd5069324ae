import { expect, test } from 'vitest';
import {
  compileForThreads,
  createMemory,
  createMemoryFor,
  inspect,
  instantiate,
  makePassive,
  RewriteError,
  readModule,
  type MakePassiveOptions,
  type RewriteReason,
} from '../src/index.ts';
import { activeModule, bareModule, moduleOf, modules, type ActiveModuleOptions } from './modules.ts';
import { runInWorkers } from './support/spawn.ts';

type Counts = Record<'add' | 'started' | 'here' | 'size', () => number>;

/** Rewrites a module and instantiates it so many times over one memory. */
function instancesOf(count: number, options: ActiveModuleOptions, rewriting: MakePassiveOptions = {}): Counts[] {
  const { bytes } = makePassive(activeModule(options), rewriting);
  const limits = inspect(bytes).memory;
  if (!limits) throw new Error('it imports its memory now');
  const module = new WebAssembly.Module(bytes);
  const memory = createMemoryFor(limits);
  const imports = { env: { out: () => {} } };
  return Array.from({ length: count }, () => instantiate({ module, memory, imports, abi: 'plain' }).exports as Counts);
}

function reasonOf(bytes: Uint8Array, options?: MakePassiveOptions): RewriteReason | undefined {
  try {
    makePassive(bytes, options);
  } catch (error) {
    if (error instanceof RewriteError) return error.reason;
    throw error;
  }
  return undefined;
}

test('without rewriting, a second instance overwrites what the first one did: what this is for', () => {
  const module = new WebAssembly.Module(activeModule());
  const memory = createMemory({ initialPages: 1, maximumPages: 4 });
  const add = (): (() => number) => new WebAssembly.Instance(module, { env: { memory } }).exports['add'] as () => number;
  const first = add();
  expect([first(), first(), first()]).toEqual([40, 41, 42]);
  add();
  expect(first()).toBe(40);
});

test('rewritten, the segments are copied once', () => {
  const [first, second] = instancesOf(2, {}) as [Counts, Counts];
  expect([first.add(), second.add(), first.add()]).toEqual([40, 41, 42]);
});

test('the flag lies behind the memory, everything else is kept, and there is nothing more to rewrite', () => {
  const before = activeModule();
  const { bytes, isChanged, flagAddress } = makePassive(before);
  expect([isChanged, flagAddress]).toEqual([true, 65_536]);
  expect(WebAssembly.validate(bytes)).toBe(true);
  const report = inspect(bytes);
  expect(report).toMatchObject({
    segments: { active: 0, passive: 2 },
    dataCount: 2,
    hasStart: true,
    memory: { initialPages: 2, maximumPages: 4 },
  });
  expect(report.exports).toEqual(inspect(before).exports);
  const module = new WebAssembly.Module(bytes);
  expect(new Uint8Array(WebAssembly.Module.customSections(module, 'first')[0])).toEqual(new Uint8Array([1, 2, 3]));
  expect(new Uint8Array(WebAssembly.Module.customSections(module, 'last')[0])).toEqual(new Uint8Array([4, 5]));
  expect(makePassive(bytes)).toEqual({ bytes, isChanged: false, flagAddress: undefined });
});

test('a module that was linked for threads stays as it is', async () => {
  for (const bytes of [bareModule(), await readModule(modules.memoryTesting), await readModule(modules.threadTesting.module)]) {
    expect(makePassive(bytes)).toEqual({ bytes, isChanged: false, flagAddress: undefined });
  }
});

test('in four workers that begin together nothing that one did is overwritten by another', async () => {
  const { module, memory: limits } = await compileForThreads(activeModule(), { abi: 'plain' });
  const memory = createMemoryFor(limits);
  const results = await runInWorkers(4, { module, memory, abi: 'plain', name: 'add', times: 100, instances: 50 });
  // Each number once: an instance that copied the segments again would have set the counter back to 40.
  const numbers = results.flat().toSorted((a, b) => a - b);
  expect(numbers).toEqual(Array.from({ length: 4 * 100 * 50 }, (_, n) => 40 + n));
});

test('a start function that writes memory runs once a memory', () => {
  const [first, second] = instancesOf(2, { start: 'writesMemory' }) as [Counts, Counts];
  expect([first.started(), second.started()]).toEqual([1, 1]);
});

test('one that sets what an instance has for itself runs in each', () => {
  const [first, second] = instancesOf(2, { start: 'setsGlobal' }) as [Counts, Counts];
  expect([first.here(), second.here()]).toEqual([2, 2]);
});

test('one that does both is refused, unless it is said when it runs', () => {
  expect(reasonOf(activeModule({ start: 'doesBoth' }))).toBe('START_NOT_SEPARABLE');
  expect(reasonOf(activeModule({ start: 'callsOut' }))).toBe('START_NOT_SEPARABLE');
  const once = instancesOf(2, { start: 'doesBoth' }, { start: 'once' });
  expect(once.map(({ started, here }) => [started(), here()])).toEqual([
    [1, 2],
    [1, 1],
  ]);
  const every = instancesOf(2, { start: 'doesBoth' }, { start: 'every' });
  expect(every.map(({ started, here }) => [started(), here()])).toEqual([
    [2, 2],
    [2, 2],
  ]);
});

test('when the start function fails, nobody waits for it', () => {
  const { bytes } = makePassive(activeModule({ start: 'traps' }));
  const module = new WebAssembly.Module(bytes);
  const memory = createMemory({ initialPages: 2, maximumPages: 4 });
  expect(() => instantiate({ module, memory, abi: 'plain' })).toThrow(WebAssembly.RuntimeError);
  expect(() => instantiate({ module, memory, abi: 'plain' })).toThrow(expect.objectContaining({ code: 'INIT_FAILED' }));
  // Also where nobody looks at the flag from outside.
  expect(() => new WebAssembly.Instance(module, { env: { memory } })).toThrow(WebAssembly.RuntimeError);
});

test('a program that asks for the size of its memory is refused, unless it is told a word that nothing uses', () => {
  const options = { usesMemorySize: true };
  expect(reasonOf(activeModule(options))).toBe('MEMORY_SIZE_USED');
  const [first, second] = instancesOf(2, options, { flagAddress: 64 }) as [Counts, Counts];
  expect([first.size(), first.add(), second.add()]).toEqual([1, 40, 41]);
  for (const flagAddress of [16, 20, 2, -4, 65_536, 0.5]) expect(reasonOf(activeModule(options), { flagAddress })).toBe('BAD_FLAG_ADDRESS');
});

test("a shared memory of a module's own becomes an imported one", () => {
  const [first, second] = instancesOf(2, { memory: 'own' }) as [Counts, Counts];
  expect([first.add(), second.add()]).toEqual([40, 41]);
});

test('a memory that is not shared stays so, unless that is asked for', () => {
  for (const memory of ['own', 'imported'] as const) {
    expect(reasonOf(activeModule({ memory, isShared: false }))).toBe('MEMORY_NOT_SHARED');
    const [first, second] = instancesOf(2, { memory, isShared: false }, { shareMemory: true }) as [Counts, Counts];
    expect([first.add(), second.add()]).toEqual([40, 41]);
  }
});

test("what else can't be made safe is refused by its reason", () => {
  expect(reasonOf(activeModule({ maximumPages: 1 }))).toBe('NO_ROOM');
  expect(reasonOf(activeModule({ offset: [0x23, 0] }))).toBe('OFFSET_NOT_CONSTANT');
  // i32.const 65534: its four bytes don't fit.
  expect(reasonOf(activeModule({ offset: [0x41, 0xfe, 0xff, 0x03] }))).toBe('OUT_OF_BOUNDS');
  expect(reasonOf(moduleOf([]))).toBe('NOT_ONE_MEMORY');
  expect(reasonOf(moduleOf([[5, [2, 3, 1, 1, 3, 1, 1]]]))).toBe('NOT_ONE_MEMORY');
  expect(reasonOf(moduleOf([[5, [1, 7, 1, 1]]]))).toBe('MEMORY_OF_64_BITS');
  // (func (drop (ref.i31 (i32.const 0)))) and a segment
  const collected = [
    [1, [1, 0x60, 0, 0]],
    [3, [1, 0]],
    [5, [1, 3, 1, 2]],
    [10, [1, 7, 0, 0x41, 0, 0xfb, 28, 0x1a, 0x0b]],
  ] as const;
  expect(reasonOf(moduleOf([...collected, [11, [1, 0, 0x41, 0, 0x0b, 1, 1]]]))).toBe('UNKNOWN_CODE');
});

test('compileForThreads refuses what rewriting does not mend', async () => {
  await expect(compileForThreads(activeModule())).rejects.toMatchObject({ code: 'MODULE_NOT_THREADED' });
  const { report } = await compileForThreads(bareModule());
  expect(report.problems).toEqual([]);
});
