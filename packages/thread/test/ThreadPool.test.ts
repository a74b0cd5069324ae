import { afterAll, beforeAll, describe, expect, expectTypeOf, onTestFinished, test, vi } from 'vitest';
import { ThreadPool, type ThreadPoolOptions, WasmRuntime } from '../src/index.ts';
import type * as jobs from './fixtures/jobs.ts';
import { modules } from './modules.ts';

const url = new URL('./fixtures/jobs.ts', import.meta.url);
const named = (exportName: keyof typeof jobs): { exportName: string } => ({ exportName });

/** A pool until the test ends. */
async function startPool(options: ThreadPoolOptions): Promise<ThreadPool> {
  const pool = await ThreadPool.start(options);
  onTestFinished(() => pool.close({ graceMs: 0 }));
  return pool;
}

const sharedWords = (count: number): Int32Array<SharedArrayBuffer> => new Int32Array(new SharedArrayBuffer(4 * count));

async function collect<T>(source: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of source) all.push(item);
  return all;
}

/** Occupies a worker until it is let go. */
async function blockWorker(pool: ThreadPool): Promise<{ promise: Promise<number>; release(): void }> {
  const words = sharedWords(2);
  const promise = pool.runWith<typeof jobs.block>(named('block'), url, words);
  promise.catch(() => {});
  await vi.waitUntil(() => Atomics.load(words, 1) === 1, { timeout: 20_000 });
  return {
    promise,
    release() {
      Atomics.store(words, 0, 1);
      Atomics.notify(words, 0);
    },
  };
}

describe('a job', () => {
  let pool: ThreadPool;
  beforeAll(async () => {
    pool = await ThreadPool.start({ threads: 1, maxThreads: 1 });
  });
  afterAll(() => pool.close());

  test('takes typed arguments and has a typed result', async () => {
    const result = pool.run<typeof jobs.default>(url, 1, 2, 39);
    expectTypeOf(result).toEqualTypeOf<Promise<number>>();
    expect(await result).toBe(42);
    // @ts-expect-error -- the function takes numbers
    await pool.run<typeof jobs.default>(url, 'one');
  });

  test('gets and returns whatever structured clone copies, the same on both ways to the worker', async () => {
    const shared = { a: 1 };
    const circle: Record<string, unknown> = {};
    circle['self'] = circle;
    const values: unknown[] = [
      [undefined, null, true, false, 0, -0, NaN, -Infinity, 2 ** 53, 1.5],
      [2n ** 63n - 1n, -(2n ** 63n), 2n ** 70n],
      ['', 'warp', '\u0000', '\uD800', 'ε🧵', 'long'.repeat(5000)],
      [{ a: 1, b: { c: [1, [2, 'x']] } }, [], {}, Object.create(null)],
      [shared, shared],
      [circle],
      [new Date(0), new Map([[1, 2]]), new Set(['x']), /a/g, new Uint8Array([1, 2, 3])],
      [Object.assign([1, 2], { extra: 1 }), Array(3)],
      [new TypeError('mine')],
    ];
    for (const list of values) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      const result = await pool.runWith<typeof jobs.same>(named('same'), url, ...(list as unknown[]));
      expect(result).toStrictEqual(structuredClone(list));
    }
    const [first, second] = await pool.runWith<typeof jobs.same>(named('same'), url, shared, shared);
    expect(first).toBe(second);
  });

  test('gets shared memory as the same memory', async () => {
    const words = sharedWords(2);
    await pool.runWith<typeof jobs.note>(named('note'), url, words, 7);
    expect([...words]).toEqual([1, 7]);
  });

  test('gets an argument handed over', async () => {
    const bytes = new Uint8Array([7]);
    const options = { ...named('firstByte'), transfer: [bytes.buffer] };
    expect(await pool.runWith<typeof jobs.firstByte>(options, url, bytes)).toBe(7);
    expect(bytes).toHaveLength(0);
  });

  test('that throws, at once or later, rejects with what it threw', async () => {
    for (const exportName of ['fail', 'failLater'] as const) {
      const failed = pool.runWith<typeof jobs.fail>({ exportName, name: 'warp' }, url, 'too far');
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      await expect(failed).rejects.toMatchObject({ code: 'THREAD_PANICKED', message: "job 'warp' threw: too far" });
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      await expect(failed).rejects.toHaveProperty('cause', expect.any(RangeError));
    }
    const withCause = pool.runWith<typeof jobs.failWith>(named('failWith'), url, 'inner');
    await expect(withCause).rejects.toHaveProperty('cause.cause', 'inner');
  });

  test.each(['no-such-function', 'missing'])('%s can not be called', async (exportName) => {
    const at = exportName === 'missing' ? new URL('./fixtures/missing.ts', import.meta.url) : url;
    await expect(pool.runWith({ exportName }, at)).rejects.toMatchObject({ code: 'START_FAILED' });
  });

  test("neither gets nor returns what can't be cloned", async () => {
    await expect(pool.run(url, () => {})).rejects.toMatchObject({ code: 'BAD_ARGUMENT' });
    await expect(pool.runWith<typeof jobs.unclonable>(named('unclonable'), url)).rejects.toMatchObject({ code: 'THREAD_PANICKED' });
    expect(await pool.run<typeof jobs.default>(url, 1)).toBe(1);
  });

  test('may be asynchronous: its worker hears messages and timers meanwhile', async () => {
    const words = sharedWords(1);
    const set = pool.runWith<typeof jobs.untilSet>(named('untilSet'), url, words);
    Atomics.store(words, 0, 5);
    expect(await set).toBe(5);
  });

  test('finds the module as the job before has left it: a worker imports it once', async () => {
    const first = await pool.runWith<typeof jobs.count>(named('count'), url);
    expect(await pool.runWith<typeof jobs.count>(named('count'), url)).toBe(first + 1);
  });

  test('leaves timers behind that fire, also while small jobs keep coming', async () => {
    await pool.runWith<typeof jobs.leaveTimer>(named('leaveTimer'), url);
    let hasFired = false;
    // oxlint-disable-next-line no-await-in-loop -- one job after the other
    while (!hasFired) hasFired = await pool.runWith<typeof jobs.hasFired>(named('hasFired'), url);
    expect(hasFired).toBe(true);
  });
});

