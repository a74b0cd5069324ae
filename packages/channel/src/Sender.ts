/** The sending end of a channel. */
import { AbortedError, InvalidArgumentError, type SharedLocation } from '@heddle/atomics';
import { checkKind, deadlineAfter, defineDisposeSymbol, openRegistryOf, remainingMs } from '@heddle/atomics/internal';
import { type Codec } from './Codec.ts';
import { ChannelTimeoutError, ClosedError, EncodeError, MessageTooLargeError, SendAbortedError } from './errors.ts';
import { BRIEF_MS } from './internal/brief.ts';
import { copied } from './internal/copy.ts';
import { type EndHandle, codecFor, endHandle, releasedError, withValue } from './internal/end.ts';
import { type Counted } from './internal/Ends.ts';
import { CLOSED, DONE, NOT_NOW, type Result } from './internal/result.ts';
import { Ring } from './internal/Ring.ts';
import type { Sending } from './internal/Sending.ts';
import { Reservation } from './Reservation.ts';
import { type Operation, type Selectable } from './select.ts';

defineDisposeSymbol();

const KIND = 'heddle.Sender';

/** What is waited for, in errors. */
const OPERATION = 'sending to the channel';

/** What is posted of a sender; reopen it with {@link Sender.from}. */
export type SenderHandle = EndHandle<typeof KIND>;

/** How long to wait. */
export interface WaitOptions {
  /** The longest wait in milliseconds; no limit if not given. */
  readonly timeoutMs?: number;
}

/** How long to wait without blocking. */
export interface AsyncWaitOptions extends WaitOptions {
  /** Gives the wait up. */
  readonly signal?: AbortSignal;
}

/** The sending end of a channel. Each thread opens its own; the last one released closes the channel. */
export class Sender<T = Uint8Array> {
  readonly #ring: Ring;
  readonly #sending: Sending;
  readonly #codec: Codec<T>;
  readonly #counted: Counted;
  #isReleased = false;

  private constructor(ring: Ring, codec: Codec<T>, counted: Counted) {
    this.#ring = ring;
    this.#sending = ring.sending;
    this.#codec = codec;
    this.#counted = counted;
  }

  /**
   * Opens one more sending end of the channel that a handle names.
   *
   * @param options.codec the codec of the channel, if it is not one of this package
   * @throws InvalidRecordError `INVALID_RECORD` if there is no channel
   * @throws CodecMismatchError `CODEC_MISMATCH` for another codec than the handle's
   */
  static from<T = Uint8Array>(handle: SenderHandle, options: { readonly codec?: Codec<T> } = {}): Sender<T> {
    checkKind(handle, KIND);
    const codec = codecFor(handle.codec, options.codec);
    openRegistryOf(handle);
    const ring = Ring.open(handle as SharedLocation);
    return new Sender(ring, codec, ring.addEnd('sender'));
  }

  /** The sending end that a new channel has counted already; `channel` calls it. */
  static adopt<T>(ring: Ring, codec: Codec<T>): Sender<T> {
    return new Sender(ring, codec, ring.ownEnd('sender'));
  }

  /** One more sending end of a channel; `openSender` calls it. */
  static open<T>(ring: Ring, codec: Codec<T>): Sender<T> {
    return new Sender(ring, codec, ring.addEnd('sender'));
  }

