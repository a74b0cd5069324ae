import { describe, expect, test } from 'vitest';
import {
  Mutex,
  RwLock,
  type ViewOf,
  array,
  bool,
  bytes,
  f32,
  f64,
  i16,
  i32,
  i64,
  i8,
  setMayBlock,
  snapshot,
  struct,
  u16,
  u32,
  u8,
} from '../src/index.ts';
import { errorOf, spawn } from './support/spawn.ts';
import { Everything, Visit } from './support/types.ts';

setMayBlock(false);

describe('the layout of a struct', () => {
  test('is that of #[repr(C)]', () => {
    expect(struct({ a: u8, b: u32, c: u8 })).toMatchObject({ byteLength: 12, byteAlign: 4, offsets: { a: 0, b: 4, c: 8 } });
    expect(struct({ a: u8, b: bytes(3), c: u16 })).toMatchObject({ byteLength: 6, byteAlign: 2, offsets: { a: 0, b: 1, c: 4 } });
    expect(struct({ a: bool, b: struct({ c: u8, d: f64 }), e: u8 })).toMatchObject({
      byteLength: 32,
      byteAlign: 8,
      offsets: { a: 0, b: 8, e: 24 },
    });
    expect(array(struct({ a: u16, b: u8 }), 3)).toMatchObject({ byteLength: 12, byteAlign: 2 });
    expect(Everything.signature).toBe(
      '{flag:bool,tiny:i8,small:u8,short:i16,word:u16,int:i32,count:u32,single:f32,big:i64,huge:u64,exact:f64,name:bytes(5),pair:{left:u8,right:f64},list:[u16;3]}',
    );
  });

  test('has no field without a name or a place', () => {
    expect(errorOf(() => struct({})).code).toBe('INVALID_ARGUMENT');
    expect(errorOf(() => struct({ 0: u8 })).code).toBe('INVALID_ARGUMENT');
    expect(errorOf(() => bytes(0)).code).toBe('INVALID_ARGUMENT');
    expect(errorOf(() => array(u8, 1.5)).code).toBe('INVALID_ARGUMENT');
  });
});

