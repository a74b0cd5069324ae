/** Making a channel. */
import { type SharedLocation } from '@heddle/atomics';
import { type Codec, bytesCodec } from './Codec.ts';
import { type RingOptions, Ring, recordByteLength } from './internal/protocol.ts';
import { Receiver } from './Receiver.ts';
import { Sender } from './Sender.ts';

/** What {@link channel} makes. */
export interface ChannelOptions<T> {
  /** How many messages the channel holds at most, 1 or more; 1024 if not given. */
  readonly capacity?: number;
  /**
   * The bytes of its ring, a power of two from 64 to 2^30; 65536 if not given. Each message takes its own bytes and 8 more,
   * rounded up to a multiple of 8; the longest one is half the ring less 8.
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
  };
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
  ring.addSender();
  return Sender.adopt(ring, codec ?? (bytesCodec as unknown as Codec<T>));
}

/**
 * Opens a receiving end of the channel at a place.
 *
 * @throws InvalidRecordError `INVALID_RECORD` if there is no channel
 */
export function openReceiver<T = Uint8Array>({ location, codec }: OpenOptions<T>): Receiver<T> {
  const ring = Ring.open(location);
  ring.addReceiver();
  return Receiver.adopt(ring, codec ?? (bytesCodec as unknown as Codec<T>));
}

/** The bytes that a channel with a ring of `ringByteLength` takes; it is aligned to 8. */
export function channelByteLength(ringByteLength: number = RING_BYTE_LENGTH_DEFAULT): number {
  return recordByteLength(ringByteLength);
}
