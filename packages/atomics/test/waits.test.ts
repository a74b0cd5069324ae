/** Every operation that waits until a record lets it: how the wait is given up, and that nobody is harmed. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Condition, Mutex, OnceCell, f64, setMayBlock } from '../src/index.ts';
import type { TestWorker } from './support/rpc.ts';
import { errorOf, rejectionOf, sleep, startWorker } from './support/spawn.ts';
import { WAITS } from './support/waitOperations.ts';

setMayBlock(false);

const SOON_MS = 10;

let worker: TestWorker;
beforeAll(async () => void (worker = await startWorker()));
afterAll(() => worker.terminate());

describe.each(Object.keys(WAITS))('%s', (operation) => {
  const { make, block, wait, attempt } = WAITS[operation];

  test('gives up in time, blocking or not', async () => {
    const { handle, remove } = make();
    expect((await rejectionOf(worker.call('waitInVain', operation, handle, SOON_MS))).code).toBe('TIMEOUT');
    expect((await rejectionOf(wait(handle, { timeoutMs: SOON_MS }))).code).toBe('TIMEOUT');
    remove();
    await wait(handle);
  });

  test('gives up with its signal, given before or while it waits', async () => {
    const { handle, remove } = make();
    const reason = new Error('no longer needed');
    const before = await rejectionOf(wait(handle, { signal: AbortSignal.abort(reason) }));
    expect(before).toMatchObject({ code: 'ABORTED', cause: reason });
    const controller = new AbortController();
    const waiting = rejectionOf(wait(handle, { signal: controller.signal }));
    await sleep(SOON_MS);
    controller.abort(reason);
    expect(await waiting).toMatchObject({ code: 'ABORTED', cause: reason });
    remove();
    await wait(handle);
  });

  test('refuses a time that is no number, which would never run out', async () => {
    const { handle, remove } = make();
    expect((await rejectionOf(worker.call('waitInVain', operation, handle, NaN))).code).toBe('INVALID_ARGUMENT');
    expect((await rejectionOf(wait(handle, { timeoutMs: NaN }))).code).toBe('INVALID_ARGUMENT');
    remove();
    await wait(handle);
  });

  test('is refused at once where it may not block, and tries without', async () => {
    const { handle, remove } = make();
    expect(errorOf(() => block(handle)).code).toBe('MAY_NOT_BLOCK');
    expect(errorOf(() => block(handle, { timeoutMs: 1 })).code).toBe('MAY_NOT_BLOCK');
    expect(attempt(handle)).toBe(false);
    const waiting = wait(handle);
    remove();
    await waiting;
  });
});

test('a condition gives up in time and with its signal, and its token holds the lock', async () => {
  const [mutex, condition] = [new Mutex(), new Condition()];
  using token = await mutex.lockAsync();
  expect(errorOf(() => condition.waitFor(token, SOON_MS)).code).toBe('MAY_NOT_BLOCK');
  expect([await condition.waitAsync(token, { timeoutMs: SOON_MS }), token.locked]).toEqual([false, true]);
  const reason = new Error('no longer needed');
  expect(await rejectionOf(condition.waitAsync(token, { signal: AbortSignal.abort(reason) }))).toMatchObject({
    code: 'ABORTED',
    cause: reason,
  });
  const controller = new AbortController();
  const waiting = rejectionOf(condition.waitAsync(token, { signal: controller.signal }));
  await sleep(SOON_MS);
  controller.abort(reason);
  expect(await waiting).toMatchObject({ code: 'ABORTED', cause: reason });
  expect([token.locked, mutex.tryLock()]).toEqual([true, undefined]);
  const notified = condition.waitAsync(token);
  using other = await mutex.lockAsync();
  expect(condition.notifyOne()).toBe(1);
  other.unlock();
  expect(await notified).toBe(true);
});

test('a once cell is set and made without waiting where nobody makes it', () => {
  const cell = new OnceCell(f64);
  expect(
    errorOf(() =>
      cell.tryGetOrInit(() => {
        throw new Error('on purpose');
      }),
    ).message,
  ).toBe('on purpose');
  expect([cell.trySet(1.5), cell.trySet(2.5), cell.tryGetOrInit(() => 3.5), cell.get()]).toEqual([true, false, 1.5, 1.5]);
  const other = new OnceCell(f64);
  expect([other.tryGetOrInit(() => 4.5), other.trySet(5.5)]).toEqual([4.5, false]);
});
