/**
 * What a SQL thread shows of itself in the shared memory, and the word by which it is interrupted.
 *
 * # Memory orderings
 * Every `Atomics` call is sequentially consistent. The store to `cancel` publishes nothing but itself: the engine's progress
 * handler and its blocked sends load it. `state` and `statements` are for display, `progress` for a guess; each is right by itself.
 */

import {
  CONNECTION_CANCEL_OFFSET,
  CONNECTION_PROGRESS_OFFSET,
  CONNECTION_REQUEST_OFFSET,
  CONNECTION_RUNNING,
  CONNECTION_SIZE,
  CONNECTION_STATE_OFFSET,
  CONNECTION_STATEMENTS_OFFSET,
} from './layout.ts';

const CANCEL = CONNECTION_CANCEL_OFFSET / Int32Array.BYTES_PER_ELEMENT;
const STATE = CONNECTION_STATE_OFFSET / Int32Array.BYTES_PER_ELEMENT;
const STATEMENTS = CONNECTION_STATEMENTS_OFFSET / Int32Array.BYTES_PER_ELEMENT;
const REQUEST = CONNECTION_REQUEST_OFFSET / Int32Array.BYTES_PER_ELEMENT;
const PROGRESS = CONNECTION_PROGRESS_OFFSET / Int32Array.BYTES_PER_ELEMENT;

/** A view of one SQL thread's record. */
export class ConnectionRecord {
  // The record never moves. When the memory grows, a view of the old buffer still shows the same bytes.
  readonly #words: Int32Array;
  /** Called when a request was to be interrupted. */
  onCancel: (() => void) | undefined;

  constructor(buffer: ArrayBufferLike, byteOffset: number) {
    this.#words = new Int32Array(buffer, byteOffset, CONNECTION_SIZE / Int32Array.BYTES_PER_ELEMENT);
  }

  /** Interrupts the request of this id, if it is the one that runs. */
  cancel(id: number): void {
    Atomics.store(this.#words, CANCEL, id);
    Atomics.notify(this.#words, CANCEL);
    this.onCancel?.();
  }

  /** Whether the request that runs is to be interrupted. */
  get isInterrupted(): boolean {
    const id = Atomics.load(this.#words, REQUEST);
    return id !== 0 && Atomics.load(this.#words, CANCEL) === id;
  }

  /** Another number as long as the request that runs goes on; odd while it waits for another thread or the host. */
  get progress(): number {
    return Atomics.load(this.#words, PROGRESS);
  }

  /** Whether a request runs. */
  get running(): boolean {
    return Atomics.load(this.#words, STATE) === CONNECTION_RUNNING;
  }

  /** How many statements the thread has run. */
  get statements(): number {
    return Atomics.load(this.#words, STATEMENTS) >>> 0;
  }
}
