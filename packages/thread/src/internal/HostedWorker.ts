/**
 * A worker for threads of a module without heddle-thread – what LLVM's linker wrote of C, C++, Zig or Rust, and programs of wasi-threads:
 * waits in TypeScript for calls, and gives each a stack and thread-local storage of its own, or an instance where the module does that.
 *
 * # Invariants
 * 1. What a thread needs of memory is taken before its export is called, and given back after it has ended – never after a trap, when others
 *    may hold pointers into its stack.
 * 2. A thread leaves `live` before its outcome changes: who has joined it may spawn the next.
 * 3. The module's function that initialises what its instances share runs once, before any other export.
 */
import { instantiate, MemoryError, renew, ThreadBlocks, type ThreadInstance } from '@heddle/memory';
import { linesTo, nodeFiles, Wasi, WasiExit, type WasiStreams } from '@heddle/memory/wasi';
import { ThreadError } from '../ThreadError.ts';
import type { WasmThreadOptions } from '../WasmRuntime.ts';
import { argumentsOf, endCall, type Ending } from './callRecord.ts';
import { queueCall, type WasmValue } from './Calls.ts';
import { Control, NAME_SIZE_MAX } from './Control.ts';
import { takeCall } from './hostRecords.ts';
import {
  BEGUN_DONE,
  BEGUN_FAILED,
  BEGUN_NOT,
  BEGUN_RUNNING,
  CALL_EXPORT_INDEX_OFFSET,
  CALL_NAME_OFFSET,
  CALL_NAME_SIZE_OFFSET,
  CALL_STACK_SIZE_OFFSET,
  CALL_THREAD_ID_OFFSET,
  CONTROL_BEGUN_OFFSET,
  OUTCOME_OUT_OF_MEMORY,
  OUTCOME_OVERFLOWED,
  OUTCOME_PANICKED,
  OUTCOME_RETURNED,
  OUTCOME_THREW,
  OUTCOME_TRAPPED,
  TRACE_ENDED,
  TRACE_STARTED,
  TRACE_TRAPPED,
  WORKER_ENDED,
  WORKER_IDLE,
  WORKER_NAME_OFFSET,
  WORKER_NAME_SIZE_OFFSET,
  WORKER_RUNNING,
  WORKER_STATE_OFFSET,
  WORKER_TASK_OFFSET,
  WORKER_THREADS_RUN_OFFSET,
  WORKER_THREAD_ID_OFFSET,
  WORKER_TRAPPED,
} from './layout.ts';
import type { FromWorker, HostedModule, StreamName, WorkMessage } from './protocol.ts';
import { SharedRecords } from './SharedRecords.ts';
import { describe, isTrap } from './traps.ts';

/** What a module without heddle-thread gets its imports from, in each of its instances. */
export interface WasmHost {
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
  /** What the runtime was started with as `importsData`. */
  readonly data: unknown;
  /** The id of the thread that runs in this instance; 0 between two threads. */
  readonly threadId: number;
  /**
   * Calls an export on a thread of its own, which nobody joins: the program itself tells its other threads of the end. Its id.
   *
   * @throws ThreadError `UNKNOWN_EXPORT`, `BAD_ARGUMENT`, `POOL_EXHAUSTED`, `CLOSED`
   */
  readonly spawn: (exportName: string, ...args: WasmValue[]) => number;
  /** As `spawn`, with a name or another stack size. */
  readonly spawnWith: (options: WasmThreadOptions, exportName: string, ...args: WasmValue[]) => number;
}

/** Makes the imports of an instance, but for its memory: what the module at `WasmRuntimeOptions.imports` exports as `imports`. */
export type WasmImports = (host: WasmHost) => WebAssembly.Imports;

/** The functions at which programs of WASI begin. */
const WASI_START = '_start';
const WASI_THREAD_START = 'wasi_thread_start';
/** The function of a library that is called once before all others. */
const INITIALIZE = '_initialize';

export interface HostedWorkerOptions {
  readonly message: WorkMessage;
  readonly hosted: HostedModule;
  readonly post: (message: FromWorker) => void;
  readonly makeImports: WasmImports | undefined;
}

type WasmFunction = (...args: WasmValue[]) => WasmValue | undefined;

export class HostedWorker {
  readonly #options: HostedWorkerOptions;
  readonly #exportNames: readonly string[];
  readonly #records: SharedRecords;
  readonly #control: Control;
  readonly #record: number;
  readonly #slot: number;
  readonly #blocks: ThreadBlocks | undefined;
  #wasi: Wasi | undefined;
  /** An instance for the next thread; of a bare module the one for all. */
  #instance: ThreadInstance | undefined;
  #isFresh = true;

