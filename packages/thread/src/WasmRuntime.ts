/**
 * Threads of one Wasm module: one memory, a pool of workers that wait inside Wasm, and a supervisor that creates them.
 *
 * The agent that starts a runtime (a page's main thread, usually) holds the module and the memory, but never instantiates and
 * never blocks: to spawn it writes a record into the memory and notifies.
 */
import { canNestWorkers, isolationProblem, keepAlive, mayBlock, parallelism } from '#platform';
import { defineDisposeSymbol } from '@heddle/atomics/internal';
import { createMemoryFor, type MemoryLimits } from '@heddle/memory';
import { startSupervisor } from '#supervisor-host';
import { startWorker } from '#worker-host';
import { Control, type ThreadStatus } from './internal/Control.ts';
import { WorkerBroker } from './internal/delegation.ts';
import type { WorkerHandle } from './internal/platform/types.ts';
import { type PerformanceTrackOptions, performanceTracks } from './internal/performanceTracks.ts';
import type { FromSupervisor, StartMessage, ToSupervisor } from './internal/protocol.ts';
import { SharedRecords } from './internal/SharedRecords.ts';
import type { ThreadEvent } from './internal/Trace.ts';
import { within } from './internal/within.ts';
import { ThreadError } from './ThreadError.ts';
import { WasmThread, type WasmValue } from './WasmThread.ts';

/** What to start. */
export interface WasmRuntimeOptions {
  /**
   * The module: where it is, its bytes, or the compiled module (then `memory` is needed too). A runtime, closed or not, stands for its
   * module with a fresh memory: nothing is loaded or compiled again.
   */
  readonly module: URL | string | Uint8Array | ArrayBuffer | WebAssembly.Module | WasmRuntime;
  /** Where the JavaScript is that wasm-bindgen wrote for `--target web`. */
  readonly glue: URL | string;
  /** A memory to use, big enough for the module and not yet used by an instance of it. A fresh one where absent. */
  readonly memory?: WebAssembly.Memory | undefined;
  /** What the memory may grow to, in bytes; as much as the module and the engine allow where absent. */
  readonly memoryBytesMax?: number | undefined;
  /** Workers to start with, ready before `start` resolves. As many as the machine has processors where absent. */
  readonly threads?: number | undefined;
  /** How many threads may be alive at once. Workers are created when they are needed. At least 16 where absent. */
  readonly maxThreads?: number | undefined;
  /** Bytes of stack of a thread, 1 MiB where absent. */
  readonly stackSize?: number | undefined;
  /**
   * Whether note is kept of what each thread does, for `observe` and `measure`: a fraction of a microsecond a thread, and 256 KiB. Not where absent.
   */
  readonly isTraced?: boolean | undefined;
  /** The name of the workers, as developer tools show it. */
  readonly name?: string | undefined;
  /** Gives up starting. */
  readonly signal?: AbortSignal | undefined;
}

/** A runtime as it can be posted to a worker; `WasmRuntime.from(handle)` opens it there. */
export interface WasmRuntimeHandle {
  readonly kind: 'heddle-wasm-runtime';
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
  /** Address of the runtime's record. */
  readonly control: number;
}

/** A thread's properties. */
export interface WasmThreadOptions {
  /** Shown by `threads()` and in panic messages, cut at 40 bytes. The export's name where absent. */
  readonly name?: string | undefined;
  /** Bytes of stack; the runtime's where absent. */
  readonly stackSize?: number | undefined;
}

/** How to end. */
export interface CloseOptions {
  /** How long threads that still run may take to end, in milliseconds; then their workers are terminated. 2000 where absent. */
  readonly graceMs?: number | undefined;
}

const STACK_SIZE = 1024 * 1024;
const THREADS_MAX = 16;
const GRACE_MS = 2000;

/** How long the supervisor is awaited beyond the grace, in milliseconds. Bun now and then loses the last message of a worker and its end. */
const CLOSE_MS = 5000;

/** The part of a runtime that only the agent has which started it. */
interface Owner {
  readonly supervisor: WorkerHandle;
  readonly hear: (listener: (message: FromSupervisor) => void) => void;
  /** What the memory was made by; undefined where it was given. */
  readonly limits: MemoryLimits | undefined;
  /** Resolves when the supervisor has ended or failed, with the reason. */
  readonly gone: Promise<string>;
  /** Ends supervisor and workers without asking. */
  readonly end: () => Promise<void>;
}

/** What a start needs beside its message. */
interface Beginning {
  readonly signal: AbortSignal | undefined;
  /** What the memory was made by, where it is made already. */
  readonly limits: MemoryLimits | undefined;
}

export class WasmRuntime implements AsyncDisposable {
  /** The compiled module. */
  readonly module: WebAssembly.Module;
  /** The memory that all threads share. */
  readonly memory: WebAssembly.Memory;
  /**
   * Resolves when the first thread traps or loses its worker, with what happened; stays pending while all is well. Known only to
   * the agent that started the runtime. Whoever can't go on with what a trap left half changed closes the runtime and starts another.
   */
  readonly crashed: Promise<ThreadError>;
  readonly #control: Control;
  readonly #owner: Owner | undefined;
  readonly #exports: ReadonlyMap<string, number>;
  /** On while joins are awaited, so that Node doesn't exit meanwhile. */
  readonly #keepAlive = keepAlive();
  /** What ends the observers of threads. */
  readonly #observers = new Set<() => void>();
  #running = 0;
  #closed: Promise<void> | undefined;

