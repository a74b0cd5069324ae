/**
 * A pool of TypeScript workers that run exported functions of modules, and of the threads of whatever Wasm runtimes it is given.
 *
 * It promises: no more than `maxThreads` jobs run at once, whatever runs them; of the jobs that wait, the one of the highest priority
 * runs next, and among equals the one that came first; each job settles once. A job of low priority waits for as long as higher ones
 * come.
 *
 * # State
 * Queue, workers and what they run belong to the agent that started the pool, which decides alone: the only shared words are those of
 * each worker's desk (`internal/Desk.ts`). A worker is starting, idle, or runs a job; a job is queued, runs, or is settled.
 *
 * # Invariants
 * 1. A worker runs one job at a time. One that is gone is in no list.
 * 2. While jobs wait, `maxThreads` of them run, or workers are about to take them.
 * 3. A job that was given up takes its place among `maxThreads` until what runs it has ended: at once for a worker, which is terminated
 *    and replaced, and with its thread for a Wasm export, which can't be ended from outside.
 */
import { parallelism } from '#platform';
import { threadCounts } from './internal/checks.ts';
import { type Durations, Histogram } from './internal/Histogram.ts';
import { abortedError, Job, type JobWaitKind } from './internal/Job.ts';
import { JobQueue } from './internal/JobQueue.ts';
import { type Begun, mapping } from './internal/mapping.ts';
import type { ModuleWorker } from './internal/ModuleWorker.ts';
import { PoolWorkers } from './internal/PoolWorkers.ts';
import { valueOf } from './internal/valueOf.ts';
import { within } from './internal/within.ts';
import type { ThreadFunction, ThreadResult } from './Thread.ts';
import { ThreadError } from './ThreadError.ts';
import type { CloseOptions, WasmRuntime } from './WasmRuntime.ts';
import type { WasmValue } from './WasmThread.ts';

/** What a pool is. */
export interface ThreadPoolOptions {
  /** Workers that are ready when `start` resolves, and stay; as many as the machine runs at once where absent, but no more than `maxThreads`. */
  readonly threads?: number | undefined;
  /** Jobs that run at once, and workers that there are at most; `threads`, or what the machine runs at once, where absent. */
  readonly maxThreads?: number | undefined;
  /** How long a worker beyond `threads` stays without a job, in milliseconds; 10000 where absent. */
  readonly idleTimeoutMs?: number | undefined;
  /** Jobs that may wait while `maxThreads` run; no limit where absent. */
  readonly queueMax?: number | undefined;
  /** The workers' name in developer tools, before their number. */
  readonly name?: string | undefined;
  /** Gives the start up. */
  readonly signal?: AbortSignal | undefined;
}

/** How one job runs. */
export interface RunOptions {
  /** The exported function to call; the default export where absent. A Wasm job has it as an argument. */
  readonly exportName?: string | undefined;
  /** Jobs of a higher one run first; 0 where absent. */
  readonly priority?: number | undefined;
  /** Gives the job up: it rejects with `ABORTED`. One that waits is withdrawn; the worker of one that runs is terminated and replaced. */
  readonly signal?: AbortSignal | undefined;
  /** Arguments to hand over rather than to copy. */
  readonly transfer?: readonly Transferable[] | undefined;
  /** What the job is called in errors and in `jobs()`; the function's name where absent. */
  readonly name?: string | undefined;
}

/** How a function is called for each item of a source. */
export interface MapOptions {
  readonly exportName?: string | undefined;
  readonly priority?: number | undefined;
  /** Gives up what has not been read: jobs end as with `run`. */
  readonly signal?: AbortSignal | undefined;
  /** Items that are taken from the source before their results are read; twice `maxThreads` where absent. */
  readonly concurrency?: number | undefined;
  /** Whether results come in the order of their items, which is what happens where absent, or as they are there. */
  readonly ordered?: boolean | undefined;
}

