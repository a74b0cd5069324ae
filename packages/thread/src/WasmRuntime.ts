/**
 * Threads of one Wasm module: one memory, a pool of workers that wait inside Wasm, and a supervisor that creates them.
 *
 * The agent that starts a runtime (a page's main thread, usually) holds the module and the memory, but never instantiates and
 * never blocks: to spawn it writes a record into the memory and notifies.
 */
import { isolationProblem, keepAlive, mayBlock, watchLifeLine } from '#platform';
import { defineDisposeSymbol } from '@heddle/atomics/internal';
import { type Abi, type CompiledModule, createMemoryFor, type MemoryLimits } from '@heddle/memory';
import { startSupervisor } from '#supervisor-host';
import { startWorker } from '#worker-host';
import { Control, type ThreadStatus } from './internal/Control.ts';
import { WorkerBroker } from './internal/delegation.ts';
import type { WorkerHandle } from './internal/platform/types.ts';
import { type PerformanceTrackOptions, performanceTracks } from './internal/performanceTracks.ts';
import type { FromSupervisor, PrintedLine, StartMessage, ToSupervisor } from './internal/protocol.ts';
import { SharedRecords } from './internal/SharedRecords.ts';
import { startMessage } from './internal/startMessage.ts';
import type { ThreadEvent } from './internal/Trace.ts';
import { within } from './internal/within.ts';
import { ThreadError } from './ThreadError.ts';
import { WasmThread, type WasmValue } from './WasmThread.ts';

/** What to start. */
export interface WasmRuntimeOptions {
  /**
   * The module: where it is, its bytes, what `compileForThreads` of @heddle/memory returned, or the compiled module (then `memory` and `glue` are
   * needed too). A runtime, closed or not, stands for its module with a fresh memory: nothing is loaded or compiled again.
   *
   * One whose Rust code uses the crate heddle-thread spawns by itself. Any other – of C, C++, Zig, Rust, or a program of wasi-threads – is hosted:
   * rewritten where its data segments are active, and each thread given what its kind needs.
   */
  readonly module: URL | string | Uint8Array | ArrayBuffer | WebAssembly.Module | CompiledModule | WasmRuntime;
  /** Where the JavaScript is that wasm-bindgen wrote for `--target web`; none for a module without wasm-bindgen. */
  readonly glue?: URL | string | undefined;
  /** Of a module without heddle-thread: how its instances are made; found out where absent. `plain`: its threads keep nothing in memory. */
  readonly abi?: Abi | 'plain' | undefined;
  /**
   * Of a module without heddle-thread: where the module is that exports `imports`, a function that makes those of an instance
   * (`WasmImports`). Each worker calls it, for bare modules once, for others for each thread.
   */
  readonly imports?: URL | string | undefined;
  /** What the imports get as `data`: anything that structured clone copies, handles of locks and channels among it. */
  readonly importsData?: unknown;
  /** Of a program of WASI: what it is given. */
  readonly wasi?: WasiProgram | undefined;
  /** A memory to use, big enough for the module and not yet used by an instance of it. A fresh one where absent. */
  readonly memory?: WebAssembly.Memory | undefined;
  /** What the memory may grow to, in bytes; as much as the module and the engine allow where absent. */
  readonly memoryBytesMax?: number | undefined;
  /** Workers to start with, ready before `start` resolves. As many as the machine has processors where absent, but no more than `maxThreads`. */
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

/** What a program of WASI is given. `runtime.spawn('_start')` runs it, and its join has what it ended with. */
export interface WasiProgram {
  /** Its arguments, its own name first; none where absent. */
  readonly args?: readonly string[] | undefined;
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** Folders of Node, Deno or Bun, by what the program calls them; no files where absent. */
  readonly folders?: Readonly<Record<string, string>> | undefined;
  /**
   * Hears the lines that the program prints, which go to the host's own streams where it is absent. They come by message: some may come after
   * the join of the thread that printed them, none after `close`.
   */
  readonly stdout?: ((line: string) => void) | undefined;
  readonly stderr?: ((line: string) => void) | undefined;
}

/** A runtime as it can be posted to a worker; `WasmRuntime.from(handle)` opens it there. */
export interface WasmRuntimeHandle {
  readonly kind: 'heddle-wasm-runtime';
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
  /** Address of the runtime's record. */
  readonly control: number;
  /** Where that is, for a module without heddle-thread; else in the module's own memory. */
  readonly records: WebAssembly.Memory | undefined;
}

/** A thread's properties. */
export interface WasmThreadOptions {
  /** Shown by `threads()` and in panic messages, cut at 40 bytes. The export's name where absent. */
  readonly name?: string | undefined;
  /**
   * Bytes of stack; the runtime's where absent. A bare module's threads have at least the runtime's; those of wasi-threads get theirs from the
   * program.
   */
  readonly stackSize?: number | undefined;
}

/** How to end. */
export interface CloseOptions {
  /** How long threads that still run may take to end, in milliseconds; then their workers are terminated. 2000 where absent. */
  readonly graceMs?: number | undefined;
}

const GRACE_MS = 2000;

/** How long the supervisor is awaited beyond the grace, in milliseconds. Bun now and then loses the last message of a worker and its end. */
const CLOSE_MS = 5000;

/** The part of a runtime that only the agent has which started it. */
interface Owner {
  readonly supervisor: WorkerHandle;
  readonly hear: (listener: (message: FromSupervisor) => void) => void;
  /** What the memory was made by; undefined where it was given. */
  readonly limits: MemoryLimits | undefined;
  /** Of a module without heddle-thread: what it was compiled to. */
  readonly compiled: CompiledModule | undefined;
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
  /** Who hears what a program of WASI prints. */
  readonly print: (line: PrintedLine) => void;
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
  readonly #records: WebAssembly.Memory | undefined;
  readonly #owner: Owner | undefined;
  readonly #exports: ReadonlyMap<string, number>;
  /** Whether threads of a hosted module get their stacks from here. */
  readonly #givesStacks: boolean;
  /** On while joins are awaited, so that Node doesn't exit meanwhile. */
  readonly #keepAlive = keepAlive();
  /** What ends the observers of threads. */
  readonly #observers = new Set<() => void>();
  #running = 0;
  #closed: Promise<void> | undefined;

