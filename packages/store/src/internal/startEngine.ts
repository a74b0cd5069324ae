/**
 * Starts the engine: the Wasm module on a pool of workers, its SQL threads, and the database in it.
 *
 * The thread that calls this compiles nothing, instantiates nothing and never blocks; it holds the memory and talks to the SQL
 * threads over channels in it.
 */

import { engineGlue, engineModule } from '#engine';
import { lockedRetryMs } from '#platform';
import { openReceiver, openSender } from '@heddle/channel';
import { ThreadError, WasmRuntime, type WasmThread } from '@heddle/thread';
import type { Damage } from '../Damage.ts';
import { HeddleStoreError, type StoreErrorCode } from '../HeddleStoreError.ts';
import { ConnectionRecord } from './ConnectionRecord.ts';
import type { Engine, EngineFailure } from './Engine.ts';
import { HEED_MS, HeedWatch } from './HeedWatch.ts';
import { HostError, type HostErrorCode } from './io/HostFiles.ts';
import { type IoQueueLocation, isQueueOpen } from './io/IoServer.ts';
import { IoThread } from './io/IoThread.ts';
import type { IoStart } from './io/messages.ts';
import { tell } from './Keeper.ts';
import {
  IO_ERROR_ALREADY_EXISTS,
  IO_ERROR_CLOSED,
  IO_ERROR_LOCKED,
  IO_ERROR_NO_SPACE,
  IO_ERROR_NOT_FOUND,
  IO_ERROR_OTHER,
  IO_ERROR_PERMISSION_DENIED,
  STORE_CONTROL_SIZE,
  STORE_CONTROL_THREADS_OFFSET,
  STORE_CONTROL_VERSION,
  STORE_CONTROL_VERSION_OFFSET,
  STORE_THREAD_CONNECTION_OFFSET,
  STORE_THREAD_REQUESTS_OFFSET,
  STORE_THREAD_RESPONSES_OFFSET,
  STORE_THREAD_SIZE,
} from './layout.ts';
import { type EngineMemory, SqlThread, type SqlThreadLink } from './SqlThread.ts';
import { Stop } from './Stop.ts';

/** What to start. */
export interface EngineOptions {
  /** Where the database is: a directory, or `undefined` for one in memory. */
  readonly directory: string | undefined;
  /** How many SQL threads to run. */
  readonly threads: number;
  /** Bytes of decoded columns to keep at most. */
  readonly cacheBytes: number;
  /** Bytes that uncommitted rows, sorts and temporary tables take at most. */
  readonly memoryBytes: number;
  /** How sure an acknowledged commit is. */
  readonly durability: 'full' | 'relaxed';
  /** What is done about damaged files. */
  readonly recovery: 'refuse' | 'salvage';
  /** Called for each damage that opening went on without. */
  readonly onDamage: ((damage: Damage) => void) | undefined;
  /** Gives starting up. */
  readonly signal: AbortSignal | undefined;
  /** After how many milliseconds without heed for its interruption a request ends the engine, where another can follow; {@link HEED_MS} if absent. */
  readonly heedMs?: number | undefined;
  /** Whether panics are printed with all they say, as they may quote rows; `false` if absent. */
  readonly showsPanics?: boolean | undefined;
}

/** Threads of the engine beside the SQL threads that are there from the start: flush, compaction, the mover of deltas. */
const BACKGROUND_THREADS = 3;

/** How many threads there may be beside the SQL threads. */
const BACKGROUND_THREADS_MAX = 28;

/** SQLite parses and runs deeply nested statements on the stack. */
const STACK_SIZE = 2 << 20;

/** Between two attempts to take a directory. */
const LOCKED_PAUSE_MS = 50;

/** What an engine that has failed leaves to the next. */
interface Remains {
  /** Its I/O thread, where that lives: it has the directory. */
  readonly io: IoThread | undefined;
  /** Its runtime, closed: the module need not be loaded and compiled again. */
  readonly runtime: WasmRuntime;
}

/** Starts the engine and opens the database. */
export async function startEngine(options: EngineOptions, remains?: Remains): Promise<Engine> {
  const stop = new Stop({ signal: options.signal });
  let engine: WasmEngine | undefined;
  try {
    if (stop.error) throw stop.error;
    engine = new WasmEngine(await startRuntime(options, remains?.runtime), options, remains?.io);
    await engine.open(stop);
    return engine;
  } catch (error) {
    await (engine ? engine.terminate() : remains?.io?.close());
    throw storeError(error);
  } finally {
    stop.dispose();
  }
}

