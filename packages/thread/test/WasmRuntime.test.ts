import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { ThreadError, WasmRuntime, type WasmRuntimeHandle, type WasmRuntimeOptions, type WasmValue } from '../src/index.ts';
import { modules } from './modules.ts';

let runtime: WasmRuntime;

beforeAll(async () => {
  runtime = await WasmRuntime.start({ ...modules.threadTesting, threads: 4, maxThreads: 12, stackSize: 256 * 1024 });
});

afterAll(() => runtime.close());

const call = (name: string, ...args: WasmValue[]): Promise<WasmValue | undefined> => runtime.spawn(name, ...args).join();

/** The error that a promise is rejected with. */
async function failureOf(promise: Promise<unknown>): Promise<ThreadError> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof ThreadError)) throw new Error(`expected a ThreadError, got ${String(error)}`);
  return error;
}

describe('calls', () => {
  test('pass numbers and bigints, and return them', async () => {
    expect(await call('add', 1.5, 2)).toBe(3.5);
    expect(await call('multiply', 3_000_000_000n, -3n)).toBe(-9_000_000_000n);
    expect(await call('nothing')).toBeUndefined();
  });

  test('run at the same time, each on a thread of its own', async () => {
    const sums = await Promise.all(Array.from({ length: 8 }, (_, n) => call('add', n, n)));
    expect(sums).toEqual([0, 2, 4, 6, 8, 10, 12, 14]);
  });

  test('can be spawned far beyond the records, one after the other', async () => {
    for (let n = 0; n < 1000; n += 1) expect(await call('add', n, 1)).toBe(n + 1);
  });

  test('of an unknown export, or with what is no number, are refused at once', () => {
    expect(() => runtime.spawn('no_such_export')).toThrow(expect.objectContaining({ code: 'UNKNOWN_EXPORT' }));
    expect(() => runtime.spawn('add', '1' as unknown as number)).toThrow(expect.objectContaining({ code: 'BAD_ARGUMENT' }));
    expect(() => runtime.spawn('add', ...Array.from({ length: 9 }, () => 1))).toThrow(expect.objectContaining({ code: 'BAD_ARGUMENT' }));
  });

  test('beyond the limit are refused at once, and run when there is room again', async () => {
    const word = Number(await call('new_word', 7));
    const waiting = Array.from({ length: 12 }, () => runtime.spawn('wait_while', word, 7));
    expect(() => runtime.spawn('add', 1, 1)).toThrow(expect.objectContaining({ code: 'POOL_EXHAUSTED' }));
    const words = new Int32Array(runtime.memory.buffer);
    Atomics.store(words, word >>> 2, 8);
    Atomics.notify(words, word >>> 2);
    expect(await Promise.all(waiting.map((thread) => thread.join()))).toEqual(Array.from({ length: 12 }, () => 8));
    expect(await call('add', 1, 1)).toBe(2);
  });

  test('see the data that the module was begun with, once', async () => {
    const first = Number(await call('count_up'));
    // Twelve threads at once are more than the pool began with: further instances of the module.
    expect(await call('rendezvous', 11)).toBe(11);
    expect(await call('count_up')).toBe(first + 1);
    expect(first).toBeGreaterThan(1000);
  });

  test('show up in the list of threads by name', async () => {
    const word = Number(await call('new_word', 1));
    const thread = runtime.spawnWith({ name: 'überzähliger Faden' }, 'wait_while', word, 1);
    const words = new Int32Array(runtime.memory.buffer);
    let listed = runtime.threads();
    while (!listed.some(({ threadId }) => threadId === thread.id)) {
      await new Promise((resolve) => setTimeout(resolve, 1));
      listed = runtime.threads();
    }
    expect(listed.find(({ threadId }) => threadId === thread.id)).toMatchObject({ name: 'überzähliger Faden', state: 'running' });
    expect(thread.isFinished).toBe(false);
    Atomics.store(words, word >>> 2, 2);
    Atomics.notify(words, word >>> 2);
    expect(await thread.join()).toBe(2);
    expect(thread.isFinished).toBe(true);
  });
});

