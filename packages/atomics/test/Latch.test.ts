import { describe, expect, test } from 'vitest';
import { Latch, setMayBlock } from '../src/index.ts';
import { errorOf, rejectionOf, sleep, spawn } from './support/spawn.ts';

setMayBlock(false);

const SOON_MS = 30;

describe('a latch', () => {
  test('opens for everybody when it is counted down, blocking or not', async () => {
    const latch = Latch.create(3);
    const workers = await Promise.all([spawn(), spawn()]);
    const waiting = [...workers.map((worker) => worker.call('on', latch.handle(), 'wait')), latch.waitAsync(), latch.waitAsync()];
    latch.countDown();
    await sleep(SOON_MS);
    expect([latch.count, latch.tryWait()]).toEqual([2, false]);
    latch.countDown(2);
    await Promise.all(waiting);
    expect(latch.tryWait()).toBe(true);
    latch.wait();
    await latch.waitAsync();
  });

  test('is counted down by those who wait themselves', async () => {
    const latch = Latch.create(3);
    const workers = await Promise.all([spawn(), spawn()]);
    const arrived = workers.map((worker) => worker.call('on', latch.handle(), 'arriveAndWait', 1));
    latch.countDown();
    await Promise.all(arrived);
    expect(latch.count).toBe(0);
  });

  test('gives up in time, with a signal, and at once where it may not block', async () => {
    const latch = Latch.create(1);
    const worker = await spawn();
    expect((await rejectionOf(worker.call('on', latch.handle(), 'wait', { timeoutMs: SOON_MS }))).code).toBe('TIMEOUT');
    expect((await rejectionOf(latch.waitAsync({ timeoutMs: SOON_MS }))).code).toBe('TIMEOUT');
    const reason = new Error('no longer needed');
    const controller = new AbortController();
    const waiting = rejectionOf(latch.waitAsync({ signal: controller.signal }));
    controller.abort(reason);
    expect(await waiting).toMatchObject({ code: 'ABORTED', cause: reason });
    expect(errorOf(() => latch.wait()).code).toBe('MAY_NOT_BLOCK');
    latch.countDown();
    latch.wait();
  });

  test('is never counted down too far', () => {
    const latch = Latch.create(2);
    expect(errorOf(() => latch.countDown(3))).toMatchObject({ code: 'COUNT_OUT_OF_RANGE', count: 2, change: -3 });
    expect(latch.count).toBe(2);
    latch.countDown(2);
    latch.countDown(0);
    expect(errorOf(() => latch.countDown()).code).toBe('COUNT_OUT_OF_RANGE');
    expect(Latch.create(2 ** 32 - 1).count).toBe(2 ** 32 - 1);
  });

  test.each([-1, 1.5, Number.NaN, 2 ** 32])('refuses a count of %d', (count) => {
    expect(errorOf(() => Latch.create(count)).code).toBe('INVALID_ARGUMENT');
    if (count !== 2 ** 32) expect(errorOf(() => Latch.create(1).countDown(count)).code).toBe('INVALID_ARGUMENT');
  });

  test('is where it is told to be, or not at all', () => {
    const buffer = new SharedArrayBuffer(16);
    const latch = Latch.create(5, { buffer, byteOffset: 8 });
    expect(Latch.at({ buffer, byteOffset: 8 }).count).toBe(5);
    expect(Latch.from(latch.handle()).count).toBe(5);
    expect(errorOf(() => Latch.create(1, { buffer, byteOffset: 6 })).code).toBe('INVALID_RECORD');
    expect(errorOf(() => Latch.at({ buffer: new ArrayBuffer(8) } as never)).code).toBe('INVALID_RECORD');
    expect(errorOf(() => Latch.from({ ...latch.handle(), kind: 'heddle.Mutex' } as never)).code).toBe('INVALID_RECORD');
  });
});
