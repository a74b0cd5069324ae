import { describe, expect, test } from 'vitest';
import { Barrier, setMayBlock } from '../src/index.ts';
import { errorOf, rejectionOf, sharedWord, sleep, spawn } from './support/spawn.ts';

setMayBlock(false);

const SOON_MS = 30;

describe('a barrier', () => {
  test('lets nobody run ahead, and one of each generation leads', async () => {
    const times = 500;
    const barrier = Barrier.create(3);
    const value = sharedWord();
    const workers = await Promise.all([spawn(), spawn()]);
    const there = workers.map((worker) => worker.call<number>('meet', barrier.handle(), value, times));
    let led = 0;
    for (let time = 1; time <= times; time += 1) {
      Atomics.add(value, 0, 1);
      if ((await barrier.waitAsync()).isLeader) led += 1;
      expect(Atomics.load(value, 0)).toBe(3 * time);
      await barrier.waitAsync();
    }
    const [first, second] = await Promise.all(there);
    expect(first + second + led).toBe(times);
    expect(barrier.arrived).toBe(0);
  });

  test('takes the arrival of a wait back that ends early', async () => {
    const barrier = Barrier.create(2);
    const worker = await spawn();
    expect((await rejectionOf(worker.call('on', barrier.handle(), 'wait', { timeoutMs: SOON_MS }))).code).toBe('TIMEOUT');
    expect((await rejectionOf(barrier.waitAsync({ timeoutMs: SOON_MS }))).code).toBe('TIMEOUT');
    expect((await rejectionOf(barrier.waitAsync({ signal: AbortSignal.timeout(SOON_MS) }))).code).toBe('ABORTED');
    expect(errorOf(() => barrier.wait()).code).toBe('MAY_NOT_BLOCK');
    expect([barrier.arrived, barrier.tryWait()]).toEqual([0, undefined]);
    const other = worker.call('on', barrier.handle(), 'wait');
    while (barrier.arrived === 0) await sleep(1);
    expect(barrier.wait()).toEqual({ isLeader: true });
    expect(await other).toEqual({ isLeader: false });
  });

  test('goes on with those that came, although a wait is given up at the last moment', async () => {
    const barrier = Barrier.create(2);
    const worker = await spawn();
    for (let round = 0; round < 30; round += 1) {
      const controller = new AbortController();
      const here = barrier.waitAsync({ signal: controller.signal }).then(
        () => 'met',
        () => 'aborted',
      );
      const there = worker.call('on', barrier.handle(), 'wait');
      if (round % 3 === 0) await sleep(1);
      controller.abort();
      if ((await here) === 'aborted') await barrier.waitAsync();
      await there;
      expect(barrier.arrived).toBe(0);
    }
  });

  test.each([0, -1, 1.5, 4096, Number.NaN])('refuses %d parties', (parties) => {
    expect(errorOf(() => Barrier.create(parties)).code).toBe('INVALID_ARGUMENT');
  });

  test('is found only where there is one', () => {
    const buffer = new SharedArrayBuffer(16);
    expect(errorOf(() => Barrier.at({ buffer })).code).toBe('INVALID_RECORD');
    Barrier.create(4, { buffer, byteOffset: 8 });
    expect(Barrier.at({ buffer, byteOffset: 8 }).parties).toBe(4);
    expect(errorOf(() => Barrier.at({ buffer, byteOffset: 12 })).code).toBe('INVALID_RECORD');
    expect(Barrier.create(1).wait()).toEqual({ isLeader: true });
  });
});
