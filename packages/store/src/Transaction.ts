/**
 * A transaction: all of its writes, or none.
 *
 * ```ts
 * await db.transaction(async (tx) => {
 *   const seat = await tx.query('SELECT id FROM seats WHERE taken = 0').first();
 *   if (seat) await tx.exec('UPDATE seats SET taken = 1 WHERE id = ?', [seat['id']]);
 * });
 * ```
 *
 * It commits when the function's promise is fulfilled, and is rolled back when that rejects. It sees the database as it was at its
 * first read. When another transaction committed first what this one writes too, the commit fails with `CONFLICT`: then the
 * function is called again, on fresh data, up to `retries` times. So it must be fit to run more than once.
 */

import { HeddleStoreError } from './HeddleStoreError.ts';
import { call } from './internal/call.ts';
import { Calls, type ConnectionLane, type Lane, type Lease, type Use } from './internal/Lane.ts';
import type { Stop, StopOptions } from './internal/Stop.ts';
import { Session } from './Session.ts';

/** How a transaction is run. `signal` and `timeoutMs` are for the whole of it, repetitions included. */
export interface TransactionOptions extends StopOptions {
  /** How often the function may be called again after a `CONFLICT`; 3 by default. */
  readonly retries?: number | undefined;
  /**
   * `immediate` takes the lock of the ordinary tables at once, so that writing to them can't fail later. If not given, the first
   * attempt is `deferred` and those after a `CONFLICT` are `immediate`: they wait for each other instead of meeting again.
   */
  readonly mode?: 'deferred' | 'immediate' | undefined;
}

const RETRIES_DEFAULT = 3;

/** The longest pause before the first repetition; it doubles with each further one, so many times. */
const PAUSE_MS = 4;
const PAUSE_DOUBLINGS_MAX = 5;

/** A transaction under way. It ends with the function that it was given to. */
export class Transaction extends Session {}

/** The calls of one transaction: those of its connection, until it ends. */
class TransactionLane implements Lane {
  readonly calls: Calls = new Calls();
  readonly #connection: ConnectionLane;

  constructor(connection: ConnectionLane) {
    this.#connection = connection;
  }

  begin(options: StopOptions, sql?: string): Stop {
    this.calls.check();
    const stop = this.#connection.begin(options, sql);
    this.calls.add(stop);
    return stop;
  }

  acquire(stop: Stop, use: Use, sql?: string): Promise<Lease> {
    return this.#connection.acquire(stop, use, sql);
  }

  end(stop: Stop): void {
    this.calls.end(stop);
    this.#connection.end(stop);
  }
}

/** Runs a transaction on a connection, which has none open when it returns or throws. */
export async function runTransaction<T>(
  lane: ConnectionLane,
  work: (transaction: Transaction) => Promise<T>,
  options: TransactionOptions,
): Promise<T> {
  const { retries = RETRIES_DEFAULT } = options;
  const stop = lane.begin(options);
  try {
    for (let attempt = 0; ; attempt++) {
      if (stop.error) throw stop.error;
      try {
        return await attemptOnce(lane, work, options.mode ?? (attempt === 0 ? 'deferred' : 'immediate'), stop);
      } catch (error) {
        const again = error instanceof HeddleStoreError && error.code === 'CONFLICT' && attempt < retries;
        if (!again) throw error;
        await pause(Math.random() * PAUSE_MS * 2 ** Math.min(attempt, PAUSE_DOUBLINGS_MAX));
      }
    }
  } finally {
    lane.end(stop);
  }
}

async function attemptOnce<T>(
  connection: ConnectionLane,
  work: (transaction: Transaction) => Promise<T>,
  mode: 'deferred' | 'immediate',
  stop: Stop,
): Promise<T> {
  const lane = new TransactionLane(connection);
  try {
    await control(connection, mode === 'immediate' ? 'BEGIN IMMEDIATE' : 'BEGIN', stop);
    const stopped = new Promise<never>((_, reject) => stop.listen(reject));
    const result = await Promise.race([work(new Transaction(lane)), stopped]);
    // Calls that the function made and didn't wait for come before the commit; later ones would be outside the transaction.
    lane.calls.refuse(new HeddleStoreError('MISUSE', 'the transaction has ended'));
    await control(connection, 'COMMIT', stop);
    connection.committed();
    return result;
  } catch (error) {
    lane.calls.close(new HeddleStoreError('ABORTED', 'the transaction was rolled back', { cause: error }));
    // Where even this fails, the engine has stopped or the database is closed: nothing is open any more.
    await connection.rollBack().catch(() => undefined);
    throw error;
  } finally {
    stop.listen(undefined);
  }
}

async function control(connection: ConnectionLane, sql: string, stop: Stop): Promise<void> {
  await call(connection, { op: 'query', sql, params: [], batchRows: 0 }, stop);
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
