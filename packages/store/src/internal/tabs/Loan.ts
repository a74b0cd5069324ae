/**
 * A SQL thread of the leader's, lent to a follower: its requests go in, the thread's responses go out.
 *
 * # Invariants
 * 1. A request reaches the engine whole or not at all, though its pieces come one by one: the follower may be gone before the last.
 * 2. Of responses, at most {@link RESPONSE_WINDOW} bytes are on their way or unread. While there is no room, nothing is received, and
 *    the SQL thread waits: that is the back-pressure.
 * 3. A loan ends once. Whatever its follower left – a request that runs, an open transaction, settings – is interrupted, rolled back and
 *    undone before anybody else gets the thread.
 */

import { restore } from '../Lane.ts';
import { Reader } from '../MessagePack.ts';
import { orFailure, type SqlThread } from '../SqlThread.ts';
import { Assembler, decodeResponse, isLastPiece, peekRequest, peekResponse } from '../wire.ts';
import { postable, RESPONSE_WINDOW, type ToFollower } from './messages.ts';

/** Who is told of a loan. */
export interface LoanEvents {
  readonly post: (message: ToFollower) => void;
  /** A request has allocated memory, or freed it. */
  readonly onRegion: (op: 'alloc' | 'free', address: number, size: number) => void;
}

/** A thread that is lent. */
export class Loan {
  readonly thread: SqlThread;
  readonly #ticket: number;
  readonly #events: LoanEvents;
  readonly #assembler = new Assembler();
  /** The id of the request that runs. */
  #running: number | undefined;
  /** Settles when the requests that were made are done. */
  #turn: Promise<void> = Promise.resolve();
  #room = RESPONSE_WINDOW;
  #onRoom: (() => void) | undefined;
  #isOver = false;
  readonly #onFailed = (): void => this.#onRoom?.();

  constructor(thread: SqlThread, ticket: number, events: LoanEvents) {
    this.thread = thread;
    this.#ticket = ticket;
    this.#events = events;
    thread.failed.addEventListener('abort', this.#onFailed);
  }

  /** Whether a request runs. */
  get isBusy(): boolean {
    return this.#running !== undefined;
  }

  /** Takes a request, or a piece of one. */
  request(bytes: Uint8Array): void {
    if (this.#isOver) return;
    this.#post({ type: 'accepted', ticket: this.#ticket });
    const message = this.#assembler.add(bytes);
    if (message) this.#turn = this.#turn.then(() => this.#run(message));
  }

  /** Interrupts a request, if it runs. */
  interrupt(id: number): void {
    if (this.#running === id) this.thread.link.record.cancel(id);
  }

  /** Makes room for so many bytes. */
  taken(size: number): void {
    this.#room += size;
    this.#onRoom?.();
  }

  /** Where this fails, the engine has stopped, and the follower is told so. */
  async #run(message: Uint8Array<ArrayBuffer>): Promise<void> {
    if (this.#isOver) return;
    const { id, op, sql } = peekRequest(message);
    const end = this.thread.begin(id, sql);
    this.#running = id;
    try {
      await this.thread.send(message);
      const last = await this.#passOn();
      end(last.type);
      if (last.type === 'done' && (op === 'alloc' || op === 'free')) this.#noteRegion(op, message, last.bytes);
      this.#post({ type: 'response', ticket: this.#ticket, bytes: last.bytes });
    } catch {
      this.#isOver = true;
    } finally {
      this.#running = undefined;
    }
  }

  /** Passes the responses on, but for the last, which is small. */
  async #passOn(): Promise<{ readonly type: 'done' | 'error'; readonly bytes: Uint8Array }> {
    let type: string | undefined;
    for (;;) {
      const bytes = await this.#receive();
      type ??= peekResponse(bytes).type;
      const isLast = isLastPiece(bytes);
      if (type === 'error') {
        // After a trap, other threads find what it left behind, and fail for reasons that are none of their callers' concern.
        this.thread.link.check();
        this.thread.failed.throwIfAborted();
      }
      if (isLast && (type === 'done' || type === 'error')) {
        this.#room -= bytes.length;
        return { type, bytes: postable(bytes) };
      }
      await this.#makeRoom(bytes.length);
      this.#post({ type: 'response', ticket: this.#ticket, bytes: postable(bytes) });
      if (isLast) type = undefined;
    }
  }

  #receive(): Promise<Uint8Array> {
    const { link, failed } = this.thread;
    const { responses } = link;
    return orFailure(link, failed, async () => responses.tryRecv() ?? responses.recvAsync({ signal: failed }));
  }

  /** A message longer than the window waits until all before it was read. */
  async #makeRoom(size: number): Promise<void> {
    const { failed } = this.thread;
    while (!this.#isOver && this.#room < Math.min(size, RESPONSE_WINDOW)) {
      failed.throwIfAborted();
      // oxlint-disable-next-line no-await-in-loop -- one arrival after the other
      await new Promise<void>((resolve) => {
        this.#onRoom = resolve;
      });
    }
    this.#room -= size;
  }

  #noteRegion(op: 'alloc' | 'free', request: Uint8Array<ArrayBuffer>, answer: Uint8Array): void {
    const { size, address } = new Reader(request).value() as { readonly size: number; readonly address?: number };
    const { response } = decodeResponse(answer as Uint8Array<ArrayBuffer>, []);
    this.#events.onRegion(op, address ?? (response.type === 'done' ? response.address : 0), size);
  }

  #post(message: ToFollower): void {
    if (!this.#isOver) this.#events.post(message);
  }

  /** Ends a loan whose thread is quiet, with no transaction open. */
  finish(): void {
    this.#isOver = true;
    this.thread.failed.removeEventListener('abort', this.#onFailed);
  }

  /** Ends the loan, and returns when the thread is quiet, has no transaction open, and its settings are as they were. Never rejects. */
  async end(): Promise<void> {
    const wasOver = this.#isOver;
    this.finish();
    this.#onRoom?.();
    if (this.#running !== undefined) this.thread.link.record.cancel(this.#running);
    await this.#turn;
    // Where this fails, the engine has stopped, and nothing is open any more.
    if (!wasOver) await restore(this.thread).catch(() => false);
  }
}
