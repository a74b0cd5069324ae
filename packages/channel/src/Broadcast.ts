/**
 * A channel whose messages go to every receiver: news, as opposed to work.
 *
 * The protocol is in internal/Broadcasting.ts.
 */
import { AbortedError, type SharedLocation } from '@heddle/atomics';
import { checkKind, defineDisposeSymbol, openRegistryOf } from '@heddle/atomics/internal';
import { type OpenOptions } from './channel.ts';
import { type Codec, bytesCodec } from './Codec.ts';
import { ChannelTimeoutError, ClosedError, LaggedError, MessageTooLargeError, SendAbortedError } from './errors.ts';
import { copied } from './internal/copy.ts';
import { Broadcasting, type Place, type Reception } from './internal/Broadcasting.ts';
import { broadcastRecordByteLength } from './internal/broadcastRecord.ts';
import { type EndHandle, checkProgress, codecFor, decodeWith, encodeWith, endHandle, releasedError, withValue } from './internal/end.ts';
import { type Counted } from './internal/Ends.ts';
import { CLOSED, DONE, LAGGED, NOT_NOW, type Result } from './internal/result.ts';
import { type Operation, type Selectable } from './select.ts';
import { type AsyncWaitOptions, type WaitOptions } from './Sender.ts';

defineDisposeSymbol();

const SENDER_KIND = 'heddle.BroadcastSender';
const RECEIVER_KIND = 'heddle.BroadcastReceiver';

/** What a sender waits for, in errors. */
const SENDING = 'sending to the broadcast channel';

const CAPACITY_DEFAULT = 1024;
const RING_BYTE_LENGTH_DEFAULT = 65_536;

/** What {@link broadcast} makes. */
export interface BroadcastOptions<T> {
  /** How many messages are kept at most, at least 1; 1024 if not given. */
  readonly capacity?: number;
  /**
   * The bytes of its ring, a power of two from 64 to 2^30; 65536 if not given. Each message takes its own bytes and 16 more, rounded
   * up to a multiple of 8, and may have half the ring less 16.
   */
  readonly ringByteLength?: number;
  /**
   * Whether a sender waits for the slowest receiver; if not given, it overwrites the oldest messages, and a receiver that had not
   * received them is told so. With it there are at most 16 receivers.
   */
  readonly backPressure?: boolean;
  /** How values become bytes; if not given, values are bytes. */
  readonly codec?: Codec<T>;
  /** Where the channel is made, aligned to 8; a SharedArrayBuffer of its own if not given. See {@link broadcastByteLength}. */
  readonly location?: SharedLocation;
}

/** The two ends of a broadcast channel. */
export interface Broadcast<T> {
  /** The sending end. */
  readonly sender: BroadcastSender<T>;
  /** The first receiving end; `sender.subscribe()` and `receiver.clone()` give more. */
  readonly receiver: BroadcastReceiver<T>;
}

/**
 * A broadcast channel: any number of threads send, and every receiver receives every message that is sent while it is open, all of
 * them in the same order.
 *
 * @throws InvalidArgumentError `INVALID_ARGUMENT` for a size out of range
 * @throws InvalidRecordError `INVALID_RECORD` for a place where it can't be
 */
export function broadcast<T = Uint8Array>(options: BroadcastOptions<T> = {}): Broadcast<T> {
  const codec = options.codec ?? (bytesCodec as unknown as Codec<T>);
  const recordOptions = {
    capacity: options.capacity ?? CAPACITY_DEFAULT,
    ringByteLength: options.ringByteLength ?? RING_BYTE_LENGTH_DEFAULT,
    hasBackPressure: options.backPressure ?? false,
  };
  const channel = Broadcasting.create(recordOptions, options.location);
  return { sender: BroadcastSender.adopt(channel, codec), receiver: BroadcastReceiver.adopt(channel, codec) };
}

/**
 * Opens a sending end of the broadcast channel at a place: at an address that Rust tells, for example.
 *
 * @throws InvalidRecordError `INVALID_RECORD` if there is no broadcast channel
 */
export function openBroadcastSender<T = Uint8Array>({ location, codec }: OpenOptions<T>): BroadcastSender<T> {
  return BroadcastSender.open(Broadcasting.open(location), codec ?? (bytesCodec as unknown as Codec<T>));
}

/**
 * Opens a receiving end of the broadcast channel at a place, for the messages from now on.
 *
 * @throws InvalidRecordError `INVALID_RECORD` if there is no broadcast channel
 * @throws TooManyReceiversError `TOO_MANY_RECEIVERS`, MayNotBlockError `MAY_NOT_BLOCK` as {@link BroadcastSender.subscribe}
 */
