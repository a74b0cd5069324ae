/**
 * The thread runtime of one module (`Control` in docs/layout.md): what main thread, supervisor and workers do with its words.
 *
 * # Invariants
 * 1. `live` counts every thread from `admit` to its end and never exceeds `threadsMax`.
 * 2. The supervisor keeps at least as many workers as there are live threads, so each of them runs, whatever others wait for.
 *    It writes `workers` before it reads `live`, and `admit` does the opposite: one of the two sees the other.
 * 3. A call is in the inbox before `pending` counts it: a worker that counted down finds it.
 */
import { type BlockingWaitKind, blockingWaitOf } from '@heddle/atomics/internal';
import { ThreadError } from '../ThreadError.ts';
import { RUNTIME_WAITS } from './waits.ts';
import {
  CONTROL_CALL_COUNT_OFFSET,
  CONTROL_CALL_RECORDS_OFFSET,
  CONTROL_DEMAND_OFFSET,
  CONTROL_INBOX_OFFSET,
  CONTROL_LIVE_OFFSET,
  CONTROL_MAGIC,
  CONTROL_PENDING_OFFSET,
  CONTROL_REGISTRY_OFFSET,
  CONTROL_SPAWNED_OFFSET,
  CONTROL_THREADS_MAX_OFFSET,
  CONTROL_TRACE_OFFSET,
  CONTROL_TRAPPED_OFFSET,
  CONTROL_VERSION,
  CONTROL_VERSION_OFFSET,
  CONTROL_WORKERS_OFFSET,
  CONTROL_WORKER_RECORDS_OFFSET,
  CALL_NEXT_OFFSET,
  CALL_SIZE,
  PENDING_CLOSING,
  WORKER_NAME_OFFSET,
  WORKER_NAME_SIZE_OFFSET,
  WORKER_REGISTRY_GENERATION_OFFSET,
  WORKER_REGISTRY_SLOT_OFFSET,
  WORKER_SIZE,
  WORKER_STATE_OFFSET,
  WORKER_THREADS_RUN_OFFSET,
  WORKER_THREAD_ID_OFFSET,
  WORKER_WAIT_ID_OFFSET,
  WORKER_WAIT_KIND_OFFSET,
} from './layout.ts';
import type { SharedRecords } from './SharedRecords.ts';
import { Trace } from './Trace.ts';
import { waitWhile } from './wait.ts';

/** Bytes of a name in a Worker and in a Call. */
export const NAME_SIZE_MAX = 40;

/** What a worker does. */
export type WorkerState = 'starting' | 'idle' | 'running' | 'trapped' | 'ended';

const WORKER_STATES: readonly WorkerState[] = ['starting', 'idle', 'running', 'trapped', 'ended'];

/** What a thread waits for; it may have what it waited for when this is read. */
export type ThreadWait =
  /** To be unparked, for the time, for the threads of a scope, for what wakes its future. */
  | { readonly kind: 'park' | 'sleep' | 'scope' | 'event-loop' }
  /** For a thread's end. */
  | { readonly kind: 'join'; readonly threadId: number }
  /** For a lock or a channel, at a byte address of the memory: the mutex itself, a word inside of other records. */
  | {
      readonly kind: BlockingWaitKind;
      readonly address: number;
      /** The thread that holds it, of a mutex or of what is done once. */
      readonly ownerId: number | undefined;
    };

/** One worker of the pool. */
export interface ThreadStatus {
  /** The worker's place in the pool. */
  readonly worker: number;
  readonly state: WorkerState;
  /** The id of the thread that it runs. */
  readonly threadId: number | undefined;
  /** The thread's name, cut at 40 bytes. */
  readonly name: string | undefined;
  /** What the thread waits for; undefined where it computes, or waits for what this package doesn't know. */
  readonly waitsFor: ThreadWait | undefined;
  /** Threads that it has run or runs. */
  readonly threadsRun: number;
}

export class Control {
  readonly records: SharedRecords;
  readonly address: number;

  constructor(records: SharedRecords, address: number) {
    this.records = records;
    this.address = address;
    if (records.load(address) !== CONTROL_MAGIC) throw new ThreadError('MODULE_UNFIT', `there is no thread runtime at ${address}`);
    const version = this.#load(CONTROL_VERSION_OFFSET);
    if (version !== CONTROL_VERSION) {
      throw new ThreadError(
        'MODULE_UNFIT',
        `the module's heddle-thread has version ${version} of the records, this package ${CONTROL_VERSION}`,
      );
    }
  }

