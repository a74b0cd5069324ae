/** What TypeScript's threads wait for, as it is seen from outside. */
import {
  AtomicI32,
  Barrier,
  Condition,
  Event,
  type Handle,
  Latch,
  Mutex,
  Once,
  Parker,
  RwLock,
  Semaphore,
  WaitGroup,
} from '@heddle/atomics';
import { channel } from '@heddle/channel';
import { expect, onTestFinished, test } from 'vitest';
import { Builder, type ModuleWaitKind, type Thread, ThreadPool, WasmRuntime } from '../src/index.ts';
import type * as waits from './fixtures/waits.ts';
import { canNestWorkers, modules } from './modules.ts';

const url = new URL('./fixtures/waits.ts', import.meta.url);
const builder = (exportName: keyof typeof waits): Builder => new Builder({ name: 'waiter', exportName });
const turn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 1));
const sharedWords = (): Int32Array<SharedArrayBuffer> => new Int32Array(new SharedArrayBuffer(8));

/** Looks at a thread until it waits for this. */
async function untilWaits(thread: Thread<unknown>, kind: ModuleWaitKind | undefined): Promise<void> {
  // oxlint-disable-next-line no-await-in-loop -- looks until it is so
  while (thread.waitsFor !== kind) await turn();
}

/** What a thread can wait for, and how it is let go on. */
const CASES: Readonly<Record<string, () => { readonly handle: Handle<string>; readonly release: () => void }>> = {
  word() {
    const cell = new AtomicI32();
    const release = (): void => {
      cell.store(1);
      cell.notify();
    };
    return { handle: cell.handle(), release };
  },
  barrier() {
    const barrier = Barrier.create(2);
    return { handle: barrier.handle(), release: () => void barrier.waitAsync() };
  },
  channel() {
    const { sender, receiver } = channel({ capacity: 1 });
    return { handle: receiver.handle(), release: () => void sender.trySend(Uint8Array.of(1)) };
  },
  event() {
    const event = Event.create();
    return { handle: event.handle(), release: () => void event.set() };
  },
  latch() {
    const latch = Latch.create(1);
    return { handle: latch.handle(), release: () => latch.countDown() };
  },
  mutex() {
    const mutex = new Mutex();
    const held = mutex.tryLock()!;
    return { handle: mutex.handle(), release: () => held.unlock() };
  },
  once() {
    const once = new Once();
    const done = Promise.withResolvers<void>();
    void once.callAsync(() => done.promise);
    return { handle: once.handle(), release: () => done.resolve() };
  },
  parker() {
    const parker = new Parker();
    return { handle: parker.handle(), release: () => parker.unparker().unpark() };
  },
  'rw-lock'() {
    const lock = new RwLock();
    const held = lock.tryWrite()!;
    return { handle: lock.handle(), release: () => void held.unlock() };
  },
  semaphore() {
    const semaphore = Semaphore.create(0);
    return { handle: semaphore.handle(), release: () => semaphore.release() };
  },
  'wait-group'() {
    const group = new WaitGroup();
    group.add();
    return { handle: group.handle(), release: () => group.done() };
  },
};

test.each(Object.keys(CASES))('a thread that is blocked tells what by: %s', async (kind) => {
  const { handle, release } = CASES[kind]();
  const thread = builder('waitFor').spawn<typeof waits.waitFor>(url, handle);
  await untilWaits(thread, kind as ModuleWaitKind);
  release();
  await thread.join();
  expect(thread.waitsFor).toBeUndefined();
});

test('a thread tells that it waits for a condition, and then for the mutex', async () => {
  const condition = new Condition();
  const mutex = new Mutex();
  const thread = builder('waitForCondition').spawn<typeof waits.waitForCondition>(url, condition.handle(), mutex.handle());
  await untilWaits(thread, 'condition');
  const held = await mutex.lockAsync();
  condition.notifyOne();
  await untilWaits(thread, 'mutex');
  held.unlock();
  await thread.join();
  expect(thread.waitsFor).toBeUndefined();
});

