/**
 * A channel that keeps the latest value: a configuration, a state, a progress. Whoever looks sees it, and whoever waits is told that it
 * changed, not how often.
 *
 * The protocol is in internal/Watching.ts.
 */
import { AbortedError, type SharedLocation } from '@heddle/atomics';
import { checkKind, defineDisposeSymbol, openRegistryOf } from '@heddle/atomics/internal';
import { type OpenOptions } from './channel.ts';
import { type Codec, bytesCodec } from './Codec.ts';
import { ChannelTimeoutError, ClosedError, MessageTooLargeError } from './errors.ts';
import { copied } from './internal/copy.ts';
import { type EndHandle, checkProgress, codecFor, decodeWith, encodeWith, endHandle, releasedError } from './internal/end.ts';
import { type Counted } from './internal/Ends.ts';
import { CLOSED, DONE, NOT_NOW, type Result } from './internal/result.ts';
import { type Version, Watching } from './internal/Watching.ts';
import { checkValueByteLength, watchRecordByteLength } from './internal/watchRecord.ts';
import { type Operation, type Selectable } from './select.ts';
import { type AsyncWaitOptions, type WaitOptions } from './Sender.ts';

defineDisposeSymbol();

const SENDER_KIND = 'heddle.WatchSender';
const RECEIVER_KIND = 'heddle.WatchReceiver';

const VALUE_BYTE_LENGTH_DEFAULT = 4096;

/** What {@link watch} makes. */
export interface WatchOptions<T> {
  /** The most bytes that a value may have, at most 2^29; 4096 if not given. The channel has room for two. */
  readonly valueByteLengthMax?: number;
  /** How values become bytes; if not given, values are bytes. */
  readonly codec?: Codec<T>;
  /** Where the channel is made, aligned to 8; a SharedArrayBuffer of its own if not given. See {@link watchByteLength}. */
  readonly location?: SharedLocation;
}

/** The two ends of a watch channel. */
export interface Watch<T> {
  /** The sending end. */
  readonly sender: WatchSender<T>;
  /** The first receiving end, which has seen the first value; `sender.subscribe()` and `receiver.clone()` give more. */
  readonly receiver: WatchReceiver<T>;
}

/**
 * A watch channel: any number of threads send values, of which the latest is kept, and any number look at it and wait for it to change.
 *
 * @throws InvalidArgumentError `INVALID_ARGUMENT` for a size out of range
 * @throws InvalidRecordError `INVALID_RECORD` for a place where it can't be
 * @throws MessageTooLargeError `MESSAGE_TOO_LARGE`, EncodeError `ENCODE_FAILED` with the first value
 */
export function watch<T = Uint8Array>(value: T, options: WatchOptions<T> = {}): Watch<T> {
  const codec = options.codec ?? (bytesCodec as unknown as Codec<T>);
  const valueByteLengthMax = options.valueByteLengthMax ?? VALUE_BYTE_LENGTH_DEFAULT;
  checkValueByteLength(valueByteLengthMax);
  const channel = Watching.create(valueByteLengthMax, encode(codec, value, valueByteLengthMax), options.location);
  return { sender: WatchSender.adopt(channel, codec), receiver: WatchReceiver.adopt(channel, codec) };
}

/**
 * Opens a sending end of the watch channel at a place: at an address that Rust tells, for example.
 *
 * @throws InvalidRecordError `INVALID_RECORD` if there is no watch channel
 */
export function openWatchSender<T = Uint8Array>({ location, codec }: OpenOptions<T>): WatchSender<T> {
  return WatchSender.open(Watching.open(location), codec ?? (bytesCodec as unknown as Codec<T>));
}

/**
 * Opens a receiving end of the watch channel at a place, which has seen the value of now.
 *
 * @throws InvalidRecordError `INVALID_RECORD` if there is no watch channel
 */
export function openWatchReceiver<T = Uint8Array>({ location, codec }: OpenOptions<T>): WatchReceiver<T> {
  const channel = Watching.open(location);
  return WatchReceiver.open(channel, codec ?? (bytesCodec as unknown as Codec<T>), channel.changes);
}

/** The bytes that a watch channel for values of at most `valueByteLengthMax` bytes takes; it is aligned to 8. */
export function watchByteLength(valueByteLengthMax: number = VALUE_BYTE_LENGTH_DEFAULT): number {
  return watchRecordByteLength(valueByteLengthMax);
}

/** What is posted of a watch sender; reopen it with {@link WatchSender.from}. */
export type WatchSenderHandle = EndHandle<typeof SENDER_KIND>;

