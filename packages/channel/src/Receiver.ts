/** The receiving end of a channel. */
import { AbortedError, type SharedLocation } from '@heddle/atomics';
import { checkKind, defineDisposeSymbol, openRegistryOf } from '@heddle/atomics/internal';
import { type Codec } from './Codec.ts';
import { ChannelTimeoutError, ClosedError, DecodeError } from './errors.ts';
import { type EndHandle, codecFor, endHandle, releasedError } from './internal/end.ts';
import { CLOSED, NOT_NOW, Ring } from './internal/protocol.ts';
import { type AsyncWaitOptions, type WaitOptions } from './Sender.ts';

defineDisposeSymbol();

const KIND = 'heddle.Receiver';

/** What is posted of a receiver; reopen it with {@link Receiver.from}. */
export type ReceiverHandle = EndHandle<typeof KIND>;

/**
 * The receiving end of a channel. Each thread opens its own, and each message goes to one of them; the last one released
 * closes the channel.
 */
export class Receiver<T = Uint8Array> {
  readonly #ring: Ring;
  readonly #codec: Codec<T>;
  #isReleased = false;

  private constructor(ring: Ring, codec: Codec<T>) {
    this.#ring = ring;
    this.#codec = codec;
  }

  /**
   * Opens one more receiving end of the channel that a handle names.
   *
   * @param options.codec the codec of the channel, if it is not one of this package
   * @throws InvalidRecordError `INVALID_RECORD` if there is no channel
   * @throws CodecMismatchError `CODEC_MISMATCH` for another codec than the handle's
   */
  static from<T = Uint8Array>(handle: ReceiverHandle, options: { readonly codec?: Codec<T> } = {}): Receiver<T> {
    checkKind(handle, KIND);
    const codec = codecFor(handle.codec, options.codec);
    openRegistryOf(handle);
    const ring = Ring.open(handle as SharedLocation);
    ring.addReceiver();
    return new Receiver(ring, codec);
  }

  /** The receiving end that a new channel has counted already; `channel` calls it. */
  static adopt<T>(ring: Ring, codec: Codec<T>): Receiver<T> {
    return new Receiver(ring, codec);
  }

  /** What to post to another thread. Post it before this end is released, and release it once the other has opened its own. */
  handle(): ReceiverHandle {
    return endHandle(KIND, this.#ring, this.#codec as unknown as Codec<never>);
  }

  /** One more receiving end for this thread. */
  clone(): Receiver<T> {
    if (this.#isReleased) throw releasedError('receiver');
    this.#ring.addReceiver();
    return new Receiver(this.#ring, this.#codec);
  }

  /** How many messages wait to be received; of the past as soon as it is known. */
  get length(): number {
    return this.#ring.length;
  }

  /** How many messages the channel holds at most. */
  get capacity(): number {
    return this.#ring.capacity;
  }

  /** Whether the channel is closed; it may still hold messages. */
  get closed(): boolean {
    return this.#isReleased || this.#ring.isClosed;
  }

  /**
   * Receives the oldest message, blocking while there is none.
   *
   * @throws MayNotBlockError `MAY_NOT_BLOCK` if there is none and this thread may not block; use `recvAsync` there
   * @throws ChannelTimeoutError `TIMEOUT` if none came in time
   * @throws ClosedError `CLOSED` if the channel is closed and empty
   * @throws DecodeError `DECODE_FAILED` with the bytes, if they are no message of the codec
   */
  recv(options?: WaitOptions): T {
    this.#checkOpen();
    const timeoutMs = options?.timeoutMs ?? Infinity;
    const received = this.#ring.receive(timeoutMs);
    return typeof received === 'number' ? this.#fail(received, timeoutMs) : this.#decode(received);
  }

  /**
   * Receives the oldest message if there is one.
   *
   * @returns `undefined` if there is none
   * @throws ClosedError `CLOSED` if the channel is closed and empty
   * @throws DecodeError `DECODE_FAILED` with the bytes, if they are no message of the codec
   */
  tryRecv(): T | undefined {
    this.#checkOpen();
    const received = this.#ring.tryReceive();
    if (received === NOT_NOW) return undefined;
    return typeof received === 'number' ? this.#fail(received, 0) : this.#decode(received);
  }

  /**
   * Receives the oldest message, waiting without blocking while there is none.
   *
   * @throws ChannelTimeoutError `TIMEOUT` if none came in time
   * @throws AbortedError `ABORTED` if the signal gave the wait up; its reason is the `cause`
   * @throws ClosedError `CLOSED` if the channel is closed and empty
   * @throws DecodeError `DECODE_FAILED` with the bytes, if they are no message of the codec
   */
  async recvAsync(options: AsyncWaitOptions = {}): Promise<T> {
    this.#checkOpen();
    const { timeoutMs = Infinity, signal } = options;
    if (signal?.aborted === true) throw new AbortedError('receiving from the channel', signal.reason);
    let received = this.#ring.tryReceive();
    if (received === NOT_NOW) received = await this.#ring.receiveAsync(timeoutMs, signal);
    return typeof received === 'number' ? this.#fail(received, timeoutMs) : this.#decode(received);
  }

  /** The messages as they come, blocking, until the channel is closed and empty. */
  *[Symbol.iterator](): Generator<T, void, undefined> {
    for (;;) {
      this.#checkOpen();
      const received = this.#ring.receive(Infinity);
      if (typeof received === 'number') return;
      yield this.#decode(received);
    }
  }

  /** The messages as they come, without blocking, until the channel is closed and empty. */
  async *[Symbol.asyncIterator](): AsyncGenerator<T, void, undefined> {
    for (;;) {
      this.#checkOpen();
      let received = this.#ring.tryReceive();
      if (received === NOT_NOW) received = await this.#ring.receiveAsync(Infinity, undefined);
      if (typeof received === 'number') return;
      yield this.#decode(received);
    }
  }

  /** Closes the channel for all ends: nothing more is sent, what was sent is still received. */
  close(): void {
    this.#ring.close();
  }

  /** Gives up this end; the last receiving end closes the channel. A second call is harmless. */
  release(): void {
    if (this.#isReleased) return;
    this.#isReleased = true;
    this.#ring.removeReceiver();
  }

  /** Gives up this end at the end of a `using` block. */
  [Symbol.dispose](): void {
    this.release();
  }

  #checkOpen(): void {
    if (this.#isReleased) throw releasedError('receiver');
  }

  #decode(bytes: Uint8Array<ArrayBuffer>): T {
    try {
      return this.#codec.decode(bytes);
    } catch (error) {
      throw new DecodeError(this.#codec.name, bytes, error);
    }
  }

  #fail(result: number, timeoutMs: number): never {
    if (result === CLOSED) throw new ClosedError('the channel is closed and empty');
    throw new ChannelTimeoutError(`the channel stayed empty for ${timeoutMs} ms`);
  }
}