describe('a view', () => {
  test('reads and writes every type in place', () => {
    const mutex = new Mutex(Everything);
    {
      using lock = mutex.lock();
      const { value } = lock;
      Object.assign(value, { flag: true, tiny: -128, small: 255, short: -32_768, word: 65_535, int: -(2 ** 31), count: 2 ** 32 - 1 });
      Object.assign(value, { single: 0.1, big: -(2n ** 63n), huge: 2n ** 64n - 1n, exact: 0.1 });
      value.name.set([1, 2, 3], 1);
      value.pair = { left: 7, right: -0.5 };
      value.list.set(0, 1);
      value.list.set(2, 3);
    }
    using lock = mutex.lock();
    expect(snapshot(lock.value)).toEqual({
      flag: true,
      tiny: -128,
      small: 255,
      short: -32_768,
      word: 65_535,
      int: -(2 ** 31),
      count: 2 ** 32 - 1,
      single: Math.fround(0.1),
      big: -(2n ** 63n),
      huge: 2n ** 64n - 1n,
      exact: 0.1,
      name: new Uint8Array([0, 1, 2, 3, 0]),
      pair: { left: 7, right: -0.5 },
      list: [1, 0, 3],
    });
    lock.value.pair.left += 1;
    expect([lock.value.pair.left, lock.value.name.get(2), [...lock.value.list]]).toEqual([8, 2, [1, 0, 3]]);
    expect(lock.value.name.toUint8Array()).toEqual(new Uint8Array([0, 1, 2, 3, 0]));
    lock.value.list.fill(9);
    expect(lock.value.list.toArray()).toEqual([9, 9, 9]);
  });

  test('has the bytes where they belong, little-endian', () => {
    const type = struct({ a: u8, b: u32, c: array(u16, 2) });
    const buffer = new SharedArrayBuffer(8 + type.byteLength);
    using lock = new Mutex(type, { buffer }).lock();
    lock.value = { a: 1, b: 0x0504_0302, c: [0x0706, 0x0908] } as unknown as ViewOf<typeof type>;
    expect([...new Uint8Array(buffer, 8)]).toEqual([1, 0, 0, 0, 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  const misfits: readonly [string, (value: ViewOf<typeof Everything>) => void][] = [
    ['too large a number', (value) => (value.small = 256)],
    ['a negative one', (value) => (value.count = -1)],
    ['a fraction', (value) => (value.int = 0.5)],
    ['too large a bigint', (value) => (value.big = 2n ** 63n)],
    ['a number for a bigint', (value) => (value.huge = 1 as never)],
    ['a string', (value) => (value.exact = '1' as never)],
    ['a number for a truth value', (value) => (value.flag = 1 as never)],
    ['a half struct', (value) => (value.pair = { left: 1 } as never)],
    ['a struct that is half right', (value) => (value.pair = { left: 1, right: 'x' } as never)],
    ['an element out of range', (value) => value.list.set(1, 65_536)],
    ['a place behind the last', (value) => value.list.set(3, 1)],
    ['bytes that do not fit', (value) => value.name.set([1, 2, 3], 3)],
  ];
  test.each(misfits)('refuses %s, and changes nothing', (_what, write) => {
    using lock = new Mutex(Everything).lock();
    const before = snapshot(lock.value);
    expect(errorOf(() => write(lock.value))).toSatisfy(
      (error) => error instanceof TypeError || (error as { code?: string }).code === 'INVALID_ARGUMENT',
    );
    expect(snapshot(lock.value)).toEqual(before);
  });

  test('says where in a value the misfit is', () => {
    const type = struct({ rows: array(struct({ n: u8 }), 2) });
    using lock = new Mutex(type).lock();
    expect(errorOf(() => (lock.value = { rows: [{ n: 1 }, { n: 300 }] } as never)).message).toMatch(/^rows\[1\]\.n is u8/u);
    expect(lock.value.rows.get(0).n).toBe(0);
  });

  test('is written from another one', () => {
    using from = new Mutex(Everything).lock();
    using to = new Mutex(Everything).lock();
    from.value.name.set([5, 4, 3, 2, 1]);
    from.value.list.fill(6);
    from.value.exact = 0.25;
    to.value = from.value;
    to.value.pair = from.value.pair;
    expect(snapshot(to.value)).toEqual(snapshot(from.value));
    expect(snapshot(to.value)).toMatchObject({ name: new Uint8Array([5, 4, 3, 2, 1]), list: [6, 6, 6], exact: 0.25 });
  });

  test('of something else has no snapshot', () => {
    expect(errorOf(() => snapshot({})).code).toBe('INVALID_ARGUMENT');
  });
});

describe('a mutex that guards data', () => {
  test('counts exactly with workers that block and tasks that do not', async () => {
    const mutex = new Mutex(Visit);
    const workers = await Promise.all([spawn(), spawn()]);
    const times = 5_000;
    const there = workers.map((worker) => worker.call('visit', mutex.handle(), times));
    for (let time = 0; time < 500; time += 1) {
      using lock = await mutex.lockAsync();
      lock.value.hits += 1;
      lock.value.sum += 0.5;
    }
    await Promise.all(there);
    using lock = await mutex.lockAsync();
    expect(snapshot(lock.value)).toMatchObject({ hits: 2 * times + 500, sum: times + 250, last: { worker: true } });
  });

  test('may guard a number alone', () => {
    const mutex = Mutex.guarding(u32);
    using lock = mutex.lock();
    lock.value += 41;
    lock.value += 1;
    expect(lock.value).toBe(42);
    expect(errorOf(() => (lock.value = -1)).code).toBe('INVALID_ARGUMENT');
  });

  test('takes every view back when it is unlocked', () => {
    const mutex = new Mutex(Everything);
    const token = mutex.lock();
    const { value } = token;
    const { pair, list, name } = value;
    value.count = 7;
    token.unlock();
    const uses = [
      () => value.count,
      () => (value.count = 8),
      () => pair.left,
      () => (pair.left = 1),
      () => list.get(0),
      () => list.set(0, 1),
      () => [...list],
      () => list.toArray(),
      () => name.get(0),
      () => name.set([1]),
      () => name.toUint8Array(),
      () => snapshot(value),
      () => token.value,
      () => (token.value = value),
    ];
    for (const use of uses) expect(errorOf(use).code).toBe('VIEW_REVOKED');

    // Also when the same token takes the lock again.
    mutex.lock({ token });
    expect(errorOf(() => value.count).code).toBe('VIEW_REVOKED');
    expect([token.value.count, token.value.pair.left]).toEqual([7, 0]);
    token.unlock();
  });

  test('is reopened with the type of its data, or as a lock alone', () => {
    const mutex = new Mutex(Visit);
    const handle = mutex.handle();
    expect(handle.type).toBe(Visit.signature);
    {
      using lock = Mutex.from(handle, Visit).lock();
      lock.value.hits = 3;
      expect(mutex.isLocked).toBe(true);
    }
    {
      using lock = Mutex.from(handle).lock();
      expect(errorOf(() => lock.value).code).toBe('INVALID_ARGUMENT');
    }
    expect(errorOf(() => Mutex.from(handle, Everything)).code).toBe('INVALID_RECORD');
    expect(errorOf(() => Mutex.from(new Mutex().handle(), Visit)).code).toBe('INVALID_RECORD');
  });

  test('needs room for its data, at their alignment', () => {
    expect([
      Mutex.byteLengthOf(u8),
      Mutex.byteLengthOf(f64),
      Mutex.byteLengthOf(struct({ a: i8, b: i64, c: i16, d: f32, e: i32 })),
    ]).toEqual([12, 16, 40]);
    const buffer = new SharedArrayBuffer(64);
    expect(errorOf(() => new Mutex(f64, { buffer, byteOffset: 4 })).code).toBe('INVALID_RECORD');
    expect(errorOf(() => new Mutex(f64, { buffer, byteOffset: 56 })).code).toBe('INVALID_RECORD');
    new Mutex(f64, { buffer, byteOffset: 48 }).lock().value = 1.5;
    expect(new Float64Array(buffer)[7]).toBe(1.5);
  });
});

describe('a reader-writer lock that guards data', () => {
  test('lets many read and one write', async () => {
    const rwLock = new RwLock(Visit);
    {
      using lock = await rwLock.writeAsync();
      lock.value.hits = 1;
      lock.value.recent.set(0, 7);
    }
    using first = rwLock.read();
    using second = await rwLock.readAsync();
    expect([first.value.hits, second.value.recent.get(0), snapshot(first.value).sum]).toEqual([1, 7, 0]);
    const value = first.value as { hits: number };
    expect(errorOf(() => (value.hits = 2)).code).toBe('VIEW_READONLY');
    first.unlock();
    expect(errorOf(() => value.hits).code).toBe('VIEW_REVOKED');
    expect(errorOf(() => first.value).code).toBe('VIEW_REVOKED');
    expect(second.value.hits).toBe(1);
  });

  test('takes what could be written back when it is downgraded', () => {
    const rwLock = RwLock.guarding(u32);
    const writing = rwLock.write();
    writing.value += 1;
    using reading = writing.downgrade();
    expect(errorOf(() => (writing.value = 5)).code).toBe('VIEW_REVOKED');
    expect(reading.value).toBe(1);
  });

  test('is reopened with the type of its data, which lie behind it', () => {
    const buffer = new SharedArrayBuffer(RwLock.byteLengthOf(f64));
    const rwLock = new RwLock(f64, { buffer });
    rwLock.write().value = 1.5;
    expect(new Float64Array(buffer)[RwLock.byteLength / 8]).toBe(1.5);
    expect(errorOf(() => RwLock.from(rwLock.handle(), u8)).code).toBe('INVALID_RECORD');
    expect(errorOf(() => new RwLock(f64, { buffer, byteOffset: 4 })).code).toBe('INVALID_RECORD');
    using lock = new RwLock().read();
    expect(errorOf(() => lock.value).code).toBe('INVALID_ARGUMENT');
  });
});
