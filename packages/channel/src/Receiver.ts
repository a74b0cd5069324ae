/** The receiving end of a channel. */
import { AbortedError, InvalidArgumentError, type SharedLocation } from '@heddle/atomics';
import { checkKind, defineDisposeSymbol, openRegistryOf } from '@heddle/atomics/internal';
import { type Codec } from './Codec.ts';
import { BufferTooSmallError, ChannelTimeoutError, ClosedError, DecodeError, MessageTooLargeError } from './errors.ts';
import { copyBytes } from './internal/copy.ts';
import { type EndHandle, codecFor, endHandle, releasedError } from './internal/end.ts';
import { type Counted } from './internal/Ends.ts';
import type { Receiving } from './internal/Receiving.ts';
import { CLOSED, DONE, NOT_NOW, TOO_LARGE } from './internal/result.ts';
import { Ring } from './internal/Ring.ts';
import { Borrow } from './Reservation.ts';
import { type Operation, type Selectable } from './select.ts';
import { type AsyncWaitOptions, type WaitOptions } from './Sender.ts';

defineDisposeSymbol();

const KIND = 'heddle.Receiver';

/** Up to here a loop is faster than `subarray` and `set`. */
const LOOP_BYTES_MAX = 32;

/** What is posted of a receiver; reopen it with {@link Receiver.from}. */
export type ReceiverHandle = EndHandle<typeof KIND>;

/**
 * The receiving end of a channel. Each thread opens its own, and each message goes to one of them; the last one released
 * closes the channel.
 */
export class Receiver<T = Uint8Array> {
  readonly #ring: Ring;
  readonly #receiving: Receiving;
  readonly #codec: Codec<T>;
  readonly #counted: Counted;
  /** Messages taken together with one that the codec couldn't read. */
  #taken: Uint8Array<ArrayBuffer>[] = [];
  #isReleased = false;

  private constructor(ring: Ring, codec: Codec<T>, counted: Counted) {
    this.#ring = ring;
    this.#receiving = ring.receiving;
    this.#codec = codec;
    this.#counted = counted;
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
    return new Receiver(ring, codec, ring.addEnd('receiver'));
  }

  /** The receiving end that a new channel has counted already; `channel` calls it. */
  static adopt<T>(ring: Ring, codec: Codec<T>): Receiver<T> {
    return new Receiver(ring, codec, ring.ownEnd('receiver'));
  }

  /** One more receiving end of a channel; `openReceiver` calls it. */
  static open<T>(ring: Ring, codec: Codec<T>): Receiver<T> {
    return new Receiver(ring, codec, ring.addEnd('receiver'));
  }

