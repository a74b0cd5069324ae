/** Making a channel. */
import { type SharedLocation } from '@heddle/atomics';
import { type Codec, bytesCodec } from './Codec.ts';
import { Ring } from './internal/Ring.ts';
import { type RingOptions, recordByteLength } from './internal/record.ts';
import { Receiver } from './Receiver.ts';
import { Sender } from './Sender.ts';

/** What {@link channel} makes. */
export interface ChannelOptions<T> {
  /**
   * How many messages the channel holds at most; 1024 if not given. 0 makes a rendezvous: a sender waits until its message is
   * taken.
   */
  readonly capacity?: number;
  /**
   * The bytes of its ring, a power of two from 64 to 2^30; 65536 if not given. Each message takes its own bytes and 8 more,
   * rounded up to a multiple of 8. A message of more than half the ring less 8 is sent in several pieces.
   */
  readonly ringByteLength?: number;
  /** How values become bytes; if not given, values are bytes. */
  readonly codec?: Codec<T>;
  /** Where the channel is made, aligned to 8; a SharedArrayBuffer of its own if not given. See {@link channelByteLength}. */
  readonly location?: SharedLocation;
}

/** The two ends of a channel. */
export interface Channel<T> {
  /** The sending end. */
  readonly sender: Sender<T>;
  /** The receiving end. */
  readonly receiver: Receiver<T>;
}

const CAPACITY_DEFAULT = 1024;
const RING_BYTE_LENGTH_DEFAULT = 65_536;
const LIMIT_BYTE_LENGTH_DEFAULT = 2 ** 28;
const ONESHOT_RING_BYTE_LENGTH = 4096;
// The bytes are the limit: a frame has 8 at least.
const CAPACITY_UNBOUNDED = 0x7fff_ffff;

/**
 * A bounded channel: any number of threads send, any number receive, each message goes to one receiver, and what one sender
 * sends arrives in its order.
 *
 * @throws InvalidArgumentError `INVALID_ARGUMENT` for a size out of range
 * @throws InvalidRecordError `INVALID_RECORD` for a place where it can't be
 */
export function channel<T = Uint8Array>(options: ChannelOptions<T> = {}): Channel<T> {
  const ringOptions: RingOptions = {
    capacity: options.capacity ?? CAPACITY_DEFAULT,
    ringByteLength: options.ringByteLength ?? RING_BYTE_LENGTH_DEFAULT,
    isCompact: false,
  };
  return create(ringOptions, options);
}

/** What {@link unbounded} makes. */
export interface UnboundedOptions<T> {
  /** The most bytes that may wait to be received, a power of two from 64 to 2^30; 2^28 if not given. */
  readonly limitByteLength?: number;
  /** How values become bytes; if not given, values are bytes. */
  readonly codec?: Codec<T>;
  /** Where the channel is made, aligned to 8; a SharedArrayBuffer of its own if not given. See {@link channelByteLength}. */
  readonly location?: SharedLocation;
}

/**
 * A channel whose senders wait only at a limit far away: for messages that come in bursts.
 *
 * It reserves the limit's addresses, but memory only for what waits to be received: whenever it is empty it is filled from
 * its start again, so that pages behind the longest backlog are never touched.
 *
 * @throws InvalidArgumentError `INVALID_ARGUMENT` for a limit out of range
 * @throws InvalidRecordError `INVALID_RECORD` for a place where it can't be
 */
export function unbounded<T = Uint8Array>(options: UnboundedOptions<T> = {}): Channel<T> {
  const ringByteLength = options.limitByteLength ?? LIMIT_BYTE_LENGTH_DEFAULT;
  return create({ capacity: CAPACITY_UNBOUNDED, ringByteLength, isCompact: true }, options);
}

/** What {@link oneshot} makes. */
export interface OneshotOptions<T> {
  /** The bytes of its ring, as for a channel; 4096 if not given. */
  readonly ringByteLength?: number;
  /** How values become bytes; if not given, values are bytes. */
  readonly codec?: Codec<T>;
  /** Where the channel is made, aligned to 8; a SharedArrayBuffer of its own if not given. See {@link channelByteLength}. */
  readonly location?: SharedLocation;
}

/**
 * A channel for one message, an answer for example: it holds one, so that sending it never waits, unless it is longer than
 * half the ring. Close the sender behind it; a receiver that finds it closed knows that no message will come.
 *
 * @throws InvalidArgumentError `INVALID_ARGUMENT` for a size out of range
 * @throws InvalidRecordError `INVALID_RECORD` for a place where it can't be
 */
export function oneshot<T = Uint8Array>(options: OneshotOptions<T> = {}): Channel<T> {
  return create({ capacity: 1, ringByteLength: options.ringByteLength ?? ONESHOT_RING_BYTE_LENGTH, isCompact: false }, options);
}

function create<T>(ringOptions: RingOptions, options: { readonly codec?: Codec<T>; readonly location?: SharedLocation }): Channel<T> {
  const codec = options.codec ?? (bytesCodec as unknown as Codec<T>);
  const ring = Ring.create(ringOptions, options.location);
  return { sender: Sender.adopt(ring, codec), receiver: Receiver.adopt(ring, codec) };
}

/** One more end each of a channel that is there already: at an address that Rust tells, for example. */
export interface OpenOptions<T> {
  /** Where the channel is. */
  readonly location: SharedLocation;
  /** How values become bytes; if not given, values are bytes. */
  readonly codec?: Codec<T>;
}

/**
 * Opens a sending end of the channel at a place.
 *
 * @throws InvalidRecordError `INVALID_RECORD` if there is no channel
 */
export function openSender<T = Uint8Array>({ location, codec }: OpenOptions<T>): Sender<T> {
  const ring = Ring.open(location);
  return Sender.open(ring, codec ?? (bytesCodec as unknown as Codec<T>));
}

/**
 * Opens a receiving end of the channel at a place.
 *
 * @throws InvalidRecordError `INVALID_RECORD` if there is no channel
 */
export function openReceiver<T = Uint8Array>({ location, codec }: OpenOptions<T>): Receiver<T> {
  const ring = Ring.open(location);
  return Receiver.open(ring, codec ?? (bytesCodec as unknown as Codec<T>));
}

/** The bytes that a channel with a ring of `ringByteLength` takes; it is aligned to 8. */
export function channelByteLength(ringByteLength: number = RING_BYTE_LENGTH_DEFAULT): number {
  return recordByteLength(ringByteLength);
}