  private constructor(handle: WasmRuntimeHandle, owner?: Owner) {
    this.module = handle.module;
    this.memory = handle.memory;
    this.#records = handle.records;
    this.#control = new Control(new SharedRecords(handle.records ?? handle.memory), handle.control);
    this.#owner = owner;
    this.crashed = new Promise((resolve) => {
      owner?.hear((message) => {
        if (message.type === 'crashed') resolve(new ThreadError(message.error.code, message.error.message));
      });
      void owner?.gone.then((reason) => {
        if (!this.#closed) resolve(new ThreadError('THREAD_TERMINATED', `the supervisor is gone: ${reason}`));
      });
    });
    const exports = WebAssembly.Module.exports(handle.module);
    this.#exports = new Map(exports.flatMap(({ name, kind }, index) => (kind === 'function' ? [[name, index] as const] : [])));
    this.#givesStacks = exports.some(({ name }) => name === '__stack_pointer') && !this.#exports.has('wasi_thread_start');
  }

  /**
   * Compiles the module in a worker, creates its memory and the pool, and resolves when the pool waits for threads.
   *
   * @throws ThreadError `NOT_CROSS_ORIGIN_ISOLATED`, `BAD_ARGUMENT`, `MODULE_UNFIT`, `START_FAILED`, `ABORTED`.
   */
  static async start(options: WasmRuntimeOptions): Promise<WasmRuntime> {
    const problem = isolationProblem();
    if (problem) throw new ThreadError('NOT_CROSS_ORIGIN_ISOLATED', problem);
    const { signal } = options;
    if (signal?.aborted) throw aborted(signal);
    // A memory like that of the runtime whose module is used again; in other cases the supervisor makes it.
    const limits = options.module instanceof WasmRuntime ? options.module.#owner?.limits : undefined;
    const memory = options.memory ?? (limits && createMemoryFor(limits, options.memoryBytesMax));
    const { wasi } = options;
    const print = ({ stream, line }: PrintedLine): void => wasi?.[stream]?.(line);
    const module = options.module instanceof WasmRuntime ? (options.module.#owner?.compiled ?? options.module.module) : options.module;
    return WasmRuntime.#begin(startMessage({ ...options, module, memory }), { signal, limits, print });
  }

  // By itself: a closure that saw the options would keep the runtime in them, and its memory, for as long as this one lives.
  static async #begin(message: StartMessage, { signal, limits: given, print }: Beginning): Promise<WasmRuntime> {
    const supervisor = startSupervisor(`${message.name} supervisor`);
    const outcome = Promise.withResolvers<Extract<FromSupervisor, { type: 'started' }>>();
    // Also where nobody waits for it, as the message could not be posted.
    outcome.promise.catch(() => {});
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
      else if (heard.type === 'printed') print(heard);
      else if (heard.type === 'started') outcome.resolve(heard);
      else if (heard.type === 'failed') outcome.reject(new ThreadError(heard.error.code, heard.error.message));
    });
    const watching = new AbortController();
    const end = (): Promise<void> => {
      watching.abort();
      broker.terminate();
      return supervisor.terminate();
    };
    const abort = (): void => outcome.reject(aborted(signal));
    signal?.addEventListener('abort', abort);
    try {
      postStart(supervisor, message);
      const { module, memory, limits, control, hosted } = await outcome.promise;
      if (message.lifeLine !== undefined) watchLifeLine(message.lifeLine, watching.signal, () => gone.resolve('it ended by itself'));
      supervisor.setKeepAlive(false);
      const owner: Owner = {
        supervisor,
        hear: (listener) => listeners.add(listener),
        limits: limits ?? given,
        compiled: hosted?.compiled,
        gone: gone.promise,
        end,
      };
      return new WasmRuntime({ kind: 'heddle-wasm-runtime', module, memory, control, records: hosted?.records }, owner);
    } catch (error) {
      supervisor.post({ type: 'close', graceMs: 0 } satisfies ToSupervisor);
      supervisor.setKeepAlive(false);
      throw error;
    } finally {
      signal?.removeEventListener('abort', abort);
    }
  }

