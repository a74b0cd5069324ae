import { expect, onTestFinished, test, vi } from 'vitest';
import { Builder, park, spawn, ThreadPool, WasmRuntime } from '../src/index.ts';
import type * as jobs from './fixtures/jobs.ts';
import { replaceWorkers } from './fixtures/replaceWorkers.ts';
import { modules } from './modules.ts';

test('a page that is not cross-origin isolated is told which headers are missing', async () => {
  vi.stubGlobal('crossOriginIsolated', false);
  try {
    const starting = WasmRuntime.start({ ...modules.threadTesting, threads: 1 });
    await expect(starting).rejects.toMatchObject({ code: 'NOT_CROSS_ORIGIN_ISOLATED' });
    await expect(starting).rejects.toThrow(/Cross-Origin-Opener-Policy: same-origin.*Cross-Origin-Embedder-Policy: require-corp/);
  } finally {
    vi.unstubAllGlobals();
  }
});

test('a page that is not cross-origin isolated has TypeScript threads and pools all the same: what they say goes by message', async () => {
  // As such a page has it.
  vi.stubGlobal('crossOriginIsolated', false);
  vi.stubGlobal('SharedArrayBuffer', undefined);
  onTestFinished(() => void vi.unstubAllGlobals());
  const url = new URL('./fixtures/jobs.ts', import.meta.url);
  const pool = await ThreadPool.start({ threads: 1, maxThreads: 2 });
  expect(await Promise.all([pool.run(url, 1, 2), pool.run(url, 3, 4), pool.run(url, 5, 6)])).toEqual([3, 7, 11]);
  const doubled: unknown[] = [];
  for await (const value of pool.map<typeof jobs.double>(url, [1, 2, 3], { exportName: 'double' })) doubled.push(value);
  expect(doubled).toEqual([2, 4, 6]);
  await expect(pool.runWith<typeof jobs.fail>({ exportName: 'fail' }, url, 'too far')).rejects.toMatchObject({
    code: 'THREAD_PANICKED',
    cause: expect.objectContaining({ message: 'too far' }) as Error,
  });
  await expect(pool.runWith({ exportName: 'die' }, url)).rejects.toMatchObject({ code: 'THREAD_TERMINATED' });
  const controller = new AbortController();
  const running = pool.runWith({ exportName: 'later', signal: controller.signal }, url, 1, 600_000);
  const waiting = [pool.runWith({ exportName: 'later', signal: controller.signal }, url, 1, 600_000), pool.run(url, 20, 22)];
  controller.abort();
  await expect(running).rejects.toMatchObject({ code: 'ABORTED' });
  await expect(waiting[0]).rejects.toMatchObject({ code: 'ABORTED' });
  expect(await waiting[1]).toBe(42);
  await pool.close();

  const [first, second] = [spawn(url, 1, 2), new Builder({ name: 'second' }).spawn(url, 3, 4)];
  expect(first.thread.id).not.toBe(second.thread.id);
  expect([await first.join(), await second.join()]).toEqual([3, 7]);
  expect(() => second.unpark()).toThrow(expect.objectContaining({ code: 'NOT_CROSS_ORIGIN_ISOLATED' }));
  expect(() => park()).toThrow(expect.objectContaining({ code: expect.stringMatching(/NOT_CROSS_ORIGIN_ISOLATED|WOULD_BLOCK/) as string }));
});

test("a package whose scripts come from another origin is told why its workers don't start", async () => {
  const foreign = new URL('https://cdn.example/worker.js');
  onTestFinished(replaceWorkers('supervisor', foreign));
  onTestFinished(replaceWorkers('module-worker', foreign));
  const starting = WasmRuntime.start({ ...modules.threadTesting, threads: 1 });
  await expect(starting).rejects.toMatchObject({ code: 'START_FAILED' });
  await expect(starting).rejects.toThrow(/own origin|could not be loaded/);
  const url = new URL('./fixtures/jobs.ts', import.meta.url);
  await expect(ThreadPool.start({ threads: 1 })).rejects.toMatchObject({ code: 'START_FAILED' });
  await expect(new Builder({ name: 'foreign' }).spawn(url, 1, 2).join()).rejects.toMatchObject({ code: 'START_FAILED' });
});

test('a main thread may not join blocking, and is told so', async () => {
  const runtime = await WasmRuntime.start({ ...modules.threadTesting, threads: 1 });
  onTestFinished(() => runtime.close());
  expect(runtime.mayBlock).toBe(false);
  const thread = runtime.spawn('add', 1, 1);
  expect(() => thread.joinBlocking()).toThrow(expect.objectContaining({ code: 'WOULD_BLOCK' }));
  expect(await thread.join()).toBe(2);
});
