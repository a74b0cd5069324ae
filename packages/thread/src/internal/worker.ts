/**
 * A worker of a Wasm module's pool: instantiates the module over the shared memory, then waits inside Wasm for threads to run.
 *
 * Between two threads it only comes out of Wasm for calls that TypeScript spawned, for threads that are polled, and to end. So it
 * reads no messages after the first, and everything else is words in shared memory.
 *
 * A thread that is polled has the event loop between two polls. Stack and thread-local storage stay the thread's then: what promises
 * and timers call is part of it. What such a callback throws is printed, as pages have it; a trap there ends the thread.
 */
import { provideWaitAsync } from '@heddle/atomics/internal';
import { instantiate, MemoryError, type WasmBindgenGlue } from '@heddle/memory';
import { endWorker, eventLoopTurn, holdLifeLine, onUncaught, outputFlushed, ownPort } from '#platform';
import { type PostedError, ThreadError, toPosted } from '../ThreadError.ts';
import { argumentsOf, endCall, type Ending } from './callRecord.ts';
import { Control } from './Control.ts';
import { HostedWorker, type WasmImports } from './HostedWorker.ts';
import { importModule } from './importModule.js';
import {
  CALL_EXPORT_INDEX_OFFSET,
  LOOP_ASLEEP,
  OUTCOME_OUT_OF_MEMORY,
  OUTCOME_OVERFLOWED,
  OUTCOME_PANICKED,
  OUTCOME_PENDING,
  OUTCOME_RETURNED,
  OUTCOME_THREW,
  OUTCOME_TRAPPED,
  TASK_MESSAGE_OFFSET,
  TASK_MESSAGE_SIZE_OFFSET,
  TASK_OUTCOME_OFFSET,
  TASK_SIZE,
  WORKER_FRAME_STACK_OFFSET,
  WORKER_FRAME_TLS_OFFSET,
  WORKER_HOME_STACK_OFFSET,
  WORKER_HOME_TLS_OFFSET,
  WORKER_PANIC_OFFSET,
  WORKER_PANIC_SIZE_OFFSET,
  WORKER_SIZE,
  WORKER_TERMINATED_OFFSET,
  WORKER_TASK_OFFSET,
  WORKER_WOKEN_OFFSET,
  WORK_ON_EVENT_LOOP,
} from './layout.ts';
import type { FromWorker, HostedModule, WorkMessage } from './protocol.ts';
import { SharedRecords } from './SharedRecords.ts';
import { describe, isTrap } from './traps.ts';
import { waitWhile } from './wait.ts';

/** Bytes of stack for the worker's own loop; threads have their own. */
const HOME_STACK_SIZE = 65_536;

/** The exports of heddle-thread, raw: wasm-bindgen's wrappers would refuse every call after one trap in any worker. */
interface ThreadExports {
  __heddle_registry(): number;
  heddle_thread_start(threadsMax: number, callCount: number, stackSize: number, parallelism: number, isTraced: number): number;
  heddle_thread_enter(slot: number, originMs: number): number;
  heddle_thread_work(): number;
  heddle_thread_call_begin(call: number): number;
  heddle_thread_call_enter(call: number): void;
  heddle_thread_call_leave(): number;
  heddle_thread_call_end(): void;
  heddle_thread_loop_begin(): void;
  heddle_thread_loop_poll(): number;
  heddle_thread_loop_leave(): void;
  heddle_thread_loop_end(): void;
  heddle_thread_overflowed(): number;
  heddle_thread_trapped(): void;
  heddle_set_frame(stack: number, tls: number): void;
}

type WasmFunction = (...args: (number | bigint)[]) => number | bigint | undefined;

// For the tasks of a module that has heddle-atomics.
provideWaitAsync();

const port = ownPort();
if (!port) throw new Error('a worker of the pool is a worker');
const post = (message: FromWorker): void => port.post(message);