describe('the queue', () => {
  test('runs higher priorities first, and equals as they came', async () => {
    const pool = await startPool({ threads: 1, maxThreads: 1 });
    const blocked = await blockWorker(pool);
    const words = sharedWords(7);
    const priorities = [0, 5, -1, 5, 0, 9];
    const all = priorities.map((priority, number) =>
      pool.runWith<typeof jobs.note>({ exportName: 'note', priority, name: `n${number}` }, url, words, number),
    );
    expect(pool.jobs().map(({ name, state }) => `${name} ${state}`)).toEqual([
      'block running',
      ...['n5', 'n1', 'n3', 'n0', 'n4', 'n2'].map((name) => `${name} queued`),
    ]);
    blocked.release();
    await Promise.all(all);
    expect([...words.subarray(1)]).toEqual([5, 1, 3, 0, 4, 2]);
  });

  test('has a limit: POOL_EXHAUSTED beyond it, and ready() waits for room', async () => {
    const pool = await startPool({ threads: 1, maxThreads: 1, queueMax: 1 });
    const blocked = await blockWorker(pool);
    const queued = pool.run<typeof jobs.default>(url, 1);
    await expect(pool.run<typeof jobs.default>(url, 2)).rejects.toMatchObject({ code: 'POOL_EXHAUSTED' });
    await expect(pool.ready({ signal: AbortSignal.abort('late') })).rejects.toMatchObject({ code: 'ABORTED', cause: 'late' });
    const controller = new AbortController();
    const givenUp = pool.ready({ signal: controller.signal });
    controller.abort();
    await expect(givenUp).rejects.toMatchObject({ code: 'ABORTED' });
    const ready = pool.ready();
    const drained = pool.drained();
    blocked.release();
    await ready;
    expect(await pool.run<typeof jobs.default>(url, 3)).toBe(3);
    expect(await queued).toBe(1);
    await drained;
    expect(pool.statistics()).toMatchObject({ running: 0, queued: 0 });
  });

  test('loses a job that is given up, which never runs', async () => {
    const pool = await startPool({ threads: 1, maxThreads: 1, queueMax: 1 });
    const blocked = await blockWorker(pool);
    const words = sharedWords(3);
    const controller = new AbortController();
    const late = pool.runWith<typeof jobs.note>({ exportName: 'note', signal: controller.signal }, url, words, 1);
    const ready = pool.ready();
    controller.abort('enough');
    await expect(late).rejects.toMatchObject({ code: 'ABORTED', cause: 'enough' });
    await ready;
    const next = pool.runWith<typeof jobs.note>(named('note'), url, words, 2);
    blocked.release();
    await next;
    expect([...words]).toEqual([1, 2, 0]);
    await expect(pool.runWith({ signal: controller.signal }, url)).rejects.toMatchObject({ code: 'ABORTED' });
  });
});

