import { expect, onTestFinished, test, vi } from 'vitest';
import { Builder, park, parkAsync, parkTimeout, spawn, Thread, ThreadPool, ThreadRef } from '../src/index.ts';
import type * as jobs from './fixtures/jobs.ts';
import type * as threads from './fixtures/threads.ts';
import { canNestWorkers } from './modules.ts';

const url = new URL('./fixtures/threads.ts', import.meta.url);
const jobsUrl = new URL('./fixtures/jobs.ts', import.meta.url);
const isBrowser = typeof document !== 'undefined';
const sharedWords = (): Int32Array<SharedArrayBuffer> => new Int32Array(new SharedArrayBuffer(12));
const begun = (words: Int32Array): Promise<boolean> => vi.waitUntil(() => Atomics.load(words, 1) === 1, { timeout: 20_000 });
const options = (exportName: keyof typeof threads): { exportName: string } => ({ exportName });

test('every thread has an id of its own, and its name', async () => {
  expect(Thread.current.id).toBe(Thread.current.id);
  const named = new Builder({ name: 'warp' }).spawn<typeof threads.default>(url);
  const other = spawn<typeof threads.default>(url);
  expect(await named.join()).toEqual({ id: named.thread.id, name: 'warp' });
  expect(await other.join()).toEqual({ id: other.thread.id, name: 'default' });
  const again = new Builder({ name: 'warp' }).spawn<typeof threads.default>(url);
  const ids = [Thread.current.id, named.thread.id, other.thread.id, (await again.join()).id];
  expect(new Set(ids).size).toBe(ids.length);
});

test.runIf(canNestWorkers)('a thread that a thread has spawned has an id that no other one has', async () => {
  const thread = new Builder(options('spawnOne')).spawn<typeof threads.spawnOne>(url);
  const nested = await thread.join();
  const next = await spawn<typeof threads.default>(url).join();
  expect(new Set([Thread.current.id, thread.thread.id, nested, next.id]).size).toBe(4);
});

test.each(['parkOnce', 'parkOnceAsync'] as const)('%s: a parked thread goes on when it is unparked', async (exportName) => {
  const words = sharedWords();
  const thread = new Builder({ exportName }).spawn<typeof threads.parkOnce>(url, words);
  await begun(words);
  expect(thread.isFinished).toBe(false);
  thread.unpark();
  await thread.join();
  expect(words[2]).toBe(1);
});

test('unparking before a thread parks, or starts, lets its parking through', async () => {
  const words = sharedWords();
  const thread = new Builder({ name: 'early', exportName: 'parkOnce' }).spawn<typeof threads.parkOnce>(url, words);
  thread.unpark();
  await thread.join();
  // A token that is left is not the next thread's.
  const going = sharedWords();
  const untaken = new Builder({ name: 'early', exportName: 'untilSet' }).spawn<typeof jobs.untilSet>(jobsUrl, going);
  untaken.unpark();
  Atomics.store(going, 0, 1);
  await untaken.join();
  const next = new Builder({ name: 'early', exportName: 'hasToken' }).spawn<typeof threads.hasToken>(url);
  expect(await next.join()).toBe(false);
});

test('a thread unparks one that it was posted', async () => {
  const words = sharedWords();
  const thread = new Builder(options('parkUntilSet')).spawn<typeof threads.parkUntilSet>(url, words);
  await begun(words);
  Atomics.store(words, 0, 7);
  await new Builder(options('unparkOther')).spawn<typeof threads.unparkOther>(url, thread.thread.handle()).join();
  expect(await thread.join()).toBe(7);
});

test('a main thread parks too: asynchronously, with time and signal, and blocking where it may', async () => {
  const me = ThreadRef.from(Thread.current.handle());
  const parked = parkAsync();
  me.unpark();
  await parked;
  await expect(parkAsync({ timeoutMs: 1 })).rejects.toMatchObject({ code: 'TIMEOUT' });
  const controller = new AbortController();
  const aborted = parkAsync({ signal: controller.signal });
  controller.abort('enough');
  await expect(aborted).rejects.toMatchObject({ code: 'ABORTED', cause: 'enough' });
  me.unpark();
  me.unpark();
  park();
  if (isBrowser) expect(() => park()).toThrow(expect.objectContaining({ code: 'WOULD_BLOCK' }));
  else expect(parkTimeout(1)).toBe(false);
  expect(() => parkTimeout(NaN)).toThrow(expect.objectContaining({ code: 'BAD_ARGUMENT' }));
  await expect(parkAsync({ timeoutMs: NaN })).rejects.toMatchObject({ code: 'BAD_ARGUMENT' });
});

// A terminated thread was woken to end, and went on behind its park() as if somebody had unparked it.
test.each(['parkOnce', 'parkOnceAsync'] as const)('%s: a job that is given up while it is parked does not go on', async (exportName) => {
  const pool = await ThreadPool.start({ threads: 1, maxThreads: 1 });
  onTestFinished(() => pool.close({ graceMs: 0 }));
  const words = sharedWords();
  const controller = new AbortController();
  const job = pool.runWith<typeof threads.parkOnce>({ exportName, signal: controller.signal }, url, words);
  await begun(words);
  controller.abort('enough');
  await expect(job).rejects.toMatchObject({ code: 'ABORTED', cause: 'enough' });
  expect(await pool.runWith<typeof threads.hasToken>(options('hasToken'), url)).toBe(false);
  await pool.close({ graceMs: 0 });
  expect(words[2]).toBe(0);
});
