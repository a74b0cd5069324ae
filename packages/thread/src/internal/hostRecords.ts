/**
 * The records of a runtime whose module has no heddle-thread: they lie in a memory beside the module's, where no allocator of the program
 * comes across them. Who takes threads from the queue is TypeScript then.
 *
 * # Invariants
 * 1. A call is marked as queued before `pending` counts it, and a worker counts down before it looks for one: at least as many calls are
 *    marked as workers look. So whoever has counted down finds one.
 * 2. A call is the worker's that changed its mark from queued to running.
 *
 * The oldest is taken first, as far as two workers don't look at once. (`Control.inbox`, which `push` fills as well, is that of modules with
 * heddle-thread: nobody reads it here.)
 */
import type { Control } from './Control.ts';
import {
  CALL_QUEUED,
  CALL_RUNNING,
  CALL_SIZE,
  CALL_STATE_OFFSET,
  CALL_THREAD_ID_OFFSET,
  CONTROL_CALL_COUNT_OFFSET,
  CONTROL_CALL_RECORDS_OFFSET,
  CONTROL_MAGIC,
  CONTROL_MAGIC_OFFSET,
  CONTROL_PARALLELISM_OFFSET,
  CONTROL_PENDING_OFFSET,
  CONTROL_SIZE,
  CONTROL_STACK_SIZE_OFFSET,
  CONTROL_THREADS_MAX_OFFSET,
  CONTROL_TRACE_OFFSET,
  CONTROL_VERSION,
  CONTROL_VERSION_OFFSET,
  CONTROL_WORKER_RECORDS_OFFSET,
  PENDING_CLOSING,
  TRACE_CAPACITY,
  TRACE_EVENT_SIZE,
  TRACE_HEADER_SIZE,
  WORKER_SIZE,
} from './layout.ts';
import { SharedRecords } from './SharedRecords.ts';

const PAGE_SIZE = 65_536;

/** Where the first record lies: an address of 0 means none. */
const FIRST = 64;

export interface HostRecordsOptions {
  readonly threadsMax: number;
  readonly callCount: number;
  readonly stackSize: number;
  readonly parallelism: number;
  readonly isTraced: boolean;
}

/** Empty records, and the address of Control. */
export function createHostRecords(options: HostRecordsOptions): { readonly records: WebAssembly.Memory; readonly control: number } {
  const control = FIRST;
  const workers = alignUp(control + CONTROL_SIZE);
  const calls = workers + options.threadsMax * WORKER_SIZE;
  const trace = calls + options.callCount * CALL_SIZE;
  const end = trace + (options.isTraced ? TRACE_HEADER_SIZE + TRACE_CAPACITY * TRACE_EVENT_SIZE : 0);
  const pages = Math.ceil(end / PAGE_SIZE);
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
  const records = new SharedRecords(memory);
  const fields: readonly (readonly [offset: number, value: number])[] = [
    [CONTROL_MAGIC_OFFSET, CONTROL_MAGIC],
    [CONTROL_VERSION_OFFSET, CONTROL_VERSION],
    [CONTROL_THREADS_MAX_OFFSET, options.threadsMax],
    [CONTROL_STACK_SIZE_OFFSET, options.stackSize],
    [CONTROL_PARALLELISM_OFFSET, options.parallelism],
    [CONTROL_WORKER_RECORDS_OFFSET, workers],
    [CONTROL_CALL_RECORDS_OFFSET, calls],
    [CONTROL_CALL_COUNT_OFFSET, options.callCount],
    [CONTROL_TRACE_OFFSET, options.isTraced ? trace : 0],
  ];
  // Published by the message that brings the memory to other agents.
  for (const [offset, value] of fields) records.store(control + offset, value);
  return { records: memory, control };
}

const alignUp = (address: number): number => Math.ceil(address / 64) * 64;

/** Waits for a call to run; 0 once the runtime is closing and nothing is queued. `idle` is called before waiting. */
export function takeCall(control: Control, idle: () => void): number {
  const { records } = control;
  const word = control.address + CONTROL_PENDING_OFFSET;
  for (;;) {
    const pending = records.load(word);
    if ((pending & ~PENDING_CLOSING) !== 0) {
      if (records.exchange(word, pending, pending - 1)) return findCall(control);
    } else if (pending !== 0) {
      return 0;
    } else {
      idle();
      records.wait(word, 0);
    }
  }
}

/** The oldest call that is queued: there is one (invariant 1), though others may take it first. */
function findCall(control: Control): number {
  const { records, calls } = control;
  for (;;) {
    let oldest = 0;
    let oldestId = 0;
    for (const call of calls) {
      if (records.load(call + CALL_STATE_OFFSET) !== CALL_QUEUED) continue;
      const id = records.load(call + CALL_THREAD_ID_OFFSET);
      // Ids are counted in 32 bits, and may have come round.
      if (oldest !== 0 && ((id - oldestId) | 0) >= 0) continue;
      oldest = call;
      oldestId = id;
    }
    if (oldest !== 0 && records.exchange(oldest + CALL_STATE_OFFSET, CALL_QUEUED, CALL_RUNNING)) return oldest;
  }
}