  private constructor(handle: WasmRuntimeHandle, owner?: Owner) {
    this.module = handle.module;
    this.memory = handle.memory;
    this.#control = new Control(new SharedRecords(handle.memory), handle.control);
    this.#owner = owner;
    this.crashed = new Promise((resolve) => {
      owner?.hear((message) => {
        if (message.type === 'crashed') resolve(new ThreadError(message.error.code, message.error.message));
      });
      void owner?.gone.then((reason) => {
        if (!this.#closed) resolve(new ThreadError('THREAD_TERMINATED', `the supervisor is gone: ${reason}`));
      });
    });
    this.#exports = new Map(
      WebAssembly.Module.exports(handle.module).flatMap(({ name, kind }, index) => (kind === 'function' ? [[name, index] as const] : [])),
    );
  }

  /**
   * Compiles the module in a worker, creates its memory and the pool, and resolves when the pool waits for threads.
   *
   * @throws ThreadError `NOT_CROSS_ORIGIN_ISOLATED`, `MODULE_UNFIT`, `START_FAILED`, `ABORTED`.
   */
  static async start(options: WasmRuntimeOptions): Promise<WasmRuntime> {
    const problem = isolationProblem();
    if (problem) throw new ThreadError('NOT_CROSS_ORIGIN_ISOLATED', problem);
    const { signal } = options;
    if (signal?.aborted) throw aborted(signal);
    // A memory like that of the runtime whose module is used again; in other cases the supervisor makes it.
    const limits = options.module instanceof WasmRuntime ? options.module.#owner?.limits : undefined;
    const memory = options.memory ?? (limits && createMemoryFor(limits, options.memoryBytesMax));
    return WasmRuntime.#begin(startMessage(options, memory), { signal, limits });
  }