describe('workers', () => {
  test('run jobs at once, as many as there may be, and those beyond the minimum end when idle', async () => {
    const pool = await startPool({ threads: 1, maxThreads: 3, idleTimeoutMs: 1 });
    const words = sharedWords(1);
    const meet = (): Promise<number> => pool.runWith<typeof jobs.meet>(named('meet'), url, words, 3);
    expect(await Promise.all([meet(), meet(), meet()])).toEqual([3, 3, 3]);
    await vi.waitUntil(() => pool.statistics().threads === 1, { timeout: 20_000 });
    expect(await pool.run<typeof jobs.default>(url, 1)).toBe(1);
  });

  test('are terminated with a job that is given up, also one that blocks, and replaced', async () => {
    const pool = await startPool({ threads: 1, maxThreads: 1 });
    const controller = new AbortController();
    const words = sharedWords(2);
    const job = pool.runWith<typeof jobs.block>({ exportName: 'block', signal: controller.signal }, url, words);
    const next = pool.run<typeof jobs.default>(url, 4);
    await vi.waitUntil(() => Atomics.load(words, 1) === 1, { timeout: 20_000 });
    controller.abort('enough');
    await expect(job).rejects.toMatchObject({ code: 'ABORTED', cause: 'enough' });
    expect(await next).toBe(4);
    expect(pool.statistics()).toMatchObject({ threads: 1, aborted: 1, completed: 1 });
  });

  test('that die are replaced, and their job is told', async () => {
    const pool = await startPool({ threads: 1, maxThreads: 1 });
    const died = pool.runWith<typeof jobs.die>(named('die'), url);
    const next = pool.run<typeof jobs.default>(url, 4);
    await expect(died).rejects.toMatchObject({ code: 'THREAD_TERMINATED' });
    expect(await next).toBe(4);
    expect(pool.statistics()).toMatchObject({ threads: 1, failed: 1, completed: 1 });
  });

  test('tell what they did', async () => {
    const pool = await startPool({ threads: 1, maxThreads: 1 });
    for (let n = 0; n < 10; n += 1) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      await pool.run<typeof jobs.default>(url, n);
    }
    await pool.runWith<typeof jobs.fail>(named('fail'), url, 'x').catch(() => {});
    const { waitTime, runTime, ...counts } = pool.statistics();
    expect(counts).toEqual({ threads: 1, idle: 1, running: 0, queued: 0, completed: 10, failed: 1, aborted: 0 });
    for (const times of [waitTime, runTime]) {
      expect(times.count).toBe(11);
      expect(times.meanMs).toBeGreaterThanOrEqual(0);
      expect(times.p50Ms).toBeLessThanOrEqual(times.p99Ms);
      expect(times.p99Ms).toBeLessThanOrEqual(times.maxMs);
    }
    expect(runTime.maxMs).toBeGreaterThan(0);
  });
});

