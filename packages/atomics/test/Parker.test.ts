import { describe, expect, test } from 'vitest';
import { Parker, Unparker, setMayBlock } from '../src/index.ts';
import { errorOf, rejectionOf, sleep, spawn } from './support/spawn.ts';

setMayBlock(false);

const SOON_MS = 30;

describe('a parker', () => {
  test('takes the token that another thread puts there', async () => {
    const [here, there] = [new Parker(), new Parker()];
    const worker = await spawn();
    for (let turn = 0; turn < 200; turn += 1) {
      const parked = worker.call('on', there.handle(), 'park').then(() => here.unparker().unpark());
      there.unparker().unpark();
      await here.parkAsync();
      await parked;
    }
    expect([here.tryPark(), there.tryPark()]).toEqual([false, false]);
  });

  test('has one token at most', async () => {
    const parker = new Parker();
    const unparker = Unparker.from(parker.handle());
    expect(parker.tryPark()).toBe(false);
    unparker.unpark();
    unparker.unpark();
    parker.park();
    expect(parker.tryPark()).toBe(false);
    unparker.unpark();
    await parker.parkAsync();
    expect(parker.tryPark()).toBe(false);
  });

  test('gives up in time, with a signal, and at once where it may not block, and is usable afterwards', async () => {
    const parker = new Parker();
    const worker = await spawn();
    expect((await rejectionOf(worker.call('on', parker.handle(), 'park', { timeoutMs: SOON_MS }))).code).toBe('TIMEOUT');
    expect((await rejectionOf(parker.parkAsync({ timeoutMs: SOON_MS }))).code).toBe('TIMEOUT');
    expect((await rejectionOf(parker.parkAsync({ signal: AbortSignal.timeout(SOON_MS) }))).code).toBe('ABORTED');
    expect(errorOf(() => parker.park()).code).toBe('MAY_NOT_BLOCK');
    parker.unparker().unpark();
    parker.park();
  });

  test('is one thread’s at a time', async () => {
    const parker = new Parker();
    const first = parker.parkAsync();
    expect((await rejectionOf(parker.parkAsync())).code).toBe('ALREADY_PARKED');
    expect(errorOf(() => parker.park()).code).toBe('ALREADY_PARKED');
    await sleep(1);
    parker.unparker().unpark();
    await first;
  });

  test('is told by a handle of the right kind', () => {
    expect(errorOf(() => Unparker.from({ ...new Parker().handle(), kind: 'heddle.Latch' } as never)).code).toBe('INVALID_RECORD');
    expect(errorOf(() => new Parker({ buffer: new SharedArrayBuffer(8), byteOffset: 1 })).code).toBe('INVALID_RECORD');
  });
});
