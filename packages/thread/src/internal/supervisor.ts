/**
 * The supervisor: a worker that runs no user code. It compiles the module, creates the memory, and creates workers whenever
 * there are fewer than threads; that takes its event loop, so it never blocks. Because of it, spawning needs neither the main
 * thread nor the event loop of whoever spawns.
 */
import { ThreadRegistry } from '@heddle/atomics';
import { createMemoryFor, inspect, MemoryError, type MemoryLimits, readModule } from '@heddle/memory';
import { ownPort } from '#platform';
import { startWorker } from '#worker-host';
import { ThreadError, toPosted } from '../ThreadError.ts';
import { Control } from './Control.ts';
import { RemoteWorkers } from './delegation.ts';
import {
  OUTCOME_PENDING,
  OUTCOME_TERMINATED,
  TRACE_TERMINATED,
  WORKER_REGISTRY_GENERATION_OFFSET,
  WORKER_REGISTRY_SLOT_OFFSET,
  WORKER_TASK_OFFSET,
} from './layout.ts';
import type { WorkerHandle } from './platform/types.ts';
import type { CloseMessage, FromSupervisor, FromWorker, StartMessage, ToSupervisor, WorkMessage } from './protocol.ts';
import { SharedRecords } from './SharedRecords.ts';
import { within } from './within.ts';

/** Results that nobody has read yet can pile up to so many beyond the threads that may live. */
const UNREAD_CALLS_MAX = 192;

/** How soon the start of a worker is tried again, doubled with each failure. */
const RETRY_MS = 100;
const RETRY_DOUBLINGS_MAX = 6;

const port = ownPort();
if (!port) throw new Error('the supervisor is a worker');
const post = (message: FromSupervisor): void => port.post(message);

const remoteWorkers = new RemoteWorkers((request) => post({ type: 'request', request }));

/** A worker that has not ended. */
interface PoolWorker {
  readonly slot: number;
  readonly handle: WorkerHandle;
  state: 'starting' | 'working' | 'ended';
}

class Pool {
  readonly #work: Omit<WorkMessage, 'slot'>;
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

  constructor(work: Omit<WorkMessage, 'slot'>, { threads, name, isDelegating }: StartMessage) {
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
    const worker: PoolWorker = { slot, handle: this.#create(`${this.#name} ${slot}`), state: 'starting' };
    this.#workers.set(slot, worker);
    worker.handle.onMessage((message) => this.#hear(worker, message as FromWorker));
    worker.handle.onError((message) => this.#lose(worker, message));
    worker.handle.onExit(() => this.#lose(worker, 'it ended by itself'));
    worker.handle.post({ ...this.#work, slot } satisfies WorkMessage);
  }

  #hear(worker: PoolWorker, message: FromWorker): void {
    if (message.type === 'ready') {
      worker.state = 'working';
      this.#registry ??= ThreadRegistry.at({ memory: this.#work.memory, byteOffset: message.registry });
      this.#control ??= new Control(new SharedRecords(this.#work.memory), message.control);
      if ([...this.#workers.values()].every(({ state }) => state !== 'starting')) this.#allReady(this.#control);
      this.#failures = 0;
    } else if (message.type === 'failed') {
      worker.state = 'ended';
      this.#remove(worker);
      this.#fail(new ThreadError(message.error.code, message.error.message));
    } else {
      if (message.type === 'trapped') this.#reportCrash(new ThreadError('THREAD_TRAPPED', `a thread trapped: ${message.message}`));
      worker.state = 'ended';
      this.#reap(worker);
      this.#remove(worker);
      this.#grow();
    }
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
    if (running === 0 || !control.records.exchange(running, OUTCOME_PENDING, OUTCOME_TERMINATED)) return;
    control.dismiss();
    control.records.notify(running);
    control.noteEnd(worker.slot, TRACE_TERMINATED);
  }

  #remove(worker: PoolWorker): void {
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
  const { module, memory, limits } = await load(message);
  pool = new Pool(
    {
      type: 'work',
      module,
      memory,
      glue: message.glue,
      threadsMax: message.threadsMax,
      callCount: message.threadsMax + UNREAD_CALLS_MAX,
      stackSize: message.stackSize,
      parallelism: message.parallelism,
      isTraced: message.isTraced,
    },
    message,
  );
  const control = await pool.start();
  post({ type: 'started', module, memory, limits, control: control.address });
  await pool.supervise(control);
}

/** What threads are to share, and what the memory was made by, if here. */
interface Loaded {
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
  readonly limits: MemoryLimits | undefined;
}

async function load(message: StartMessage): Promise<Loaded> {
  if (message.module instanceof WebAssembly.Module) {
    if (message.memory) return { module: message.module, memory: message.memory, limits: undefined };
    throw new ThreadError(
      'MODULE_UNFIT',
      'a compiled module does not tell how big its memory must be: pass its bytes or its URL, or the memory too',
    );
  }
  const bytes = typeof message.module === 'string' ? await readModule(message.module) : message.module;
  const report = inspect(bytes);
  if (report.problems.length > 0 || !report.memory) {
    throw new ThreadError('MODULE_UNFIT', report.problems.map((problem) => problem.message).join('; '));
  }
  if (!report.exports.includes('heddle_thread_start')) {
    throw new ThreadError('MODULE_UNFIT', 'the module exports no heddle_thread_start: it does not use the crate heddle-thread');
  }
  const memory = message.memory ?? createMemoryFor(report.memory, message.memoryBytesMax);
  // A copy where the bytes are shared: engines compile from memory that nobody else can change.
  const source = bytes.buffer instanceof ArrayBuffer ? (bytes as Uint8Array<ArrayBuffer>) : bytes.slice();
  return { module: await WebAssembly.compile(source), memory, limits: message.memory ? undefined : report.memory };
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
