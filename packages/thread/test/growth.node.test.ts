/** What a hundred thousand threads leave behind. In Node alone: nothing of it depends on the host. */
import { expect, onTestFinished, test } from 'vitest';
import { WasmRuntime } from '../src/index.ts';
import { modules } from './modules.ts';

const THREAD_COUNT = 100_000;

test('100,000 threads grow neither the memory nor the table of JavaScript values', { timeout: 120_000 }, async () => {
  // A pool that doesn't grow meanwhile: further workers take memory too.
  const runtime = await WasmRuntime.start({ ...modules.threadTesting, threads: 2, maxThreads: 2 });
  onTestFinished(() => runtime.close());
  const spawn = (count: number) => runtime.spawn('spawn_with_locals', count).join();
  const tableLength = await spawn(5000);
  const memorySize = runtime.memory.buffer.byteLength;
  expect(await spawn(THREAD_COUNT)).toBe(tableLength);
  // The allocator may still take a page for another order of events. A single word a thread would be more than this.
  expect(runtime.memory.buffer.byteLength - memorySize).toBeLessThan(THREAD_COUNT * 4);
});
