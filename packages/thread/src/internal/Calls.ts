/**
 * Calls of exports on threads of their own (`Call` in docs/layout.md), seen from the agent that spawns them.
 *
 * # State
 * `CALL_FREE → CALL_CLAIMED` (here, by compare-and-exchange) `→ CALL_QUEUED` (here) `→ CALL_RUNNING` (the worker) `→ CALL_FREE`
 * (here again, once the outcome is known and read). `outcome` is 0 until the thread has ended; it changes once.
 *
 * # Invariants
 * 1. From the queueing to the outcome the record is the worker's, before and after it is the spawner's.
 * 2. A record is read and freed once, by whoever comes first: the watcher that every call has, or a blocking join.
 */
import { noted } from '@heddle/atomics/internal';
import { ThreadError } from '../ThreadError.ts';
import type { Control } from './Control.ts';
import { NAME_SIZE_MAX } from './Control.ts';
import {
  CALL_ARGUMENTS_OFFSET,
  CALL_ARGUMENT_COUNT_OFFSET,
  CALL_ARGUMENT_KINDS_OFFSET,
  CALL_CLAIMED,
  CALL_EXPORT_INDEX_OFFSET,
  CALL_FREE,
  CALL_IS_DETACHED_OFFSET,
  CALL_MESSAGE_OFFSET,
  CALL_MESSAGE_SIZE_OFFSET,
  CALL_NAME_OFFSET,
  CALL_NAME_SIZE_OFFSET,
  CALL_OUTCOME_OFFSET,
  CALL_QUEUED,
  CALL_RESULT_KIND_OFFSET,
  CALL_RESULT_OFFSET,
  CALL_SIZE,
  CALL_STACK_SIZE_OFFSET,
  CALL_STATE_OFFSET,
  CALL_THREAD_ID_OFFSET,
  OUTCOME_OUT_OF_MEMORY,
  OUTCOME_OVERFLOWED,
  OUTCOME_PANICKED,
  OUTCOME_PENDING,
  OUTCOME_RETURNED,
  OUTCOME_TERMINATED,
  OUTCOME_THREW,
  OUTCOME_TRAPPED,
  RESULT_BIGINT,
  RESULT_NUMBER,
  TRACE_SPAWNED,
  WAIT_JOIN,
} from './layout.ts';
import type { SharedRecords } from './SharedRecords.ts';
import { waitWhile } from './wait.ts';

/** What can be passed to an export: a 32-bit integer or a float as number, a 64-bit integer as bigint. */
export type WasmValue = number | bigint;

/** The most arguments that a call can have. */
export const ARGUMENTS_MAX: number = (CALL_NAME_OFFSET - CALL_ARGUMENTS_OFFSET) / 8;

/** Bytes of a message in a Call. */
export const MESSAGE_SIZE_MAX: number = CALL_SIZE - CALL_MESSAGE_OFFSET;

export interface CallOptions {
  readonly exportIndex: number;
  readonly args: readonly WasmValue[];
  readonly name: string;
  readonly stackSize: number;
  /** The id of the thread that spawns it; 0 where that is none of the runtime's. */
  readonly spawnerId?: number;
  /** Nobody reads the result. */
  readonly isDetached?: boolean;
}

/** Queues a call; returns its address. */
export function queueCall(control: Control, options: CallOptions): { address: number; threadId: number } {
  const { exportIndex, args, name, stackSize, spawnerId = 0, isDetached = false } = options;
  const { records } = control;
  checkArguments(args);
  const address = claim(control);
  try {
    control.admit();
  } catch (error) {
    records.store(address + CALL_STATE_OFFSET, CALL_FREE);
    throw error;
  }
  const threadId = control.nextThreadId();
  let kinds = 0;
  const view = records.view(address + CALL_ARGUMENTS_OFFSET, ARGUMENTS_MAX * 8);
  for (const [index, arg] of args.entries()) {
    if (typeof arg === 'bigint') {
      kinds |= 1 << index;
      view.setBigInt64(index * 8, BigInt.asIntN(64, arg), true);
    } else {
      view.setFloat64(index * 8, arg, true);
    }
  }
  records.store(address + CALL_OUTCOME_OFFSET, OUTCOME_PENDING);
  records.store(address + CALL_EXPORT_INDEX_OFFSET, exportIndex);
  records.store(address + CALL_ARGUMENT_COUNT_OFFSET, args.length);
  records.store(address + CALL_ARGUMENT_KINDS_OFFSET, kinds);
  records.store(address + CALL_STACK_SIZE_OFFSET, stackSize);
  records.store(address + CALL_THREAD_ID_OFFSET, threadId);
  records.store(address + CALL_IS_DETACHED_OFFSET, Number(isDetached));
  records.store(address + CALL_NAME_SIZE_OFFSET, records.writeText(address + CALL_NAME_OFFSET, name, NAME_SIZE_MAX));
  records.store(address + CALL_MESSAGE_SIZE_OFFSET, 0);
  control.trace?.note({ kind: TRACE_SPAWNED, threadId, otherId: spawnerId, name });
  // Before `push` counts it: a hosted module's worker that has counted down looks for this state.
  records.store(address + CALL_STATE_OFFSET, CALL_QUEUED);
  control.push(address);
  return { address, threadId };
}