test('a thread tells that it is parked, and nothing while it computes', async () => {
  const words = sharedWords();
  const parked = builder('parkUntilSet').spawn<typeof waits.parkUntilSet>(url, words);
  await untilWaits(parked, 'park');
  Atomics.store(words, 0, 1);
  parked.unpark();
  await parked.join();
  // The same worker, if it is there yet: what the last thread waited for is over.
  const going = sharedWords();
  const busy = builder('spinUntilSet').spawn<typeof waits.spinUntilSet>(url, going);
  // oxlint-disable-next-line no-await-in-loop -- looks until it runs
  while (Atomics.load(going, 1) === 0) await turn();
  expect(busy.waitsFor).toBeUndefined();
  Atomics.store(going, 0, 1);
  await busy.join();
});

test('a thread that awaits is on its event loop, also after it was blocked there', async () => {
  const words = sharedWords();
  const event = Event.create();
  const thread = builder('awaitAndBlock').spawn<typeof waits.awaitAndBlock>(url, words, event.handle());
  await untilWaits(thread, 'event');
  event.set();
  await untilWaits(thread, 'event-loop');
  Atomics.store(words, 0, 1);
  await thread.join();
  const going = sharedWords();
  const next = builder('sleepUntilSet').spawn<typeof waits.sleepUntilSet>(url, going);
  await next.started;
  expect(next.waitsFor).toBeUndefined();
  Atomics.store(going, 0, 1);
  Atomics.notify(going, 0);
  await next.join();
});

test.runIf(canNestWorkers)('a thread that blocks for another one tells so', async () => {
  const words = sharedWords();
  const thread = builder('joinUntilSet').spawn<typeof waits.joinUntilSet>(url, words);
  await untilWaits(thread, 'join');
  expect(thread.isFinished).toBe(false);
  Atomics.store(words, 0, 1);
  Atomics.notify(words, 0);
  await thread.join();
});

test('a thread that was terminated waits for nothing', async () => {
  const controller = new AbortController();
  const latch = Latch.create(1);
  const options = { exportName: 'waitFor', signal: controller.signal };
  const thread = new Builder(options).spawn<typeof waits.waitFor>(url, latch.handle());
  await untilWaits(thread, 'latch');
  controller.abort();
  expect(thread.waitsFor).toBeUndefined();
  await expect(thread.join()).rejects.toMatchObject({ code: 'ABORTED' });
});

test('a pool tells it of its jobs, whichever they are', async () => {
  const pool = await ThreadPool.start({ threads: 1, maxThreads: 2 });
  onTestFinished(() => pool.close({ graceMs: 0 }));
  const runtime = await WasmRuntime.start({ ...modules.threadTesting, threads: 2 });
  onTestFinished(() => runtime.close({ graceMs: 0 }));
  const latch = Latch.create(1);
  const event = Event.create();
  const gate = Number(await runtime.spawn('new_word', 0).join());
  const jobs = [
    pool.runWith<typeof waits.waitFor>({ exportName: 'waitFor' }, url, latch.handle()),
    // The first thing that a thread of these tests can wait for: to be unparked.
    pool.run(runtime, 'wait_for', 0, gate),
    pool.runWith<typeof waits.waitFor>({ exportName: 'waitFor', name: 'last' }, url, event.handle()),
  ];
  const seen = (): unknown[] => pool.jobs().map(({ name, waitsFor }) => `${name} ${waitsFor}`);
  // oxlint-disable-next-line no-await-in-loop -- looks until it is so
  while (!seen().includes('waitFor latch') || !seen().includes('wait_for park')) await turn();
  expect(seen()).toContain('last undefined');
  latch.countDown();
  // oxlint-disable-next-line no-await-in-loop -- looks until it is so
  while (!seen().includes('last event')) await turn();
  event.set();
  const words = new Int32Array(runtime.memory.buffer);
  Atomics.store(words, gate >>> 2, 1);
  Atomics.notify(words, gate >>> 2);
  await Promise.all(jobs);
  expect(pool.jobs()).toEqual([]);
});