/** What a pool has done. */
export interface ThreadPoolStatistics {
  /** Workers that are there, those that start included. */
  readonly threads: number;
  /** Workers without a job. */
  readonly idle: number;
  /** Jobs that run. */
  readonly running: number;
  /** Jobs that wait. */
  readonly queued: number;
  /** Jobs that returned. */
  readonly completed: number;
  /** Jobs that threw or lost their worker. */
  readonly failed: number;
  /** Jobs that were given up. */
  readonly aborted: number;
  /** From when a job was asked for until it ran. */
  readonly waitTime: Durations;
  /** From then until its result was there. */
  readonly runTime: Durations;
}

/** A job that runs or waits. */
export interface JobStatus {
  readonly name: string;
  readonly priority: number;
  readonly state: 'queued' | 'running';
  /** What a job that runs waits for, as `Thread.waitsFor` and `WasmRuntime.threads()` tell it. */
  readonly waitsFor: JobWaitKind | undefined;
}

const IDLE_TIMEOUT_MS = 10_000;
const GRACE_MS = 2000;

export class ThreadPool implements AsyncDisposable {
  /** Jobs that run at once, and workers that there are at most. */
  readonly maxThreads: number;
  readonly #queueMax: number;
  readonly #workers: PoolWorkers;
  readonly #queue = new JobQueue<Job>();
  readonly #running = new Set<Job>();
  readonly #waitTime = new Histogram();
  readonly #runTime = new Histogram();
  #completed = 0;
  #failed = 0;
  #aborted = 0;
  /** Those who wait for room in the queue. */
  readonly #roomWaiters = new Set<PromiseWithResolvers<void>>();
  /** Those who wait until nothing runs or waits. */
  #drained: PromiseWithResolvers<void> | undefined;
  #closed: Promise<void> | undefined;

