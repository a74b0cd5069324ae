import { expect, expectTypeOf, onTestFinished, test } from 'vitest';
import { Builder, spawn, ThreadError, WasmRuntime, type Thread } from '../src/index.ts';
import type * as jobs from './fixtures/jobs.ts';
import type * as threads from './fixtures/threads.ts';
import type * as work from './fixtures/work.ts';
import { modules } from './modules.ts';

const url = new URL('./fixtures/work.ts', import.meta.url);

test('a thread takes typed arguments, and join gives the typed result', async () => {
  const thread = spawn<typeof work.default>(url, 1, 2, 39);
  expectTypeOf(thread).toEqualTypeOf<Thread<number>>();
  expect(await thread.join()).toBe(42);
  expect(thread.isFinished).toBe(true);
  // @ts-expect-error -- the function takes numbers
  await spawn<typeof work.default>(url, 'one').join();
});

test('an exported function is called by name, and what it promises is awaited', async () => {
  const thread = new Builder({ name: 'later', exportName: 'later' }).spawn<typeof work.later>(url, 'warp', 5);
  expectTypeOf(thread).toEqualTypeOf<Thread<string>>();
  expect(thread.name).toBe('later');
  expect(thread.isFinished).toBe(false);
  expect(await thread.join()).toBe('warp');
});

test('what a thread throws reaches join', async () => {
  const joined = new Builder({ exportName: 'fail' }).spawn<typeof work.fail>(url, 'too far').join();
  await expect(joined).rejects.toMatchObject({ code: 'THREAD_PANICKED', message: "thread 'fail' threw: too far" });
  await expect(joined).rejects.toHaveProperty('cause', expect.any(RangeError));
});

test.each(['no-such-function', 'notAFunction'])('%s is no function to call', async (exportName) => {
  await expect(new Builder({ exportName }).spawn(url).join()).rejects.toMatchObject({ code: 'START_FAILED' });
});

test('a module that is not there is named', async () => {
  const missing = spawn(new URL('./fixtures/missing.ts', import.meta.url)).join();
  await expect(missing).rejects.toBeInstanceOf(ThreadError);
  await expect(missing).rejects.toMatchObject({ code: 'START_FAILED' });
});

test("what can't be cloned is refused, on the way in and on the way out", async () => {
  await expect(spawn(url, () => {}).join()).rejects.toMatchObject({ code: 'BAD_ARGUMENT' });
  const out = new Builder({ exportName: 'unclonable' }).spawn<typeof work.unclonable>(url).join();
  await expect(out).rejects.toMatchObject({ code: 'THREAD_PANICKED' });
});

test('an argument is handed over when it is transferred', async () => {
  const bytes = new Uint8Array([7]);
  const thread = new Builder({ exportName: 'firstByte', transfer: [bytes.buffer] }).spawn<typeof work.firstByte>(url, bytes);
  expect(await thread.join()).toBe(7);
  expect(bytes).toHaveLength(0);
});

test('a signal ends a thread, also one that blocks', async () => {
  const words = new Int32Array(new SharedArrayBuffer(4));
  const controller = new AbortController();
  const thread = new Builder({ exportName: 'wait', signal: controller.signal }).spawn<typeof work.wait>(url, words);
  controller.abort('enough');
  await expect(thread.join()).rejects.toMatchObject({ code: 'ABORTED', cause: 'enough' });
  const late = new Builder({ signal: controller.signal }).spawn<typeof work.default>(url, 1);
  await expect(late.join()).rejects.toMatchObject({ code: 'ABORTED' });
});

test('the worker of a thread that has ended serves the next one of its name; a running one has its worker to itself', async () => {
  const jobsUrl = new URL('./fixtures/jobs.ts', import.meta.url);
  const counting = new Builder({ name: 'counting', exportName: 'count' });
  expect(await counting.spawn<typeof jobs.count>(jobsUrl).join()).toBe(1);
  expect(await counting.spawn<typeof jobs.count>(jobsUrl).join()).toBe(2);
  const words = new Int32Array(new SharedArrayBuffer(8));
  const blocked = new Builder({ name: 'counting', exportName: 'block' }).spawn<typeof jobs.block>(jobsUrl, words);
  expect(await counting.spawn<typeof jobs.count>(jobsUrl).join()).toBe(1);
  expect(blocked.isFinished).toBe(false);
  Atomics.store(words, 0, 7);
  Atomics.notify(words, 0);
  expect(await blocked.join()).toBe(7);
  expect(await new Builder({ name: 'other', exportName: 'count' }).spawn<typeof jobs.count>(jobsUrl).join()).toBe(1);
});

test('a worker joins blocking: small results, errors, a worker that ends; what comes by message is refused, and time runs out', async () => {
  const threadsUrl = new URL('./fixtures/threads.ts', import.meta.url);
  const results = await new Builder({ exportName: 'joinBlocking' }).spawn<typeof threads.joinBlocking>(threadsUrl).join();
  expect(results).toEqual([
    [1, 'two', { three: [3n] }],
    ['THREAD_PANICKED', 'RangeError', 'too far'],
    'value',
    'WOULD_BLOCK',
    'THREAD_TERMINATED',
    'WOULD_BLOCK',
    'TIMEOUT',
    9,
    9,
  ]);
});

test("a main thread joins blocking only where that doesn't block it", async () => {
  const thread = spawn<typeof work.default>(url, 1, 2);
  if (typeof document === 'undefined') expect(thread.joinBlocking()).toBe(3);
  else expect(() => thread.joinBlocking()).toThrow(expect.objectContaining({ code: 'WOULD_BLOCK' }));
  await thread.ended;
  expect(thread.joinBlocking()).toBe(3);
  const failed = new Builder({ exportName: 'fail' }).spawn<typeof work.fail>(url, 'too far');
  await failed.ended;
  expect(() => failed.joinBlocking()).toThrow(expect.objectContaining({ code: 'THREAD_PANICKED' }));
});

test('a worker has a pool of its own', async () => {
  const threadsUrl = new URL('./fixtures/threads.ts', import.meta.url);
  expect(await new Builder({ exportName: 'poolWithin' }).spawn<typeof threads.poolWithin>(threadsUrl).join()).toEqual([2, 4, 6]);
});

test('a TypeScript thread spawns Wasm threads, and may block for them', async () => {
  const runtime = await WasmRuntime.start({ ...modules.threadTesting, threads: 2 });
  onTestFinished(() => runtime.close());
  const thread = new Builder({ exportName: 'spawnWasm' }).spawn<typeof work.spawnWasm>(url, runtime.handle());
  expect(await thread.join()).toBe(10);
});