  /** @throws MemoryError where the module can't be instantiated, and what its `_initialize` throws. */
  constructor(options: HostedWorkerOptions) {
    const { message, hosted } = options;
    this.#options = options;
    this.#exportNames = WebAssembly.Module.exports(message.module).map(({ name }) => name);
    this.#records = new SharedRecords(hosted.records);
    this.#control = new Control(this.#records, hosted.control);
    this.#slot = message.slot;
    this.#record = this.#control.worker(message.slot);
    this.#blocks = hosted.blocks && ThreadBlocks.from(hosted.blocks);
    this.#records.store(this.#record + WORKER_THREADS_RUN_OFFSET, 0);
    this.#records.store(this.#record + WORKER_TASK_OFFSET, 0);
    this.#instance = this.#instantiate();
    this.#initialize(this.#instance.exports);
  }

  #instantiate(): ThreadInstance {
    const { message, hosted, makeImports } = this.#options;
    const { module, memory } = message;
    const { abi } = hosted;
    this.#wasi = hosted.wasi && this.#wasiOf(hosted.wasi);
    const made = makeImports?.(this.#host());
    return instantiate({ module, memory, abi, blocks: this.#blocks, imports: { ...this.#wasi?.imports, ...made } });
  }

  #host(): WasmHost {
    const { message, hosted } = this.#options;
    // oxlint-disable-next-line unicorn/no-this-assignment, typescript/no-this-alias -- a getter of another object
    const worker = this;
    return {
      module: message.module,
      memory: message.memory,
      data: hosted.importsData,
      get threadId() {
        return worker.#threadId;
      },
      spawn: (exportName, ...args) => this.#spawn(exportName, args),
      spawnWith: (options, exportName, ...args) => this.#spawn(exportName, args, options),
    };
  }

  #wasiOf({ args, env, folders, descriptors, isHeard }: NonNullable<HostedModule['wasi']>): Wasi {
    const { post, message } = this.#options;
    const heard = (stream: StreamName): Partial<WasiStreams> =>
      isHeard[stream] ? { [stream]: linesTo((line) => post({ type: 'printed', stream, line })) } : {};
    return new Wasi({
      memory: message.memory,
      args,
      env,
      files: folders && nodeFiles(folders),
      descriptors,
      streams: { ...heard('stdout'), ...heard('stderr') },
      spawn: (argument) => this.#spawn(WASI_THREAD_START, [argument]),
    });
  }

