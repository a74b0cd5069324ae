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
 *
 * So it is when the engine stops under it through no fault of its own and is restarted, as long as the commit was not under way: then
 * nothing of it is there. A commit under way may have come through. That transaction is not repeated but rejects with
 * `ENGINE_RESTARTED`: look whether it is there, which it is whole or not at all.
 */

import { HeddleStoreError } from './HeddleStoreError.ts';
import { call } from './internal/call.ts';
import { Calls, type ConnectionLane, type Lane, type Lease, type Use } from './internal/Lane.ts';
import type { SqlThread } from './internal/SqlThread.ts';
import type { Stop, StopOptions } from './internal/Stop.ts';
import { Session } from './Session.ts';

/** How a transaction is run. `signal` and `timeoutMs` are for the whole of it, repetitions included. */
export interface TransactionOptions extends StopOptions {
  /** How often the function may be called again, after a `CONFLICT` or a restart of the engine; 3 by default. */
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

/**
 * SQL that may end a transaction by itself, which is for `db.transaction` to do. A match elsewhere in the text only means that the
 * transaction isn't repeated after a restart.
 */
const COMMITS = /\bCOMMIT\b|(?:^|;)\s*END\b/i;

/** The runs of one transaction's function. */
export class Attempts {
  readonly options: TransactionOptions;
  /** How often a `CONFLICT` was the reason to call it again. */
  conflicts = 0;
  #repeated = 0;
  /** Whether the last run came to its commit. */
  #hasCommitted = false;

  constructor(options: TransactionOptions) {
    this.options = options;
  }

  /** Begins a run. */
  begin(): void {
    this.#hasCommitted = false;
  }

  /** Notes that a commit is on its way. */
  noteCommit(): void {
    this.#hasCommitted = true;
  }

  /** Whether the function may be called again on the same connection. */
  mayRepeat(error: unknown): boolean {
    if (!(error instanceof HeddleStoreError && error.code === 'CONFLICT') || !this.#isLeft()) return false;
    this.conflicts += 1;
    return true;
  }

  /** Whether the function may be called again on another engine: nothing of it is there, and it was another who stopped this one. */
  mayRepeatAfterRestart(error: unknown, { failed, isCulprit }: SqlThread): boolean {
    if (!failed.aborted || error !== failed.reason || (error as HeddleStoreError).code !== 'ENGINE_RESTARTED') return false;
    return !isCulprit && !this.#hasCommitted && this.#isLeft();
  }

  #isLeft(): boolean {
    const { retries = RETRIES_DEFAULT } = this.options;
    this.#repeated += 1;
    return this.#repeated <= retries;
  }
}

/** The calls of one transaction: those of its connection, until it ends. */
class TransactionLane implements Lane {
  readonly calls: Calls = new Calls();
  readonly #connection: ConnectionLane;
  readonly #attempts: Attempts;

  constructor(connection: ConnectionLane, attempts: Attempts) {
    this.#connection = connection;
    this.#attempts = attempts;
  }

  begin(options: StopOptions, sql: string = ''): Stop {
    this.calls.check();
    if (COMMITS.test(sql)) this.#attempts.noteCommit();
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

/** Runs a transaction on a connection of somebody's own. */
export async function runOnConnection<T>(
  lane: ConnectionLane,
  work: (transaction: Transaction) => Promise<T>,
  options: TransactionOptions,
): Promise<T> {
  const stop = lane.begin(options);
  try {
    return await runTransaction(lane, work, new Attempts(options), stop);
  } finally {
    lane.end(stop);
  }
}

/** Runs a transaction on a connection, which has none open when it returns or throws. */
export async function runTransaction<T>(
  lane: ConnectionLane,
  work: (transaction: Transaction) => Promise<T>,
  attempts: Attempts,
  stop: Stop,
): Promise<T> {
  for (;;) {
    if (stop.error) throw stop.error;
    try {
      return await attemptOnce(lane, work, attempts, stop);
    } catch (error) {
      if (!attempts.mayRepeat(error)) throw error;
      await pause(Math.random() * PAUSE_MS * 2 ** Math.min(attempts.conflicts - 1, PAUSE_DOUBLINGS_MAX));
    }
  }
}

async function attemptOnce<T>(
  connection: ConnectionLane,
  work: (transaction: Transaction) => Promise<T>,
  attempts: Attempts,
  stop: Stop,
): Promise<T> {
  const lane = new TransactionLane(connection, attempts);
  const { failed } = connection.thread;
  const stopped = Promise.withResolvers<never>();
  // Nobody may be waiting for it.
  stopped.promise.catch(() => undefined);
  const onFailed = (): void => stopped.reject(failed.reason);
  failed.addEventListener('abort', onFailed);
  attempts.begin();
  try {
    const mode = attempts.options.mode ?? (attempts.conflicts === 0 ? 'deferred' : 'immediate');
    await control(connection, mode === 'immediate' ? 'BEGIN IMMEDIATE' : 'BEGIN', stop);
    stop.listen(stopped.reject);
    const result = await Promise.race([work(new Transaction(lane)), stopped.promise]);
    // Calls that the function made and didn't wait for come before the commit; later ones would be outside the transaction.
    lane.calls.refuse(new HeddleStoreError('MISUSE', 'the transaction has ended'));
    failed.throwIfAborted();
    attempts.noteCommit();
    await control(connection, 'COMMIT', stop);
    connection.committed();
    return result;
  } catch (error) {
    lane.calls.close(new HeddleStoreError('ABORTED', 'the transaction was rolled back', { cause: error }));
    // Where even this fails, the engine has stopped or the database is closed: nothing is open any more.
    await connection.rollBack().catch(() => undefined);
    throw error;
  } finally {
    failed.removeEventListener('abort', onFailed);
    stop.listen(undefined);
  }
}

async function control(connection: ConnectionLane, sql: string, stop: Stop): Promise<void> {
  await call(connection, { op: 'query', sql, params: [], batchRows: 0 }, stop);
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