export function openBroadcastReceiver<T = Uint8Array>({ location, codec }: OpenOptions<T>): BroadcastReceiver<T> {
  return BroadcastReceiver.open(Broadcasting.open(location), codec ?? (bytesCodec as unknown as Codec<T>), undefined);
}

/** The bytes that a broadcast channel with a ring of `ringByteLength` takes; it is aligned to 8. */
export function broadcastByteLength(ringByteLength: number = RING_BYTE_LENGTH_DEFAULT): number {
  return broadcastRecordByteLength(ringByteLength);
}

/** What is posted of a broadcast sender; reopen it with {@link BroadcastSender.from}. */
export type BroadcastSenderHandle = EndHandle<typeof SENDER_KIND>;

/** The sending end of a broadcast channel. Each thread opens its own; the last one released closes the channel. */
export class BroadcastSender<T = Uint8Array> {
  readonly #channel: Broadcasting;
  readonly #codec: Codec<T>;
  readonly #counted: Counted;
  #isReleased = false;

  private constructor(channel: Broadcasting, codec: Codec<T>, counted: Counted) {
    this.#channel = channel;
    this.#codec = codec;
    this.#counted = counted;
  }

  /**
   * Opens one more sending end of the channel that a handle names.
   *
   * @param options.codec the codec of the channel, if it is not one of this package
   * @throws InvalidRecordError `INVALID_RECORD` if there is no broadcast channel
   * @throws CodecMismatchError `CODEC_MISMATCH` for another codec than the handle's
   */
  static from<T = Uint8Array>(handle: BroadcastSenderHandle, options: { readonly codec?: Codec<T> } = {}): BroadcastSender<T> {
    checkKind(handle, SENDER_KIND);
    const codec = codecFor(handle.codec, options.codec);
    openRegistryOf(handle);
    const channel = Broadcasting.open(handle as SharedLocation);
    return new BroadcastSender(channel, codec, channel.monitor.addEnd('sender'));
  }

  /** The sending end that a new channel has counted already; `broadcast` calls it. */
  static adopt<T>(channel: Broadcasting, codec: Codec<T>): BroadcastSender<T> {
    return new BroadcastSender(channel, codec, channel.monitor.ownEnd('sender'));
  }

  /** One more sending end of a channel; `openBroadcastSender` calls it. */
  static open<T>(channel: Broadcasting, codec: Codec<T>): BroadcastSender<T> {
    return new BroadcastSender(channel, codec, channel.monitor.addEnd('sender'));
  }

