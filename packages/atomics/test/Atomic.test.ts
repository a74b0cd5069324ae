import { describe, expect, test } from 'vitest';
import {
  type AtomicInteger,
  AtomicBool,
  AtomicF32,
  AtomicF64,
  AtomicI16,
  AtomicI32,
  AtomicI64,
  AtomicI8,
  AtomicU16,
  AtomicU32,
  AtomicU64,
  AtomicU8,
  type CellLayout,
  type SharedLocation,
  type WaitableInteger,
  setMayBlock,
} from '../src/index.ts';
import { errorOf, rejectionOf, sleep, spawn } from './support/spawn.ts';

setMayBlock(false);

const SOON_MS = 30;

/** A class of cells, whichever: what the tests below ask of each. */
interface CellClass<Cell, Value> {
  new (location?: SharedLocation): Cell;
  create(value: Value, location?: SharedLocation): Cell;
  readonly layout: CellLayout<string>;
}
type NumberCase = { readonly Cell: CellClass<AtomicInteger<string, number>, number>; readonly min: number; readonly max: number };
type BigintCase = { readonly Cell: CellClass<WaitableInteger<string, bigint>, bigint>; readonly min: bigint; readonly max: bigint };

const numbers = [
  { Cell: AtomicI8, min: -128, max: 127 },
  { Cell: AtomicU8, min: 0, max: 255 },
  { Cell: AtomicI16, min: -32_768, max: 32_767 },
  { Cell: AtomicU16, min: 0, max: 65_535 },
  { Cell: AtomicI32, min: -(2 ** 31), max: 2 ** 31 - 1 },
  { Cell: AtomicU32, min: 0, max: 2 ** 32 - 1 },
] as unknown as readonly NumberCase[];

const bigints = [
  { Cell: AtomicI64, min: -(2n ** 63n), max: 2n ** 63n - 1n },
  { Cell: AtomicU64, min: 0n, max: 2n ** 64n - 1n },
] as unknown as readonly BigintCase[];
const waitables = [AtomicI32, AtomicU32] as unknown as readonly CellClass<WaitableInteger<string, number>, number>[];
const floats = [AtomicF32, AtomicF64] as unknown as readonly CellClass<AtomicF64, number>[];

describe.each(numbers)('$Cell.name', ({ Cell, min, max }) => {
  test('does what its name says, and wraps around at its ends', () => {
    const cell = Cell.create(max);
    expect([cell.add(1), cell.load()]).toEqual([max, min]);
    expect([cell.sub(1), cell.load()]).toEqual([min, max]);
    cell.store(0b1100);
    expect([cell.and(0b0110), cell.or(0b0011), cell.xor(0b0101), cell.load()]).toEqual([0b1100, 0b0100, 0b0111, 0b0010]);
    expect([cell.exchange(min), cell.compareExchange(1, 2), cell.compareExchange(min, 5), cell.load()]).toEqual([2, min, min, 5]);
  });

  test('refuses what it has no room for', () => {
    const cell = Cell.create(7);
    for (const value of [min - 1, max + 1, 0.5, Number.NaN, Infinity]) {
      expect(errorOf(() => cell.store(value)).code).toBe('INVALID_ARGUMENT');
    }
    expect(errorOf(() => cell.add(0.5)).code).toBe('INVALID_ARGUMENT');
    expect(errorOf(() => cell.exchange(1n as never)).code).toBe('INVALID_ARGUMENT');
    expect(cell.load()).toBe(7);
  });

  test('is at its place, or nowhere', () => {
    const { size } = Cell.layout;
    const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
    const cell = Cell.create(1, { memory, byteOffset: 3 * size });
    expect(new Cell({ memory, byteOffset: 3 * size }).load()).toBe(1);
    expect(new Cell({ memory, byteOffset: 2 * size }).load()).toBe(0);
    expect(cell.handle()).toEqual({ kind: Cell.layout.kind, memory, byteOffset: 3 * size });
    expect(errorOf(() => new Cell({ buffer: new ArrayBuffer(8) } as never)).code).toBe('INVALID_RECORD');
    expect(errorOf(() => new Cell({ memory, byteOffset: 65_536 })).code).toBe('INVALID_RECORD');
    if (size > 1) expect(errorOf(() => new Cell({ memory, byteOffset: size / 2 })).code).toBe('INVALID_RECORD');
  });
});