function startRuntime({ threads, signal }: EngineOptions, before: WasmRuntime | undefined): Promise<WasmRuntime> {
  return WasmRuntime.start({
    module: before ?? engineModule,
    glue: engineGlue,
    name: 'heddle store',
    threads: threads + BACKGROUND_THREADS,
    maxThreads: threads + BACKGROUND_THREADS_MAX,
    stackSize: STACK_SIZE,
    signal,
  });
}

class WasmEngine implements Engine {
  threads: readonly SqlThread[] = [];
  queue: IoQueueLocation | undefined;
  failure: EngineFailure | undefined;
  onFailure: ((failure: EngineFailure) => void) | undefined;
  readonly restart: ((signal: AbortSignal) => Promise<Engine>) | undefined;
  readonly #runtime: WasmRuntime;
  readonly #options: EngineOptions;
  readonly #hasFailed = Promise.withResolvers<void>();
  #io: IoThread | undefined;
  #runs: readonly WasmThread[] = [];
  #watches: readonly HeedWatch[] = [];
  #isClosing = false;
  #threadsEnded: Promise<void> | undefined;

  constructor(runtime: WasmRuntime, options: EngineOptions, io: IoThread | undefined) {
    this.#runtime = runtime;
    this.#options = options;
    this.#io = io;
    if (options.directory !== undefined) this.restart = (signal) => this.#restart(signal);
  }

