/** Asynchronous waits by helper threads, as on engines without `Atomics.waitAsync`. */
import { afterAll, expect, test } from 'vitest';
import { AtomicI64, Barrier, Event, Latch, Mutex, Once, Parker, Semaphore, WaitGroup } from '../src/index.ts';
import { setWaitAsyncByHelper } from '../src/internal/futex.ts';
import { rejectionOf, sleep, spawn } from './support/spawn.ts';
import { WAITS } from './support/waitOperations.ts';

setWaitAsyncByHelper(true);
afterAll(() => setWaitAsyncByHelper(false));

test('a helper waits in place of the engine', async () => {
  const mutex = new Mutex();
  const value = new Uint32Array(new SharedArrayBuffer(4));
  const worker = await spawn();
  const there = worker.call('increment', mutex.handle(), value, 5_000);
  for (let i = 0; i < 200; i += 1) {
    using _ = await mutex.lockAsync();
    const before = value[0];
    if (i % 20 === 0) await sleep(0);
    value[0] = before + 1;
  }
  await there;
  expect(value[0]).toBe(5_200);
});

test('a helper gives up in time and with a signal, and swallows nothing', async () => {
  const semaphore = Semaphore.create(0);
  expect((await rejectionOf(semaphore.acquireAsync({ timeoutMs: 20 }))).code).toBe('TIMEOUT');
  for (let round = 0; round < 20; round += 1) {
    const controller = new AbortController();
    const first = rejectionOf(semaphore.acquireAsync({ signal: controller.signal }));
    const second = semaphore.acquireAsync();
    if (round % 2 === 0) await sleep(2);
    controller.abort();
    expect((await first).code).toBe('ABORTED');
    semaphore.release();
    await second;
  }
  expect(semaphore.available).toBe(0);
});

test('a helper waits for everything else that can be waited for', async () => {
  const worker = await spawn();
  const [latch, group, barrier, event, parker, once] = [
    Latch.create(1),
    new WaitGroup(),
    Barrier.create(2),
    Event.create({ autoReset: true }),
    new Parker(),
    new Once(),
  ];
  group.add();
  const cell = AtomicI64.create(-5n);
  const waiting = Promise.all([
    latch.waitAsync(),
    group.waitAsync(),
    barrier.waitAsync(),
    event.waitAsync(),
    parker.parkAsync(),
    once.waitAsync(),
    cell.waitAsync(-5n),
  ]);
  expect((await rejectionOf(latch.waitAsync({ timeoutMs: 20 }))).code).toBe('TIMEOUT');
  expect((await rejectionOf(cell.waitAsync(-5n, { signal: AbortSignal.timeout(20) }))).code).toBe('ABORTED');
  await worker.call('on', latch.handle(), 'countDown');
  await worker.call('on', group.handle(), 'done');
  await worker.call('on', barrier.handle(), 'wait');
  await worker.call('on', event.handle(), 'set');
  parker.unparker().unpark();
  once.call(() => {});
  cell.store(0n);
  cell.notify();
  expect((await waiting)[2]).toEqual({ isLeader: false });
});

test.each(Object.keys(WAITS))('a helper waits for %s, gives up in time and with a signal, and is there for the next', async (operation) => {
  const { make, wait } = WAITS[operation];
  const { handle, remove } = make();
  expect((await rejectionOf(wait(handle, { timeoutMs: 5 }))).code).toBe('TIMEOUT');
  const controller = new AbortController();
  const aborted = rejectionOf(wait(handle, { signal: controller.signal }));
  await sleep(2);
  controller.abort();
  expect((await aborted).code).toBe('ABORTED');
  const waiting = wait(handle);
  await sleep(2);
  remove();
  await waiting;
});