describe('threads of Rust', () => {
  test('spawn and join ten thousand times, without growing the memory', async () => {
    // A pool that doesn't grow meanwhile: further workers take memory too.
    const small = await WasmRuntime.start({ ...modules.threadTesting, threads: 2, maxThreads: 2 });
    onTestFinished(() => small.close());
    expect(await small.spawn('spawn_join', 1000).join()).toBe(500_500);
    const pages = await small.spawn('memory_pages').join();
    const bytes = Number(await small.spawn('bytes_taken').join());
    expect(await small.spawn('spawn_join', 10_000).join()).toBe(50_005_000);
    expect(await small.spawn('memory_pages').join()).toBe(pages);
    expect(Number(await small.spawn('bytes_taken').join())).toBeLessThan(bytes + 65_536);
  });

  test('spawn and join ten thousand times while the agent that started the runtime is busy', { timeout: 60_000 }, async () => {
    const word = Number(await call('new_word', 0));
    const thread = runtime.spawn('spawn_join', 10_000);
    const other = runtime.spawn('wait_while', word, 0);
    const words = new Int32Array(runtime.memory.buffer);
    // No event loop, no blocking: this agent only looks, for two seconds at least, and until the threads have ended without it.
    const begunMs = performance.now();
    let busyMs = 0;
    while (busyMs < 2000 || (!thread.isFinished && busyMs < 50_000)) busyMs = performance.now() - begunMs;
    expect(thread.isFinished).toBe(true);
    Atomics.store(words, word >>> 2, 1);
    Atomics.notify(words, word >>> 2);
    expect(await thread.join()).toBe(50_005_000);
    expect(await other.join()).toBe(1);
  });

  test('nest as deep as threads may live', async () => {
    expect(await call('nest', 11)).toBe(11);
  });

  test('are refused beyond the limit, and never wait for ever', async () => {
    expect(await call('spawn_until_refused')).toBe(11);
  });

  test('have every item of std::thread that is said to work', async () => {
    expect(await call('use_each_item_of_std')).toBeGreaterThan(40);
  });

  test.each(['behaves_like_std', 'await_a_thread', 'use_a_big_stack'])('%s', async (name) => {
    expect(await call(name)).toBe(1);
  });

  test('have thread-local storage of their own, fresh for each', async () => {
    expect(await call('mixed_up_locals', 1000)).toBe(0);
  });

  test("share an allocator that keeps every thread's objects whole", async () => {
    expect(await call('stress_allocator', 4, 20_000)).toBe(0);
  });

  test("agree with JavaScript's clock", async () => {
    const before = performance.timeOrigin + performance.now();
    const between = Number(await call('time_ms'));
    const after = performance.timeOrigin + performance.now();
    // Browsers coarsen their clocks, each worker's by itself.
    expect(between).toBeGreaterThan(before - 50);
    expect(between).toBeLessThan(after + 50);
  });
});

describe('threads that fail', () => {
  test('panic: the message reaches join, and the worker goes on', async () => {
    const workers = runtime.threads().length;
    expect(await failureOf(call('panic_now'))).toMatchObject({ code: 'THREAD_PANICKED', message: 'the weft broke' });
    expect(await call('join_a_panic')).toBe(1);
    expect(runtime.trappedCount).toBe(0);
    expect(runtime.threads()).toHaveLength(workers);
  });

  test('panic with hidden messages: what stands in the program is told, what was put together is not', async () => {
    await call('hide_messages', 1);
    try {
      const hidden = { code: 'THREAD_PANICKED', message: 'a message that may quote data, and is hidden' };
      expect(await failureOf(call('panic_with', 987654321))).toMatchObject(hidden);
      expect(await failureOf(call('panic_now'))).toMatchObject({ code: 'THREAD_PANICKED', message: 'the weft broke' });
      // Rust has the payload all the same.
      expect(await call('join_a_panic')).toBe(1);
    } finally {
      await call('hide_messages', 0);
    }
    expect(await failureOf(call('panic_with', 987654321))).toMatchObject({
      code: 'THREAD_PANICKED',
      message: 'the weft broke at 987654321',
    });
  });

  test('trap: join is told, the worker is replaced, and the others go on', async () => {
    const traps = runtime.trappedCount;
    const error = await failureOf(call('trap_now'));
    expect(error.code).toBe('THREAD_TRAPPED');
    expect(error.message).toMatch(/'trap_now' trapped: .*unreachable/i);
    expect(runtime.trappedCount).toBe(traps + 1);
    // As many threads at once as there may be: the lost worker has a successor.
    expect(await call('rendezvous', 11)).toBe(11);
    expect(await call('join_a_trap')).toBe(1);
  });

  test('panic in a function that cannot unwind: the trap tells of the panic', async () => {
    const error = await failureOf(call('panic_without_unwinding'));
    expect(error.code).toBe('THREAD_TRAPPED');
    expect(error.message).toContain('no way out');
  });

  test('trap where nobody joins them: the agent that started the runtime is told', async () => {
    const own = await WasmRuntime.start({ ...modules.threadTesting, threads: 2 });
    onTestFinished(() => own.close());
    let crashes = 0;
    void own.crashed.then(() => crashes++);
    await own
      .spawn('panic_now')
      .join()
      .catch(() => undefined);
    expect(crashes).toBe(0);
    await own.spawn('join_a_trap').join();
    const error = await own.crashed;
    expect(error.code).toBe('THREAD_TRAPPED');
    expect(error.message).toMatch(/unreachable/i);
  });

  test('run beyond their stack: a named error', async () => {
    expect(await call('join_an_overflow')).toBe(1);
  });
});

