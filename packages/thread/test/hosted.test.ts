/** Threads of modules without heddle-thread: bare ones of LLVM's linker, and programs of wasi-threads. */
import { compileForThreads } from '@heddle/memory';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { ThreadPool, WasmRuntime, type WasmRuntimeOptions } from '../src/index.ts';
import { bare, throwing, wasi } from './fixtures/hosted.ts';
import { modules } from './modules.ts';

const imports = new URL('./fixtures/hostedImports.ts', import.meta.url);
const STACK_SIZE = 64 * 1024;
/** An aligned word that the module has no use for. */
const WORD = 1024;

async function start(options: Partial<WasmRuntimeOptions> = {}): Promise<WasmRuntime> {
  const runtime = await WasmRuntime.start({ module: bare(), imports, stackSize: STACK_SIZE, threads: 2, ...options });
  onTestFinished(() => runtime.close());
  return runtime;
}

describe('a bare module', () => {
  let runtime: WasmRuntime;

  beforeAll(async () => {
    runtime = await WasmRuntime.start({
      module: bare(),
      imports,
      importsData: 'what',
      stackSize: STACK_SIZE,
      threads: 2,
      maxThreads: 6,
      isTraced: true,
    });
  });

  afterAll(() => runtime.close());

  /** Resolves when no thread runs: one that nobody joins counts for a moment after it has told others of its end. */
  async function idle(): Promise<void> {
    // oxlint-disable-next-line no-await-in-loop -- looks until it is so
    while (runtime.threads().some(({ state }) => state === 'running')) await new Promise((resolve) => setTimeout(resolve, 1));
  }

  test('has its exports called on threads: numbers, bigints, and nothing', async () => {
    expect(await runtime.spawn('add', 2n ** 62n, -1n).join()).toBe(2n ** 62n - 1n);
    expect(await runtime.spawn('thread_main', WORD + 4).join()).toBeUndefined();
  });

  test('shares its memory, initialised once by however many workers there are', async () => {
    const counts = await Promise.all(Array.from({ length: 6 }, () => runtime.spawn('count_up').join()));
    expect(counts.map(Number).toSorted((a, b) => a - b)).toEqual([41, 42, 43, 44, 45, 46]);
    expect(await runtime.spawn('initialized').join()).toBe(1);
  });

  test('begins each thread with fresh thread-local storage', async () => {
    const bumps = await Promise.all(Array.from({ length: 6 }, () => runtime.spawn('bump').join()));
    expect(bumps).toEqual([8, 8, 8, 8, 8, 8]);
  });

  test('spawns by itself, and waits in Wasm for its threads', async () => {
    expect(await runtime.spawn('spawn_and_wait', WORD, 5).join()).toBe(5);
  });

  test('spawns beyond the limit: the import throws, which ends its thread with the reason', async () => {
    await idle();
    const address = WORD + 64;
    const waiters = Array.from({ length: 6 }, () => runtime.spawn('wait_while', address, 0));
    expect(() => runtime.spawn('bump')).toThrow(expect.objectContaining({ code: 'POOL_EXHAUSTED' }));
    const words = new Int32Array(runtime.memory.buffer);
    Atomics.store(words, address >>> 2, 1);
    Atomics.notify(words, address >>> 2);
    await Promise.all(waiters.map((waiter) => waiter.join()));
    const spawner = runtime.spawn('spawn_and_wait', WORD + 128, 1000);
    await expect(spawner.join()).rejects.toMatchObject({
      code: 'THREAD_PANICKED',
      message: expect.stringContaining('maxThreads') as string,
    });
  });

  test('needs no record for a thread that nobody joins: more of them than there are records', async () => {
    /* oxlint-disable no-await-in-loop -- one after the other */
    for (let round = 0; round < 150; round += 1) {
      await idle();
      expect(await runtime.spawn('spawn_and_wait', 2 * WORD + 4 * round, 2).join()).toBe(2);
    }
    /* oxlint-enable no-await-in-loop */
  });

  test('has what an import throws told to join, with the data that it was given', async () => {
    const thread = runtime.spawn('throw');
    await expect(thread.join()).rejects.toMatchObject({ code: 'THREAD_PANICKED', message: `what of thread ${thread.id}` });
  });

  test('traps: join is told, the worker replaced, and its place taken', async () => {
    const traps = runtime.trappedCount;
    await expect(runtime.spawn('trap').join()).rejects.toMatchObject({ code: 'THREAD_TRAPPED' });
    expect(runtime.trappedCount).toBe(traps + 1);
    expect(await runtime.spawn('bump').join()).toBe(8);
  });

  test('is listed, and observed', async () => {
    const events: string[] = [];
    const ended = Promise.withResolvers<void>();
    using observing = runtime.observe(({ type, name }) => {
      if (name !== 'seen') return;
      events.push(type);
      if (type === 'ended') ended.resolve();
    });
    const address = WORD + 512;
    const thread = runtime.spawnWith({ name: 'seen' }, 'wait_while', address, 0);
    const isRunning = ({ threadId, state }: { threadId: number | undefined; state: string }): boolean =>
      threadId === thread.id && state === 'running';
    // oxlint-disable-next-line no-await-in-loop -- looks until it runs
    while (!runtime.threads().some(isRunning)) await new Promise((resolve) => setTimeout(resolve, 1));
    expect(runtime.threads().find(({ threadId }) => threadId === thread.id)?.name).toBe('seen');
    const words = new Int32Array(runtime.memory.buffer);
    Atomics.store(words, address >>> 2, 1);
    Atomics.notify(words, address >>> 2);
    await thread.join();
    await ended.promise;
    expect(events).toEqual(['spawned', 'started', 'ended']);
    expect(observing).toBeDefined();
  });

  test('runs under the limits of a pool of TypeScript threads, too', async () => {
    const pool = await ThreadPool.start({ threads: 1 });
    onTestFinished(() => pool.close());
    expect(await pool.run(runtime, 'bump')).toBe(8);
  });

  test('has a stack of its own size for each thread that wants one, and for the next ones what it has left', async () => {
    const stackSize = 3 * STACK_SIZE;
    const use = (bytes: number, options = {}): Promise<unknown> => runtime.spawnWith(options, 'use_stack', bytes).join();
    expect(await use(stackSize, { stackSize })).toBeUndefined();
    await expect(use(stackSize)).rejects.toMatchObject({ code: 'THREAD_STACK_OVERFLOW' });
    const size = runtime.memory.buffer.byteLength;
    // oxlint-disable-next-line no-await-in-loop -- one after the other
    for (let round = 0; round < 20; round += 1) expect(await use(stackSize, { stackSize })).toBeUndefined();
    // Each of the workers that there may be has kept a block at most.
    expect(runtime.memory.buffer.byteLength - size).toBeLessThan(6 * 8 * STACK_SIZE);
    expect(await runtime.spawnWith({ stackSize }, 'bump').join()).toBe(8);
    // Less than all have is as much as all have.
    expect(await use(STACK_SIZE / 2, { stackSize: 1024 })).toBeUndefined();
    await expect(use(4, { stackSize: 2 ** 31 })).rejects.toMatchObject({ code: 'THREAD_OUT_OF_MEMORY' });
    expect(await runtime.spawn('bump').join()).toBe(8);
  });

  test('is opened from its handle', async () => {
    expect(await WasmRuntime.from(runtime.handle()).spawn('bump').join()).toBe(8);
  });

  test('exports no such function: said at once', () => {
    expect(() => runtime.spawn('no_such_export')).toThrow(expect.objectContaining({ code: 'UNKNOWN_EXPORT' }));
  });
});

