import { describe, expect, test } from 'vitest';
import { Lazy, OnceCell, f64, setMayBlock, snapshot, struct, u8 } from '../src/index.ts';
import { errorOf, rejectionOf, sharedWord, spawn } from './support/spawn.ts';
import { Visit } from './support/types.ts';

setMayBlock(false);

const visit = { hits: 1, sum: 0.5, last: { worker: false, name: [1, 2] }, recent: [1, 2, 3, 4] };

describe('a once cell', () => {
  test('is set once, and read by everybody', async () => {
    const cell = new OnceCell(Visit);
    const made = sharedWord();
    const workers = await Promise.all([spawn(), spawn()]);
    expect(cell.get()).toBeUndefined();
    const there = workers.map((worker) => worker.call<number>('getOrInit', cell.handle(), made));
    const here = await cell.getOrInitAsync(async () => {
      Atomics.add(made, 0, 1);
      return { ...visit, hits: 77 };
    });
    expect([...(await Promise.all(there)), here.hits]).toEqual([77, 77, 77]);
    expect(made[0]).toBe(1);
    expect(snapshot(here)).toEqual({
      hits: 77,
      sum: expect.any(Number),
      last: { worker: expect.any(Boolean), name: new Uint8Array([1, 2, 0, 0, 0, 0]) },
      recent: [1, 2, 3, 4],
    });
    expect(cell.getOrInit(() => expect.unreachable())).toBe(here);
    expect([cell.set(visit), await cell.setAsync(visit)]).toEqual([false, false]);
  });

  test('is for reading', () => {
    const cell = new OnceCell(Visit);
    expect(cell.set(visit)).toBe(true);
    const value = cell.get()! as never as {
      hits: number;
      recent: { set(index: number, value: number): void };
      last: { name: { set(bytes: number[]): void } };
    };
    expect(errorOf(() => (value.hits = 2)).code).toBe('VIEW_READONLY');
    expect(errorOf(() => value.recent.set(0, 2)).code).toBe('VIEW_READONLY');
    expect(errorOf(() => value.last.name.set([2])).code).toBe('VIEW_READONLY');
    expect(value.hits).toBe(1);
  });

  test('stays empty when the value fails to be made, or does not fit', async () => {
    const cell = new OnceCell(struct({ small: u8 }));
    expect(
      errorOf(() =>
        cell.getOrInit(() => {
          throw new Error('on purpose');
        }),
      ).message,
    ).toBe('on purpose');
    expect((await rejectionOf(cell.getOrInitAsync(() => Promise.reject(new Error('later'))))).message).toBe('later');
    expect(errorOf(() => cell.set({ small: 256 })).code).toBe('INVALID_ARGUMENT');
    expect(cell.get()).toBeUndefined();
    expect(cell.getOrInit(() => ({ small: 255 })).small).toBe(255);
  });

  test('is reopened with the type of its value', () => {
    const buffer = new SharedArrayBuffer(64);
    const cell = new OnceCell(f64, { buffer, byteOffset: 16 });
    cell.set(1.5);
    // The once is at 16, the value at the next multiple of 8.
    expect(new Float64Array(buffer)[3]).toBe(1.5);
    expect(OnceCell.from(cell.handle(), f64).get()).toBe(1.5);
    expect([OnceCell.byteLengthOf(f64), OnceCell.byteLengthOf(u8)]).toEqual([16, 8]);
    expect(errorOf(() => OnceCell.from(cell.handle(), u8)).code).toBe('INVALID_RECORD');
    expect(errorOf(() => new OnceCell(f64, { buffer, byteOffset: 4 })).code).toBe('INVALID_RECORD');
  });
});

describe('a lazy value', () => {
  test('is made when it is first used, by whoever that is', async () => {
    const cell = new OnceCell(Visit);
    const made = sharedWord();
    const make = (): typeof visit => {
      Atomics.add(made, 0, 1);
      return visit;
    };
    const [lazy, other] = [new Lazy(cell, make), new Lazy(OnceCell.from(cell.handle(), Visit), make)];
    expect([lazy.get(), made[0]]).toEqual([undefined, 0]);
    expect(lazy.value.recent.toArray()).toEqual([1, 2, 3, 4]);
    expect(other.force().sum).toBe(0.5);
    expect((await other.forceAsync()).hits).toBe(1);
    expect([lazy.get()?.hits, made[0]]).toEqual([1, 1]);
  });

  test('may fail to be made, and is tried again', async () => {
    let tries = 0;
    const lazy = new Lazy(new OnceCell(f64), () => {
      tries += 1;
      if (tries === 1) throw new Error('on purpose');
      return 2.5;
    });
    expect(errorOf(() => lazy.value).message).toBe('on purpose');
    expect([await lazy.forceAsync(), lazy.value, tries]).toEqual([2.5, 2.5, 2]);
  });
});