  /** What to post to another thread. Post it before this end is released, and release it once the other has opened its own. */
  handle(): SenderHandle {
    return endHandle(KIND, this.#ring, this.#codec as unknown as Codec<never>);
  }

  /** One more sending end for this thread. */
  clone(): Sender<T> {
    if (this.#isReleased) throw releasedError('sender');
    return new Sender(this.#ring, this.#codec, this.#ring.addEnd('sender'));
  }

  /** How many messages wait to be received; of the past as soon as it is known. */
  get length(): number {
    return this.#ring.length;
  }

  /** Whether nothing waits to be received; of the past as soon as it is known. */
  get isEmpty(): boolean {
    return this.#ring.length === 0;
  }

  /** Whether there is no room for another message, however short; of the past as soon as it is known. */
  get isFull(): boolean {
    return this.#ring.isFull;
  }

  /** How many messages the channel holds at most; 0 for a rendezvous. */
  get capacity(): number {
    return this.#ring.capacity;
  }

  /**
   * The bytes of the longest message that lies in the ring in one piece: half the ring less 8. `send` and `sendAsync` send
   * longer ones in several pieces, the other operations refuse them.
   */
  get messageByteLengthMax(): number {
    return this.#ring.frameByteLengthMax;
  }

  /** Whether the channel is closed. */
  get closed(): boolean {
    return this.#isReleased || this.#ring.isClosed;
  }

  /**
   * Sends a value, blocking while the channel is full. While a message longer than {@link Sender.messageByteLengthMax} is sent,
   * other senders wait; if the time runs out in its middle, receivers see nothing of it.
   *
   * @throws MayNotBlockError `MAY_NOT_BLOCK` if it is full and this thread may not block; use `sendAsync` there
   * @throws ChannelTimeoutError `TIMEOUT` with the value
   * @throws ClosedError `CLOSED` with the value
   * @throws InUseError `IN_USE` if this end has a reservation that is neither committed nor abandoned
   * @throws EncodeError `ENCODE_FAILED` with the value, if the codec can't write it
   */
  send(value: T, options?: WaitOptions): void {
    const message = this.#encode(value);
    const timeoutMs = options?.timeoutMs ?? Infinity;
    const result = this.#sending.send(message, timeoutMs);
    if (result !== DONE) throw this.#errorOf(result, value, timeoutMs);
  }

  /**
   * Sends a value if there is room.
   *
   * "No room" can also mean that another thread is in the middle of a long copy, or has a place reserved.
   *
   * @returns whether it was sent
   * @throws ClosedError `CLOSED` with the value
   * @throws MessageTooLargeError `MESSAGE_TOO_LARGE` with the value
   * @throws EncodeError `ENCODE_FAILED` with the value, if the codec can't write it
   */
  trySend(value: T): boolean {
    const message = this.#encode(value);
    this.#checkLength(message, value);
    const result = this.#sending.trySend(message);
    if (result === CLOSED) throw this.#errorOf(result, value, 0);
    return result === DONE;
  }

  /**
   * Sends a value, waiting without blocking while the channel is full.
   *
   * Values whose sends one task starts one after the other without awaiting may overtake each other once the channel is full.
   *
   * @throws ChannelTimeoutError `TIMEOUT` with the value
   * @throws SendAbortedError `ABORTED` with the value, if the signal gave the wait up; its reason is the `cause`
   * @throws ClosedError `CLOSED` with the value
   * @throws EncodeError `ENCODE_FAILED` with the value, if the codec can't write it
   */
  async sendAsync(value: T, options: AsyncWaitOptions = {}): Promise<void> {
    const { timeoutMs = Infinity, signal } = options;
    if (signal?.aborted === true) throw new SendAbortedError(OPERATION, signal.reason, value);
    const message = this.#encode(value);
    let result: Result = NOT_NOW;
    if (message.length <= this.#ring.frameByteLengthMax) result = this.#sending.trySend(message, BRIEF_MS);
    // A copy: the caller may change its bytes while this waits.
    if (result === NOT_NOW) result = await withValue(OPERATION, value, this.#sending.sendAsync(copied(message), timeoutMs, signal));
    if (result !== DONE) throw this.#errorOf(result, value, timeoutMs);
  }

  /**
   * Sends values, one after the other, blocking while the channel is full. As many as there is room for go under one lock and
   * with one wake-up, which costs less than one `send` each. Messages of other senders may come between them.
   *
   * @throws ChannelTimeoutError `TIMEOUT` with those that weren't sent
   * @throws ClosedError `CLOSED` with those that weren't sent
   * @throws MayNotBlockError `MAY_NOT_BLOCK` if it would have to wait and this thread may not block
   */
  sendMany(values: readonly T[], options?: WaitOptions): void {
    const messages = values.map((value) => this.#encode(value));
    const deadline = deadlineAfter(options?.timeoutMs ?? Infinity);
    for (let sent = 0; ; sent += 1) {
      sent += this.#sending.trySendMany(messages, sent, remainingMs(deadline));
      if (sent === messages.length) return;
      const result = this.#sending.send(messages[sent]!, remainingMs(deadline));
      if (result !== DONE) throw this.#errorOf(result, values.slice(sent), options?.timeoutMs ?? Infinity);
    }
  }

  /**
   * Sends as many of the values as there is room for, the first ones first.
   *
   * @returns how many
   * @throws ClosedError `CLOSED` with all of them, if the channel is closed and none was sent
   * @throws MessageTooLargeError `MESSAGE_TOO_LARGE` with the first that is too long; none was sent
   */
  trySendMany(values: readonly T[]): number {
    const messages = values.map((value) => {
      const message = this.#encode(value);
      this.#checkLength(message, value);
      return message;
    });
    const sent = this.#sending.trySendMany(messages, 0);
    if (sent === 0 && messages.length > 0 && this.closed) throw this.#errorOf(CLOSED, values, 0);
    return sent;
  }

  /**
   * {@link Sender.sendMany} without blocking the thread.
   *
   * @throws ChannelTimeoutError `TIMEOUT` with those that weren't sent
   * @throws SendAbortedError `ABORTED` with those that weren't sent, if the signal gave the wait up; its reason is the `cause`
   * @throws ClosedError `CLOSED` with those that weren't sent
   */
  async sendManyAsync(values: readonly T[], options: AsyncWaitOptions = {}): Promise<void> {
    const { timeoutMs = Infinity, signal } = options;
    if (signal?.aborted === true) throw new SendAbortedError(OPERATION, signal.reason, values);
    // Copies: the caller may change its bytes while this waits.
    const messages = values.map((value) => copied(this.#encode(value)));
    const deadline = deadlineAfter(timeoutMs);
    for (let sent = 0; ; sent += 1) {
      sent += this.#sending.trySendMany(messages, sent, BRIEF_MS);
      if (sent === messages.length) return;
      // Waits are in order: one message at a time.
      // oxlint-disable-next-line no-await-in-loop
      const result = await withValue(
        OPERATION,
        values.slice(sent),
        this.#sending.sendAsync(messages[sent]!, remainingMs(deadline), signal),
      );
      if (result !== DONE) throw this.#errorOf(result, values.slice(sent), timeoutMs);
    }
  }

  /**
   * Reserves a place for a message of `byteLength` bytes, blocking while there is none: it is written where the receiver
   * reads it, without a copy. The codec has no part in it.
   *
   * @throws MayNotBlockError `MAY_NOT_BLOCK`, ChannelTimeoutError `TIMEOUT`, ClosedError `CLOSED`, InUseError `IN_USE`
   * @throws MessageTooLargeError `MESSAGE_TOO_LARGE` for more than {@link Sender.messageByteLengthMax}
   */
  reserve(byteLength: number, options?: WaitOptions): Reservation {
    this.#checkReservation(byteLength);
    const timeoutMs = options?.timeoutMs ?? Infinity;
    const result = this.#sending.reserve(byteLength, timeoutMs);
    if (result !== DONE) throw this.#errorOf(result, undefined, timeoutMs);
    return new Reservation(this.#ring, byteLength);
  }

  /**
   * {@link Sender.reserve} without waiting.
   *
   * @returns `undefined` if there is no room, or another sender has a place reserved
   * @throws ClosedError `CLOSED`
   * @throws MessageTooLargeError `MESSAGE_TOO_LARGE` for more than {@link Sender.messageByteLengthMax}
   */
  tryReserve(byteLength: number): Reservation | undefined {
    this.#checkReservation(byteLength);
    const result = this.#sending.tryReserve(byteLength);
    if (result === NOT_NOW) return undefined;
    if (result !== DONE) throw this.#errorOf(result, undefined, 0);
    return new Reservation(this.#ring, byteLength);
  }

  /**
   * {@link Sender.reserve} without blocking the thread.
   *
   * @throws ChannelTimeoutError `TIMEOUT`, AbortedError `ABORTED`, ClosedError `CLOSED`
   * @throws MessageTooLargeError `MESSAGE_TOO_LARGE` for more than {@link Sender.messageByteLengthMax}
   */
  async reserveAsync(byteLength: number, options: AsyncWaitOptions = {}): Promise<Reservation> {
    this.#checkReservation(byteLength);
    const { timeoutMs = Infinity, signal } = options;
    if (signal?.aborted === true) throw new AbortedError(OPERATION, signal.reason);
    const result = await this.#sending.reserveAsync(byteLength, timeoutMs, signal);
    if (result !== DONE) throw this.#errorOf(result, undefined, timeoutMs);
    return new Reservation(this.#ring, byteLength);
  }

  /** What `select` needs to send a value when there is room. */
  forSelect(value: T): Selectable {
    const encoded = this.#encode(value);
    this.#checkLength(encoded, value);
    // A copy: the caller may change its bytes while an asynchronous select waits, and a codec may write its next message over this one.
    const message = copied(encoded);
    return {
      location: this.#ring.location,
      waiters: this.#ring.senders,
      attempt: (): Operation => {
        let result = this.#sending.trySend(message);
        if (result === NOT_NOW && this.#ring.closeIfDeserted()) result = CLOSED;
        if (result === CLOSED) return { isDone: true, error: this.#errorOf(CLOSED, value, 0) };
        return { isDone: result === DONE, isKept: this.#sending.isKept };
      },
    };
  }

  /** Closes the channel for all ends: nothing more is sent, what was sent is still received. */
  close(): void {
    this.#ring.close();
  }

  /** Gives up this end; the last sending end closes the channel. A second call is harmless. */
  release(): void {
    if (this.#isReleased) return;
    this.#isReleased = true;
    this.#ring.removeEnd('sender', this.#counted);
  }

  /** Gives up this end at the end of a `using` block. */
  [Symbol.dispose](): void {
    this.release();
  }

  #encode(value: T): Uint8Array {
    if (this.#isReleased) throw releasedError('sender', value);
    try {
      return this.#codec.encode(value);
    } catch (error) {
      throw new EncodeError(this.#codec.name, value, error);
    }
  }

  #checkLength(message: Uint8Array, value: T): void {
    if (message.length > this.#ring.frameByteLengthMax) {
      throw new MessageTooLargeError(value, message.length, this.#ring.frameByteLengthMax);
    }
  }

  #checkReservation(byteLength: number): void {
    if (this.#isReleased) throw releasedError('sender');
    if (!Number.isInteger(byteLength) || byteLength < 0) {
      throw new InvalidArgumentError(`a message has 0 or more bytes, not ${String(byteLength)}`);
    }
    if (this.#ring.capacity === 0) throw new InvalidArgumentError('a rendezvous has no place to reserve: use send');
    if (byteLength > this.#ring.frameByteLengthMax) {
      throw new MessageTooLargeError(undefined, byteLength, this.#ring.frameByteLengthMax);
    }
  }

  #errorOf(result: Result, value: unknown, timeoutMs: number): Error {
    if (result === CLOSED) return new ClosedError('the channel is closed', value);
    return new ChannelTimeoutError(`the channel stayed full for ${timeoutMs} ms`, value);
  }
}
