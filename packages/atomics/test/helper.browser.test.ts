/** Asynchronous waits by helper threads, as on engines without `Atomics.waitAsync`. */
import { afterAll, expect, test } from 'vitest';
import { AtomicI64, Barrier, Condition, Event, Latch, Mutex, Once, Parker, Semaphore, WaitGroup } from '../src/index.ts';
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

test('a helper that does not load is told, and the next wait has another one', async () => {
  const mutex = new Mutex();
  // Those of the waits before are kept: these are more than ever waited at once.
  const kept = new WaitGroup();
  kept.add();
  const { Worker: whole } = globalThis;
  globalThis.Worker = class extends whole {
    constructor(_url: unknown, options?: WorkerOptions) {
      super('data:text/javascript,throw new Error("of no use")', options);
    }
  };
  using held = await mutex.lockAsync();
  const waits = Promise.allSettled(Array.from({ length: 20 }, () => kept.waitAsync()));
  const failed = rejectionOf(mutex.lockAsync());
  try {
    expect(await failed).toMatchObject({ code: 'HELPER_FAILED', message: expect.stringContaining('worker-src') as string });
  } finally {
    globalThis.Worker = whole;
  }
  const locked = mutex.lockAsync();
  held.unlock();
  (await locked).unlock();
  kept.done();
  await waits;
});

// Each wait has a predicate: who gives up has the others look, and their waits may end for no reason.
test('a helper waits for a condition, gives up in time and with a signal, and takes the lock again', async () => {
  const [mutex, condition] = [new Mutex(), new Condition()];
  using token = await mutex.lockAsync();
  let isMet = false;
  const predicate = (): boolean => isMet;
  for (let round = 0; round < 20; round += 1) {
    isMet = false;
    expect([await condition.waitAsync(token, { predicate, timeoutMs: 2 }), token.locked]).toEqual([false, true]);
    const controller = new AbortController();
    const aborted = rejectionOf(condition.waitAsync(token, { predicate, signal: controller.signal }));
    if (round % 2 === 0) await sleep(2);
    controller.abort();
    expect([(await aborted).code, token.locked]).toEqual(['ABORTED', true]);
    const met = condition.waitAsync(token, { predicate });
    const other = await mutex.lockAsync();
    isMet = true;
    condition.notifyOne();
    other.unlock();
    expect([await met, token.locked]).toEqual([true, true]);
  }
});
