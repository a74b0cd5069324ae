/** Requests that are one round trip: a thread is taken, asked, and given back. */

import type { ExecResult } from '../Session.ts';
import { checkParams, checkSql, type SqlParams } from '../SqlValue.ts';
import type { Lane } from './Lane.ts';
import type { SqlThread } from './SqlThread.ts';
import type { Stop, StopOptions } from './Stop.ts';
import type { Done, Request, Response } from './wire.ts';

/** How a request is made. */
export interface CallOptions {
  /** Called with the responses before the last. */
  readonly progress?: ((response: Response) => void) | undefined;
  /** A thread in whose memory the request's addresses are. Where that is gone, the request is not sent. */
  readonly beside?: SqlThread | undefined;
}

/** An answer, and who gave it. */
export interface Answer {
  readonly done: Done;
  readonly thread: SqlThread;
}

/** Sends a request to a thread of the lane and waits for its end. */
export async function ask(lane: Lane, request: Request, stop: Stop, { progress, beside }: CallOptions = {}): Promise<Answer> {
  const lease = await lane.acquire(stop, 'whole', request.op === 'query' ? request.sql : undefined);
  const { thread } = lease;
  let done: Done;
  try {
    if (beside && beside.link.memory !== thread.link.memory) throw beside.failed.reason;
    done = await thread.request(request, stop, progress);
  } catch (error) {
    await lease.release();
    throw error;
  }
  const amiss = await lease.release();
  if (amiss) throw amiss;
  return { done, thread };
}

/** As {@link ask}, for those who don't care who answers. */
export async function call(lane: Lane, request: Request, stop: Stop, options?: CallOptions): Promise<Done> {
  return (await ask(lane, request, stop, options)).done;
}

/** Runs one or more statements on a thread of the lane and discards their rows. */
export async function execute(lane: Lane, sql: string, params: SqlParams, options: StopOptions): Promise<ExecResult> {
  checkSql(sql);
  checkParams(params, sql);
  const stop = lane.begin(options, sql);
  try {
    const { changes, lastInsertRowid } = await call(lane, { op: 'query', sql, params, batchRows: 0 }, stop);
    return { changes, lastInsertRowid };
  } finally {
    lane.end(stop);
  }
}