describe('a hosted runtime', () => {
  test('takes what compileForThreads returned, and stands for its module', async () => {
    const first = await start({ module: await compileForThreads(bare()), threads: 1 });
    expect(await first.spawn('count_up').join()).toBe(41);
    const second = await start({ module: first, threads: 1 });
    expect(second.memory).not.toBe(first.memory);
    expect(await second.spawn('count_up').join()).toBe(41);
  });

  test('has imports that give a thread a name and a stack size', async () => {
    const stackSize = 16 * STACK_SIZE;
    const runtime = await start({ importsData: { name: 'roomy', stackSize }, threads: 2, isTraced: true });
    const names: string[] = [];
    const spawned = Promise.withResolvers<void>();
    runtime.observe(({ type, name }) => {
      if (type === 'spawned') names.push(name ?? '');
      if (name === 'roomy') spawned.resolve();
    });
    const size = runtime.memory.buffer.byteLength;
    expect(await runtime.spawn('spawn_and_wait', WORD, 1).join()).toBe(1);
    await spawned.promise;
    expect(names).toEqual(['spawn_and_wait', 'roomy']);
    expect(runtime.memory.buffer.byteLength - size).toBeGreaterThanOrEqual(stackSize);
  });

  test('has a thread that writes beyond its stack: a named error', async () => {
    const runtime = await start({ threads: 1 });
    expect(await runtime.spawn('use_stack', STACK_SIZE / 2).join()).toBeUndefined();
    await expect(runtime.spawn('use_stack', 2 * STACK_SIZE).join()).rejects.toMatchObject({ code: 'THREAD_STACK_OVERFLOW' });
  });

  // The block below may be one that another worker has for its first thread, which then ended as if it had done that.
  test('blames nobody for the damage that a thread did beyond its stack', async () => {
    const runtime = await start({ module: bare(), threads: 4, stackSize: STACK_SIZE });
    await expect(runtime.spawn('use_stack', 2 * STACK_SIZE).join()).rejects.toMatchObject({ code: 'THREAD_STACK_OVERFLOW' });
    const others = Array.from({ length: 12 }, (_, index) =>
      runtime.spawnWith(index % 2 ? { stackSize: 2 * STACK_SIZE } : {}, 'use_stack', 64),
    );
    expect(await Promise.all(others.map((thread) => thread.join()))).toEqual(others.map(() => undefined));
  });

  test('whose records are of another version, or are none, is not opened', async () => {
    const runtime = await start({ threads: 1 });
    const handle = runtime.handle();
    const refused = expect.objectContaining({ code: 'MODULE_UNFIT' }) as Error;
    expect(() => WasmRuntime.from({ ...handle, control: handle.control + 8 })).toThrow(refused);
    if (!handle.records) throw new Error('the records lie beside the memory');
    const version = (handle.control + 4) >>> 2;
    const words = new Int32Array(handle.records.buffer);
    words[version] += 1;
    onTestFinished(() => void (words[version] -= 1));
    expect(() => WasmRuntime.from(handle)).toThrow(
      expect.objectContaining({ code: 'MODULE_UNFIT', message: expect.stringContaining(`version ${words[version]}`) as string }),
    );
  });

  test('lacks an import: MODULE_UNFIT, with its name', async () => {
    const starting = WasmRuntime.start({ module: bare(), threads: 1 });
    await expect(starting).rejects.toMatchObject({ code: 'MODULE_UNFIT', message: expect.stringContaining('host.spawn') as string });
  });

  test('whose imports are not there says so', async () => {
    const nowhere = new URL('./fixtures/no-such-imports.ts', import.meta.url);
    await expect(WasmRuntime.start({ module: bare(), imports: nowhere, threads: 1 })).rejects.toMatchObject({ code: 'START_FAILED' });
    const empty = new URL('./fixtures/work.ts', import.meta.url);
    await expect(WasmRuntime.start({ module: bare(), imports: empty, threads: 1 })).rejects.toMatchObject({ code: 'MODULE_UNFIT' });
  });

  test('needs the glue of a module that wasm-bindgen wrote', async () => {
    const starting = WasmRuntime.start({ module: modules.threadTesting.module, threads: 1 });
    await expect(starting).rejects.toMatchObject({ code: 'MODULE_UNFIT', message: expect.stringContaining('glue') as string });
  });

  test('closes while a thread waits for ever: its join is told', async () => {
    const runtime = await start({ threads: 1 });
    const thread = runtime.spawn('wait_while', WORD, 0);
    await runtime.close({ graceMs: 10 });
    await expect(thread.join()).rejects.toMatchObject({ code: 'THREAD_TERMINATED' });
    expect(() => runtime.spawn('bump')).toThrow(expect.objectContaining({ code: 'CLOSED' }));
  });
});

