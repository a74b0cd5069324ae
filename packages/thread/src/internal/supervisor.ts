/**
 * The supervisor: a worker that runs no user code. It compiles the module, creates the memory, and creates workers whenever
 * there are fewer than threads; that takes its event loop, so it never blocks. Because of it, spawning needs neither the main
 * thread nor the event loop of whoever spawns.
 */
import { ThreadRegistry } from '@heddle/atomics';
import {
  type CompiledModule,
  compileForThreads,
  createMemoryFor,
  inspect,
  MemoryError,
  type MemoryLimits,
  readModule,
  ThreadBlocks,
} from '@heddle/memory';
import { nodeFiles, Wasi } from '@heddle/memory/wasi';
import { holdLifeLine, lifeLine, ownPort, watchLifeLine } from '#platform';
import { startWorker } from '#worker-host';
import { ThreadError, toPosted } from '../ThreadError.ts';
import { endCall } from './callRecord.ts';
import { Control } from './Control.ts';
import { createHostRecords, type HostRecordsOptions } from './hostRecords.ts';
import { RemoteWorkers } from './delegation.ts';
import {
  CALL_EXPORT_INDEX_OFFSET,
  CALL_IS_DETACHED_OFFSET,
  CALL_QUEUED,
  CALL_RUNNING,
  CALL_STATE_OFFSET,
  OUTCOME_PENDING,
  OUTCOME_RETURNED,
  OUTCOME_TERMINATED,
  TRACE_TERMINATED,
  WORKER_REGISTRY_GENERATION_OFFSET,
  WORKER_REGISTRY_SLOT_OFFSET,
  WORKER_TASK_OFFSET,
} from './layout.ts';
import type { WorkerHandle } from './platform/types.ts';
import type {
  CloseMessage,
  FromSupervisor,
  FromWorker,
  HostedModule,
  PostedWasi,
  StartMessage,
  ToSupervisor,
  WorkMessage,
} from './protocol.ts';
import { SharedRecords } from './SharedRecords.ts';
import { within } from './within.ts';

/** Results that nobody has read yet can pile up to so many beyond the threads that may live. */
const UNREAD_CALLS_MAX = 192;

/** How soon the start of a worker is tried again, doubled with each failure. */
const RETRY_MS = 100;
const RETRY_DOUBLINGS_MAX = 6;

/** How long the last message of a worker may take that has gone, in milliseconds. */
const LAST_WORDS_MS = 50;

const port = ownPort();
if (!port) throw new Error('the supervisor is a worker');
const post = (message: FromSupervisor): void => port.post(message);

const remoteWorkers = new RemoteWorkers((request) => post({ type: 'request', request }));

/** A worker that has not ended. */
interface PoolWorker {
  readonly slot: number;
  readonly handle: WorkerHandle;
  state: 'starting' | 'working' | 'ended';
  /** What a browser tells the worker's end by. */
  readonly lifeLine: string | undefined;
  /** Ends the watch over that. */
  readonly watching: AbortController;
}

/** What a pool's workers have in common. */
type Work = Omit<WorkMessage, 'slot' | 'lifeLine'>;

class Pool {
  readonly #work: Work;
  readonly #threadsMin: number;
  readonly #name: string;
  readonly #create: (name: string) => WorkerHandle;
  readonly #workers = new Map<number, PoolWorker>();
  #control: Control | undefined;
  #registry: ThreadRegistry | undefined;
  #isClosing = false;
  /** Workers that failed to start, one after the other. */
  #failures = 0;
  #onEmpty: (() => void) | undefined;
  readonly #started: PromiseWithResolvers<Control> = Promise.withResolvers();

  constructor(work: Work, { threads, name, isDelegating }: StartMessage) {
    this.#work = work;
    this.#threadsMin = threads;
    this.#name = name;
    this.#create = isDelegating ? (workerName) => remoteWorkers.create(workerName) : startWorker;
  }