  #load(offset: number): number {
    return this.records.load(this.address + offset);
  }

  get threadsMax(): number {
    return this.#load(CONTROL_THREADS_MAX_OFFSET);
  }

  get live(): number {
    return this.#load(CONTROL_LIVE_OFFSET);
  }

  get trapped(): number {
    return this.#load(CONTROL_TRAPPED_OFFSET);
  }

  get isClosing(): boolean {
    return (this.#load(CONTROL_PENDING_OFFSET) & PENDING_CLOSING) !== 0;
  }

  /** Written by the supervisor alone. */
  setWorkers(count: number): void {
    this.records.store(this.address + CONTROL_WORKERS_OFFSET, count);
  }

  /** Counts one thread more as live; the supervisor hears of it where there are fewer workers than threads. */
  admit(): void {
    const threadsMax = this.threadsMax;
    for (;;) {
      if (this.isClosing) throw new ThreadError('CLOSED', 'the thread runtime is closed');
      const live = this.live;
      if (live >= threadsMax) {
        throw new ThreadError(
          'POOL_EXHAUSTED',
          `all ${threadsMax} threads that the runtime may have are alive; start it with a higher maxThreads`,
        );
      }
      if (!this.records.exchange(this.address + CONTROL_LIVE_OFFSET, live, live + 1)) continue;
      if (live + 1 > this.#load(CONTROL_WORKERS_OFFSET)) this.wakeSupervisor();
      return;
    }
  }

  /** Counts a thread as ended. */
  dismiss(): void {
    this.records.add(this.address + CONTROL_LIVE_OFFSET, -1);
  }

  noteTrap(): void {
    this.records.add(this.address + CONTROL_TRAPPED_OFFSET, 1);
  }

  nextThreadId(): number {
    return (this.records.add(this.address + CONTROL_SPAWNED_OFFSET, 1) + 1) >>> 0;
  }

  /** Queues a call and wakes a worker. */
  push(call: number): void {
    const inbox = this.address + CONTROL_INBOX_OFFSET;
    let newest: number;
    do {
      newest = this.records.load(inbox);
      this.records.store(call + CALL_NEXT_OFFSET, newest);
    } while (!this.records.exchange(inbox, newest, call));
    this.records.add(this.address + CONTROL_PENDING_OFFSET, 1);
    this.records.notify(this.address + CONTROL_PENDING_OFFSET, 1);
  }

  /** No more threads: workers end when the queue is empty. */
  close(): void {
    this.records.or(this.address + CONTROL_PENDING_OFFSET, PENDING_CLOSING | 0);
    this.records.notify(this.address + CONTROL_PENDING_OFFSET);
    this.wakeSupervisor();
  }

  wakeSupervisor(): void {
    this.records.add(this.address + CONTROL_DEMAND_OFFSET, 1);
    this.records.notify(this.address + CONTROL_DEMAND_OFFSET);
  }

  get demand(): number {
    return this.#load(CONTROL_DEMAND_OFFSET);
  }

  /** Resolves when somebody has woken the supervisor since `demand` was read. */
  waitForDemand(demand: number): Promise<void> {
    const address = this.address + CONTROL_DEMAND_OFFSET;
    return waitWhile(this.records.words(address), address >>> 2, demand | 0);
  }

  /** Addresses of the Call records. */
  get calls(): readonly number[] {
    const first = this.#load(CONTROL_CALL_RECORDS_OFFSET);
    return Array.from({ length: this.#load(CONTROL_CALL_COUNT_OFFSET) }, (_, index) => first + index * CALL_SIZE);
  }

  /** Address of the record of the worker in `slot`. */
  worker(slot: number): number {
    return this.#load(CONTROL_WORKER_RECORDS_OFFSET) + slot * WORKER_SIZE;
  }

  /** Where what threads do is noted; undefined where it isn't. */
  get trace(): Trace | undefined {
    const address = this.#load(CONTROL_TRACE_OFFSET);
    return address === 0 ? undefined : new Trace(this.records, address);
  }

  /** Notes what the thread in `slot` has done, which can't do so itself. */
  noteThread(slot: number, kind: number): void {
    const record = this.worker(slot);
    const threadId = this.records.load(record + WORKER_THREAD_ID_OFFSET);
    this.trace?.note({ kind, threadId, otherId: slot, name: this.#nameIn(record) ?? '' });
  }

  #nameIn(record: number): string | undefined {
    const size = this.records.load(record + WORKER_NAME_SIZE_OFFSET);
    return size > 0 ? this.records.text(record + WORKER_NAME_OFFSET, size, NAME_SIZE_MAX) : undefined;
  }

  /** The workers that have been started. A name may be half that of the thread before. */
  status(): ThreadStatus[] {
    const status: ThreadStatus[] = [];
    for (let slot = 0; slot < this.threadsMax; slot += 1) {
      const record = this.worker(slot);
      const state = WORKER_STATES[this.records.load(record + WORKER_STATE_OFFSET)] ?? 'starting';
      const threadsRun = this.records.load(record + WORKER_THREADS_RUN_OFFSET);
      if (state === 'starting' && threadsRun === 0) continue;
      const threadId = this.records.load(record + WORKER_THREAD_ID_OFFSET) || undefined;
      const name = threadId === undefined ? undefined : this.#nameIn(record);
      const waitsFor = state === 'running' ? this.#waitOf(record) : undefined;
      status.push({ worker: slot, state, threadId, name, waitsFor, threadsRun });
    }
    return status;
  }

  #waitOf(record: number): ThreadWait | undefined {
    const { records } = this;
    const kind = RUNTIME_WAITS[records.load(record + WORKER_WAIT_KIND_OFFSET)];
    if (kind === 'join') return { kind, threadId: records.load(record + WORKER_WAIT_ID_OFFSET) };
    if (kind) return { kind };
    const registrySlot = records.load(record + WORKER_REGISTRY_SLOT_OFFSET);
    if (registrySlot === 0) return undefined;
    const wait = blockingWaitOf(new Int32Array(records.memory.buffer), this.#load(CONTROL_REGISTRY_OFFSET), registrySlot);
    return wait && { kind: wait.kind, address: wait.address, ownerId: wait.owner && this.#threadIn(wait.owner) };
  }

  /** The id of the thread in a slot of the registry. */
  #threadIn({ slot, generation }: { readonly slot: number; readonly generation: number }): number | undefined {
    const { records } = this;
    for (let index = 0; index < this.threadsMax; index += 1) {
      const record = this.worker(index);
      const isHere = records.load(record + WORKER_REGISTRY_SLOT_OFFSET) === slot;
      if (isHere && records.load(record + WORKER_REGISTRY_GENERATION_OFFSET) === generation) {
        return records.load(record + WORKER_THREAD_ID_OFFSET) || undefined;
      }
    }
    return undefined;
  }
}
