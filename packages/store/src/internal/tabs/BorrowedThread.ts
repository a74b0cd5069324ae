/**
 * A SQL thread in another tab: what stands for its channels, its record and its memory here.
 *
 * # Invariants
 * 1. What comes for another loan than the present one is not this thread's any more, and is dropped.
 * 2. Whoever waits here is let go when the engine stops or its tab is gone: the thread has failed then.
 */

import type { HeddleStoreError } from '../../HeddleStoreError.ts';
import { type EngineMemory, SqlThread, type SqlThreadLink } from '../SqlThread.ts';
import { postable, REQUEST_PIECE_SIZE_MAX, REQUEST_PIECES_MAX, type ToLeader, WRITES_MAX } from './messages.ts';

type Post = (message: ToLeader) => void;

/** Lets so many things be under way at a time. */
class Window {
  #room: number;
  #waiting: (() => void)[] = [];

  constructor(room: number) {
    this.#room = room;
  }

  /** Takes a place if there is one. */
  tryEnter(): boolean {
    if (this.#room <= 0) return false;
    this.#room -= 1;
    return true;
  }

  /** Takes a place, when there is one. */
  async enter(signal: AbortSignal): Promise<void> {
    while (!this.tryEnter()) {
      signal.throwIfAborted();
      // oxlint-disable-next-line no-await-in-loop -- one place after the other
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    signal.throwIfAborted();
  }

  /** Gives a place back. */
  leave(): void {
    this.#room += 1;
    this.wake();
  }

  /** Has whoever waits look again. */
  wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}

/** The memory of an engine in another tab. */
class BorrowedMemory implements EngineMemory {
  readonly #engine: number;
  readonly #post: Post;
  readonly #failed: AbortSignal;
  readonly #window = new Window(WRITES_MAX);

  constructor(engine: number, post: Post, failed: AbortSignal) {
    this.#engine = engine;
    this.#post = post;
    this.#failed = failed;
    failed.addEventListener('abort', () => this.#window.wake());
  }

  async write(address: number, bytes: Uint8Array): Promise<void> {
    await this.#window.enter(this.#failed);
    this.#post({ type: 'write', engine: this.#engine, address, bytes: postable(bytes) });
  }

  /** A write has been done. */
  written(): void {
    this.#window.leave();
  }
}

/** The channels of a thread in another tab. */
class BorrowedLink implements SqlThreadLink {
  readonly memory: EngineMemory;
  readonly #post: Post;
  #ticket = 0;
  #pieces = new Window(REQUEST_PIECES_MAX);
  #arrived: Uint8Array[] = [];
  #onArrival: (() => void) | undefined;

  constructor(memory: EngineMemory, post: Post, failed: AbortSignal) {
    this.memory = memory;
    this.#post = post;
    failed.addEventListener('abort', () => {
      this.#pieces.wake();
      this.#onArrival?.();
    });
  }

  readonly requests: SqlThreadLink['requests'] = {
    messageByteLengthMax: REQUEST_PIECE_SIZE_MAX,
    trySend: (bytes) => {
      const isSent = this.#pieces.tryEnter();
      if (isSent) this.#send(bytes);
      return isSent;
    },
    sendAsync: async (bytes, { signal }) => {
      await this.#pieces.enter(signal);
      this.#send(bytes);
    },
    close: () => {},
  };

  readonly responses: SqlThreadLink['responses'] = {
    tryRecv: () => this.#take(),
    recvAsync: async ({ signal }) => {
      for (;;) {
        signal.throwIfAborted();
        const bytes = this.#take();
        if (bytes) return bytes;
        // oxlint-disable-next-line no-await-in-loop -- one arrival after the other
        await new Promise<void>((resolve) => {
          this.#onArrival = resolve;
        });
      }
    },
    close: () => {},
  };

  readonly record: SqlThreadLink['record'] = {
    statements: 0,
    cancel: (id) => this.#post({ type: 'interrupt', ticket: this.#ticket, id }),
  };

  /** The tab that has the engine looks after it, and tells when it stops. */
  check(): void {}

  #send(bytes: Uint8Array): void {
    this.#post({ type: 'request', ticket: this.#ticket, bytes: postable(bytes) });
  }

  #take(): Uint8Array | undefined {
    const bytes = this.#arrived.shift();
    if (bytes) this.#post({ type: 'taken', ticket: this.#ticket, size: bytes.length });
    return bytes;
  }

  /** The thread is lent under another number. */
  lend(ticket: number): void {
    this.#ticket = ticket;
    this.#pieces = new Window(REQUEST_PIECES_MAX);
    this.#arrived = [];
  }

  arrive(bytes: Uint8Array): void {
    this.#arrived.push(bytes);
    this.#onArrival?.();
  }

  accepted(): void {
    this.#pieces.leave();
  }
}

/** An engine in another tab: the threads of it that were ever lent to this one. */
export class BorrowedEngine {
  /** The number by which the leader knows it. */
  readonly number: number;
  readonly #post: Post;
  readonly #failure = new AbortController();
  readonly #memory: BorrowedMemory;
  readonly #threads = new Map<number, SqlThread>();

  constructor(number: number, post: Post) {
    this.number = number;
    this.#post = post;
    this.#memory = new BorrowedMemory(number, post, this.#failure.signal);
  }

  /** A thread, lent under a number, after a request of that id. */
  lend({ index, ticket, lastId }: { readonly index: number; readonly ticket: number; readonly lastId: number }): SqlThread {
    let thread = this.#threads.get(index);
    if (!thread) {
      thread = new SqlThread(index, new BorrowedLink(this.#memory, this.#post, this.#failure.signal));
      this.#threads.set(index, thread);
    }
    (thread.link as BorrowedLink).lend(ticket);
    thread.continueFrom(lastId);
    return thread;
  }

  /** A message of a thread has come. */
  arrive(thread: SqlThread, bytes: Uint8Array): void {
    (thread.link as BorrowedLink).arrive(bytes);
  }

  /** A piece of a request has been taken. */
  accepted(thread: SqlThread): void {
    (thread.link as BorrowedLink).accepted();
  }

  /** A write has been done. */
  written(): void {
    this.#memory.written();
  }

  /** It has stopped, or is out of reach. */
  fail(error: HeddleStoreError, culprit?: { readonly index: number; readonly error: HeddleStoreError }): void {
    for (const [index, thread] of this.#threads) {
      const isCulprit = index === culprit?.index;
      thread.fail(isCulprit ? culprit.error : error, { isCulprit });
    }
    this.#failure.abort(error);
  }
}