/** A trap has happened: this worker runs no further thread. The message is the trap's. */
class Trapped extends Error {}

class PoolWorker {
  readonly #exports: ThreadExports;
  readonly #functions: readonly (WasmFunction | undefined)[];
  readonly #records: SharedRecords;
  readonly #control: Control;
  readonly #record: number;
  /** Where the thread is polled that runs now. */
  #isOnEventLoop = false;
  #isListening = false;

  constructor(message: WorkMessage, exports: WebAssembly.Exports) {
    this.#exports = exports as unknown as ThreadExports;
    this.#functions = WebAssembly.Module.exports(message.module).map(({ name, kind }) =>
      kind === 'function' ? (exports[name] as WasmFunction) : undefined,
    );
    this.#records = new SharedRecords(message.memory);
    const { threadsMax, callCount, stackSize, parallelism, isTraced } = message;
    const address = this.#exports.heddle_thread_start(threadsMax, callCount, stackSize, parallelism, Number(isTraced));
    this.#control = new Control(this.#records, address >>> 0);
    this.#record = this.#exports.heddle_thread_enter(message.slot, performance.timeOrigin) >>> 0;
    this.#keepTerminationApart(exports);
  }

  /**
   * wasm-bindgen's JavaScript notes a trap in a word of the memory, and calls nothing any more where it finds the note: callbacks of other
   * threads got lost in the moment until heddle-thread took it back. It asks this export where the word is.
   */
  #keepTerminationApart(exports: WebAssembly.Exports): void {
    const word = this.#record + WORKER_TERMINATED_OFFSET;
    this.#records.store(word, 0);
    const { __instance_terminated: address } = exports;
    if (address instanceof WebAssembly.Global) Object.defineProperty(address, 'value', { value: word });
  }

  get control(): number {
    return this.#control.address;
  }

  get registry(): number {
    // oxlint-disable-next-line no-underscore-dangle -- the name of heddle-atomics' export
    return this.#exports.__heddle_registry() >>> 0;
  }

  /** Whether a thread may have left something on this worker's event loop. */
  get hasRunEventLoop(): boolean {
    return this.#isListening;
  }

  /** Runs threads until the runtime closes or one traps; which of the two. */
  async work(): Promise<FromWorker> {
    try {
      for (;;) {
        const work = this.#exports.heddle_thread_work() >>> 0;
        if (work === 0) return { type: 'ended' };
        // oxlint-disable-next-line no-await-in-loop -- one thread after the other
        if (work === WORK_ON_EVENT_LOOP) await this.#runEventLoop();
        else this.#runCall(work);
      }
    } catch (error) {
      return this.#endByTrap(error);
    }
  }

  /** Anything that comes out of the loop itself is a trap of a thread that Rust code spawned: its panics stay inside. */
  #endByTrap(error: unknown): FromWorker {
    if (!(error instanceof Trapped)) this.#endTask(describe(error));
    return { type: 'trapped', message: describe(error) };
  }

  /** Runs a thread that is polled, until its future has ended. */
  async #runEventLoop(): Promise<void> {
    const exports = this.#exports;
    this.#listen();
    this.#isOnEventLoop = true;
    this.#goToThread();
    exports.heddle_thread_loop_begin();
    const woken = this.#record + WORKER_WOKEN_OFFSET;
    /* oxlint-disable no-await-in-loop -- one poll after the other */
    for (;;) {
      // What an exception that JavaScript caught left behind on the stack is over.
      this.#goToThread();
      if (exports.heddle_thread_loop_poll() !== 0) break;
      // A future that wakes itself lets timers and messages have their turn.
      if (this.#records.load(woken) !== LOOP_ASLEEP) await eventLoopTurn();
      else await waitWhile(this.#records.words(woken), woken >>> 2, LOOP_ASLEEP);
      await this.#unlessTrapped();
    }
    /* oxlint-enable no-await-in-loop */
    // What promises have called for already is still the thread's.
    await eventLoopTurn();
    await this.#unlessTrapped();
    this.#goToThread();
    exports.heddle_thread_loop_leave();
    this.#goHome();
    exports.heddle_thread_loop_end();
    this.#isOnEventLoop = false;
  }

  /** Never comes back where the thread has trapped meanwhile: its worker is ending, and what was awaited may be there before that. */
  #unlessTrapped(): Promise<void> | undefined {
    return this.#isOnEventLoop ? undefined : new Promise(() => {});
  }

  /** Has what the event loop calls end the thread where it traps. */
  #listen(): void {
    if (this.#isListening) return;
    this.#isListening = true;
    onUncaught((error) => {
      if (!this.#isOnEventLoop || !isTrap(error)) return false;
      this.#isOnEventLoop = false;
      post(this.#endByTrap(error));
      endWorker();
      return true;
    });
  }

  #runCall(call: number): void {
    if (this.#exports.heddle_thread_call_begin(call) === 0) {
      this.#endCall(call, { outcome: OUTCOME_OUT_OF_MEMORY });
      return;
    }
    let ending: Ending;
    try {
      this.#goToThread();
      this.#exports.heddle_thread_call_enter(call);
      ending = this.#callExport(call);
      if (this.#exports.heddle_thread_call_leave() !== 0) ending = { outcome: OUTCOME_OVERFLOWED };
    } catch (error) {
      const outcome = this.#outcomeOfTrap();
      this.#control.noteTrap();
      this.#control.dismiss();
      this.#endCall(call, { outcome, message: this.#withPanic(describe(error)) });
      this.#afterTrap();
      throw new Trapped(describe(error));
    }
    this.#goHome();
    this.#exports.heddle_thread_call_end();
    this.#endCall(call, ending);
  }

  /** Calls the export that a call names; a panic is an ending, a trap is thrown on. */
  #callExport(call: number): Ending {
    const records = this.#records;
    const run = this.#functions[records.load(call + CALL_EXPORT_INDEX_OFFSET)];
    if (!run) return { outcome: OUTCOME_THREW, message: 'the module has no such exported function' };
    const args = argumentsOf(records, call);
    try {
      return { outcome: OUTCOME_RETURNED, value: run(...args) };
    } catch (error) {
      if (isTrap(error)) throw error;
      // The exception left the frames of the call behind: stack and thread-local storage are where they were begun.
      this.#goToThread();
      if (error instanceof WebAssembly.Exception) return { outcome: OUTCOME_PANICKED, message: this.#panicMessage() };
      return { outcome: OUTCOME_THREW, message: this.#panicMessage() || describe(error) };
    }
  }

  #goTo(stackOffset: number, tlsOffset: number): void {
    this.#exports.heddle_set_frame(this.#records.load(this.#record + stackOffset), this.#records.load(this.#record + tlsOffset));
  }

  #goToThread(): void {
    this.#goTo(WORKER_FRAME_STACK_OFFSET, WORKER_FRAME_TLS_OFFSET);
  }

  #goHome(): void {
    this.#goTo(WORKER_HOME_STACK_OFFSET, WORKER_HOME_TLS_OFFSET);
  }

  #panicMessage(): string {
    const size = this.#records.load(this.#record + WORKER_PANIC_SIZE_OFFSET);
    return this.#records.text(this.#record + WORKER_PANIC_OFFSET, size, WORKER_SIZE - WORKER_PANIC_OFFSET);
  }

  /** A trap's message, with that of the panic before it: a panic that can't unwind ends as a trap. */
  #withPanic(message: string): string {
    const panic = this.#panicMessage();
    return panic ? `${message}, after the panic: ${panic}` : message;
  }

  #endCall(call: number, ending: Ending): void {
    this.#records.store(this.#record + WORKER_TASK_OFFSET, 0);
    endCall(this.#records, call, ending);
  }

  /** Ends a thread that Rust code spawned and that trapped. */
  #endTask(message: string): void {
    this.#control.noteTrap();
    const records = this.#records;
    const task = records.load(this.#record + WORKER_TASK_OFFSET);
    if (task !== 0 && records.load(task + TASK_OUTCOME_OFFSET) === OUTCOME_PENDING) {
      const text = this.#withPanic(message);
      const outcome = this.#outcomeOfTrap();
      const size = records.writeText(task + TASK_MESSAGE_OFFSET, text, TASK_SIZE - TASK_MESSAGE_OFFSET);
      records.store(task + TASK_MESSAGE_SIZE_OFFSET, size);
      this.#control.dismiss();
      // Publishes the message to `Packet::take`.
      records.store(task + TASK_OUTCOME_OFFSET, outcome);
      records.notify(task + TASK_OUTCOME_OFFSET);
    }
    this.#afterTrap();
  }

  /** A thread that ran beyond its stack often traps on what it overwrote. */
  #outcomeOfTrap(): number {
    this.#goHome();
    return this.#exports.heddle_thread_overflowed() === 0 ? OUTCOME_TRAPPED : OUTCOME_OVERFLOWED;
  }

  #afterTrap(): void {
    try {
      this.#exports.heddle_thread_trapped();
    } catch (error) {
      // What the trap left behind can't be cleaned up from inside. Those who wait have been told already.
      console.error('heddle: a worker could not be cleaned up after a trap:', error);
    }
  }
}