  /** Opens a runtime that another agent started, to spawn and to join from here. @throws ThreadError `BAD_ARGUMENT` for what is no handle of one */
  static from(handle: WasmRuntimeHandle): WasmRuntime {
    const { kind } = (handle ?? {}) as Partial<WasmRuntimeHandle>;
    if (kind !== 'heddle-wasm-runtime')
      throw new ThreadError('BAD_ARGUMENT', 'this is no handle of a runtime: post what its handle() gives');
    return new WasmRuntime(handle);
  }

  /** This runtime as it can be posted to a worker. */
  handle(): WasmRuntimeHandle {
    return {
      kind: 'heddle-wasm-runtime',
      module: this.module,
      memory: this.memory,
      control: this.#control.address,
      records: this.#records,
    };
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
    if (this.#records && options.stackSize !== undefined && !this.#givesStacks) {
      throw new ThreadError(
        'BAD_ARGUMENT',
        'threads of this module get no stacks from outside: the program gives them their own, or they have none',
      );
    }
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

function postStart(supervisor: WorkerHandle, message: StartMessage): void {
  try {
    supervisor.post(message);
  } catch (cause) {
    throw new ThreadError('BAD_ARGUMENT', "importsData can't be passed to workers: only what structured clone copies", { cause });
  }
}

function aborted(signal: AbortSignal | undefined): ThreadError {
  return new ThreadError('ABORTED', 'the start was aborted', { cause: signal?.reason });
}
