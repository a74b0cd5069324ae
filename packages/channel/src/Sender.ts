/** The sending end of a channel. */
import { AbortedError, type SharedLocation } from '@heddle/atomics';
import { checkKind, defineDisposeSymbol, openRegistryOf } from '@heddle/atomics/internal';
import { type Codec } from './Codec.ts';
import { ChannelTimeoutError, ClosedError, EncodeError, MessageTooLargeError } from './errors.ts';
import { type EndHandle, codecFor, endHandle, releasedError } from './internal/end.ts';
import { CLOSED, DONE, type Result, Ring } from './internal/protocol.ts';

defineDisposeSymbol();

const KIND = 'heddle.Sender';

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
  readonly #codec: Codec<T>;
  #isReleased = false;

  private constructor(ring: Ring, codec: Codec<T>) {
    this.#ring = ring;
    this.#codec = codec;
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
    ring.addSender();
    return new Sender(ring, codec);
  }

  /** The sending end that a new channel has counted already; `channel` calls it. */
  static adopt<T>(ring: Ring, codec: Codec<T>): Sender<T> {
    return new Sender(ring, codec);
  }

  /** What to post to another thread. Post it before this end is released, and release it once the other has opened its own. */
  handle(): SenderHandle {
    return endHandle(KIND, this.#ring, this.#codec as unknown as Codec<never>);
  }

  /** One more sending end for this thread. */
  clone(): Sender<T> {
    if (this.#isReleased) throw releasedError('sender');
    this.#ring.addSender();
    return new Sender(this.#ring, this.#codec);
  }

  /** How many messages wait to be received; of the past as soon as it is known. */
  get length(): number {
    return this.#ring.length;
  }

  /** How many messages the channel holds at most. */
  get capacity(): number {
    return this.#ring.capacity;
  }

  /** The bytes of the longest message that the channel takes. */
  get messageByteLengthMax(): number {
    return this.#ring.messageByteLengthMax;
  }

  /** Whether the channel is closed. */
  get closed(): boolean {
    return this.#isReleased || this.#ring.isClosed;
  }

  /**
   * Sends a value, blocking while the channel is full.
   *
   * @throws MayNotBlockError `MAY_NOT_BLOCK` if it is full and this thread may not block; use `sendAsync` there
   * @throws ChannelTimeoutError `TIMEOUT` with the value
   * @throws ClosedError `CLOSED` with the value
   * @throws MessageTooLargeError `MESSAGE_TOO_LARGE` with the value
   * @throws EncodeError `ENCODE_FAILED` with the value, if the codec can't write it
   */
  send(value: T, options?: WaitOptions): void {
    const message = this.#encode(value);
    const timeoutMs = options?.timeoutMs ?? Infinity;
    const result = this.#ring.send(message, timeoutMs);
    if (result !== DONE) throw this.#errorOf(result, value, timeoutMs);
  }

  /**
   * Sends a value if there is room.
   *
   * On a thread that may not block, "no room" can also mean that another thread is in the middle of a long copy.
   *
   * @returns whether it was sent
   * @throws ClosedError `CLOSED` with the value
   * @throws MessageTooLargeError `MESSAGE_TOO_LARGE` with the value
   * @throws EncodeError `ENCODE_FAILED` with the value, if the codec can't write it
   */
  trySend(value: T): boolean {
    const result = this.#ring.trySend(this.#encode(value));
    if (result === CLOSED) throw this.#errorOf(result, value, 0);
    return result === DONE;
  }

  /**
   * Sends a value, waiting without blocking while the channel is full.
   *
   * Values whose sends one task starts one after the other without awaiting may overtake each other once the channel is full.
   *
   * @throws ChannelTimeoutError `TIMEOUT` with the value
   * @throws AbortedError `ABORTED` if the signal gave the wait up; its reason is the `cause`
   * @throws ClosedError `CLOSED` with the value
   * @throws MessageTooLargeError `MESSAGE_TOO_LARGE` with the value
   * @throws EncodeError `ENCODE_FAILED` with the value, if the codec can't write it
   */
  async sendAsync(value: T, options: AsyncWaitOptions = {}): Promise<void> {
    const { timeoutMs = Infinity, signal } = options;
    if (signal?.aborted === true) throw new AbortedError('sending to the channel', signal.reason);
    const message = this.#encode(value);
    let result = this.#ring.trySend(message);
    // A copy: the caller may change its bytes while this waits.
    if (result !== DONE && result !== CLOSED) result = await this.#ring.sendAsync(message.slice(), timeoutMs, signal);
    if (result !== DONE) throw this.#errorOf(result, value, timeoutMs);
  }

  /** Closes the channel for all ends: nothing more is sent, what was sent is still received. */
  close(): void {
    this.#ring.close();
  }

  /** Gives up this end; the last sending end closes the channel. A second call is harmless. */
  release(): void {
    if (this.#isReleased) return;
    this.#isReleased = true;
    this.#ring.removeSender();
  }

  /** Gives up this end at the end of a `using` block. */
  [Symbol.dispose](): void {
    this.release();
  }

  #encode(value: T): Uint8Array {
    if (this.#isReleased) throw releasedError('sender', value);
    const message = this.#bytesOf(value);
    if (message.length > this.#ring.messageByteLengthMax) {
      throw new MessageTooLargeError(value, message.length, this.#ring.messageByteLengthMax);
    }
    return message;
  }

  #bytesOf(value: T): Uint8Array {
    try {
      return this.#codec.encode(value);
    } catch (error) {
      throw new EncodeError(this.#codec.name, value, error);
    }
  }

  #errorOf(result: Result, value: T, timeoutMs: number): Error {
    if (result === CLOSED) return new ClosedError('the channel is closed', value);
    return new ChannelTimeoutError(`the channel stayed full for ${timeoutMs} ms`, value);
  }
}
