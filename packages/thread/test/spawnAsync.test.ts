/** Threads of Rust that are a future: their worker's event loop runs while they wait. */
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { compileForThreads, createMemoryFor, instantiate, readModule, type WasmBindgenGlue } from '@heddle/memory';
import { importModule } from '../src/internal/importModule.js';
import { WasmRuntime, type WasmValue } from '../src/index.ts';
import { modules } from './modules.ts';

let runtime: WasmRuntime;

beforeAll(async () => {
  runtime = await WasmRuntime.start({ ...modules.threadTesting, threads: 2, maxThreads: 8, stackSize: 256 * 1024 });
});

afterAll(() => runtime.close());

const call = (name: string, ...args: WasmValue[]): Promise<WasmValue | undefined> => runtime.spawn(name, ...args).join();

describe('a thread that is a future', () => {
  test('has timers and promises resolve while it waits', async () => {
    expect(await call('await_timers')).toBe(42);
  });

  test('may fetch', async () => {
    expect(await call('fetch_status')).toBe(200);
  });

  test('is woken by other threads', async () => {
    expect(await call('await_threads', 100)).toBe(4950);
  });

  test('may block, and goes on after', async () => {
    expect(await call('block_on_an_event_loop')).toBe(1);
  });

  test('takes the worker of the one before, and leaves no memory behind', async () => {
    const own = await WasmRuntime.start({ ...modules.threadTesting, threads: 2, maxThreads: 2 });
    onTestFinished(() => own.close());
    expect(await own.spawn('spawn_async_join', 100).join()).toBe(5050);
    const pages = await own.spawn('memory_pages').join();
    const bytes = Number(await own.spawn('bytes_taken').join());
    expect(await own.spawn('spawn_async_join', 300).join()).toBe(45_150);
    expect(await own.spawn('memory_pages').join()).toBe(pages);
    expect(Number(await own.spawn('bytes_taken').join())).toBeLessThan(bytes + 65_536);
    expect(own.threads()).toHaveLength(2);
  });

  test('has local futures beside it, until it ends', async () => {
    expect(await call('run_local_futures')).toBe(1);
  });
});

test("on an instance of one's own local futures are its event loop's", async () => {
  const { module, memory: limits } = await compileForThreads(await readModule(modules.threadTesting.module));
  const memory = createMemoryFor(limits);
  const glue = (await importModule(modules.threadTesting.glue.href)) as WasmBindgenGlue;
  const { exports } = instantiate({ module, memory, glue });
  const word = (exports['run_on_host_event_loop'] as () => number)() >>> 0;
  const words = new Int32Array(memory.buffer);
  while (Atomics.load(words, word >>> 2) === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  expect(Atomics.load(words, word >>> 2)).toBe(42);
});

describe('a thread that is a future and fails', () => {
  test('panics: the payload reaches join, and its worker goes on', async () => {
    const traps = runtime.trappedCount;
    expect(await call('join_an_async_panic')).toBe(1);
    expect(runtime.trappedCount).toBe(traps);
  });

  test.each(['in the future', 'in a callback of the event loop'])('traps %s: join is told, its locks are poisoned', async (where) => {
    const traps = runtime.trappedCount;
    expect(await call('join_an_async_trap', where === 'in the future' ? 0 : 1)).toBe(1);
    expect(runtime.trappedCount).toBe(traps + 1);
    expect(await call('await_timers')).toBe(42);
  });

  // wasm-bindgen's JavaScript refused what other threads' event loops called in the moment until the note of a trap was taken back.
  test('traps beside others: what their event loops call arrives', async () => {
    let isOver = false;
    const goOn = async (): Promise<void> => {
      while (!isOver) expect(await call('await_timers')).toBe(42);
    };
    const others = [goOn(), goOn(), goOn()];
    for (let round = 0; round < 12; round += 1) expect(await call('join_an_async_trap', 1)).toBe(1);
    isOver = true;
    await Promise.all(others);
  });

  test('runs beyond its stack: a named error', async () => {
    expect(await call('join_an_async_overflow')).toBe(1);
  });

  test('throws in a callback: that is printed, and the thread goes on', async () => {
    expect(await call('throw_in_a_callback')).toBe(1);
    expect(await call('await_timers')).toBe(42);
  });

  test('never ends: the runtime closes all the same', async () => {
    const own = await WasmRuntime.start({ ...modules.threadTesting, threads: 1 });
    await own.spawn('throw_in_a_callback').join();
    await own.spawn('leave_a_future_waiting').join();
    await own.close({ graceMs: 20 });
    expect(() => own.spawn('nothing')).toThrow(expect.objectContaining({ code: 'CLOSED' }));
  });
});
