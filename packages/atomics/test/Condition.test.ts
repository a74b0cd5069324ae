import { describe, expect, test } from 'vitest';
import { Condition, Mutex, UnlockToken, setMayBlock } from '../src/index.ts';
import { errorOf, rejectionOf, sleep, spawn } from './support/spawn.ts';

setMayBlock(false);

const SOON_MS = 30;

describe('a condition', () => {
  test('reaches blocking and asynchronous waiters', async () => {
    const mutex = new Mutex();
    const condition = new Condition();
    const values = new Int32Array(new SharedArrayBuffer(4));
    const workers = await Promise.all([spawn(), spawn()]);
    const there = workers.map((worker) => worker.call('waitUntil', mutex.handle(), condition.handle(), values, 5));
    const here = (async () => {
      using token = await mutex.lockAsync();
      await condition.waitAsync(token, { predicate: () => values[0] >= 5 });
      return values[0];
    })();
    for (let value = 1; value <= 5; value += 1) {
      await sleep(5);
      using _ = await mutex.lockAsync();
      values[0] = value;
      condition.notifyAll();
    }
    expect(await Promise.all([...there, here])).toEqual([5, 5, 5]);
  });

  test('wakes one or all', async () => {
    const mutex = new Mutex();
    const condition = new Condition();
    let woken = 0;
    const waiters = Array.from({ length: 3 }, async () => {
      using token = await mutex.lockAsync();
      await condition.waitAsync(token);
      woken += 1;
    });
    await sleep(SOON_MS);
    expect(condition.notifyOne()).toBe(1);
    await sleep(SOON_MS);
    expect(woken).toBe(1);
    expect(Condition.notify(condition)).toBe(2);
    await Promise.all(waiters);
    expect(condition.notify()).toBe(0);
  });

  test('gives up in time, with the lock', async () => {
    const mutex = new Mutex();
    const condition = new Condition();
    const worker = await spawn();
    expect(await worker.call('waitFor', mutex.handle(), condition.handle(), SOON_MS)).toEqual({ isNotified: false, isLocked: true });
    using token = await mutex.lockAsync();
    expect(await condition.waitAsync(token, { timeoutMs: SOON_MS })).toBe(false);
    expect(await condition.waitAsync(token, { timeoutMs: SOON_MS, predicate: () => false })).toBe(false);
    expect(token.locked).toBe(true);
  });

  test('gives up with a signal, with the lock', async () => {
    const mutex = new Mutex();
    const condition = new Condition();
    using token = await mutex.lockAsync();
    const reason = new Error('enough');
    const controller = new AbortController();
    const waiting = rejectionOf(condition.waitAsync(token, { signal: controller.signal }));
    await sleep(SOON_MS);
    expect(mutex.isLocked).toBe(false);
    controller.abort(reason);
    expect(await waiting).toMatchObject({ code: 'ABORTED', cause: reason });
    expect([token.locked, mutex.isLocked]).toEqual([true, true]);
  });

  test('needs the lock, and a thread that may block for the blocking form', () => {
    const condition = new Condition();
    expect(errorOf(() => condition.wait(new UnlockToken())).code).toBe('NOT_OWNER');
    expect(errorOf(() => condition.waitFor(new UnlockToken(), 1, () => true)).code).toBe('NOT_OWNER');
    using token = new Mutex().lock();
    expect(errorOf(() => Condition.wait(condition, token)).code).toBe('MAY_NOT_BLOCK');
    expect(errorOf(() => Condition.waitFor(condition, token, 10)).code).toBe('MAY_NOT_BLOCK');
    expect(token.locked).toBe(true);
  });

  test('is opened by a handle of its kind at a place that fits', () => {
    expect(errorOf(() => Condition.from(new Mutex().handle() as never)).code).toBe('INVALID_RECORD');
    expect(errorOf(() => new Condition({ buffer: new SharedArrayBuffer(4) })).code).toBe('INVALID_RECORD');
  });
});
