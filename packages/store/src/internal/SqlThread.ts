/**
 * One SQL thread as the main thread sees it: a channel of requests, a channel of responses, and a word to interrupt it by.
 *
 * # Invariants
 * 1. One request is under way at a time: the next is sent after the last response of the one before was received.
 * 2. Responses are received only when somebody asks for them. A reader that doesn't ask leaves them in the channel; the full
 *    channel blocks the SQL thread: that is the back-pressure.
 * 3. Whoever starts an {@link Exchange} reads it to its end, or has `drain` do it.
 */

import { HeddleStoreError } from '../HeddleStoreError.ts';
import type { Stop } from './Stop.ts';
import { Assembler, decodeResponse, type Done, encodeRequest, errorOf, type Failure, pieces, type Request, type Response } from './wire.ts';

const REQUEST_ID_MAX = 0xffff_ffff;

/** What may be given up while it waits. */
interface Waiting {
  readonly signal: AbortSignal;
}

/** The memory of an engine. Two addresses mean the same thing in the same object only. */
export interface EngineMemory {
  /** Copies bytes to an address. The promise, where there is one, is for who has more: it says when. */
  write(address: number, bytes: Uint8Array): void | Promise<void>;
}

/** The ends of a SQL thread's channels, and its record; or what stands for them in another tab. */
export interface SqlThreadLink {
  readonly requests: {
    readonly messageByteLengthMax: number;
    trySend(bytes: Uint8Array): boolean;
    sendAsync(bytes: Uint8Array, options: Waiting): Promise<void>;
    close(): void;
  };
  readonly responses: {
    tryRecv(): Uint8Array | undefined;
    recvAsync(options: Waiting): Promise<Uint8Array>;
    close(): void;
  };
  readonly record: {
    /** How many statements the thread has run. */
    readonly statements: number;
    /** Interrupts the request of this id, if it is the one that runs. */
    cancel(id: number): void;
  };
  readonly memory: EngineMemory;
  /** Fails this thread where its engine has stopped and nobody has said so yet; `broken` is what made its channels useless. */
  readonly check: (broken?: unknown) => void;
}

/** The request under way on a SQL thread. */
export interface SqlThreadActivity {
  readonly sql: string | undefined;
  /** When it was sent, on `performance.now()`'s clock. */
  readonly startMs: number;
}

/** One SQL thread. */
export class SqlThread {
  /** Its number, from 0. */
  readonly index: number;
  readonly link: SqlThreadLink;
  readonly #failure = new AbortController();
  #isCulprit = false;
  #answers = 0;
  #lastId = 0;
  #activity: SqlThreadActivity | undefined;

  constructor(index: number, link: SqlThreadLink) {
    this.index = index;
    this.link = link;
  }

  /** What runs on it now, if anything. */
  get activity(): SqlThreadActivity | undefined {
    return this.#activity;
  }

  /** Fires when the engine has stopped; the reason is the error that calls reject with. */
  get failed(): AbortSignal {
    return this.#failure.signal;
  }

  /** Whether what ran on it stopped the engine. */
  get isCulprit(): boolean {
    return this.#isCulprit;
  }

  /** How many requests it has done. */
  get answers(): number {
    return this.#answers;
  }

  /** The number of its last request. */
  get lastId(): number {
    return this.#lastId;
  }

  /** The number of the next request. */
  get nextId(): number {
    return this.#lastId === REQUEST_ID_MAX ? 1 : this.#lastId + 1;
  }

  /** Goes on behind another's last request: other tabs may have had the thread in between. */
  continueFrom(lastId: number): void {
    this.#lastId = lastId;
  }

  /** Notes that a request is sent. Returns what notes its last response. */
  begin(id: number, sql: string | undefined): (last: 'done' | 'error') => void {
    this.#lastId = id;
    this.#activity = { sql, startMs: performance.now() };
    return (last) => {
      this.#activity = undefined;
      if (last === 'done') this.#answers += 1;
    };
  }

  /** Rejects what is under way and whatever comes, with one error. Called when the engine has stopped. */
  fail(error: HeddleStoreError, { isCulprit }: { readonly isCulprit: boolean } = { isCulprit: false }): void {
    this.#isCulprit ||= isCulprit;
    this.#failure.abort(error);
  }