function checkArguments(args: readonly WasmValue[]): void {
  if (args.length > ARGUMENTS_MAX) throw new ThreadError('BAD_ARGUMENT', `${args.length} arguments; a call can have ${ARGUMENTS_MAX}`);
  for (const [index, arg] of args.entries()) {
    if (typeof arg !== 'number' && typeof arg !== 'bigint') {
      throw new ThreadError('BAD_ARGUMENT', `argument ${index} is of type ${typeof arg}; only numbers and bigints can be passed`);
    }
  }
}

function claim({ records, calls }: Control): number {
  const free = calls.find((address) => records.exchange(address + CALL_STATE_OFFSET, CALL_FREE, CALL_CLAIMED));
  if (free === undefined) {
    throw new ThreadError('POOL_EXHAUSTED', `${calls.length} calls run or wait for their results to be read`);
  }
  return free;
}

/** Whether the call's thread has ended. */
export function hasEnded(records: SharedRecords, address: number): boolean {
  return records.load(address + CALL_OUTCOME_OFFSET) !== OUTCOME_PENDING;
}

/**
 * Resolves when the call's thread has ended, or when `isTaken`: somebody else has read the result, and the record may be
 * another call's by now.
 */
export async function waitForCall(records: SharedRecords, address: number, isTaken: () => boolean): Promise<void> {
  const word = address + CALL_OUTCOME_OFFSET;
  while (!isTaken() && !hasEnded(records, address)) {
    // oxlint-disable-next-line no-await-in-loop -- woken or not, look again
    await waitWhile(records.words(word), word >>> 2, OUTCOME_PENDING);
  }
}

/** Blocks until the call's thread has ended. */
export function waitForCallBlocking(records: SharedRecords, address: number): void {
  noted(WAIT_JOIN, records.memory.buffer, () => {
    while (!hasEnded(records, address)) records.wait(address + CALL_OUTCOME_OFFSET, OUTCOME_PENDING);
  });
}

/** What came out of a call. */
export type CallResult = { readonly value: WasmValue | undefined } | { readonly error: ThreadError };

/** Reads what an ended call left, and frees the record. */
export function takeResult(records: SharedRecords, address: number, name: string): CallResult {
  const result = readResult(records, address, name);
  records.store(address + CALL_STATE_OFFSET, CALL_FREE);
  return result;
}

function readResult(records: SharedRecords, address: number, name: string): CallResult {
  const outcome = records.load(address + CALL_OUTCOME_OFFSET);
  if (outcome === OUTCOME_RETURNED) {
    const kind = records.load(address + CALL_RESULT_KIND_OFFSET);
    const view = records.view(address + CALL_RESULT_OFFSET, 8);
    if (kind === RESULT_NUMBER) return { value: view.getFloat64(0, true) };
    if (kind === RESULT_BIGINT) return { value: view.getBigInt64(0, true) };
    return { value: undefined };
  }
  const message = records.text(address + CALL_MESSAGE_OFFSET, records.load(address + CALL_MESSAGE_SIZE_OFFSET), MESSAGE_SIZE_MAX);
  return { error: errorOf(outcome, message, name) };
}

function errorOf(outcome: number, message: string, name: string): ThreadError {
  const thread = `thread '${name}'`;
  switch (outcome) {
    case OUTCOME_PANICKED:
      return new ThreadError('THREAD_PANICKED', message || `${thread} panicked`);
    case OUTCOME_THREW:
      return new ThreadError('THREAD_PANICKED', message || `${thread} threw`);
    case OUTCOME_TRAPPED:
      return new ThreadError('THREAD_TRAPPED', `${thread} trapped: ${message}`);
    case OUTCOME_OVERFLOWED:
      return new ThreadError('THREAD_STACK_OVERFLOW', `${thread} wrote beyond its stack; start the runtime with a bigger stackSize`);
    case OUTCOME_OUT_OF_MEMORY:
      return new ThreadError('THREAD_OUT_OF_MEMORY', `no memory for the stack of ${thread}`);
    case OUTCOME_TERMINATED:
      return new ThreadError('THREAD_TERMINATED', `the worker of ${thread} was terminated`);
    default:
      return new ThreadError('THREAD_TERMINATED', `${thread} ended with the unknown outcome ${outcome}`);
  }
}