/** The sending end of a watch channel. Each thread opens its own; the last one released closes the channel. */
export class WatchSender<T = Uint8Array> {
  readonly #channel: Watching;
  readonly #codec: Codec<T>;
  readonly #counted: Counted;
  #isReleased = false;

  private constructor(channel: Watching, codec: Codec<T>, counted: Counted) {
    this.#channel = channel;
    this.#codec = codec;
    this.#counted = counted;
  }

  /**
   * Opens one more sending end of the channel that a handle names.
   *
   * @param options.codec the codec of the channel, if it is not one of this package
   * @throws InvalidRecordError `INVALID_RECORD` if there is no watch channel
   * @throws CodecMismatchError `CODEC_MISMATCH` for another codec than the handle's
   */
  static from<T = Uint8Array>(handle: WatchSenderHandle, options: { readonly codec?: Codec<T> } = {}): WatchSender<T> {
    checkKind(handle, SENDER_KIND);
    const codec = codecFor(handle.codec, options.codec);
    openRegistryOf(handle);
    const channel = Watching.open(handle as SharedLocation);
    return new WatchSender(channel, codec, channel.monitor.addEnd('sender'));
  }

  /** The sending end that a new channel has counted already; `watch` calls it. */
  static adopt<T>(channel: Watching, codec: Codec<T>): WatchSender<T> {
    return new WatchSender(channel, codec, channel.monitor.ownEnd('sender'));
  }

  /** One more sending end of a channel; `openWatchSender` calls it. */
  static open<T>(channel: Watching, codec: Codec<T>): WatchSender<T> {
    return new WatchSender(channel, codec, channel.monitor.addEnd('sender'));
  }