  /** Sends a request. The exchange's last response must be read before the next request. */
  async start(request: Request): Promise<Exchange> {
    const id = this.nextId;
    // Throws where the request is too long, before anything is noted of it.
    const message = encodeRequest(id, request);
    const end = this.begin(id, request.op === 'query' ? request.sql : undefined);
    const exchange = new Exchange(id, this.link, this.failed, ({ type }) => end(type));
    await this.send(message);
    return exchange;
  }

  /** Sends an encoded request, whose beginning has been noted. */
  send(message: Uint8Array<ArrayBuffer>): Promise<void> {
    const { requests } = this.link;
    const signal = this.failed;
    return orFailure(this.link, signal, async () => {
      for (const piece of pieces(message, requests.messageByteLengthMax)) {
        if (!requests.trySend(piece)) await requests.sendAsync(piece, { signal });
      }
    });
  }

  /**
   * Sends a request, interrupts it when there is reason to stop, and waits for its end.
   *
   * The answer counts, not the wish: a request that was done before the interruption reached it has succeeded.
   *
   * @throws {HeddleStoreError} what the engine answered, or the reason to stop
   */
  async request(request: Request, stop: Stop | undefined, progress?: (response: Response) => void): Promise<Done> {
    if (stop?.error) throw stop.error;
    const sql = request.op === 'query' ? request.sql : undefined;
    const exchange = await this.start(request);
    stop?.listen(() => exchange.interrupt());
    const last = await exchange.drain(progress);
    stop?.listen(undefined);
    if (last.type === 'error') throw failureOf(last, stop, sql);
    return last;
  }
}

/** The error of a failed request: the reason to stop where that is what interrupted it. */
export function failureOf(failure: Failure, stop: Stop | undefined, sql: string | undefined): HeddleStoreError {
  return (failure.code === 'INTERRUPTED' ? stop?.error : undefined) ?? errorOf(failure, sql);
}

/** One request under way, and its responses. */
export class Exchange {
  readonly #id: number;
  readonly #link: SqlThreadLink;
  readonly #failed: AbortSignal;
  readonly #onEnd: (last: Done | Failure) => void;
  readonly #assembler = new Assembler();
  #names: readonly string[] = [];
  #ended = false;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(id: number, link: SqlThreadLink, failed: AbortSignal, onEnd: (last: Done | Failure) => void) {
    this.#id = id;
    this.#link = link;
    this.#failed = failed;
    this.#onEnd = onEnd;
  }

  /** Whether the last response has been received. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Asks the engine to stop; the last response still comes. */
  interrupt(): void {
    if (!this.#ended) this.#link.record.cancel(this.#id);
  }

  /** Receives the next response; `undefined` behind the last. Several callers are served in order. */
  next(): Promise<Response | undefined> {
    const next = this.#turn.then(() => (this.#ended ? undefined : this.#receive()));
    this.#turn = next.catch(() => {});
    return next;
  }

  /** Receives until the end and returns the last response. */
  async drain(progress?: (response: Response) => void): Promise<Done | Failure> {
    for (;;) {
      const response = await this.next();
      if (response === undefined) throw new HeddleStoreError('CLOSED', 'the call has ended');
      if (response.type === 'done' || response.type === 'error') return response;
      progress?.(response);
    }
  }

  async #receive(): Promise<Response> {
    const { responses } = this.#link;
    return orFailure(this.#link, this.#failed, async () => {
      for (;;) {
        const bytes = responses.tryRecv() ?? (await responses.recvAsync({ signal: this.#failed }));
        const message = this.#assembler.add(bytes);
        if (message === undefined) continue;
        const { id, response } = decodeResponse(message, this.#names);
        if (id !== this.#id) throw new RangeError(`the engine answered request ${id} instead of ${this.#id}`);
        if (response.type === 'columns') this.#names = response.names;
        if (response.type === 'done' || response.type === 'error') {
          this.#ended = true;
          this.#onEnd(response);
        }
        if (response.type === 'error') {
          // After a trap, other threads find what it left behind, and fail for reasons that are none of their callers' concern.
          this.#link.check();
          this.#failed.throwIfAborted();
        }
        return response;
      }
    });
  }
}

/** Runs a step of the protocol. Whatever it throws, callers are told why the engine stopped. */
export async function orFailure<T>(link: SqlThreadLink, failed: AbortSignal, step: () => Promise<T>): Promise<T> {
  try {
    failed.throwIfAborted();
    return await step();
  } catch (cause) {
    if (!failed.aborted) link.check(cause);
    if (failed.aborted) throw failed.reason;
    throw new HeddleStoreError('ENGINE_FAILED', 'the engine no longer answers', { cause });
  }
}