describe('map', () => {
  let pool: ThreadPool;
  beforeAll(async () => {
    pool = await ThreadPool.start({ threads: 2, maxThreads: 2, queueMax: 1 });
  });
  afterAll(() => pool.close());
  const numbers = Array.from({ length: 50 }, (_, n) => n);

  test('has the results in the order of the items, or as they come', async () => {
    const results = pool.map<typeof jobs.double>(url, numbers, named('double'));
    expectTypeOf(results).toEqualTypeOf<AsyncGenerator<number, void, undefined>>();
    expect(await collect(results)).toEqual(numbers.map((n) => 2 * n));
    const unordered = await collect(pool.map<typeof jobs.double>(url, numbers, { ...named('double'), ordered: false }));
    expect(unordered.toSorted((a, b) => a - b)).toEqual(numbers.map((n) => 2 * n));
  });

  test('unordered, does not wait for the slowest', async () => {
    const words = sharedWords(1);
    const results = pool.map<typeof jobs.untilSet>(url, [words, new Int32Array([3])], { ...named('untilSet'), ordered: false });
    expect(await results.next()).toEqual({ done: false, value: 3 });
    Atomics.store(words, 0, 4);
    expect(await collect(results)).toEqual([4]);
  });

  test('asks the source no faster than results are read, and closes it when nobody reads any more', async () => {
    let taken = 0;
    let isClosed = false;
    async function* source(): AsyncGenerator<number> {
      try {
        for (;;) {
          taken += 1;
          yield taken;
        }
      } finally {
        isClosed = true;
      }
    }
    const read: number[] = [];
    for await (const result of pool.map<typeof jobs.double>(url, source(), { ...named('double'), concurrency: 3 })) {
      read.push(result);
      await pool.drained();
      expect(taken).toBeLessThanOrEqual(read.length + 3);
      if (read.length === 5) break;
    }
    expect(read).toEqual([2, 4, 6, 8, 10]);
    await vi.waitUntil(() => isClosed);
  });

  test('ends with the first error, of a job or of the source', async () => {
    const failing = pool.map<typeof jobs.fail>(url, ['first', 'second'], named('fail'));
    await expect(collect(failing)).rejects.toMatchObject({ code: 'THREAD_PANICKED', message: "job 'fail' threw: first" });
    function* broken(): Generator<number> {
      yield 1;
      throw new RangeError('the source');
    }
    const read: number[] = [];
    await expect(async () => {
      for await (const result of pool.map<typeof jobs.double>(url, broken(), named('double'))) read.push(result);
    }).rejects.toThrow('the source');
    expect(read).toEqual([2]);
  });

  test('ends with its signal, also while the source has nothing', async () => {
    const controller = new AbortController();
    async function* source(): AsyncGenerator<number> {
      yield 1;
      await new Promise(() => {});
    }
    const results = pool.map<typeof jobs.double>(url, source(), { ...named('double'), signal: controller.signal });
    expect((await results.next()).value).toBe(2);
    const next = results.next();
    controller.abort('enough');
    await expect(next).rejects.toMatchObject({ code: 'ABORTED', cause: 'enough' });
  });
});

describe('closing', () => {
  test('lets jobs end within the grace, and takes no more', async () => {
    const pool = await ThreadPool.start({ threads: 1, maxThreads: 1 });
    const jobsBefore = [1, 2, 3].map((n) => pool.run<typeof jobs.default>(url, n));
    const closed = pool.close({ graceMs: 60_000 });
    await expect(pool.run<typeof jobs.default>(url, 4)).rejects.toMatchObject({ code: 'CLOSED' });
    await expect(pool.ready()).rejects.toMatchObject({ code: 'CLOSED' });
    expect(await Promise.all(jobsBefore)).toEqual([1, 2, 3]);
    await closed;
    expect(pool.statistics()).toMatchObject({ completed: 3, failed: 0 });
  });

  test('ends the others after it', async () => {
    const pool = await ThreadPool.start({ threads: 1, maxThreads: 1 });
    const blocked = await blockWorker(pool);
    const queued = pool.run<typeof jobs.default>(url, 1);
    const settled = Promise.allSettled([blocked.promise, queued]);
    await pool.close({ graceMs: 0 });
    expect((await settled).map((end) => (end as PromiseRejectedResult).reason.code)).toEqual(['THREAD_TERMINATED', 'CLOSED']);
  });

  test('happens where an `await using` ends', async () => {
    let pool: ThreadPool | undefined;
    {
      await using here = await ThreadPool.start({ threads: 1 });
      pool = here;
      expect(await here.run<typeof jobs.default>(url, 1)).toBe(1);
    }
    await expect(pool.run(url)).rejects.toMatchObject({ code: 'CLOSED' });
  });
});