  /** What to post to another thread. Post it before this end is released, and release it once the other has opened its own. */
  handle(): BroadcastSenderHandle {
    return endHandle(SENDER_KIND, this.#channel, this.#codec as unknown as Codec<never>);
  }

  /** One more sending end for this thread. */
  clone(): BroadcastSender<T> {
    this.#checkOpen();
    return new BroadcastSender(this.#channel, this.#codec, this.#channel.monitor.addEnd('sender'));
  }

  /**
   * A receiving end for the messages from now on.
   *
   * @throws TooManyReceiversError `TOO_MANY_RECEIVERS` for the 17th of a channel with back-pressure
   * @throws MayNotBlockError `MAY_NOT_BLOCK` if this thread may not block and another is in the middle of a long copy
   */
  subscribe(): BroadcastReceiver<T> {
    this.#checkOpen();
    return BroadcastReceiver.open(this.#channel, this.#codec, undefined);
  }

  /** How many messages are kept at most. */
  get capacity(): number {
    return this.#channel.capacity;
  }

  /** The bytes of the longest message: half the ring less 16. */
  get messageByteLengthMax(): number {
    return this.#channel.messageByteLengthMax;
  }

  /** Whether the channel is closed. */
  get closed(): boolean {
    return this.#isReleased || this.#channel.isClosed;
  }

  /**
   * Sends a value to every receiver. With back-pressure it blocks while the slowest one has the channel full.
   *
   * @throws MayNotBlockError `MAY_NOT_BLOCK` if it would have to wait and this thread may not block; use `sendAsync` there
   * @throws ChannelTimeoutError `TIMEOUT` with the value
   * @throws ClosedError `CLOSED` with the value
   * @throws MessageTooLargeError `MESSAGE_TOO_LARGE` with the value
   * @throws EncodeError `ENCODE_FAILED` with the value, if the codec can't write it
   */
  send(value: T, options?: WaitOptions): void {
    const message = this.#encode(value);
    const timeoutMs = options?.timeoutMs ?? Infinity;
    this.#finish(this.#channel.monitor.perform(this.#channel.senders, this.#channel.sending(message), timeoutMs), value, timeoutMs);
  }

  /**
   * Sends a value if that is possible without waiting. "Not possible" can also mean that another thread is in the middle of a long copy, or has
   * died in one and isn't known to be dead.
   *
   * @returns whether it was sent
   * @throws ClosedError `CLOSED` with the value
   * @throws MessageTooLargeError `MESSAGE_TOO_LARGE` with the value
   * @throws EncodeError `ENCODE_FAILED` with the value, if the codec can't write it
   */
  trySend(value: T): boolean {
    const result = this.#channel.monitor.attempt(this.#channel.sending(this.#encode(value)));
    if (result === NOT_NOW) return false;
    this.#finish(result, value, 0);
    return true;
  }

  /**
   * Sends a value to every receiver, waiting without blocking while the slowest one has a channel with back-pressure full.
   *
   * @throws ChannelTimeoutError `TIMEOUT` with the value
   * @throws SendAbortedError `ABORTED` with the value, if the signal gave the wait up; its reason is the `cause`
   * @throws ClosedError `CLOSED` with the value
   * @throws MessageTooLargeError `MESSAGE_TOO_LARGE` with the value
   * @throws EncodeError `ENCODE_FAILED` with the value, if the codec can't write it
   */
  async sendAsync(value: T, options: AsyncWaitOptions = {}): Promise<void> {
    const { timeoutMs = Infinity, signal } = options;
    if (signal?.aborted === true) throw new SendAbortedError(SENDING, signal.reason, value);
    // A copy: the caller may change its bytes while this waits.
    const attempt = this.#channel.sending(copied(this.#encode(value)));
    const sending = this.#channel.monitor.performAsync(this.#channel.senders, attempt, { timeoutMs, signal });
    this.#finish(await withValue(SENDING, value, sending), value, timeoutMs);
  }

  /** What `select` needs to send a value when no receiver has to be waited for. */
  forSelect(value: T): Selectable {
    // A copy: the caller may change its bytes while an asynchronous select waits.
    const sending = this.#channel.sending(copied(this.#encode(value)));
    let isTried = false;
    const attempt = {
      ...sending,
      run: () => {
        isTried = true;
        return sending.run();
      },
    };
    const { location, monitor, senders } = this.#channel;
    return {
      location,
      waiters: senders,
      attempt: (): Operation => {
        isTried = false;
        try {
          const result = monitor.attemptOrClose(attempt);
          // Whoever has the lock need not tell when it lets go of it.
          if (result === NOT_NOW) return { isDone: false, isKept: !isTried };
          this.#finish(result, value, 0);
          return { isDone: true };
        } catch (error) {
          return { isDone: true, error: error as Error };
        }
      },
    };
  }

  /** Closes the channel for all ends: nothing more is sent, what is kept is still received. */
  close(): void {
    this.#channel.close();
  }

  /** Gives up this end; the last sending end closes the channel. A second call is harmless. */
  release(): void {
    if (this.#isReleased) return;
    this.#isReleased = true;
    this.#channel.monitor.removeEnd('sender', this.#counted);
  }

  /** Gives up this end at the end of a `using` block. */
  [Symbol.dispose](): void {
    this.release();
  }

  #checkOpen(value?: T): void {
    if (this.#isReleased) throw releasedError('sender', value);
  }

  #encode(value: T): Uint8Array {
    this.#checkOpen(value);
    const message = encodeWith(this.#codec, value);
    const { messageByteLengthMax } = this.#channel;
    if (message.length > messageByteLengthMax) {
      throw new MessageTooLargeError(value, message.length, messageByteLengthMax, 'give the channel a larger ringByteLength');
    }
    return message;
  }

  #finish(result: Result, value: T, timeoutMs: number): void {
    if (result === DONE) {
      this.#channel.afterSending();
    } else if (result === CLOSED) {
      // Whoever had the last receiver may have died, and has closed nothing.
      this.#channel.monitor.closeIfDeserted();
      throw new ClosedError('the broadcast channel is closed', value);
    } else throw new ChannelTimeoutError(`the slowest receiver had the broadcast channel full for ${timeoutMs} ms`, value);
  }
}

/** What is posted of a broadcast receiver; reopen it with {@link BroadcastReceiver.from}. */
export interface BroadcastReceiverHandle extends EndHandle<typeof RECEIVER_KIND> {
  /** The number of the message that the receiver would have received next. */
  readonly next: number;
}

/**
 * A receiving end of a broadcast channel, with a place of its own among the messages. The last one released closes the channel.
 *
 * Without back-pressure a receiver that is slower than the senders lags: it gets an error that tells how many messages it has
 * missed, and goes on with the oldest one that is kept.
 */
export class BroadcastReceiver<T = Uint8Array> {
  readonly #channel: Broadcasting;
  readonly #codec: Codec<T>;
  readonly #counted: Counted;
  readonly #place: Place;
  #isReleased = false;

  private constructor(channel: Broadcasting, codec: Codec<T>, place: Place, counted: Counted) {
    this.#channel = channel;
    this.#codec = codec;
    this.#place = place;
    this.#counted = counted;
  }

  /**
   * Opens one more receiving end of the channel that a handle names. It begins where the end that the handle is of was when the
   * handle was made.
   *
   * @param options.codec the codec of the channel, if it is not one of this package
   * @throws InvalidRecordError `INVALID_RECORD` if there is no broadcast channel
   * @throws CodecMismatchError `CODEC_MISMATCH` for another codec than the handle's
   * @throws TooManyReceiversError `TOO_MANY_RECEIVERS` for the 17th of a channel with back-pressure
   * @throws MayNotBlockError `MAY_NOT_BLOCK` if this thread may not block and another is in the middle of a long copy
   */
  static from<T = Uint8Array>(handle: BroadcastReceiverHandle, options: { readonly codec?: Codec<T> } = {}): BroadcastReceiver<T> {
    checkKind(handle, RECEIVER_KIND);
    const codec = codecFor(handle.codec, options.codec);
    checkProgress(handle.next);
    openRegistryOf(handle);
    return BroadcastReceiver.open(Broadcasting.open(handle as SharedLocation), codec, handle.next);
  }

  /** The receiving end that a new channel has counted already; `broadcast` calls it. */
  static adopt<T>(channel: Broadcasting, codec: Codec<T>): BroadcastReceiver<T> {
    const place = channel.monitor.with(() => channel.place(undefined));
    return new BroadcastReceiver(channel, codec, place, channel.monitor.ownEnd('receiver'));
  }

  /** One more receiving end, before the message with the number `next` or before the next that is sent. */
  static open<T>(channel: Broadcasting, codec: Codec<T>, next: number | undefined): BroadcastReceiver<T> {
    const place = channel.monitor.with(() => channel.place(next));
    return new BroadcastReceiver(channel, codec, place, channel.monitor.addEnd('receiver'));
  }

  /** What to post to another thread. Post it before this end is released, and release it once the other has opened its own. */
  handle(): BroadcastReceiverHandle {
    return { ...endHandle(RECEIVER_KIND, this.#channel, this.#codec as unknown as Codec<never>), next: this.#place.next };
  }

  /** One more receiving end for this thread, which begins where this one is. Throws as {@link BroadcastReceiver.from}. */
  clone(): BroadcastReceiver<T> {
    this.#checkOpen();
    return BroadcastReceiver.open(this.#channel, this.#codec, this.#place.next);
  }

  /** How many messages were sent that this end has not received, missed ones included; of the past as soon as it is known. */
  get length(): number {
    return this.#channel.waitingAt(this.#place);
  }

  /** Whether nothing waits to be received; of the past as soon as it is known. */
  get isEmpty(): boolean {
    return this.length === 0;
  }

  /** How many messages are kept at most. */
  get capacity(): number {
    return this.#channel.capacity;
  }

  /** Whether the channel is closed; it may still keep messages. */
  get closed(): boolean {
    return this.#isReleased || this.#channel.isClosed;
  }

  /**
   * Receives the next message, blocking while there is none.
   *
   * @throws LaggedError `LAGGED` with the count, if messages were overwritten; the next call goes on with the oldest that is kept
   * @throws MayNotBlockError `MAY_NOT_BLOCK` if there is none and this thread may not block; use `recvAsync` there
   * @throws ChannelTimeoutError `TIMEOUT` if none came in time
   * @throws ClosedError `CLOSED` if the channel is closed and this end has received everything
   * @throws DecodeError `DECODE_FAILED` with the bytes, if they are no message of the codec
   */
  recv(options?: WaitOptions): T {
    this.#checkOpen();
    const timeoutMs = options?.timeoutMs ?? Infinity;
    const reception = this.#channel.receiving(this.#place);
    return this.#finish(this.#channel.monitor.perform(this.#channel.receivers, reception, timeoutMs), reception, timeoutMs);
  }

  /**
   * Receives the next message if there is one.
   *
   * @returns `undefined` if there is none, or as in {@link BroadcastSender.trySend} none to be had now
   * @throws LaggedError `LAGGED`, ClosedError `CLOSED`, DecodeError `DECODE_FAILED` as {@link BroadcastReceiver.recv}
   */
  tryRecv(): T | undefined {
    this.#checkOpen();
    const reception = this.#channel.receiving(this.#place);
    const result = this.#channel.monitor.attempt(reception);
    return result === NOT_NOW ? undefined : this.#finish(result, reception, 0);
  }

  /**
   * Receives the next message, waiting without blocking while there is none.
   *
   * @throws AbortedError `ABORTED` if the signal gave the wait up; its reason is the `cause`
   * @throws LaggedError `LAGGED`, ChannelTimeoutError `TIMEOUT`, ClosedError `CLOSED`, DecodeError `DECODE_FAILED` as
   *   {@link BroadcastReceiver.recv}
   */
  async recvAsync(options: AsyncWaitOptions = {}): Promise<T> {
    this.#checkOpen();
    const { timeoutMs = Infinity, signal } = options;
    if (signal?.aborted === true) throw new AbortedError('receiving from the broadcast channel', signal.reason);
    const reception = this.#channel.receiving(this.#place);
    const { monitor, receivers } = this.#channel;
    return this.#finish(await monitor.performAsync(receivers, reception, { timeoutMs, signal }), reception, timeoutMs);
  }

  /** What `select` needs to receive the next message when there is one. */
  forSelect(): Selectable {
    this.#checkOpen();
    const { location, monitor, receivers } = this.#channel;
    return {
      location,
      waiters: receivers,
      attempt: (): Operation => {
        try {
          const reception = this.#channel.receiving(this.#place);
          const result = monitor.attemptOrClose(reception);
          // There is one that it couldn't look at, or that came since it looked.
          if (result === NOT_NOW) return { isDone: false, isKept: !this.isEmpty || this.#channel.isClosed };
          return { isDone: true, value: this.#finish(result, reception, 0) };
        } catch (error) {
          return { isDone: true, error: error as Error };
        }
      },
    };
  }

  /**
   * The messages as they come, blocking, until the channel is closed and all were received.
   *
   * @throws LaggedError `LAGGED` as {@link BroadcastReceiver.recv}; a new loop goes on behind the missed ones
   */
  *[Symbol.iterator](): Generator<T, void, undefined> {
    for (;;) {
      this.#checkOpen();
      const reception = this.#channel.receiving(this.#place);
      const result = this.#channel.monitor.perform(this.#channel.receivers, reception, Infinity);
      if (result === CLOSED) return;
      yield this.#finish(result, reception, Infinity);
    }
  }

  /** The messages as they come, without blocking, until the channel is closed and all were received; else as the blocking form. */
  async *[Symbol.asyncIterator](): AsyncGenerator<T, void, undefined> {
    for (;;) {
      this.#checkOpen();
      const reception = this.#channel.receiving(this.#place);
      const patience = { timeoutMs: Infinity, signal: undefined };
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      const result = await this.#channel.monitor.performAsync(this.#channel.receivers, reception, patience);
      if (result === CLOSED) return;
      yield this.#finish(result, reception, Infinity);
    }
  }

  /** Closes the channel for all ends: nothing more is sent, what is kept is still received. */
  close(): void {
    this.#channel.close();
  }

  /** Gives up this end; the last receiving end closes the channel. A second call is harmless. */
  release(): void {
    if (this.#isReleased) return;
    this.#isReleased = true;
    // In this order: invariant 5 of Broadcasting.ts.
    this.#channel.monitor.removeEnd('receiver', this.#counted);
    this.#channel.leave(this.#place);
  }

  /** Gives up this end at the end of a `using` block. */
  [Symbol.dispose](): void {
    this.release();
  }

  #checkOpen(): void {
    if (this.#isReleased) throw releasedError('receiver');
  }

  #finish(result: Result, { message, skipped }: Reception, timeoutMs: number): T {
    if (result === DONE || result === LAGGED) this.#channel.afterReceiving();
    if (result === DONE) return decodeWith(this.#codec, message);
    if (result === LAGGED) throw new LaggedError(skipped);
    if (result === CLOSED) throw new ClosedError('the broadcast channel is closed and everything was received');
    throw new ChannelTimeoutError(`no message came for ${timeoutMs} ms`);
  }
}