test('a thread that throws what nobody catches ends like one that panics, and its worker goes on', async () => {
  const runtime = await start({ module: throwing(), imports: undefined, abi: 'plain', threads: 1, maxThreads: 1 });
  const traps = runtime.trappedCount;
  await expect(runtime.spawn('throw').join()).rejects.toMatchObject({ code: 'THREAD_PANICKED', message: "thread 'throw' panicked" });
  expect(await runtime.spawn('answer').join()).toBe(42);
  expect(runtime.trappedCount).toBe(traps);
  // Nothing of a thread's lies in memory, and no stack that could be of another size.
  expect(() => runtime.spawnWith({ stackSize: 1024 }, 'answer')).toThrow(expect.objectContaining({ code: 'BAD_ARGUMENT' }));
});

test('a program of wasi-threads that one of its threads ends: the first one joins with what it ended with, all others are terminated', async () => {
  const runtime = await start({ module: wasi(), imports: undefined, threads: 3 });
  // It gives its threads their stacks itself.
  expect(() => runtime.spawnWith({ stackSize: 1024 }, '_start')).toThrow(expect.objectContaining({ code: 'BAD_ARGUMENT' }));
  const waiter = runtime.spawn('wait_for_ever');
  expect(await runtime.spawn('_start').join()).toBe(5);
  await expect(waiter.join()).rejects.toMatchObject({ code: 'THREAD_TERMINATED' });
  expect(() => runtime.spawn('_start')).toThrow(expect.objectContaining({ code: 'CLOSED' }));
});