  /** What to post to another thread. Post it before this end is released, and release it once the other has opened its own. */
  handle(): WatchSenderHandle {
    return endHandle(SENDER_KIND, this.#channel, this.#codec as unknown as Codec<never>);
  }

  /** One more sending end for this thread. */
  clone(): WatchSender<T> {
    this.#checkOpen();
    return new WatchSender(this.#channel, this.#codec, this.#channel.monitor.addEnd('sender'));
  }

  /** A receiving end that has seen the value of now. */
  subscribe(): WatchReceiver<T> {
    this.#checkOpen();
    return WatchReceiver.open(this.#channel, this.#codec, this.#channel.changes);
  }

  /** Whether the channel is closed. */
  get closed(): boolean {
    return this.#isReleased || this.#channel.isClosed;
  }

  /**
   * Makes `value` the latest one.
   *
   * @throws MayNotBlockError `MAY_NOT_BLOCK` if this thread may not block and another is in the middle of a long copy; use `sendAsync`
   *   there
   * @throws ClosedError `CLOSED` with the value
   * @throws MessageTooLargeError `MESSAGE_TOO_LARGE` with the value
   * @throws EncodeError `ENCODE_FAILED` with the value, if the codec can't write it
   */
  send(value: T): void {
    const bytes = this.#encode(value);
    const channel = this.#channel;
    this.#finish(
      channel.monitor.with(() => channel.write(bytes)),
      value,
    );
  }

  /** {@link WatchSender.send} without blocking the thread. Throws `CLOSED`, `MESSAGE_TOO_LARGE` and `ENCODE_FAILED` as it does. */
  async sendAsync(value: T): Promise<void> {
    // A copy: the caller may change its bytes while this waits.
    const bytes = copied(this.#encode(value));
    const channel = this.#channel;
    const result = await channel.monitor.withAsync(() => channel.write(bytes));
    this.#finish(result, value);
  }

  /**
   * The latest value.
   *
   * @throws MayNotBlockError `MAY_NOT_BLOCK` as {@link WatchSender.send}
   * @throws DecodeError `DECODE_FAILED` with the bytes, if they are no value of the codec
   */
  borrow(): T {
    this.#checkOpen();
    return decodeWith(this.#codec, this.#channel.monitor.with(() => this.#channel.read()).value);
  }

  /** Closes the channel for all ends: the value stays as it is. */
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
    return encode(this.#codec, value, this.#channel.valueByteLengthMax);
  }

  #finish(result: Result, value: T): void {
    if (result !== DONE) throw new ClosedError('the watch channel is closed', value);
    this.#channel.receivers.signal();
  }
}

/** What is posted of a watch receiver; reopen it with {@link WatchReceiver.from}. */
export interface WatchReceiverHandle extends EndHandle<typeof RECEIVER_KIND> {
  /** The change that the receiver had seen last. */
  readonly seen: number;
}

/** A receiving end of a watch channel, which knows what it has seen. The last one released closes the channel. */
export class WatchReceiver<T = Uint8Array> {
  readonly #channel: Watching;
  readonly #codec: Codec<T>;
  readonly #counted: Counted;
  #seen: number;
  #isReleased = false;

  private constructor(channel: Watching, codec: Codec<T>, seen: number, counted: Counted) {
    this.#channel = channel;
    this.#codec = codec;
    this.#seen = seen;
    this.#counted = counted;
  }

  /**
   * Opens one more receiving end of the channel that a handle names. It has seen what the end that the handle is of had seen when the
   * handle was made.
   *
   * @param options.codec the codec of the channel, if it is not one of this package
   * @throws InvalidRecordError `INVALID_RECORD` if there is no watch channel
   * @throws CodecMismatchError `CODEC_MISMATCH` for another codec than the handle's
   */
  static from<T = Uint8Array>(handle: WatchReceiverHandle, options: { readonly codec?: Codec<T> } = {}): WatchReceiver<T> {
    checkKind(handle, RECEIVER_KIND);
    const codec = codecFor(handle.codec, options.codec);
    checkProgress(handle.seen);
    openRegistryOf(handle);
    return WatchReceiver.open(Watching.open(handle as SharedLocation), codec, handle.seen | 0);
  }

  /** The receiving end that a new channel has counted already; `watch` calls it. */
  static adopt<T>(channel: Watching, codec: Codec<T>): WatchReceiver<T> {
    return new WatchReceiver(channel, codec, channel.changes, channel.monitor.ownEnd('receiver'));
  }

  /** One more receiving end, which has seen that change. */
  static open<T>(channel: Watching, codec: Codec<T>, seen: number): WatchReceiver<T> {
    return new WatchReceiver(channel, codec, seen, channel.monitor.addEnd('receiver'));
  }

  /** What to post to another thread. Post it before this end is released, and release it once the other has opened its own. */
  handle(): WatchReceiverHandle {
    return { ...endHandle(RECEIVER_KIND, this.#channel, this.#codec as unknown as Codec<never>), seen: this.#seen };
  }

  /** One more receiving end for this thread, which has seen what this one has. */
  clone(): WatchReceiver<T> {
    this.#checkOpen();
    return WatchReceiver.open(this.#channel, this.#codec, this.#seen);
  }

  /** Whether the channel is closed; the value stays. */
  get closed(): boolean {
    return this.#isReleased || this.#channel.isClosed;
  }

  /** Whether the value was changed since this end has seen it; of the past as soon as it is known. */
  get hasChanged(): boolean {
    return this.#channel.changes !== this.#seen;
  }

  /** Has the next {@link WatchReceiver.changed} come back at once, as if the value had changed. */
  markChanged(): void {
    // No count that the channel can have: those are even.
    this.#seen = -1;
  }

  /** Takes the value of now as seen. */
  markUnchanged(): void {
    this.#seen = this.#channel.changes;
  }

  /**
   * The latest value. It doesn't count as seen.
   *
   * @throws MayNotBlockError `MAY_NOT_BLOCK` if this thread may not block and another is in the middle of a long copy; use
   *   `borrowAsync` there
   * @throws DecodeError `DECODE_FAILED` with the bytes, if they are no value of the codec
   */
  borrow(): T {
    return this.#decode(this.#read());
  }

  /** {@link WatchReceiver.borrow} without blocking the thread. */
  async borrowAsync(): Promise<T> {
    return this.#decode(await this.#readAsync());
  }

  /** The latest value, which counts as seen. Throws as {@link WatchReceiver.borrow}. */
  borrowAndUpdate(): T {
    return this.#decode(this.#see(this.#read()));
  }

  /** {@link WatchReceiver.borrowAndUpdate} without blocking the thread. */
  async borrowAndUpdateAsync(): Promise<T> {
    return this.#decode(this.#see(await this.#readAsync()));
  }

  /**
   * Waits until the value was changed since this end has seen it, blocking; the value counts as seen then.
   *
   * @throws MayNotBlockError `MAY_NOT_BLOCK` if it was not and this thread may not block; use `changedAsync` there
   * @throws ChannelTimeoutError `TIMEOUT` if it was not changed in time
   * @throws ClosedError `CLOSED` if the channel is closed and this end has seen the last value
   */
  changed(options?: WaitOptions): void {
    this.#checkOpen();
    const timeoutMs = options?.timeoutMs ?? Infinity;
    this.#finish(this.#awaitChange(timeoutMs), timeoutMs);
  }

  /**
   * {@link WatchReceiver.changed} without blocking the thread.
   *
   * @throws AbortedError `ABORTED` if the signal gave the wait up; its reason is the `cause`
   * @throws ChannelTimeoutError `TIMEOUT`, ClosedError `CLOSED` as {@link WatchReceiver.changed}
   */
  async changedAsync(options: AsyncWaitOptions = {}): Promise<void> {
    this.#checkOpen();
    const { timeoutMs = Infinity, signal } = options;
    if (signal?.aborted === true) throw new AbortedError('waiting for a change of the watched value', signal.reason);
    this.#finish(await this.#awaitChangeAsync(timeoutMs, signal), timeoutMs);
  }

  /** What `select` needs to look at the value when it was changed since this end has seen it; it counts as seen then. */
  forSelect(): Selectable {
    this.#checkOpen();
    const channel = this.#channel;
    const { location, monitor, receivers } = channel;
    return {
      location,
      waiters: receivers,
      attempt: (): Operation => {
        try {
          let version: Version | undefined;
          const changing = channel.changing(() => this.#seen);
          const run = (): Result => {
            const result = changing.run();
            if (result === DONE) version = channel.read();
            return result;
          };
          const result = monitor.attemptOrClose({ ...changing, run });
          // There is one that it couldn't look at, or that came since it looked.
          if (result === NOT_NOW) return { isDone: false, isKept: this.hasChanged || channel.isClosed };
          if (version !== undefined) return { isDone: true, value: this.#decode(this.#see(version)) };
          return { isDone: true, error: closedError() };
        } catch (error) {
          return { isDone: true, error: error as Error };
        }
      },
    };
  }

  /** The value at first, and whenever it has changed, blocking, until the channel is closed. Values that are overtaken are left out. */
  *[Symbol.iterator](): Generator<T, void, undefined> {
    do yield this.borrowAndUpdate();
    while (this.#awaitChange(Infinity) === DONE);
  }

  /** The value at first, and whenever it has changed, without blocking, until the channel is closed. */
  async *[Symbol.asyncIterator](): AsyncGenerator<T, void, undefined> {
    // oxlint-disable-next-line no-await-in-loop -- one after the other
    do yield await this.borrowAndUpdateAsync();
    // oxlint-disable-next-line no-await-in-loop -- one after the other
    while ((await this.#awaitChangeAsync(Infinity, undefined)) === DONE);
  }

  /** Closes the channel for all ends: the value stays as it is. */
  close(): void {
    this.#channel.close();
  }

  /** Gives up this end; the last receiving end closes the channel. A second call is harmless. */
  release(): void {
    if (this.#isReleased) return;
    this.#isReleased = true;
    this.#channel.monitor.removeEnd('receiver', this.#counted);
  }

  /** Gives up this end at the end of a `using` block. */
  [Symbol.dispose](): void {
    this.release();
  }

  #checkOpen(): void {
    if (this.#isReleased) throw releasedError('receiver');
  }

  #read(): Version {
    this.#checkOpen();
    return this.#channel.monitor.with(() => this.#channel.read());
  }

  async #readAsync(): Promise<Version> {
    this.#checkOpen();
    return this.#channel.monitor.withAsync(() => this.#channel.read());
  }

  #see(version: Version): Version {
    this.#seen = version.changes;
    return version;
  }

  #decode({ value }: Version): T {
    return decodeWith(this.#codec, value);
  }

  #awaitChange(timeoutMs: number): Result {
    this.#checkOpen();
    const channel = this.#channel;
    return channel.monitor.perform(
      channel.receivers,
      channel.changing(() => this.#seen),
      timeoutMs,
    );
  }

  async #awaitChangeAsync(timeoutMs: number, signal: AbortSignal | undefined): Promise<Result> {
    this.#checkOpen();
    const channel = this.#channel;
    const attempt = channel.changing(() => this.#seen);
    return channel.monitor.performAsync(channel.receivers, attempt, { timeoutMs, signal });
  }

  #finish(result: Result, timeoutMs: number): void {
    if (result === DONE) this.markUnchanged();
    else if (result === CLOSED) throw closedError();
    else throw new ChannelTimeoutError(`the watched value was not changed for ${timeoutMs} ms`);
  }
}

const closedError = (): ClosedError => new ClosedError('the watch channel is closed and its last value was seen');

/** The bytes of a value, if they are not too many. */
function encode<T>(codec: Codec<T>, value: T, valueByteLengthMax: number): Uint8Array {
  const bytes = encodeWith(codec, value);
  if (bytes.length <= valueByteLengthMax) return bytes;
  throw new MessageTooLargeError(value, bytes.length, valueByteLengthMax, 'give the channel a larger valueByteLengthMax');
}
