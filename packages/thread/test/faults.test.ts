/**
 * Threads and runtimes that fail. Each of these runs in every host; what only a process or only a browser can show is named.
 *
 * | fault | of a Wasm thread | of a TypeScript thread |
 * |---|---|---|
 * | panic, error | WasmRuntime.test.ts, spawnAsync.test.ts, locals.test.ts (destructors) | Thread.test.ts, ThreadPool.test.ts, scope.test.ts |
 * | trap | WasmRuntime.test.ts, spawnAsync.test.ts (also in a callback); here: the engine's own | – |
 * | stack overflow | WasmRuntime.test.ts, spawnAsync.test.ts; here: of the engine's stack | an error, as any |
 * | out of memory | here | the engine's: its worker dies |
 * | worker terminated | WasmRuntime.test.ts (`close`), WasmRuntime.process.test.ts and deaths.browser.test.ts (under a thread) | Thread.test.ts, ThreadPool.test.ts, park.test.ts |
 * | a script that does not load | here: the supervisor's, a worker's | here: the worker's; Thread.test.ts: the module |
 * | a module that does not fit | WasmRuntime.test.ts, here | Thread.test.ts (what it exports) |
 * | exhausted pool | WasmRuntime.test.ts: calls, threads of Rust | ThreadPool.test.ts |
 * | main thread blocked | WasmRuntime.test.ts (it computes); isolation.browser.test.ts, Thread.test.ts, park.test.ts (it may not wait) | Thread.test.ts, park.test.ts |
 */
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { spawn, ThreadPool, WasmRuntime, type WasmValue } from '../src/index.ts';
import { canReplaceWorkers, replaceWorkers } from './fixtures/replaceWorkers.ts';
import { modules } from './modules.ts';

describe('a thread', () => {
  let runtime: WasmRuntime;

  beforeAll(async () => {
    runtime = await WasmRuntime.start({ ...modules.threadTesting, threads: 2, maxThreads: 4, memoryBytesMax: 128 * 1024 * 1024 });
  });

  afterAll(() => runtime.close());

  const call = (name: string, ...args: WasmValue[]): Promise<WasmValue | undefined> => runtime.spawn(name, ...args).join();

  test('without memory for its stack: THREAD_OUT_OF_MEMORY, and the next one runs', async () => {
    const greedy = runtime.spawnWith({ name: 'greedy', stackSize: 1024 * 1024 * 1024 }, 'add', 1, 1);
    await expect(greedy.join()).rejects.toMatchObject({
      code: 'THREAD_OUT_OF_MEMORY',
      message: expect.stringContaining("'greedy'") as string,
    });
    expect(await call('add', 1, 1)).toBe(2);
  });

  test.each(['join_without_memory', 'join_a_refused_allocation'])('of Rust without memory: %s', async (name) => {
    const traps = runtime.trappedCount;
    expect(await call(name)).toBe(1);
    expect(runtime.trappedCount).toBe(traps);
  });

  test.each(['recurse_for_ever', 'read_out_of_bounds'])("ends by the engine's own trap: %s", async (name) => {
    await expect(call(name)).rejects.toMatchObject({ code: 'THREAD_TRAPPED' });
    expect(await call('add', 1, 1)).toBe(2);
  });

  test("of Rust ends by the engine's own traps: join is told", async () => {
    expect(await call('join_traps_of_the_engine')).toBe(1);
    // Each lost worker has a successor.
    expect(await call('rendezvous', 3)).toBe(3);
  });
});

describe('a module', () => {
  /** (module (import "env" "memory" (memory 1 2 shared)) (func (export "f"))): linked for threads, but without heddle-thread. */
  const BARE = new Uint8Array([
    ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...[1, 4, 1, 0x60, 0, 0],
    ...[2, 16, 1, 3, 0x65, 0x6e, 0x76, 6, 0x6d, 0x65, 0x6d, 0x6f, 0x72, 0x79, 2, 3, 1, 2],
    ...[3, 2, 1, 0],
    ...[7, 5, 1, 1, 0x66, 0, 0],
    ...[10, 4, 1, 2, 0, 0x0b],
  ]);

  test('that does not use heddle-thread is refused by name', async () => {
    const starting = WasmRuntime.start({ module: BARE, glue: modules.threadTesting.glue });
    await expect(starting).rejects.toMatchObject({
      code: 'MODULE_UNFIT',
      message: expect.stringMatching(/heddle_thread_start|__tls|stack/) as string,
    });
  });

  test('that is compiled, without a memory, is refused with what to do', async () => {
    const module = await WebAssembly.compile(BARE);
    const starting = WasmRuntime.start({ module, glue: modules.threadTesting.glue });
    await expect(starting).rejects.toMatchObject({ code: 'MODULE_UNFIT', message: expect.stringContaining('pass its bytes') as string });
  });

  test('whose memory is not its own is refused', async () => {
    const memory = new WebAssembly.Memory({ initial: 1, maximum: 2, shared: true });
    const starting = WasmRuntime.start({ ...modules.threadTesting, memory, threads: 1 });
    await expect(starting).rejects.toMatchObject({ code: expect.stringMatching(/START_FAILED|MODULE_UNFIT/) as string });
  });
});

// In Deno and Bun nobody can put another class in the place of the one that makes workers: what was imported of a built-in module stays.
describe.runIf(canReplaceWorkers)('a script that does not load', () => {
  test("the supervisor's: START_FAILED", async () => {
    onTestFinished(replaceWorkers('supervisor', new URL('./fixtures/no-such-script.js', import.meta.url)));
    const starting = WasmRuntime.start({ ...modules.threadTesting, threads: 1 });
    await expect(starting).rejects.toMatchObject({ code: 'START_FAILED', message: expect.stringContaining('supervisor') as string });
  });

  test("a worker's: START_FAILED, with the worker's place", async () => {
    onTestFinished(replaceWorkers('supervisor', new URL('./fixtures/supervisorWithoutWorkers.ts', import.meta.url)));
    // Where the main thread makes them for the supervisor.
    onTestFinished(replaceWorkers('/worker.', new URL('./fixtures/no-such-script.js', import.meta.url)));
    const starting = WasmRuntime.start({ ...modules.threadTesting, threads: 1 });
    await expect(starting).rejects.toMatchObject({
      code: 'START_FAILED',
      message: expect.stringContaining('worker 0 did not start') as string,
    });
  });

  test("a TypeScript thread's: START_FAILED, of a pool too", async () => {
    onTestFinished(replaceWorkers('module-worker', new URL('./fixtures/no-such-script.js', import.meta.url)));
    const url = new URL('./fixtures/work.ts', import.meta.url);
    await expect(spawn(url).join()).rejects.toMatchObject({ code: 'START_FAILED' });
    await expect(ThreadPool.start({ threads: 1 })).rejects.toMatchObject({ code: 'START_FAILED' });
  });
});