test('a start can be given up, and numbers that make no pool are refused', async () => {
  await expect(ThreadPool.start({ signal: AbortSignal.abort('early') })).rejects.toMatchObject({ code: 'ABORTED', cause: 'early' });
  const controller = new AbortController();
  const start = ThreadPool.start({ threads: 1, signal: controller.signal });
  controller.abort('late');
  await expect(start).rejects.toMatchObject({ code: 'ABORTED', cause: 'late' });
  const refused = [
    { threads: -1 },
    { maxThreads: 1.5 },
    { maxThreads: 0 },
    { threads: 3, maxThreads: 2 },
    { queueMax: -1 },
    { idleTimeoutMs: NaN },
  ];
  for (const options of refused) {
    // oxlint-disable-next-line no-await-in-loop -- one after the other
    await expect(ThreadPool.start(options)).rejects.toMatchObject({ code: 'BAD_ARGUMENT' });
  }
});

test.each([undefined, null, 5, {}])('%o is no source to map', async (source) => {
  const pool = await startPool({ threads: 1 });
  expect(() => pool.map(url, source as never)).toThrow(expect.objectContaining({ code: 'BAD_ARGUMENT' }));
  expect(() => pool.map(url, [], { concurrency: NaN })).toThrow(expect.objectContaining({ code: 'BAD_ARGUMENT' }));
});

test('a limit alone holds for the threads from the start, too', async () => {
  const pool = await startPool({ maxThreads: 1 });
  expect(pool.maxThreads).toBe(1);
  expect(pool.statistics().threads).toBe(1);
});

describe('Wasm exports', () => {
  test('run under the same limits, priorities and statistics, beside functions of modules', async () => {
    const runtime = await WasmRuntime.start({ ...modules.threadTesting, threads: 2 });
    onTestFinished(() => runtime.close());
    const pool = await startPool({ threads: 1, maxThreads: 1, queueMax: 2 });
    const result = pool.run(runtime, 'add', 1, 2);
    expectTypeOf(result).toEqualTypeOf<Promise<number | bigint | undefined>>();
    expect(await result).toBe(3);
    const blocked = await blockWorker(pool);
    const low = pool.run(runtime, 'add', 3, 4);
    const high = pool.runWith({ priority: 1, name: 'high' }, runtime, 'add', 5, 6);
    await expect(pool.run(runtime, 'add', 7, 8)).rejects.toMatchObject({ code: 'POOL_EXHAUSTED' });
    expect(pool.jobs().map(({ name }) => name)).toEqual(['block', 'high', 'add']);
    blocked.release();
    expect(await Promise.all([low, high])).toEqual([7, 11]);
    const pairs = [1, 2, 3].map((n) => [n, n] as const);
    expect(await collect(pool.map(runtime, pairs, { exportName: 'add' }))).toEqual([2, 4, 6]);
    await expect(pool.run(runtime, 'no_such_export')).rejects.toMatchObject({ code: 'UNKNOWN_EXPORT' });
    await expect(pool.run(runtime, 'trap_now')).rejects.toMatchObject({ code: 'THREAD_TRAPPED' });
    expect(pool.statistics()).toMatchObject({ completed: 7, failed: 2, running: 0 });
  });
});