  get #threadId(): number {
    return this.#records.load(this.#record + WORKER_THREAD_ID_OFFSET);
  }

  #spawn(exportName: string, args: readonly WasmValue[], { name = exportName, stackSize }: WasmThreadOptions = {}): number {
    const exportIndex = this.#exportNames.indexOf(exportName);
    if (exportIndex === -1) throw new ThreadError('UNKNOWN_EXPORT', `the module exports no function '${exportName}'`);
    if (stackSize !== undefined && !this.#blocks)
      throw new ThreadError('BAD_ARGUMENT', 'threads of this module get no stacks from outside');
    const call = { exportIndex, args, name, stackSize: stackSize ?? 0, spawnerId: this.#threadId, isDetached: true };
    return queueCall(this.#control, call).threadId;
  }

  /** Calls the module's `_initialize`, if it has one and no other worker has, or waits for that one (invariant 3). */
  #initialize({ [INITIALIZE]: initialize }: WebAssembly.Exports): void {
    if (typeof initialize !== 'function') return;
    const word = this.#control.address + CONTROL_BEGUN_OFFSET;
    const records = this.#records;
    if (records.exchange(word, BEGUN_NOT, BEGUN_RUNNING)) {
      try {
        (initialize as () => void)();
        records.store(word, BEGUN_DONE);
      } catch (error) {
        records.store(word, BEGUN_FAILED);
        throw error;
      } finally {
        records.notify(word);
      }
    }
    while (records.load(word) === BEGUN_RUNNING) records.wait(word, BEGUN_RUNNING);
    if (records.load(word) === BEGUN_FAILED) throw new ThreadError('START_FAILED', `the module's ${INITIALIZE} failed in another worker`);
  }

  /** Runs threads until the runtime closes, one traps, or one ends the program. */
  work(): FromWorker {
    for (;;) {
      const call = takeCall(this.#control, () => this.#setIdle());
      if (call === 0) break;
      const last = this.#run(call);
      if (last) return last;
    }
    if (this.#isFresh && !this.#isDamaged) this.#instance?.block?.free();
    this.#records.store(this.#record + WORKER_STATE_OFFSET, WORKER_ENDED);
    return { type: 'ended' };
  }

  #setIdle(): void {
    this.#records.store(this.#record + WORKER_THREAD_ID_OFFSET, 0);
    this.#records.store(this.#record + WORKER_STATE_OFFSET, WORKER_IDLE);
  }

  /** Runs a thread; what the worker ends with, if it does. */
  #run(call: number): FromWorker | undefined {
    this.#announce(call);
    let ending: Ending;
    try {
      const instance = this.#instanceForThread(this.#records.load(call + CALL_STACK_SIZE_OFFSET) >>> 0);
      const value = this.#enter(call, instance.exports);
      ending = { outcome: OUTCOME_RETURNED, value };
    } catch (error) {
      if (error instanceof WasiExit) return { type: 'exited', exitCode: error.exitCode };
      if (isTrap(error)) return this.#endByTrap(call, error);
      ending = endingOf(error);
    }
    if (!this.#giveBack()) ending = { outcome: OUTCOME_OVERFLOWED };
    this.#end(call, ending, TRACE_ENDED);
    return undefined;
  }

  /** Notes which thread runs, for who lists them, and for the supervisor, should the worker die. */
  #announce(call: number): void {
    const records = this.#records;
    const record = this.#record;
    const threadId = records.load(call + CALL_THREAD_ID_OFFSET);
    const name = records.text(call + CALL_NAME_OFFSET, records.load(call + CALL_NAME_SIZE_OFFSET), NAME_SIZE_MAX);
    records.store(record + WORKER_NAME_SIZE_OFFSET, records.writeText(record + WORKER_NAME_OFFSET, name, NAME_SIZE_MAX));
    records.store(record + WORKER_THREAD_ID_OFFSET, threadId);
    records.add(record + WORKER_THREADS_RUN_OFFSET, 1);
    records.store(record + WORKER_TASK_OFFSET, call);
    records.store(record + WORKER_STATE_OFFSET, WORKER_RUNNING);
    this.#control.noteThread(this.#slot, TRACE_STARTED);
  }

  /** Whether a thread that ran beyond its stack has damaged the block of this instance, too: then it is left alone, and nobody else is blamed. */
  get #isDamaged(): boolean {
    return this.#instance?.block?.isWhole === false;
  }

  /** An instance that no thread has used, or one whose block is the next thread's; with so much stack, or as much as all have where that is 0. */
  #instanceForThread(stackSize: number): ThreadInstance {
    const fresh = this.#isFresh && !this.#isDamaged ? this.#instance : undefined;
    this.#isFresh = false;
    if (fresh && (stackSize === 0 || !this.#blocks)) return fresh;
    // It has the block of a thread that asks for nothing.
    fresh?.block?.free();
    const instance = this.#instance && this.#blocks ? renew(this.#instance, this.#blocks, stackSize) : this.#instantiate();
    this.#instance = instance;
    return instance;
  }

  /** Calls the export that a call names; what it returned. */
  #enter(call: number, exports: WebAssembly.Exports): WasmValue | undefined {
    const name = this.#exportNames[this.#records.load(call + CALL_EXPORT_INDEX_OFFSET)] ?? '';
    const args = argumentsOf(this.#records, call);
    if (this.#wasi && name === WASI_START) return this.#wasi.start(exports);
    if (this.#wasi && name === WASI_THREAD_START) {
      this.#wasi.startThread(exports, this.#threadId, Number(args[0]));
      return undefined;
    }
    return (exports[name] as WasmFunction)(...args);
  }

  /** Gives the thread's block back; whether it is whole. */
  #giveBack(): boolean {
    try {
      this.#instance?.block?.free();
      return true;
    } catch {
      return false;
    }
  }

  #endByTrap(call: number, error: unknown): FromWorker {
    const isWhole = this.#instance?.block?.isWhole ?? true;
    this.#control.noteTrap();
    this.#records.store(this.#record + WORKER_STATE_OFFSET, WORKER_TRAPPED);
    this.#end(call, { outcome: isWhole ? OUTCOME_TRAPPED : OUTCOME_OVERFLOWED, message: describe(error) }, TRACE_TRAPPED);
    return { type: 'trapped', message: describe(error) };
  }

  #end(call: number, ending: Ending, kind: number): void {
    this.#control.noteThread(this.#slot, kind);
    this.#records.store(this.#record + WORKER_TASK_OFFSET, 0);
    this.#control.dismiss();
    endCall(this.#records, call, ending);
  }
}

/** What a thread ends with that has thrown, but not trapped. */
function endingOf(error: unknown): Ending {
  if (error instanceof MemoryError && error.code === 'OUT_OF_MEMORY') return { outcome: OUTCOME_OUT_OF_MEMORY };
  // C++'s exceptions, and the panics of Rust that was compiled to unwind: the host sees that there was one.
  if (error instanceof WebAssembly.Exception) return { outcome: OUTCOME_PANICKED };
  return { outcome: OUTCOME_THREW, message: describe(error) };
}