describe('runtimes', () => {
  test('of one module, one after the other: compiled once, each with a memory of its own', async () => {
    const first = await WasmRuntime.start({ ...modules.threadTesting, threads: 1 });
    await first.close();
    const second = await WasmRuntime.start({ module: first, glue: modules.threadTesting.glue, threads: 1 });
    await second.close();
    const third = await WasmRuntime.start({ module: second, glue: modules.threadTesting.glue, threads: 1 });
    onTestFinished(() => third.close());
    expect(new Set([first.memory, second.memory, third.memory]).size).toBe(3);
    expect(await third.spawn('spawn_join', 10).join()).toBe(55);
  });

  test('of a module that was not linked for threads are refused with the reason', async () => {
    // (module (memory 1))
    const module = new Uint8Array([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 5, 3, 1, 0, 1]);
    const error = await failureOf(WasmRuntime.start({ module, glue: modules.threadTesting.glue }));
    expect(error.code).toBe('MODULE_UNFIT');
    expect(error.message).toContain('--shared-memory');
  });

  test('of a module or a glue that is not there say so', async () => {
    const missing = new URL('./no-such-file.wasm', modules.threadTesting.module);
    expect(await failureOf(WasmRuntime.start({ ...modules.threadTesting, module: missing }))).toMatchObject({
      code: expect.stringMatching(/START_FAILED|MODULE_UNFIT/) as string,
    });
    const glue = new URL('./no-such-glue.js', modules.threadTesting.glue);
    expect(await failureOf(WasmRuntime.start({ ...modules.threadTesting, glue, threads: 1 }))).toMatchObject({ code: 'START_FAILED' });
  });

  // A count that was NaN was waited for, for ever. What couldn't be posted left a rejection that nobody handled: it ended Node.
  test.each<Partial<Record<keyof WasmRuntimeOptions, unknown>>>([
    { threads: Number.NaN },
    { threads: -1 },
    { threads: '2' },
    { maxThreads: 1.5 },
    { threads: 3, maxThreads: 2 },
    { maxThreads: 0 },
    { stackSize: -1 },
    { stackSize: 2 ** 32 },
    { memoryBytesMax: -1 },
    { memory: new WebAssembly.Memory({ initial: 100 }) },
    { module: './program.wasm' },
    { module: undefined },
    { module: {} },
    { glue: '../glue.js' },
    { importsData: () => {} },
  ])('with %o are refused', async (options) => {
    const starting = WasmRuntime.start({ ...modules.threadTesting, ...options } as WasmRuntimeOptions);
    expect(await failureOf(starting)).toMatchObject({ code: 'BAD_ARGUMENT' });
  });

  test.each([undefined, null, {}, { kind: 'heddle-mutex' }])('are not opened from %o', (handle) => {
    expect(() => WasmRuntime.from(handle as WasmRuntimeHandle)).toThrow(expect.objectContaining({ code: 'BAD_ARGUMENT' }));
  });

  test('with a memory in which the module has no room say so', async () => {
    const starting = WasmRuntime.start({ ...modules.threadTesting, threads: 1, memoryBytesMax: 1 });
    expect(await failureOf(starting)).toMatchObject({ code: 'START_FAILED', message: expect.stringContaining('too small') as string });
  });

  test('can be given up while they start', async () => {
    const controller = new AbortController();
    const starting = WasmRuntime.start({ ...modules.threadTesting, threads: 1, signal: controller.signal });
    controller.abort(new Error('changed my mind'));
    expect(await failureOf(starting)).toMatchObject({ code: 'ABORTED', cause: new Error('changed my mind') });
  });

  test('close: what runs may end, nothing more is spawned, and all workers go', async () => {
    const closing = await WasmRuntime.start({ ...modules.threadTesting, threads: 2 });
    const last = closing.spawn('spin_ms', 50);
    await closing.close();
    expect(await last.join()).toBeUndefined();
    expect(() => closing.spawn('nothing')).toThrow(expect.objectContaining({ code: 'CLOSED' }));
    expect(closing.threads().every(({ state }) => state === 'ended')).toBe(true);
  });

  test('close: a thread that does not end is terminated, and its join told', async () => {
    const closing = await WasmRuntime.start({ ...modules.threadTesting, threads: 2 });
    const word = Number(await closing.spawn('new_word', 0).join());
    const stuck = closing.spawn('wait_while', word, 0);
    await closing.close({ graceMs: 50 });
    expect(await failureOf(stuck.join())).toMatchObject({ code: 'THREAD_TERMINATED' });
  });
});