  private constructor(options: ThreadPoolOptions) {
    const cpus = parallelism();
    const { threads, threadsMax } = threadCounts(options, { threads: cpus, threadsMax: cpus });
    this.maxThreads = threadsMax;
    this.#queueMax = options.queueMax ?? Infinity;
    this.#workers = new PoolWorkers({
      name: options.name ?? 'pool thread',
      threadsMin: threads,
      threadsMax: this.maxThreads,
      idleTimeoutMs: options.idleTimeoutMs ?? IDLE_TIMEOUT_MS,
      onIdle: () => this.#dispatch(),
      onStartFailed: (error) => this.#failWaiting(error),
    });
  }

  /**
   * Starts a pool; resolves when `threads` workers are ready.
   *
   * @throws ThreadError `START_FAILED`, `ABORTED`, `BAD_ARGUMENT` for numbers that make no pool.
   */
  static async start(options: ThreadPoolOptions = {}): Promise<ThreadPool> {
    checkOptions(options);
    const { signal } = options;
    if (signal?.aborted) throw abortedError('the start', signal);
    const pool = new ThreadPool(options);
    const aborted = Promise.withResolvers<never>();
    const abort = (): void => aborted.reject(abortedError('the start', signal));
    signal?.addEventListener('abort', abort);
    try {
      await Promise.race([pool.#workers.start(), aborted.promise]);
      return pool;
    } catch (error) {
      await pool.close({ graceMs: 0 });
      throw error;
    } finally {
      signal?.removeEventListener('abort', abort);
    }
  }

  /**
   * Calls the default export of `module` on a worker of the pool, as soon as one is free, or an export of a Wasm runtime on a thread
   * of its own, as soon as fewer than `maxThreads` jobs run. What it returns, when it has.
   *
   * A module is imported once by each worker that runs it. Arguments are copied when the job begins to run.
   *
   * @throws ThreadError `POOL_EXHAUSTED` where the queue is full, `THREAD_PANICKED` with what the function threw as `cause`,
   *   `START_FAILED` where the module can't be loaded or has no such function, `BAD_ARGUMENT`, `THREAD_TERMINATED`, `CLOSED`; for a Wasm export
   *   what `WasmRuntime.spawn` and `WasmThread.join` throw.
   */
  run<F extends ThreadFunction>(module: URL | string, ...args: Parameters<F>): Promise<ThreadResult<F>>;
  run(runtime: WasmRuntime, exportName: string, ...args: WasmValue[]): Promise<WasmValue | undefined>;
  run(target: URL | string | WasmRuntime, ...args: unknown[]): Promise<unknown> {
    return this.#run({}, target, args);
  }

  /** As `run`, with a name, a priority and so on. @throws ThreadError also `ABORTED` */
  runWith<F extends ThreadFunction>(options: RunOptions, module: URL | string, ...args: Parameters<F>): Promise<ThreadResult<F>>;
  runWith(options: RunOptions, runtime: WasmRuntime, exportName: string, ...args: WasmValue[]): Promise<WasmValue | undefined>;
  runWith(options: RunOptions, target: URL | string | WasmRuntime, ...args: unknown[]): Promise<unknown> {
    return this.#run(options, target, args);
  }

  /**
   * Calls a function with each item of a source, or a Wasm export with each number (or list of numbers).
   *
   * The source is asked for items no faster than results are read. Whoever stops reading withdraws what waits, and the first error ends
   * the whole; what runs then runs to its end.
   *
   * @throws ThreadError as `run` does, but for a queue that is full: then it waits. At once `BAD_ARGUMENT` for a source that is none.
   */
  map<F extends ThreadFunction>(
    module: URL | string,
    items: Iterable<Parameters<F>[0]> | AsyncIterable<Parameters<F>[0]>,
    options?: MapOptions,
  ): AsyncGenerator<ThreadResult<F>, void, undefined>;
  map(
    runtime: WasmRuntime,
    items: Iterable<WasmValue | readonly WasmValue[]> | AsyncIterable<WasmValue | readonly WasmValue[]>,
    options: MapOptions & { readonly exportName: string },
  ): AsyncGenerator<WasmValue | undefined, void, undefined>;
  map(
    target: URL | string | WasmRuntime,
    source: Iterable<unknown> | AsyncIterable<unknown>,
    options: MapOptions = {},
  ): AsyncGenerator<unknown, void, undefined> {
    const { concurrency = 2 * this.maxThreads, ordered = true, signal } = options;
    if (!isSource(source))
      throw new ThreadError('BAD_ARGUMENT', 'what is mapped is no source of items: give an array, or another (async) iterable');
    if (!(concurrency >= 0)) throw new ThreadError('BAD_ARGUMENT', `a concurrency of ${concurrency} is no count`);
    const argumentsOf = (item: unknown): unknown[] => {
      if (!isRuntime(target)) return [item];
      return [options.exportName, ...(Array.isArray(item) ? (item as unknown[]) : [item])];
    };
    const begin = async (item: unknown): Promise<Begun<unknown>> => {
      const job = jobOf(options, target, argumentsOf(item));
      // oxlint-disable-next-line no-await-in-loop -- somebody else may have been faster
      while (!this.#hasRoom && !job.end) await this.ready({ signal });
      this.#submit(job);
      const withdraw = (): void => {
        if (this.#queue.withdraw(job)) job.fail(new ThreadError('ABORTED', 'the results are not read any more'));
      };
      return { promise: job.promise, withdraw };
    };
    const aborted = (): Error => abortedError('the map', signal);
    return mapping({ source, begin, concurrency: Math.max(1, concurrency), isOrdered: ordered, signal, aborted });
  }

  #run(options: RunOptions, target: URL | string | WasmRuntime, args: readonly unknown[]): Promise<unknown> {
    const job = jobOf(options, target, args);
    this.#submit(job);
    return job.promise;
  }

  /** Whether another job would be taken. */
  get #hasRoom(): boolean {
    return this.#queue.size + this.#running.size < this.maxThreads + this.#queueMax;
  }

  #submit(job: Job): void {
    if (job.end) return;
    if (this.#closed) {
      job.fail(new ThreadError('CLOSED', 'the pool is closed'));
      return;
    }
    if (!this.#hasRoom) {
      const text = `${this.#running.size} jobs run and ${this.#queue.size} wait: await ready(), or start the pool with a higher queueMax`;
      job.fail(new ThreadError('POOL_EXHAUSTED', text));
      return;
    }
    job.promise.then(
      () => (this.#completed += 1),
      () => (job.end === 'aborted' ? (this.#aborted += 1) : (this.#failed += 1)),
    );
    job.onGivenUp = () => {
      this.#queue.withdraw(job);
      this.#tellRoom();
    };
    this.#queue.push(job);
    this.#dispatch();
  }

  /** Begins jobs as long as fewer than `maxThreads` run and there are workers for them. */
  #dispatch(): void {
    while (this.#running.size < this.maxThreads) {
      const next = this.#queue.peek();
      if (!next) return;
      if (next.work.type === 'wasm') void this.#begin(next, () => runOnRuntime(next));
      else {
        const worker = this.#workers.take();
        if (!worker) {
          this.#workers.startFor(Math.min(this.#queue.size, this.maxThreads - this.#running.size));
          return;
        }
        next.onGivenUp = () => void worker.terminate();
        void this.#begin(next, () => runOnWorker(next, worker).finally(() => this.#workers.giveBack(worker)));
      }
    }
  }

  /** Begins the job that is to run next. */
  async #begin(job: Job, run: () => Promise<unknown>): Promise<void> {
    this.#queue.pop();
    this.#running.add(job);
    const begunMs = performance.now();
    this.#waitTime.add(begunMs - job.askedMs);
    try {
      job.complete(await run());
    } catch (error) {
      job.fail(error);
    }
    this.#runTime.add(performance.now() - begunMs);
    this.#running.delete(job);
    this.#dispatch();
    this.#tellRoom();
  }

  /** Lets as many go on as there is room for, and all who wait for the last job after it. */
  #tellRoom(): void {
    let room = this.maxThreads + this.#queueMax - this.#queue.size - this.#running.size;
    for (const waiter of this.#roomWaiters) {
      if (room <= 0) break;
      room -= 1;
      this.#roomWaiters.delete(waiter);
      waiter.resolve();
    }
    if (this.#queue.size + this.#running.size > 0) return;
    this.#drained?.resolve();
    this.#drained = undefined;
  }

  /** No worker can be started: those who wait for one are told. */
  #failWaiting(error: ThreadError): void {
    for (const job of this.#queue.jobs()) {
      if (job.work.type === 'module') job.giveUp(error);
    }
  }

  /**
   * Resolves when another job would be taken. Whoever comes first is told first; another `run` may still be faster.
   *
   * @throws ThreadError `ABORTED`, `CLOSED`
   */
  async ready({ signal }: { readonly signal?: AbortSignal | undefined } = {}): Promise<void> {
    if (signal?.aborted) throw abortedError('waiting for room', signal);
    if (this.#closed) throw new ThreadError('CLOSED', 'the pool is closed');
    if (this.#hasRoom) return;
    const waiter = Promise.withResolvers<void>();
    const abort = (): void => {
      this.#roomWaiters.delete(waiter);
      waiter.reject(abortedError('waiting for room', signal));
    };
    this.#roomWaiters.add(waiter);
    signal?.addEventListener('abort', abort);
    try {
      await waiter.promise;
    } finally {
      signal?.removeEventListener('abort', abort);
    }
  }

  /** Resolves when no job runs or waits. */
  async drained(): Promise<void> {
    if (this.#queue.size + this.#running.size === 0) return;
    this.#drained ??= Promise.withResolvers();
    await this.#drained.promise;
  }

  /** What the pool has done, and what it does. */
  statistics(): ThreadPoolStatistics {
    return {
      threads: this.#workers.count,
      idle: this.#workers.idleCount,
      running: this.#running.size,
      queued: this.#queue.size,
      completed: this.#completed,
      failed: this.#failed,
      aborted: this.#aborted,
      waitTime: this.#waitTime.durations(),
      runTime: this.#runTime.durations(),
    };
  }

  /** The jobs that run, and those that wait in the order in which they will. */
  jobs(): JobStatus[] {
    const status =
      (state: JobStatus['state']) =>
      (job: Job): JobStatus => ({ name: job.name, priority: job.priority, state, waitsFor: job.waitsFor?.() });
    return [...Array.from(this.#running, status('running')), ...this.#queue.jobs().map(status('queued'))];
  }

  /**
   * Ends the pool: jobs that were asked for may end within the grace, no more are taken. Then those that wait reject with `CLOSED`, those
   * that run with `THREAD_TERMINATED`. Resolves when the workers are gone.
   */
  close(options: CloseOptions = {}): Promise<void> {
    this.#closed ??= this.#close(options.graceMs ?? GRACE_MS);
    return this.#closed;
  }

  async #close(graceMs: number): Promise<void> {
    for (const waiter of this.#roomWaiters) waiter.reject(new ThreadError('CLOSED', 'the pool is closed'));
    this.#roomWaiters.clear();
    if (graceMs > 0) await within(graceMs, this.drained());
    for (const job of this.#queue.jobs()) job.giveUp(new ThreadError('CLOSED', 'the pool was closed before the job began'));
    for (const job of this.#running) job.giveUp(new ThreadError('THREAD_TERMINATED', `the pool was closed while '${job.name}' ran`));
    await this.#workers.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

function checkOptions({ idleTimeoutMs = 0, queueMax = 0 }: ThreadPoolOptions): void {
  if (!(idleTimeoutMs >= 0) || !(queueMax >= 0)) throw new ThreadError('BAD_ARGUMENT', 'idleTimeoutMs and queueMax are not negative');
}

function isSource(source: unknown): source is Iterable<unknown> | AsyncIterable<unknown> {
  return Symbol.asyncIterator in Object(source) || Symbol.iterator in Object(source);
}

/** By its shape: with the class, whoever runs modules only would have it bundled. */
function isRuntime(target: URL | string | WasmRuntime): target is WasmRuntime {
  return typeof target === 'object' && target !== null && 'spawnWith' in target;
}

function jobOf(options: RunOptions, target: URL | string | WasmRuntime, args: readonly unknown[]): Job {
  const { exportName = 'default', priority = 0, signal, transfer, name } = options;
  if (isRuntime(target)) {
    const [wasmExport, ...values] = args as [string, ...WasmValue[]];
    const work = { type: 'wasm', runtime: target, exportName: wasmExport, args: values } as const;
    return new Job({ name: name ?? wasmExport, priority, signal, work });
  }
  const module = target instanceof URL ? target.href : target;
  return new Job({ name: name ?? exportName, priority, signal, work: { type: 'module', module, exportName, args, transfer } });
}

async function runOnWorker(job: Job, worker: ModuleWorker): Promise<unknown> {
  const { name, work } = job;
  if (work.type !== 'module') throw new TypeError('a Wasm job runs on its runtime');
  job.waitsFor = () => worker.waitsFor;
  return valueOf(await worker.run(work), `job '${name}'`);
}

async function runOnRuntime(job: Job): Promise<unknown> {
  const { name, work } = job;
  if (work.type !== 'wasm') throw new TypeError("a module's job runs on a worker");
  const thread = work.runtime.spawnWith({ name }, work.exportName, ...work.args);
  job.waitsFor = () => work.runtime.threads().find(({ threadId }) => threadId === thread.id)?.waitsFor?.kind;
  return thread.join();
}