describe.each(bigints)('$Cell.name', ({ Cell, min, max }) => {
  test('does what its name says, and wraps around at its ends', () => {
    const cell = Cell.create(max);
    expect([cell.add(1n), cell.load()]).toEqual([max, min]);
    expect([cell.sub(1n), cell.load()]).toEqual([min, max]);
    cell.store(0b1100n);
    expect([cell.and(0b0110n), cell.or(0b0011n), cell.xor(0b0101n), cell.load()]).toEqual([0b1100n, 0b0100n, 0b0111n, 0b0010n]);
    expect([cell.exchange(min), cell.compareExchange(1n, 2n), cell.compareExchange(min, 5n), cell.load()]).toEqual([2n, min, min, 5n]);
  });

  test('refuses what it has no room for', () => {
    const cell = Cell.create(7n);
    expect(errorOf(() => cell.store(max + 1n)).code).toBe('INVALID_ARGUMENT');
    expect(errorOf(() => cell.store(min - 1n)).code).toBe('INVALID_ARGUMENT');
    expect(errorOf(() => cell.store(1 as never)).code).toBe('INVALID_ARGUMENT');
    expect(errorOf(() => new Cell({ buffer: new SharedArrayBuffer(16), byteOffset: 4 })).code).toBe('INVALID_RECORD');
    expect(cell.load()).toBe(7n);
  });

  test('is waited on, also where it is negative or beyond 2^63', async () => {
    const cell = Cell.create(max);
    const worker = await spawn();
    const there = worker.call('waitOnCell', cell.handle(), max);
    const here = cell.waitAsync(max);
    while (cell.notify() === 0) await sleep(1);
    cell.store(min);
    let ends = 0;
    const ended = Promise.all([there, here]).then(() => (ends = 2));
    while (ends === 0) {
      cell.notify();
      await sleep(1);
    }
    await ended;
    expect(await cell.waitAsync(max)).toBe('not-equal');
  });
});

describe.each(waitables)('%o', (Cell) => {
  test('is waited on in every form', async () => {
    const cell = Cell.create(1);
    const worker = await spawn();
    const there = worker.call('waitOnCell', cell.handle(), 1);
    expect(await cell.waitAsync(2)).toBe('not-equal');
    expect(cell.wait(2)).toBe('not-equal');
    expect(await cell.waitAsync(1, { timeoutMs: SOON_MS })).toBe('timed-out');
    expect((await rejectionOf(cell.waitAsync(1, { signal: AbortSignal.timeout(SOON_MS) }))).code).toBe('ABORTED');
    expect(errorOf(() => cell.wait(1)).code).toBe('MAY_NOT_BLOCK');
    cell.store(0);
    cell.notify();
    expect(['ok', 'not-equal']).toContain(await there);
  });
});

describe.each(floats)('%o', (Cell) => {
  test('adds as a whole, and compares bits', () => {
    const cell = Cell.create(1.5);
    expect([cell.add(0.25), cell.sub(1), cell.load(), cell.exchange(-0)]).toEqual([1.5, 1.75, 0.75, 0.75]);
    expect([cell.compareExchange(0, 1), cell.load()]).toEqual([-0, -0]);
    expect([cell.compareExchange(-0, Number.NaN), cell.load()]).toEqual([-0, Number.NaN]);
    expect([cell.compareExchange(Number.NaN, 8), cell.load()]).toEqual([Number.NaN, 8]);
  });
});

test('a cell takes nothing that it would have to guess', () => {
  for (const value of [2, 'true', undefined]) {
    expect(errorOf(() => new AtomicBool().store(value as never)).code).toBe('INVALID_ARGUMENT');
    expect(errorOf(() => new AtomicBool().compareExchange(false, value as never)).code).toBe('INVALID_ARGUMENT');
  }
  for (const value of ['1', 1n, true, undefined]) {
    expect(errorOf(() => new AtomicF64().store(value as never)).code).toBe('INVALID_ARGUMENT');
    expect(errorOf(() => new AtomicF32().exchange(value as never)).code).toBe('INVALID_ARGUMENT');
  }
});

test('a float of 32 bits is rounded to them', () => {
  expect(AtomicF32.create(0.1).load()).toBe(Math.fround(0.1));
});

test('a truth value does what its name says', () => {
  const cell = new AtomicBool();
  expect([cell.load(), cell.exchange(true), cell.and(false), cell.or(true), cell.xor(true)]).toEqual([false, false, true, false, true]);
  expect([cell.compareExchange(true, true), cell.compareExchange(false, true), cell.load()]).toEqual([false, false, true]);
  expect(AtomicBool.from(cell.handle()).load()).toBe(true);
});

test('threads add to one cell and lose nothing', async () => {
  const [integer, big, float] = [new AtomicU16(), new AtomicI64(), new AtomicF64()];
  const workers = await Promise.all([spawn(), spawn()]);
  const times = 20_000;
  await Promise.all(workers.map((worker) => worker.call('addToCells', integer.handle(), big.handle(), float.handle(), times)));
  expect([integer.load(), big.load(), float.load()]).toEqual([2 * times, BigInt(2 * times), times]);
});

test('a handle opens a cell of its own kind only', () => {
  const handle = new AtomicI32().handle();
  expect(errorOf(() => AtomicU32.from(handle as never)).code).toBe('INVALID_RECORD');
  expect(errorOf(() => AtomicU32.from(null as never)).code).toBe('INVALID_RECORD');
});
