/**
 * A SQL thread of one's own.
 *
 * When to use: for what must happen on one connection – transactions written by hand, savepoints, temporary tables, pragmas.
 * Otherwise `db.query`, `db.exec` and `db.transaction` need no connection.
 *
 * ```ts
 * await using connection = await db.connection();
 * await connection.exec('BEGIN');
 * await connection.exec('UPDATE flights SET delay = 0 WHERE id = ?', [7]);
 * await connection.exec('COMMIT');
 * ```
 *
 * Calls run one after another, in the order they were made. While a `for await` over a query's batches is unfinished, other calls
 * on the connection are `MISUSE`: they would wait for the loop, and the loop may be waiting for them.
 *
 * A connection ends with its engine. When that stops, every call rejects with `ENGINE_RESTARTED` from then on: release the connection and
 * reserve another, whose temporary tables and pragmas are to be made again.
 */

import { HeddleStoreError } from './HeddleStoreError.ts';
import type { ConnectionLane } from './internal/Lane.ts';
import { Session } from './Session.ts';
import { runOnConnection, type Transaction, type TransactionOptions } from './Transaction.ts';

/** A SQL thread of one's own. Give it back with {@link release}, or by `await using`. */
export class Connection extends Session implements AsyncDisposable {
  readonly #lane: ConnectionLane;
  readonly #giveBack: () => void;
  #released: Promise<void> | undefined;

  /** Made by `db.connection()`. */
  constructor(lane: ConnectionLane, giveBack: () => void) {
    super(lane);
    this.#lane = lane;
    this.#giveBack = giveBack;
  }

  /** Runs a transaction on this connection; see `db.transaction`. When the engine stops, it is not repeated: the connection is gone. */
  transaction<T>(work: (transaction: Transaction) => Promise<T>, options: TransactionOptions = {}): Promise<T> {
    return runOnConnection(this.#lane, work, options);
  }

  /**
   * Gives the thread back: calls under way are interrupted and reject with `CLOSED`, an open transaction is rolled back. Again,
   * it changes nothing.
   */
  release(): Promise<void> {
    this.#released ??= this.#release();
    return this.#released;
  }

  async #release(): Promise<void> {
    await this.#lane.close(new HeddleStoreError('CLOSED', 'the connection has been released'));
    this.#giveBack();
  }

  /** {@link release} */
  [Symbol.asyncDispose](): Promise<void> {
    return this.release();
  }
}