async function begin(message: WorkMessage): Promise<void> {
  // Before the first thread, which may be killed with its worker.
  if (message.lifeLine !== undefined) await holdLifeLine(message.lifeLine);
  if (message.hosted) {
    await beginHosted(message, message.hosted);
    return;
  }
  const glue = message.glue === undefined ? undefined : ((await importModule(message.glue)) as WasmBindgenGlue);
  const { exports } = instantiate({ module: message.module, memory: message.memory, glue, stackSize: HOME_STACK_SIZE });
  const worker = new PoolWorker(message, exports);
  post({ type: 'ready', control: worker.control, registry: worker.registry });
  post(await worker.work());
  if (!worker.hasRunEventLoop) port?.close();
  else {
    // A timer that a thread has left would keep the worker.
    await outputFlushed();
    endWorker();
  }
}

/** As `begin`, for a module without heddle-thread. */
async function beginHosted(message: WorkMessage, hosted: HostedModule): Promise<void> {
  const imported = hosted.imports === undefined ? undefined : ((await importModule(hosted.imports)) as { imports?: unknown });
  const makeImports = imported?.imports;
  if (imported && typeof makeImports !== 'function') {
    throw new ThreadError('MODULE_UNFIT', `${hosted.imports} exports no function 'imports', which makes those of an instance`);
  }
  const worker = new HostedWorker({ message, hosted, post, makeImports: makeImports as WasmImports | undefined });
  post({ type: 'ready', control: hosted.control, registry: 0 });
  post(worker.work());
  port?.close();
}

/** Whether the module asks for what it doesn't get, or lacks what a thread needs. */
function isUnfit(error: unknown): boolean {
  return error instanceof MemoryError && (error.code === 'IMPORT_MISSING' || error.code === 'MODULE_NOT_THREADED');
}

function startFailure(error: unknown): PostedError {
  if (!(error instanceof WebAssembly.RuntimeError)) return toPosted(error, isUnfit(error) ? 'MODULE_UNFIT' : 'START_FAILED');
  // Here the module has done no more than allocate what so many threads need.
  const message = `the module trapped before its first thread: ${error.message}; its memory may be too small for so many threads`;
  return { code: 'START_FAILED', message };
}

port.onMessage((message) => {
  begin(message as WorkMessage).catch((error: unknown) => {
    post({ type: 'failed', error: startFailure(error) });
    port?.close();
  });
});
