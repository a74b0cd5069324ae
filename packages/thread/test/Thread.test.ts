import { Mutex, snapshot } from '@heddle/atomics';
import { channel } from '@heddle/channel';
import { expect, expectTypeOf, onTestFinished, test } from 'vitest';
import { Builder, spawn, ThreadError, WasmRuntime, type Thread } from '../src/index.ts';
import { Tally } from './fixtures/adding.ts';
import type * as adding from './fixtures/adding.ts';
import type * as jobs from './fixtures/jobs.ts';
import type * as threads from './fixtures/threads.ts';
import type * as work from './fixtures/work.ts';
import { canNestWorkers, modules } from './modules.ts';

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
  await expect(missing).rejects.toMatchObject({ code: 'START_FAILED', message: expect.stringContaining('fixtures/missing.ts') as string });
});

// Engines say of a mistake in a module neither where it is nor what it is for.
test("a module that can't be read is named, but not with all of its text", async () => {
  const broken = `data:text/javascript,${encodeURIComponent(`export default (${' '.repeat(1000)}`)}`;
  // What the engine says behind that may have all of it: Deno's message does.
  const named = expect.stringMatching(/: data:text[^…]{1,200}… can't be imported: /u) as string;
  await expect(spawn(broken).join()).rejects.toMatchObject({ code: 'START_FAILED', message: named });
});

// A relative one was looked for beside this package's own worker, and the message had that place.
test.each(['./work.ts', '../work.ts', undefined, null, 5])('%s is no location of a module', async (location) => {
  await expect(spawn(location as string).join()).rejects.toMatchObject({ code: 'BAD_ARGUMENT' });
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

test('locks, channels and shared structs are arguments: threads take turns at a struct, with what comes through a channel', async () => {
  const numbers = channel({ capacity: 4 });
  const counts = channel({ capacity: 2 });
  const tally = new Mutex(Tally);
  const addingUrl = new URL('./fixtures/adding.ts', import.meta.url);
  const add = (): Thread<number> =>
    new Builder({ exportName: 'addUp' }).spawn<typeof adding.addUp>(
      addingUrl,
      numbers.receiver.handle(),
      tally.handle(),
      counts.sender.handle(),
    );
  const threads = [add(), add()];
  // oxlint-disable-next-line no-await-in-loop -- as fast as they are taken
  for (let number = 1; number <= 100; number += 1) await numbers.sender.sendAsync(Uint8Array.of(number));
  numbers.sender.close();
  const ends = await Promise.all(threads.map((thread) => thread.join()));
  expect(ends.reduce((sum, count) => sum + count, 0)).toBe(100);
  const told = [await counts.receiver.recvAsync(), await counts.receiver.recvAsync()].map(([count]) => count);
  expect(new Set(told)).toEqual(new Set(ends));
  const lock = await tally.lockAsync();
  expect(snapshot(lock.value)).toEqual({ count: 100, sum: 2525 });
  lock.unlock();
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

test.runIf(canNestWorkers)(
  'a worker joins blocking: small results, errors, a worker that ends; what comes by message is refused, and time runs out',
  async () => {
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
  },
);

test("a main thread joins blocking only where that doesn't block it", async () => {
  const thread = spawn<typeof work.default>(url, 1, 2);
  if (typeof document === 'undefined') expect(thread.joinBlocking()).toBe(3);
  else expect(() => thread.joinBlocking()).toThrow(expect.objectContaining({ code: 'WOULD_BLOCK' }));
  expect(() => thread.joinBlocking({ timeoutMs: NaN })).toThrow(expect.objectContaining({ code: 'BAD_ARGUMENT' }));
  await thread.ended;
  expect(thread.joinBlocking()).toBe(3);
  const failed = new Builder({ exportName: 'fail' }).spawn<typeof work.fail>(url, 'too far');
  await failed.ended;
  expect(() => failed.joinBlocking()).toThrow(expect.objectContaining({ code: 'THREAD_PANICKED' }));
});

test.runIf(canNestWorkers)('a worker has a pool of its own', async () => {
  const threadsUrl = new URL('./fixtures/threads.ts', import.meta.url);
  expect(await new Builder({ exportName: 'poolWithin' }).spawn<typeof threads.poolWithin>(threadsUrl).join()).toEqual([2, 4, 6]);
});

test('a TypeScript thread spawns Wasm threads, and may block for them', async () => {
  const runtime = await WasmRuntime.start({ ...modules.threadTesting, threads: 2 });
  onTestFinished(() => runtime.close());
  const thread = new Builder({ exportName: 'spawnWasm' }).spawn<typeof work.spawnWasm>(url, runtime.handle());
  expect(await thread.join()).toBe(10);
});
