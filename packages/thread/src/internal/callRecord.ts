/** A call's record, seen from the worker that runs it: between the queue and the outcome it is the worker's alone. */
import { ARGUMENTS_MAX, MESSAGE_SIZE_MAX, type WasmValue } from './Calls.ts';
import {
  CALL_ARGUMENTS_OFFSET,
  CALL_ARGUMENT_COUNT_OFFSET,
  CALL_ARGUMENT_KINDS_OFFSET,
  CALL_FREE,
  CALL_IS_DETACHED_OFFSET,
  CALL_MESSAGE_OFFSET,
  CALL_MESSAGE_SIZE_OFFSET,
  CALL_OUTCOME_OFFSET,
  CALL_RESULT_KIND_OFFSET,
  CALL_RESULT_OFFSET,
  CALL_STATE_OFFSET,
  RESULT_BIGINT,
  RESULT_NUMBER,
  RESULT_UNDEFINED,
} from './layout.ts';
import type { SharedRecords } from './SharedRecords.ts';

/** How a call ended, before it is written down. */
export interface Ending {
  readonly outcome: number;
  readonly value?: WasmValue | undefined;
  readonly message?: string;
}

/** What the export is called with. */
export function argumentsOf(records: SharedRecords, call: number): WasmValue[] {
  const kinds = records.load(call + CALL_ARGUMENT_KINDS_OFFSET);
  const view = records.view(call + CALL_ARGUMENTS_OFFSET, ARGUMENTS_MAX * 8);
  return Array.from({ length: records.load(call + CALL_ARGUMENT_COUNT_OFFSET) }, (_, index) =>
    (kinds & (1 << index)) === 0 ? view.getFloat64(index * 8, true) : view.getBigInt64(index * 8, true),
  );
}

/** Writes down how a call ended, and wakes who joins it; one that nobody joins becomes free. */
export function endCall(records: SharedRecords, call: number, { outcome, value, message = '' }: Ending): void {
  if (records.load(call + CALL_IS_DETACHED_OFFSET) !== 0) {
    records.store(call + CALL_STATE_OFFSET, CALL_FREE);
    return;
  }
  const view = records.view(call + CALL_RESULT_OFFSET, 8);
  let kind = RESULT_UNDEFINED;
  if (typeof value === 'number') {
    kind = RESULT_NUMBER;
    view.setFloat64(0, value, true);
  } else if (typeof value === 'bigint') {
    kind = RESULT_BIGINT;
    view.setBigInt64(0, value, true);
  }
  records.store(call + CALL_RESULT_KIND_OFFSET, kind);
  records.store(call + CALL_MESSAGE_SIZE_OFFSET, records.writeText(call + CALL_MESSAGE_OFFSET, message, MESSAGE_SIZE_MAX));
  // Last: publishes the result to `takeResult`.
  records.store(call + CALL_OUTCOME_OFFSET, outcome);
  records.notify(call + CALL_OUTCOME_OFFSET);
}