  /** Starts the I/O thread and the SQL threads, and opens the database on each. */
  async open(stop: Stop): Promise<void> {
    const { directory, threads, cacheBytes, memoryBytes, durability, recovery, onDamage } = this.#options;
    void this.#watchRuntime();
    if (directory !== undefined) await this.#openFiles(directory, stop);
    const control = await this.#address('heddle_store_create', threads);
    if (this.#options.showsPanics) await this.#runtime.spawn('heddle_store_show_panics').join();
    const check = (broken?: unknown): void => this.#check(broken);
    const links = linksAt(this.#runtime.memory, control, check);
    this.threads = links.map((link, index) => new SqlThread(index, link));
    this.#runs = this.threads.map(({ index }) => this.#runtime.spawnWith({ name: `SQL ${index + 1}` }, 'heddle_store_run', control, index));
    for (const run of this.#runs) void this.#watch(run);
    const [first, ...others] = this.threads;
    const settings = { location: directory ?? 'memory:', cacheBytes, memoryBytes, durability, recovery };
    const opened = await first?.request({ op: 'open', ...settings }, stop);
    for (const damage of opened?.damage ?? []) tell(onDamage, damage);
    await Promise.all(others.map((thread) => thread.request({ op: 'attach' }, stop)));
    // Only now: what opens the database looks at no interrupt, and shows no progress.
    this.#watches = links.map(({ record }, index) => this.#watchHeed(record, index));
    // A trap of a background thread may have come in between.
    if (this.failure) throw this.failure.error;
  }

  /** Calls an export that returns an address. */
  async #address(exportName: string, ...args: number[]): Promise<number> {
    return Number(await this.#runtime.spawn(exportName, ...args).join()) >>> 0;
  }

  /** Has an I/O thread serve this engine: the one that is there, or a new one. */
  async #openFiles(directory: string, stop: Stop): Promise<void> {
    const { memory } = this.#runtime;
    const queue = await this.#address('heddle_store_io_queue');
    this.queue = { memory, queue };
    if (this.#io) await this.#io.serve({ memory, queue });
    else this.#io = await startIo({ memory, queue, directory }, stop);
    this.#io.onFailure = (cause) => this.#onFailure(ioFailure(cause));
  }

  /** A SQL thread ends when its channel is closed. Ending earlier is a failure of the engine. */
  async #watch(run: WasmThread): Promise<void> {
    try {
      await run.join();
      if (!this.#isClosing) this.#onFailure(new HeddleStoreError('ENGINE_FAILED', `the thread "${run.name}" ended`));
    } catch (cause) {
      this.#onFailure(storeError(cause));
    }
  }

  /** Threads that the engine itself has spawned are joined by nobody here. Of a SQL thread, its own end tells more. */
  async #watchRuntime(): Promise<void> {
    const cause = await this.#runtime.crashed;
    if (!this.#runs.some((run) => run.isFinished)) this.#onFailure(storeError(cause));
  }

  #watchHeed(record: ConnectionRecord, index: number): HeedWatch {
    const { heedMs = HEED_MS } = this.#options;
    const watch = new HeedWatch(record, heedMs, () => {
      const message = `a statement on the thread "SQL ${index + 1}" did not heed its interruption for ${heedMs / 1000} s`;
      this.#onFailure(new HeddleStoreError('ENGINE_FAILED', message), index);
    });
    // What is only in memory would be gone: there a heedless statement keeps its thread.
    record.onCancel = () => {
      if (this.restart) watch.begin();
    };
    return watch;
  }

  endHeedless(): void {
    for (const watch of this.#watches) watch.begin();
  }

  /** What a trap leaves behind may be met before the trap is reported, and that this tab's files were closed while it hung before it is told. */
  #check(broken: unknown): void {
    if (this.#isClosing) return;
    if (this.#runtime.trappedCount > 0) this.#onFailure(new HeddleStoreError('ENGINE_FAILED', 'a thread trapped', { cause: broken }));
    else if (this.queue && !isQueueOpen(this.queue)) {
      // A statement that failed for want of files may be in the log all the same: whoever has the files now decides.
      this.#onFailure(new HeddleStoreError('ENGINE_FAILED', 'its files were closed', { cause: broken }));
    } else if (broken !== undefined) {
      this.#onFailure(new HeddleStoreError('ENGINE_FAILED', 'the engine no longer answers', { cause: broken }));
    }
  }

  /** @param heedless the SQL thread that would not end; absent where it is known by having ended */
  #onFailure(error: HeddleStoreError, heedless?: number): void {
    // Threads that are told to end have not failed.
    if (this.failure || this.#threadsEnded) return;
    // First of all, whatever its threads still do: they find no files any more.
    this.#io?.fence();
    for (const watch of this.#watches) watch.end();
    const culprit = this.#isClosing ? -1 : (heedless ?? this.#runs.findIndex((run) => run.isFinished));
    this.failure = { error, culprit: this.threads[culprit] };
    this.#hasFailed.resolve();
    if (this.onFailure) this.onFailure(this.failure);
    // Nobody else knows of it yet.
    else for (const thread of this.threads) thread.fail(error);
  }

  async #restart(signal: AbortSignal): Promise<Engine> {
    await this.#endThreads();
    const removed = ioFailure(this.#io?.failure);
    if (removed.code === 'NOT_FOUND') throw removed;
    // It keeps the directory and its lock; where it has ended too, the next engine starts another.
    const io = this.#io?.isAlive ? this.#io : undefined;
    return startEngine({ ...this.#options, signal }, { io, runtime: this.#runtime });
  }

  async close(): Promise<void> {
    this.#isClosing = true;
    const errors: unknown[] = [];
    if (!this.failure) {
      const quiet = this.#closeDatabase().catch((error: unknown) => errors.push(error));
      await Promise.race([quiet, this.#hasFailed.promise]);
    }
    await this.terminate();
    // What was acknowledged is durable: an engine that stops while it is closed is closed.
    if (errors.length > 0 && !this.failure) throw errors[0];
  }

  async #closeDatabase(): Promise<void> {
    const [first, ...others] = this.threads;
    for (const { link } of others) link.requests.close();
    await Promise.allSettled(this.#runs.slice(1).map((run) => run.join()));
    try {
      await first?.request({ op: 'close' }, undefined);
    } finally {
      first?.link.requests.close();
      await this.#runs[0]?.ended;
    }
  }

  abandon(): void {
    this.#isClosing = true;
    for (const watch of this.#watches) watch.end();
    if (this.#io?.isAlive) this.#io.abandon();
    this.#closeChannels();
    this.#threadsEnded ??= this.#runtime.close({ graceMs: 0 });
  }

  abandonBeforeFreezing(): void {
    this.#io?.abandonBeforeFreezing();
    this.abandon();
  }

  /** Ends everything, whatever state it is in. */
  async terminate(): Promise<void> {
    this.#isClosing = true;
    await this.#endThreads();
    await this.#io?.close();
  }

  /** Resolves when no thread runs any more. Those of an engine that has failed are not asked. */
  #endThreads(): Promise<void> {
    this.#threadsEnded ??= this.#endThreadsOnce();
    return this.#threadsEnded;
  }

  async #endThreadsOnce(): Promise<void> {
    for (const watch of this.#watches) watch.end();
    if (!this.failure) this.#closeChannels();
    await this.#runtime.close({ graceMs: this.failure ? 0 : undefined });
    // Lets go of whoever waits on this thread's side, and so of the memory.
    this.#closeChannels();
  }

  #closeChannels(): void {
    for (const { link } of this.threads) {
      link.requests.close();
      link.responses.close();
    }
  }
}

/** Starts an I/O thread, which takes the directory; again for a while where another page has it, which may be on its way out. */
async function startIo(start: IoStart, stop: Stop): Promise<IoThread> {
  const deadline = performance.now() + lockedRetryMs;
  for (;;) {
    if (stop.error) throw stop.error;
    try {
      return await IoThread.start(start, stop);
    } catch (error) {
      const isLocked = error instanceof HostError && error.code === IO_ERROR_LOCKED;
      if (!isLocked || performance.now() > deadline) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, LOCKED_PAUSE_MS));
  }
}

/** The memory of an engine that runs here. */
class SharedMemory implements EngineMemory {
  readonly #memory: WebAssembly.Memory;

  constructor(memory: WebAssembly.Memory) {
    this.#memory = memory;
  }

  write(address: number, bytes: Uint8Array): void {
    // The buffer is another one after the memory has grown.
    new Uint8Array(this.#memory.buffer, address, bytes.length).set(bytes);
  }
}

/** The ends of the SQL threads' channels. */
function linksAt(
  memory: WebAssembly.Memory,
  address: number,
  check: SqlThreadLink['check'],
): (SqlThreadLink & { readonly record: ConnectionRecord })[] {
  const view = new DataView(memory.buffer);
  const version = view.getUint32(address + STORE_CONTROL_VERSION_OFFSET, true);
  if (version !== STORE_CONTROL_VERSION) {
    throw new HeddleStoreError(
      'ENGINE_FAILED',
      `the engine speaks version ${version} of the protocol, this package ${STORE_CONTROL_VERSION}`,
    );
  }
  const count = view.getUint32(address + STORE_CONTROL_THREADS_OFFSET, true);
  const shared = new SharedMemory(memory);
  return Array.from({ length: count }, (_, index) => {
    const record = address + STORE_CONTROL_SIZE + index * STORE_THREAD_SIZE;
    const at = (offset: number) => ({ memory, byteOffset: view.getUint32(record + offset, true) });
    return {
      requests: openSender({ location: at(STORE_THREAD_REQUESTS_OFFSET) }),
      responses: openReceiver({ location: at(STORE_THREAD_RESPONSES_OFFSET) }),
      record: new ConnectionRecord(memory.buffer, at(STORE_THREAD_CONNECTION_OFFSET).byteOffset),
      memory: shared,
      check,
    };
  });
}

const HOST_ERRORS: Readonly<Record<HostErrorCode, StoreErrorCode>> = {
  [IO_ERROR_NOT_FOUND]: 'NOT_FOUND',
  [IO_ERROR_ALREADY_EXISTS]: 'IO_ERROR',
  [IO_ERROR_PERMISSION_DENIED]: 'PERMISSION_DENIED',
  [IO_ERROR_NO_SPACE]: 'NO_SPACE',
  [IO_ERROR_LOCKED]: 'LOCKED',
  [IO_ERROR_CLOSED]: 'CLOSED',
  [IO_ERROR_OTHER]: 'IO_ERROR',
};

/** What the end of the I/O thread means: `NOT_FOUND` where nothing is left that another engine could open. */
function ioFailure(cause: unknown): HeddleStoreError {
  if (cause instanceof HostError && cause.code === IO_ERROR_NOT_FOUND) return storeError(cause);
  return new HeddleStoreError('ENGINE_FAILED', 'the I/O thread ended', { cause });
}

/** What callers are told of an error of a layer below. */
function storeError(error: unknown): HeddleStoreError {
  if (error instanceof HeddleStoreError) return error;
  if (error instanceof HostError) return new HeddleStoreError(HOST_ERRORS[error.code], error.message, { cause: error });
  const message = error instanceof Error ? error.message : 'the engine did not start';
  if (error instanceof ThreadError && error.code === 'ABORTED') {
    return new HeddleStoreError('ABORTED', 'opening was aborted', { cause: error.cause });
  }
  if (error instanceof ThreadError && error.code === 'NOT_CROSS_ORIGIN_ISOLATED') {
    return new HeddleStoreError(error.code, message, { cause: error });
  }
  return new HeddleStoreError('ENGINE_FAILED', message, { cause: error });
}
