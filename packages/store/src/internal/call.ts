/** Requests that are one round trip: a thread is taken, asked, and given back. */

import type { ExecResult } from '../Session.ts';
import { checkParams, type SqlParams } from '../SqlValue.ts';
import type { Lane } from './Lane.ts';
import type { Stop, StopOptions } from './Stop.ts';
import type { Done, Request, Response } from './wire.ts';

/** Sends a request to a thread of the lane and waits for its end. */
export async function call(lane: Lane, request: Request, stop: Stop, progress?: (response: Response) => void): Promise<Done> {
  const lease = await lane.acquire(stop, 'whole', request.op === 'query' ? request.sql : undefined);
  let done: Done;
  try {
    done = await lease.thread.request(request, stop, progress);
  } catch (error) {
    await lease.release();
    throw error;
  }
  const amiss = await lease.release();
  if (amiss) throw amiss;
  return done;
}

/** Runs one or more statements on a thread of the lane and discards their rows. */
export async function execute(lane: Lane, sql: string, params: SqlParams, options: StopOptions): Promise<ExecResult> {
  checkParams(params, sql);
  const stop = lane.begin(options, sql);
  try {
    const { changes, lastInsertRowid } = await call(lane, { op: 'query', sql, params, batchRows: 0 }, stop);
    return { changes, lastInsertRowid };
  } finally {
    lane.end(stop);
  }
}