  /** Starts the first workers; resolves once they all wait for threads. */
  start(): Promise<Control> {
    for (let slot = 0; slot < this.#threadsMin; slot += 1) this.#startWorker(slot);
    return this.#started.promise;
  }

  #startWorker(slot: number): void {
    const handle = this.#create(`${this.#name} ${slot}`);
    const worker: PoolWorker = { slot, handle, state: 'starting', lifeLine: lifeLine(), watching: new AbortController() };
    this.#workers.set(slot, worker);
    worker.handle.onMessage((message) => this.#hear(worker, message as FromWorker));
    worker.handle.onError((message) => this.#lose(worker, message));
    worker.handle.onExit(() => this.#lose(worker, 'it ended by itself'));
    worker.handle.post({ ...this.#work, slot, lifeLine: worker.lifeLine } satisfies WorkMessage);
  }

  #hear(worker: PoolWorker, message: FromWorker): void {
    if (message.type === 'ready') {
      worker.state = 'working';
      this.#watch(worker);
      if (message.registry !== 0) this.#registry ??= ThreadRegistry.at({ memory: this.#work.memory, byteOffset: message.registry });
      this.#control ??= new Control(new SharedRecords(this.#work.hosted?.records ?? this.#work.memory), message.control);
      if ([...this.#workers.values()].every(({ state }) => state !== 'starting')) this.#allReady(this.#control);
      this.#failures = 0;
    } else if (message.type === 'failed') {
      worker.state = 'ended';
      this.#remove(worker);
      this.#fail(new ThreadError(message.error.code, message.error.message));
    } else if (message.type === 'printed') {
      post(message);
    } else if (message.type === 'exited') {
      worker.state = 'ended';
      this.#remove(worker);
      void this.#exit(message.exitCode);
    } else {
      if (message.type === 'trapped') this.#reportCrash(new ThreadError('THREAD_TRAPPED', `a thread trapped: ${message.message}`));
      worker.state = 'ended';
      this.#reap(worker);
      this.#remove(worker);
      this.#grow();
    }
  }

  /** Hears of the worker's end where only its life line tells. What it has said itself by then comes first. */
  #watch(worker: PoolWorker): void {
    if (worker.lifeLine === undefined) return;
    watchLifeLine(worker.lifeLine, worker.watching.signal, () => {
      setTimeout(() => this.#lose(worker, 'it ended by itself'), LAST_WORDS_MS);
    });
  }

  #allReady(control: Control): void {
    control.setWorkers(this.#workers.size);
    this.#started.resolve(control);
    this.#grow();
  }

  /** A worker is gone that said nothing: crashed, terminated, or never loaded. */
  #lose(worker: PoolWorker, reason: string): void {
    if (worker.state === 'ended') return;
    const wasStarting = worker.state === 'starting';
    this.#reap(worker);
    this.#endThreadOf(worker);
    this.#remove(worker);
    if (wasStarting) {
      this.#fail(new ThreadError('START_FAILED', `worker ${worker.slot} did not start: ${reason}`));
      return;
    }
    this.#reportCrash(new ThreadError('THREAD_TERMINATED', `worker ${worker.slot} is gone: ${reason}`));
    this.#grow();
  }

  /** Tells the agent that started the runtime: nobody may be joining that thread. */
  #reportCrash(error: ThreadError): void {
    if (!this.#isClosing) post({ type: 'crashed', error: toPosted(error, error.code) });
  }

  /** Poisons and frees the locks that a dead worker's thread held. Nothing happens where the worker did so itself. */
  #reap(worker: PoolWorker): void {
    const control = this.#control;
    if (!control || !this.#registry) return;
    const record = control.worker(worker.slot);
    const slot = control.records.load(record + WORKER_REGISTRY_SLOT_OFFSET);
    const generation = control.records.load(record + WORKER_REGISTRY_GENERATION_OFFSET);
    if (slot !== 0) this.#registry.reap({ slot, generation });
  }

  /** Ends the thread that a dead worker ran: its record's first word is the outcome. */
  #endThreadOf(worker: PoolWorker): void {
    worker.state = 'ended';
    const control = this.#control;
    if (!control) return;
    const running = control.records.load(control.worker(worker.slot) + WORKER_TASK_OFFSET);
    if (running === 0) return;
    if (this.#terminateThread(control, running)) control.noteThread(worker.slot, TRACE_TERMINATED);
  }

  /** Tells a thread's end to who joins it; `false` if it had ended. */
  #terminateThread(control: Control, task: number): boolean {
    const { records } = control;
    if (!records.exchange(task, OUTCOME_PENDING, OUTCOME_TERMINATED)) return false;
    control.dismiss();
    records.notify(task);
    // Tasks, which only modules with heddle-thread have, are shorter than a Call.
    if (this.#work.hosted && records.load(task + CALL_IS_DETACHED_OFFSET) !== 0) endCall(records, task, { outcome: OUTCOME_TERMINATED });
    return true;
  }

  /** A thread has ended the program (WASI's `proc_exit`): so end all others, and the program's first one with what it ended with. */
  async #exit(exitCode: number): Promise<void> {
    const control = this.#control;
    if (!control || this.#isClosing) return;
    this.#isClosing = true;
    control.close();
    const workers = [...this.#workers.values()];
    // Their ends are no news.
    for (const worker of workers) worker.state = 'ended';
    await Promise.all(workers.map(({ handle }) => handle.terminate()));
    this.#workers.clear();
    control.setWorkers(0);
    const { records } = control;
    const first = WebAssembly.Module.exports(this.#work.module).findIndex(({ name }) => name === '_start');
    for (const call of control.calls) {
      const state = records.load(call + CALL_STATE_OFFSET);
      if ((state !== CALL_QUEUED && state !== CALL_RUNNING) || records.load(call) !== OUTCOME_PENDING) continue;
      const isFirst = records.load(call + CALL_EXPORT_INDEX_OFFSET) === first;
      if (!isFirst) this.#terminateThread(control, call);
      else {
        control.dismiss();
        endCall(records, call, { outcome: OUTCOME_RETURNED, value: exitCode });
      }
    }
    this.#onEmpty?.();
  }

  #remove(worker: PoolWorker): void {
    worker.watching.abort();
    if (this.#workers.get(worker.slot) !== worker) return;
    this.#workers.delete(worker.slot);
    this.#control?.setWorkers(this.#workers.size);
    if (this.#workers.size === 0) this.#onEmpty?.();
  }

  /** A worker could not be started: the pool's start fails; later on it is reported, and tried again after a while. */
  #fail(error: ThreadError): void {
    this.#started.reject(error);
    if (!this.#control || this.#isClosing) return;
    console.error(`heddle: ${error.message}; trying again`);
    setTimeout(() => this.#grow(), RETRY_MS * 2 ** Math.min(this.#failures, RETRY_DOUBLINGS_MAX));
    this.#failures += 1;
  }

  /**
   * As many workers as there are threads, and the pool's minimum. Where that asks for more than there are, half as many again:
   * who spawns beyond the pool is likely to go on.
   */
  #grow(): void {
    const control = this.#control;
    if (!control || this.#isClosing) return;
    let ahead = 0;
    for (;;) {
      const needed = Math.max(control.live, this.#threadsMin);
      if (this.#workers.size < needed) ahead = Math.ceil(this.#workers.size / 2);
      if (this.#workers.size >= Math.min(needed + ahead, this.#work.threadsMax)) return;
      let slot = 0;
      while (this.#workers.has(slot)) slot += 1;
      this.#startWorker(slot);
      // Before `live` is read again (Control's invariant 2).
      control.setWorkers(this.#workers.size);
    }
  }

  /** Creates workers on demand, until the pool closes. */
  async supervise(control: Control): Promise<void> {
    while (!this.#isClosing) {
      const { demand } = control;
      this.#grow();
      // oxlint-disable-next-line no-await-in-loop -- one demand after the other
      await control.waitForDemand(demand);
    }
  }

  /** Lets the workers end; those that don't within the grace are terminated, and their threads' joins told. */
  async close(graceMs: number): Promise<void> {
    this.#isClosing = true;
    this.#control?.close();
    const empty = new Promise<void>((resolve) => {
      this.#onEmpty = resolve;
      if (this.#workers.size === 0) resolve();
    });
    await within(this.#control ? graceMs : 0, empty);
    await Promise.all(
      [...this.#workers.values()].map((worker) => {
        this.#endThreadOf(worker);
        return worker.handle.terminate();
      }),
    );
  }
}

let pool: Pool | undefined;

async function start(message: StartMessage): Promise<void> {
  if (message.lifeLine !== undefined) await holdLifeLine(message.lifeLine);
  const { module, memory, limits, compiled } = await load(message);
  const records: HostRecordsOptions = {
    threadsMax: message.threadsMax,
    callCount: message.threadsMax + UNREAD_CALLS_MAX,
    stackSize: message.stackSize,
    parallelism: message.parallelism,
    isTraced: message.isTraced,
  };
  const hosted = compiled && host(message, { memory, compiled, records });
  pool = new Pool({ type: 'work', module, memory, glue: message.glue, hosted, ...records }, message);
  const control = await pool.start();
  post({
    type: 'started',
    module,
    memory,
    limits,
    control: control.address,
    hosted: compiled && hosted && { compiled, records: hosted.records },
  });
  await pool.supervise(control);
}

/** What threads are to share, and what the memory was made by, if here. */
interface Loaded {
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
  readonly limits: MemoryLimits | undefined;
  /** Of a module without heddle-thread. */
  readonly compiled: CompiledModule | undefined;
}

async function load(message: StartMessage): Promise<Loaded> {
  if (message.module instanceof WebAssembly.Module) {
    if (message.memory && message.glue !== undefined) {
      return { module: message.module, memory: message.memory, limits: undefined, compiled: undefined };
    }
    throw new ThreadError(
      'MODULE_UNFIT',
      'a compiled module does not tell how big its memory must be: pass its bytes or its URL, or the memory too; without glue what compileForThreads returned',
    );
  }
  if (typeof message.module === 'object' && 'report' in message.module) return loadHosted(message, message.module);
  const bytes = typeof message.module === 'string' ? await readModule(message.module) : message.module;
  // A copy where the bytes are shared: engines compile from memory that nobody else can change.
  const source = bytes.buffer instanceof ArrayBuffer ? (bytes as Uint8Array<ArrayBuffer>) : bytes.slice();
  const report = inspect(source);
  const usesCrate = report.exports.includes('heddle_thread_start');
  if (message.glue === undefined && !usesCrate && report.abi !== 'wasm-bindgen') {
    const abi = message.host.abi === 'plain' ? 'plain' : undefined;
    return loadHosted(message, await compileForThreads(source, { abi }));
  }
  if (report.problems.length > 0 || !report.memory) {
    throw new ThreadError('MODULE_UNFIT', report.problems.map((problem) => problem.message).join('; '));
  }
  if (!usesCrate)
    throw new ThreadError('MODULE_UNFIT', 'the module exports no heddle_thread_start: it does not use the crate heddle-thread');
  if (message.glue === undefined) {
    throw new ThreadError('MODULE_UNFIT', 'the module needs the JavaScript that wasm-bindgen wrote beside it: pass where it is as glue');
  }
  const memory = message.memory ?? createMemoryFor(report.memory, message.memoryBytesMax);
  const limits = message.memory ? undefined : report.memory;
  return { module: await WebAssembly.compile(source), memory, limits, compiled: undefined };
}

function loadHosted(message: StartMessage, compiled: CompiledModule): Loaded {
  const memory = message.memory ?? createMemoryFor(compiled.memory, message.memoryBytesMax);
  return { module: compiled.module, memory, limits: message.memory ? undefined : compiled.memory, compiled };
}

/** What workers need of a module without heddle-thread. */
function host(
  { host: { abi: asked, imports, importsData, wasi }, stackSize }: StartMessage,
  { memory, compiled: { report }, records }: { memory: WebAssembly.Memory; compiled: CompiledModule; records: HostRecordsOptions },
): HostedModule {
  const abi = asked ?? report.abi;
  const { tls } = report;
  if (abi === 'bare' && !tls)
    throw new ThreadError('MODULE_UNFIT', 'the module exports no thread-local storage; inspect(bytes) says how to link it');
  const blocks = abi === 'bare' && tls ? ThreadBlocks.create({ memory, stackSize, tls }).handle : undefined;
  return {
    ...createHostRecords(records),
    abi,
    imports,
    importsData,
    blocks,
    wasi: wasiFor(memory, abi === 'wasi-threads' ? (wasi ?? NO_WASI) : wasi),
  };
}

/** What a program of WASI is given that was started with nothing. */
const NO_WASI: PostedWasi = { args: [], env: {}, folders: undefined, isHeard: { stdout: false, stderr: false } };

/** With the descriptors that a program's threads share. */
function wasiFor(memory: WebAssembly.Memory, wasi: PostedWasi | undefined): HostedModule['wasi'] {
  if (!wasi) return undefined;
  const { descriptors } = new Wasi({ memory, files: wasi.folders && nodeFiles(wasi.folders) });
  return { ...wasi, descriptors };
}

async function close({ graceMs }: CloseMessage): Promise<void> {
  await pool?.close(graceMs);
  post({ type: 'closed' });
  port?.close();
}

port.onMessage((message) => {
  const request = message as ToSupervisor;
  if (request.type === 'report') {
    remoteWorkers.hear(request.report);
    return;
  }
  const done = request.type === 'start' ? start(request) : close(request);
  done.catch((error: unknown) => {
    const isUnfit = error instanceof MemoryError && error.code !== 'MODULE_UNREADABLE';
    const code = isUnfit ? 'MODULE_UNFIT' : 'START_FAILED';
    post({ type: 'failed', error: toPosted(error, code) });
  });
});