  // By itself: a closure that saw the options would keep the runtime in them, and its memory, for as long as this one lives.
  static async #begin(message: StartMessage, { signal, limits: given }: Beginning): Promise<WasmRuntime> {
    const supervisor = startSupervisor(`${message.name} supervisor`);
    const outcome = Promise.withResolvers<Extract<FromSupervisor, { type: 'started' }>>();
    const listeners = new Set<(message: FromSupervisor) => void>();
    supervisor.onMessage((heard) => {
      for (const listener of listeners) listener(heard as FromSupervisor);
    });
    const gone = Promise.withResolvers<string>();
    supervisor.onError((reason) => gone.resolve(reason));
    supervisor.onExit(() => gone.resolve('it ended'));
    void gone.promise.then((reason) => outcome.reject(new ThreadError('START_FAILED', `the supervisor did not start: ${reason}`)));
    const broker = new WorkerBroker(startWorker, (report) => supervisor.post({ type: 'report', report } satisfies ToSupervisor));
    listeners.add((heard) => {
      if (heard.type === 'request') broker.serve(heard.request);
      else if (heard.type === 'started') outcome.resolve(heard);
      else if (heard.type === 'failed') outcome.reject(new ThreadError(heard.error.code, heard.error.message));
    });
    const end = (): Promise<void> => {
      broker.terminate();
      return supervisor.terminate();
    };
    const abort = (): void => outcome.reject(aborted(signal));
    signal?.addEventListener('abort', abort);
    try {
      supervisor.post(message);
      const { module, memory, limits, control } = await outcome.promise;
      supervisor.setKeepAlive(false);
      const owner: Owner = { supervisor, hear: (listener) => listeners.add(listener), limits: limits ?? given, gone: gone.promise, end };
      return new WasmRuntime({ kind: 'heddle-wasm-runtime', module, memory, control }, owner);
    } catch (error) {
      supervisor.post({ type: 'close', graceMs: 0 } satisfies ToSupervisor);
      supervisor.setKeepAlive(false);
      throw error;
    } finally {
      signal?.removeEventListener('abort', abort);
    }
  }

  /** Opens a runtime that another agent started, to spawn and to join from here. */
  static from(handle: WasmRuntimeHandle): WasmRuntime {
    return new WasmRuntime(handle);
  }

  /** This runtime as it can be posted to a worker. */
  handle(): WasmRuntimeHandle {
    return { kind: 'heddle-wasm-runtime', module: this.module, memory: this.memory, control: this.#control.address };
  }

  /**
   * Calls an export of the module on a thread of its own, at once: each thread has a worker, whatever others wait for.
   *
   * Numbers become 32-bit integers or floats, bigints 64-bit integers, as the export's parameters want them. An export that
   * may panic should be `extern "C-unwind"` in Rust: a panic can't leave an `extern "C"` function and becomes a trap.
   *
   * @throws ThreadError `UNKNOWN_EXPORT`, `BAD_ARGUMENT`, `POOL_EXHAUSTED`, `CLOSED`.
   */
  spawn(exportName: string, ...args: WasmValue[]): WasmThread {
    return this.spawnWith({}, exportName, ...args);
  }

  /** As `spawn`, with a name or another stack size. */
  spawnWith(options: WasmThreadOptions, exportName: string, ...args: WasmValue[]): WasmThread {
    const exportIndex = this.#exports.get(exportName);
    if (exportIndex === undefined) throw new ThreadError('UNKNOWN_EXPORT', `the module exports no function '${exportName}'`);
    const thread = WasmThread.spawn(this.#control, {
      exportIndex,
      args,
      name: options.name ?? exportName,
      stackSize: options.stackSize ?? 0,
    });
    this.#running += 1;
    this.#keepAlive.set(true);
    void thread.ended.then(() => {
      this.#running -= 1;
      if (this.#running === 0) this.#keepAlive.set(false);
    });
    return thread;
  }

  /** The workers of the pool: what they run, what that waits for, and how many threads they have run. */
  threads(): ThreadStatus[] {
    return this.#control.status();
  }

  /**
   * Calls `listener` with what threads do from now on – spawned, started, ended – until what this returns is disposed of, or the runtime
   * closed: the hook for a profiler. The listener runs on this agent's event loop, some time after the thread has done so.
   *
   * @throws ThreadError `NOT_TRACED` where the runtime was started without `isTraced`.
   */
  observe(listener: (event: ThreadEvent) => void): Disposable {
    const { trace } = this.#control;
    if (!trace) throw new ThreadError('NOT_TRACED', 'to observe threads, start their runtime with isTraced: true');
    defineDisposeSymbol();
    const controller = new AbortController();
    const end = (): void => {
      this.#observers.delete(end);
      controller.abort();
      trace.wakeObservers();
    };
    this.#observers.add(end);
    void trace.follow(trace.next, controller.signal, listener);
    return { [Symbol.dispose]: end };
  }

  /**
   * Has `performance.measure` note each thread that ends from now on, from its start to its end, on its worker's track: the performance panel of
   * Chromium's developer tools shows them below one another (`detail.devtools`). Until what this returns is disposed of, or the runtime closed.
   * In Node measures are kept until `performance.clearMeasures()`.
   *
   * @throws ThreadError `NOT_TRACED` where the runtime was started without `isTraced`.
   */
  measure(options: PerformanceTrackOptions = {}): Disposable {
    return this.observe(performanceTracks(options));
  }

  /** How many threads have trapped. What they had half changed stays so: locks of heddle-atomics are poisoned, others not. */
  get trappedCount(): number {
    return this.#control.trapped;
  }

  /** Whether this agent may use the blocking forms. */
  get mayBlock(): boolean {
    return mayBlock();
  }

  /**
   * Ends the pool: threads that run or are queued may end within the grace, no more are spawned, workers that wait end by
   * themselves. Resolves when all are gone – in a browser, when they have been told to go: it doesn't tell more. Only the agent that started the runtime can close it.
   */
  close(options: CloseOptions = {}): Promise<void> {
    this.#closed ??= this.#close(options.graceMs ?? GRACE_MS);
    return this.#closed;
  }

  async #close(graceMs: number): Promise<void> {
    const owner = this.#owner;
    if (!owner) throw new ThreadError('CLOSED', 'only the agent that started a runtime can close it');
    const closed = new Promise<boolean>((resolve) => {
      owner.hear((message) => {
        if (message.type === 'closed') resolve(true);
      });
      void owner.gone.then(() => resolve(false));
    });
    this.#control.close();
    owner.supervisor.setKeepAlive(true);
    owner.supervisor.post({ type: 'close', graceMs } satisfies ToSupervisor);
    // A supervisor that has failed, or that is not heard of, ends nobody any more.
    const isHeard = await within(graceMs + CLOSE_MS, closed);
    if (!isHeard || !(await closed)) await owner.end();
    for (const end of this.#observers) end();
    owner.supervisor.setKeepAlive(false);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

function startMessage(options: WasmRuntimeOptions, memory: WebAssembly.Memory | undefined): StartMessage {
  const module = options.module instanceof WasmRuntime ? options.module.module : options.module;
  const cpus = parallelism();
  const threads = Math.max(1, options.threads ?? cpus);
  return {
    type: 'start',
    module: module instanceof URL ? module.href : module instanceof ArrayBuffer ? new Uint8Array(module) : module,
    glue: options.glue instanceof URL ? options.glue.href : options.glue,
    memory,
    memoryBytesMax: options.memoryBytesMax,
    threads,
    threadsMax: Math.max(threads, options.maxThreads ?? Math.max(THREADS_MAX, 4 * cpus)),
    stackSize: options.stackSize ?? STACK_SIZE,
    parallelism: cpus,
    isTraced: options.isTraced ?? false,
    name: options.name ?? 'wasm thread',
    isDelegating: !canNestWorkers(),
  };
}

function aborted(signal: AbortSignal | undefined): ThreadError {
  return new ThreadError('ABORTED', 'the start was aborted', { cause: signal?.reason });
}
