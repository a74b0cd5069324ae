import { describe, expect, test } from 'vitest';
import { Semaphore, setMayBlock } from '../src/index.ts';
import { SEMAPHORE_CLAIMANT_OFFSET, SEMAPHORE_DEMAND_OFFSET, SLOT_UNREGISTERED } from '../src/internal/layout.ts';
import { errorOf, rejectionOf, sleep, spawn } from './support/spawn.ts';

setMayBlock(false);

const SOON_MS = 30;

describe('a semaphore', () => {
  test('lets no more in than it has permits', async () => {
    const semaphore = Semaphore.create(2);
    const inside = new Int32Array(new SharedArrayBuffer(4));
    const workers = await Promise.all([spawn(), spawn(), spawn()]);
    const here = async (): Promise<number> => {
      let most = 0;
      for (let i = 0; i < 300; i += 1) {
        using _ = await semaphore.acquireAsync();
        most = Math.max(most, Atomics.add(inside, 0, 1) + 1);
        if (i % 50 === 0) await sleep(0);
        Atomics.sub(inside, 0, 1);
      }
      return most;
    };
    const most = await Promise.all([
      ...workers.map((worker) => worker.call<number>('enterAndLeave', semaphore.handle(), inside, 10_000)),
      here(),
      here(),
    ]);
    expect(Math.max(...most)).toBeLessThanOrEqual(2);
    expect([semaphore.available, inside[0]]).toEqual([2, 0]);
  });

  test('wakes as many as there are permits for, blocking or not', async () => {
    const semaphore = Semaphore.create(0);
    const workers = await Promise.all([spawn(), spawn()]);
    const waiting = [
      ...workers.map((worker) => worker.call('acquire', semaphore.handle())),
      semaphore.acquireAsync(),
      semaphore.acquireAsync(),
    ];
    await sleep(SOON_MS);
    semaphore.release(4);
    await Promise.all(waiting);
    expect(semaphore.available).toBe(0);
  });

  test('gives permits back once', () => {
    const semaphore = Semaphore.create(1);
    const permit = semaphore.acquire();
    expect(semaphore.tryAcquire()).toBeUndefined();
    permit.release();
    permit.release();
    expect(semaphore.available).toBe(1);
    {
      using _ = semaphore.tryAcquire()!;
      expect(semaphore.available).toBe(0);
    }
    expect(semaphore.available).toBe(1);
  });

  test('gives up in time, with a signal, and at once where it may not block', async () => {
    const semaphore = Semaphore.create(0);
    const worker = await spawn();
    expect((await rejectionOf(worker.call('acquire', semaphore.handle(), SOON_MS))).code).toBe('TIMEOUT');
    expect((await rejectionOf(semaphore.acquireAsync({ timeoutMs: SOON_MS }))).code).toBe('TIMEOUT');
    expect((await rejectionOf(semaphore.acquireAsync({ signal: AbortSignal.timeout(SOON_MS) }))).code).toBe('ABORTED');
    expect((await rejectionOf(semaphore.acquireAsync({ signal: AbortSignal.abort() }))).code).toBe('ABORTED');
    expect(errorOf(() => semaphore.acquire()).code).toBe('MAY_NOT_BLOCK');
    semaphore.release();
    semaphore.acquire();
  });

  test('lets no given-up wait swallow a permit', async () => {
    const semaphore = Semaphore.create(0);
    const worker = await spawn();
    for (let round = 0; round < 50; round += 1) {
      const controller = new AbortController();
      const first = semaphore.acquireAsync({ signal: controller.signal }).then(
        () => 'taken',
        () => 'aborted',
      );
      const second = worker.call('acquire', semaphore.handle());
      if (round % 5 === 0) await sleep(2);
      semaphore.release();
      controller.abort();
      if ((await first) === 'taken') semaphore.release();
      await second;
    }
    expect(semaphore.available).toBe(0);
  });

  test('starves nobody who wants many permits behind those who want one', async () => {
    // The others go on, so that there are never all permits at once, until the waiters for many have had them.
    const permits = 3;
    const times = 10;
    const semaphore = Semaphore.create(permits);
    const served = new Int32Array(new SharedArrayBuffer(4));
    const [heavy, ...others] = await Promise.all([spawn(), spawn(), spawn(), spawn()]);
    const streams = others.map((worker) => worker.call('takePermits', semaphore.handle(), served, 2 * times));
    const waiting = heavy.call('takeMany', semaphore.handle(), permits, served, times);
    for (let i = 0; i < times; i += 1) {
      using permit = await semaphore.acquireAsync({ count: permits });
      expect([permit.count, semaphore.available]).toEqual([permits, 0]);
      Atomics.add(served, 0, 1);
    }
    await Promise.all([waiting, ...streams]);
    expect(semaphore.available).toBe(permits);
  });

  test('gives several permits at once or none', async () => {
    const semaphore = Semaphore.create(3);
    expect(semaphore.tryAcquire({ count: 4 })).toBeUndefined();
    expect((await rejectionOf(semaphore.acquireAsync({ count: 4, timeoutMs: SOON_MS }))).code).toBe('TIMEOUT');
    const two = semaphore.acquire({ count: 2 });
    const three = semaphore.acquireAsync({ count: 3 });
    two.release();
    two.release();
    (await three).release();
    expect([semaphore.available, semaphore.acquire({ count: 0 }).count]).toEqual([3, 0]);
    for (const count of [-1, 0.5, 2 ** 32]) expect(errorOf(() => semaphore.tryAcquire({ count })).code).toBe('INVALID_ARGUMENT');
  });

  test('keeps nothing for a claimant that does not come', async () => {
    // A thread outside the registry claims and is gone, as when it was terminated while it waited.
    const semaphore = Semaphore.create(2);
    const words = new Int32Array(semaphore.handle().buffer!, semaphore.handle().byteOffset);
    words[SEMAPHORE_CLAIMANT_OFFSET >> 2] = SLOT_UNREGISTERED;
    words[SEMAPHORE_DEMAND_OFFSET >> 2] = 1;
    expect(semaphore.tryAcquire()).toBeUndefined();
    const worker = await spawn();
    const there = worker.call('acquire', semaphore.handle());
    (await semaphore.acquireAsync()).release();
    expect(await there).toBe(true);
    expect([semaphore.tryAcquire()?.count, semaphore.available]).toEqual([1, 0]);
  });

  test.each([-1, 1.5, Number.NaN, 2 ** 32])('refuses %d permits', (permits) => {
    expect(errorOf(() => Semaphore.create(permits)).code).toBe('INVALID_ARGUMENT');
  });

  test('holds up to 2^32 - 1 permits', () => {
    const semaphore = Semaphore.create(2 ** 32 - 1);
    expect(semaphore.available).toBe(2 ** 32 - 1);
    expect(errorOf(() => semaphore.release()).code).toBe('INVALID_ARGUMENT');
    semaphore.acquire().release();
    expect(errorOf(() => semaphore.release(-1)).code).toBe('INVALID_ARGUMENT');
  });
});
