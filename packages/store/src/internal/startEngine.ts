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
import { HeddleStoreError, type StoreErrorCode } from '../HeddleStoreError.ts';
import { ConnectionRecord } from './ConnectionRecord.ts';
import type { Engine } from './Engine.ts';
import { HostError, type HostErrorCode } from './io/HostFiles.ts';
import { IoThread } from './io/IoThread.ts';
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
import { SqlThread, type SqlThreadLink } from './SqlThread.ts';
import { Stop } from './Stop.ts';

/** What to start. */
export interface EngineOptions {
  /** Where the database is: a directory, or `undefined` for one in memory. */
  readonly directory: string | undefined;
  /** How many SQL threads to run. */
  readonly threads: number;
  /** Bytes of decoded columns to keep at most. */
  readonly cacheBytes: number;
  /** Gives starting up. */
  readonly signal: AbortSignal | undefined;
}

/** Threads of the engine beside the SQL threads that are there from the start: flush, compaction, the mover of deltas. */
const BACKGROUND_THREADS = 3;

/** How many threads there may be beside the SQL threads. */
const BACKGROUND_THREADS_MAX = 28;

/** SQLite parses and runs deeply nested statements on the stack. */
const STACK_SIZE = 2 << 20;

/** Between two attempts to take a directory. */
const LOCKED_PAUSE_MS = 50;

/** Starts the engine and opens the database. */
export async function startEngine(options: EngineOptions): Promise<Engine> {
  const stop = new Stop({ signal: options.signal });
  let engine: WasmEngine | undefined;
  try {
    if (stop.error) throw stop.error;
    engine = new WasmEngine(await startRuntime(options));
    await engine.open(options, stop);
    return engine;
  } catch (error) {
    await engine?.terminate();
    throw storeError(error);
  } finally {
    stop.dispose();
  }
}

function startRuntime({ threads, signal }: EngineOptions): Promise<WasmRuntime> {
  return WasmRuntime.start({
    module: engineModule,
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
  readonly failed: Promise<HeddleStoreError>;
  readonly #runtime: WasmRuntime;
  readonly #fail: (error: HeddleStoreError) => void;
  #io: IoThread | undefined;
  #runs: readonly WasmThread[] = [];
  #hasFailed = false;
  #isClosing = false;

  constructor(runtime: WasmRuntime) {
    const { promise, resolve } = Promise.withResolvers<HeddleStoreError>();
    this.failed = promise;
    this.#fail = resolve;
    this.#runtime = runtime;
  }

  get memory(): WebAssembly.Memory {
    return this.#runtime.memory;
  }

  /** Starts the I/O thread and the SQL threads, and opens the database on each. */
  async open({ directory, threads, cacheBytes }: EngineOptions, stop: Stop): Promise<void> {
    if (directory !== undefined) await this.#startIo(directory, stop);
    const control = await this.#address('heddle_store_create', threads);
    this.threads = linksAt(this.memory, control).map((link, index) => new SqlThread(index, link));
    this.#runs = this.threads.map(({ index }) => this.#runtime.spawnWith({ name: `SQL ${index + 1}` }, 'heddle_store_run', control, index));
    for (const run of this.#runs) void this.#watch(run);
    const [first, ...others] = this.threads;
    await first?.request({ op: 'open', location: directory ?? 'memory:', cacheBytes }, stop);
    await Promise.all(others.map((thread) => thread.request({ op: 'attach' }, stop)));
  }

  /** Calls an export that returns an address. */
  async #address(exportName: string, ...args: number[]): Promise<number> {
    return Number(await this.#runtime.spawn(exportName, ...args).join()) >>> 0;
  }

  /** Takes the directory; again for a while where another page has it, which may be on its way out. */
  async #startIo(directory: string, stop: Stop): Promise<void> {
    const queue = await this.#address('heddle_store_io_queue');
    const deadline = performance.now() + lockedRetryMs;
    for (;;) {
      if (stop.error) throw stop.error;
      try {
        this.#io = await IoThread.start({ memory: this.memory, queue, directory });
        break;
      } catch (error) {
        const isLocked = error instanceof HostError && error.code === IO_ERROR_LOCKED;
        if (!isLocked || performance.now() > deadline) throw error;
      }
      await new Promise((resolve) => setTimeout(resolve, LOCKED_PAUSE_MS));
    }
    void this.#watchIo(this.#io);
  }

  async #watchIo(io: IoThread): Promise<void> {
    const cause = await io.failed;
    this.#onFailure(new HeddleStoreError('ENGINE_FAILED', 'the I/O thread ended', { cause }));
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

  #onFailure(error: HeddleStoreError): void {
    if (this.#hasFailed) return;
    this.#hasFailed = true;
    for (const thread of this.threads) thread.fail(error);
    this.#fail(error);
  }

  async close(): Promise<void> {
    if (this.#hasFailed) return this.terminate();
    this.#isClosing = true;
    const [first, ...others] = this.threads;
    for (const { link } of others) link.requests.close();
    await Promise.allSettled(this.#runs.slice(1).map((run) => run.join()));
    try {
      await first?.request({ op: 'close' }, undefined);
    } finally {
      first?.link.requests.close();
      await this.#runs[0]?.ended;
      await this.#runtime.close();
      await this.#io?.close();
    }
  }

  abandon(): void {
    this.#isClosing = true;
    this.#io?.abandon();
    for (const { link } of this.threads) {
      link.requests.close();
      link.responses.close();
    }
    void this.#runtime.close({ graceMs: 0 });
  }

  /** Ends everything, whatever state it is in. */
  async terminate(): Promise<void> {
    this.#isClosing = true;
    for (const { link } of this.threads) {
      link.requests.close();
      link.responses.close();
    }
    await this.#runtime.close({ graceMs: this.#hasFailed ? 0 : undefined });
    await this.#io?.close();
  }
}

/** The ends of the SQL threads' channels. */
function linksAt(memory: WebAssembly.Memory, address: number): SqlThreadLink[] {
  const view = new DataView(memory.buffer);
  const version = view.getUint32(address + STORE_CONTROL_VERSION_OFFSET, true);
  if (version !== STORE_CONTROL_VERSION) {
    throw new HeddleStoreError(
      'ENGINE_FAILED',
      `the engine speaks version ${version} of the protocol, this package ${STORE_CONTROL_VERSION}`,
    );
  }
  const count = view.getUint32(address + STORE_CONTROL_THREADS_OFFSET, true);
  return Array.from({ length: count }, (_, index) => {
    const record = address + STORE_CONTROL_SIZE + index * STORE_THREAD_SIZE;
    const at = (offset: number) => ({ memory, byteOffset: view.getUint32(record + offset, true) });
    return {
      requests: openSender({ location: at(STORE_THREAD_REQUESTS_OFFSET) }),
      responses: openReceiver({ location: at(STORE_THREAD_RESPONSES_OFFSET) }),
      record: new ConnectionRecord(memory.buffer, at(STORE_THREAD_CONNECTION_OFFSET).byteOffset),
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