  /** What to post to another thread. Post it before this end is released, and release it once the other has opened its own. */
  handle(): ReceiverHandle {
    return endHandle(KIND, this.#ring, this.#codec as unknown as Codec<never>);
  }

  /** One more receiving end for this thread. */
  clone(): Receiver<T> {
    if (this.#isReleased) throw releasedError('receiver');
    return new Receiver(this.#ring, this.#codec, this.#ring.addEnd('receiver'));
  }

  /** How many messages wait to be received; of the past as soon as it is known. */
  get length(): number {
    return this.#ring.length + this.#taken.length;
  }

  /** Whether nothing waits to be received; of the past as soon as it is known. */
  get isEmpty(): boolean {
    return this.length === 0;
  }

  /** Whether there is no room for another message, however short; of the past as soon as it is known. */
  get isFull(): boolean {
    return this.#ring.isFull;
  }

  /** How many messages the channel holds at most; 0 for a rendezvous. */
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
    if (this.#taken.length > 0) return this.#decode(this.#taken.shift()!);
    const timeoutMs = options?.timeoutMs ?? Infinity;
    const result = this.#receiving.claim(timeoutMs, Infinity);
    return result === DONE ? this.#take() : this.#fail(result, timeoutMs);
  }

  /**
   * Receives the oldest message if there is one.
   *
   * @returns `undefined` if there is none, or another receiver has it borrowed
   * @throws ClosedError `CLOSED` if the channel is closed and empty
   * @throws DecodeError `DECODE_FAILED` with the bytes, if they are no message of the codec
   */
  tryRecv(): T | undefined {
    this.#checkOpen();
    if (this.#taken.length > 0) return this.#decode(this.#taken.shift()!);
    const result = this.#receiving.tryClaim(Infinity);
    if (result === NOT_NOW) return undefined;
    return result === DONE ? this.#take() : this.#fail(result, 0);
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
    if (this.#taken.length > 0) return this.#decode(this.#taken.shift()!);
    const result = await this.#claimAsync(timeoutMs, signal, Infinity);
    return result === DONE ? this.#take() : this.#fail(result, timeoutMs);
  }

  /**
   * Looks at the oldest message and leaves it in the channel.
   *
   * @returns `undefined` if there is none
   * @throws ClosedError `CLOSED` if the channel is closed and empty
   * @throws MessageTooLargeError `MESSAGE_TOO_LARGE` if it is too long to lie in the ring in one piece
   * @throws DecodeError `DECODE_FAILED` with the bytes, if they are no message of the codec
   */
  peek(): T | undefined {
    this.#checkOpen();
    if (this.#taken.length > 0) return this.#decode(this.#taken[0]!.slice());
    const { frameByteLengthMax } = this.#ring;
    const receiving = this.#receiving;
    const result = receiving.tryClaim(frameByteLengthMax);
    if (result === NOT_NOW) return undefined;
    if (result === TOO_LARGE) throw new MessageTooLargeError(undefined, receiving.claimedLength, frameByteLengthMax);
    if (result !== DONE) this.#fail(result, 0);
    if (receiving.claimedLong !== undefined) {
      // It had begun to come in pieces: nobody else can have it any more.
      this.#taken.push(receiving.claimedLong);
      receiving.release();
      return this.peek();
    }
    const bytes = receiving.copyClaimed();
    receiving.keep();
    return this.#decode(bytes);
  }

  /**
   * Receives the oldest messages, at most `countMax`, blocking while there is none: those that are there come under one lock
   * and with one wake-up, which costs less than one `recv` each.
   *
   * If the codec can't read one of them, those before it are returned, and the next call throws for it.
   *
   * @throws MayNotBlockError `MAY_NOT_BLOCK`, ChannelTimeoutError `TIMEOUT`, ClosedError `CLOSED`, DecodeError `DECODE_FAILED`
   */
  recvMany(countMax: number, options?: WaitOptions): T[] {
    this.#checkOpen();
    checkCount(countMax);
    if (this.#taken.length > 0) return this.#decodeMany(countMax);
    const timeoutMs = options?.timeoutMs ?? Infinity;
    const result = this.#receiving.claim(timeoutMs, Infinity);
    return result === DONE ? this.#takeMany(countMax) : this.#fail(result, timeoutMs);
  }

  /**
   * {@link Receiver.recvMany} without blocking the thread.
   *
   * @throws ChannelTimeoutError `TIMEOUT`, AbortedError `ABORTED`, ClosedError `CLOSED`, DecodeError `DECODE_FAILED`
   */
  async recvManyAsync(countMax: number, options: AsyncWaitOptions = {}): Promise<T[]> {
    this.#checkOpen();
    checkCount(countMax);
    const { timeoutMs = Infinity, signal } = options;
    if (signal?.aborted === true) throw new AbortedError('receiving from the channel', signal.reason);
    if (this.#taken.length > 0) return this.#decodeMany(countMax);
    const result = await this.#claimAsync(timeoutMs, signal, Infinity);
    return result === DONE ? this.#takeMany(countMax) : this.#fail(result, timeoutMs);
  }

  /**
   * The messages that are there, at most `countMax`, without waiting; none if there is none, or another receiver has one borrowed.
   *
   * @throws ClosedError `CLOSED` if the channel is closed and empty
   * @throws DecodeError `DECODE_FAILED` if the codec can't read the first one
   */
  drain(countMax: number = Infinity): T[] {
    this.#checkOpen();
    checkCount(countMax);
    if (this.#taken.length > 0) return this.#decodeMany(countMax);
    const result = this.#receiving.tryClaim(Infinity);
    if (result === NOT_NOW) return [];
    return result === DONE ? this.#takeMany(countMax) : this.#fail(result, 0);
  }

  /**
   * Receives the bytes of the oldest message into `target`, blocking while there is none. The codec has no part in it.
   *
   * @returns how many bytes
   * @throws MayNotBlockError `MAY_NOT_BLOCK`, ChannelTimeoutError `TIMEOUT`, ClosedError `CLOSED`
   * @throws BufferTooSmallError `BUFFER_TOO_SMALL` if the message is longer; it stays in the channel
   */
  recvInto(target: Uint8Array, options?: WaitOptions): number {
    this.#checkOpen();
    if (this.#taken.length > 0) return this.#takeTakenInto(target);
    const timeoutMs = options?.timeoutMs ?? Infinity;
    const result = this.#receiving.claim(timeoutMs, target.length);
    return result === DONE ? this.#takeInto(target) : this.#failInto(result, target, timeoutMs);
  }

  /**
   * {@link Receiver.recvInto} without waiting.
   *
   * @returns `undefined` if there is no message, or another receiver has it borrowed
   * @throws ClosedError `CLOSED`
   * @throws BufferTooSmallError `BUFFER_TOO_SMALL` if the message is longer; it stays in the channel
   */
  tryRecvInto(target: Uint8Array): number | undefined {
    this.#checkOpen();
    if (this.#taken.length > 0) return this.#takeTakenInto(target);
    const result = this.#receiving.tryClaim(target.length);
    if (result === NOT_NOW) return undefined;
    return result === DONE ? this.#takeInto(target) : this.#failInto(result, target, 0);
  }

  /**
   * {@link Receiver.recvInto} without blocking the thread.
   *
   * @throws ChannelTimeoutError `TIMEOUT`, AbortedError `ABORTED`, ClosedError `CLOSED`
   * @throws BufferTooSmallError `BUFFER_TOO_SMALL` if the message is longer; it stays in the channel
   */
  async recvIntoAsync(target: Uint8Array, options: AsyncWaitOptions = {}): Promise<number> {
    this.#checkOpen();
    const { timeoutMs = Infinity, signal } = options;
    if (signal?.aborted === true) throw new AbortedError('receiving from the channel', signal.reason);
    if (this.#taken.length > 0) return this.#takeTakenInto(target);
    const result = await this.#claimAsync(timeoutMs, signal, target.length);
    return result === DONE ? this.#takeInto(target) : this.#failInto(result, target, timeoutMs);
  }

  /**
   * Borrows the oldest message, blocking while there is none: it is read where it was written, without a copy, and taken out
   * of the channel when it is released. The codec has no part in it.
   *
   * @throws MayNotBlockError `MAY_NOT_BLOCK`, ChannelTimeoutError `TIMEOUT`, ClosedError `CLOSED`
   * @throws InUseError `IN_USE` if this end has borrowed a message and not released it
   */
  borrow(options?: WaitOptions): Borrow {
    this.#checkOpen();
    const timeoutMs = options?.timeoutMs ?? Infinity;
    const result = this.#receiving.claim(timeoutMs, Infinity);
    return result === DONE ? new Borrow(this.#ring) : this.#fail(result, timeoutMs);
  }

  /**
   * {@link Receiver.borrow} without waiting.
   *
   * @returns `undefined` if there is no message, or another receiver has it borrowed
   * @throws ClosedError `CLOSED`
   */
  tryBorrow(): Borrow | undefined {
    this.#checkOpen();
    const result = this.#receiving.tryClaim(Infinity);
    if (result === NOT_NOW) return undefined;
    return result === DONE ? new Borrow(this.#ring) : this.#fail(result, 0);
  }

  /**
   * {@link Receiver.borrow} without blocking the thread.
   *
   * @throws ChannelTimeoutError `TIMEOUT`, AbortedError `ABORTED`, ClosedError `CLOSED`
   */
  async borrowAsync(options: AsyncWaitOptions = {}): Promise<Borrow> {
    this.#checkOpen();
    const { timeoutMs = Infinity, signal } = options;
    if (signal?.aborted === true) throw new AbortedError('receiving from the channel', signal.reason);
    const result = await this.#claimAsync(timeoutMs, signal, Infinity);
    return result === DONE ? new Borrow(this.#ring) : this.#fail(result, timeoutMs);
  }

  /** What `select` needs to receive a message when there is one. */
  forSelect(): Selectable {
    this.#checkOpen();
    return {
      location: this.#ring.location,
      waiters: this.#ring.receivers,
      attempt: (): Operation => {
        try {
          if (this.#taken.length > 0) return { isDone: true, value: this.#decode(this.#taken.shift()!) };
          let result = this.#receiving.tryClaim(Infinity);
          if (result === NOT_NOW && this.#ring.closeIfDeserted()) result = this.#receiving.tryClaim(Infinity);
          if (result === NOT_NOW) return { isDone: false, isKept: this.#receiving.isKept };
          return { isDone: true, value: result === DONE ? this.#take() : this.#fail(result, 0) };
        } catch (error) {
          return { isDone: true, error: error as Error };
        }
      },
    };
  }

  /** The messages as they come, blocking, until the channel is closed and empty. */
  *[Symbol.iterator](): Generator<T, void, undefined> {
    for (;;) {
      this.#checkOpen();
      if (this.#taken.length > 0) yield this.#decode(this.#taken.shift()!);
      else if (this.#receiving.claim(Infinity, Infinity) === DONE) yield this.#take();
      else return;
    }
  }

  /** The messages as they come, without blocking, until the channel is closed and empty. */
  async *[Symbol.asyncIterator](): AsyncGenerator<T, void, undefined> {
    for (;;) {
      this.#checkOpen();
      if (this.#taken.length > 0) yield this.#decode(this.#taken.shift()!);
      else if ((await this.#claimAsync(Infinity, undefined, Infinity)) === DONE) yield this.#take();
      else return;
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
    this.#ring.removeEnd('receiver', this.#counted);
  }

  /** Gives up this end at the end of a `using` block. */
  [Symbol.dispose](): void {
    this.release();
  }

  #checkOpen(): void {
    if (this.#isReleased) throw releasedError('receiver');
  }

  async #claimAsync(timeoutMs: number, signal: AbortSignal | undefined, lengthMax: number): Promise<number> {
    const result = this.#receiving.tryClaim(lengthMax);
    return result === NOT_NOW ? this.#receiving.claimAsync(timeoutMs, signal, lengthMax) : result;
  }

  #take(): T {
    const bytes = this.#receiving.copyClaimed();
    this.#receiving.release();
    return this.#decode(bytes);
  }

  #takeMany(countMax: number): T[] {
    this.#taken = this.#receiving.takeMany(countMax);
    return this.#decodeMany(countMax);
  }

  #decodeMany(countMax: number): T[] {
    const taken = this.#taken;
    const values: T[] = [];
    try {
      for (const bytes of taken.slice(0, countMax)) values.push(this.#decode(bytes));
      taken.splice(0, values.length);
    } catch (error) {
      // The one that can't be read goes with the error, which is thrown once it is the first.
      taken.splice(0, Math.max(1, values.length));
      if (values.length === 0) throw error;
    }
    return values;
  }

  #takeInto(target: Uint8Array): number {
    const { bytes } = this.#ring;
    const { claimedLength: length, claimedPlace: place, claimedLong } = this.#receiving;
    if (claimedLong !== undefined) target.set(claimedLong);
    else if (length <= LOOP_BYTES_MAX) for (let i = 0; i < length; i += 1) target[i] = bytes[place + i]!;
    else copyBytes(bytes, place, length, target, 0);
    this.#receiving.release();
    return length;
  }

  #takeTakenInto(target: Uint8Array): number {
    const bytes = this.#taken[0]!;
    if (bytes.length > target.length) throw new BufferTooSmallError(bytes.length, target.length);
    target.set(bytes);
    this.#taken.shift();
    return bytes.length;
  }

  #failInto(result: number, target: Uint8Array, timeoutMs: number): never {
    if (result === TOO_LARGE) throw new BufferTooSmallError(this.#receiving.claimedLength, target.length);
    return this.#fail(result, timeoutMs);
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

function checkCount(countMax: number): void {
  if (countMax === Infinity || (Number.isInteger(countMax) && countMax >= 1)) return;
  throw new InvalidArgumentError(`at least one message can be received, not ${String(countMax)}`);
}
