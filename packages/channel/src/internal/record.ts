/**
 * The record of a channel as one thread sees it: views, the indices of its words, making and opening it.
 */
import { type Agent, type ResolvedLocation, agentOf, resolveLocation } from '@heddle/atomics/internal';
import { InvalidArgumentError, InvalidRecordError, type SharedLocation } from '@heddle/atomics';
import {
  CHANNEL_HEADER_ALIGN,
  CHANNEL_HEADER_CAPACITY_OFFSET,
  CHANNEL_HEADER_MAGIC_OFFSET,
  CHANNEL_HEADER_OPTIONS_OFFSET,
  CHANNEL_HEADER_RECEIVERS_OFFSET,
  CHANNEL_HEADER_RING_SIZE_OFFSET,
  CHANNEL_HEADER_SENDERS_OFFSET,
  CHANNEL_HEADER_SIZE,
  CHANNEL_HEADER_VERSION_OFFSET,
  CHANNEL_MAGIC,
  CHANNEL_VERSION,
  OPTION_COMPACT,
  RING_SIZE_MAX,
  RING_SIZE_MIN,
} from './layout.ts';

/** The index of the word at a byte offset. */
export const wordOf = (byteOffset: number): number => byteOffset >> 2;

const MAGIC = wordOf(CHANNEL_HEADER_MAGIC_OFFSET);
const VERSION = wordOf(CHANNEL_HEADER_VERSION_OFFSET);
const RING_SIZE = wordOf(CHANNEL_HEADER_RING_SIZE_OFFSET);
const CAPACITY = wordOf(CHANNEL_HEADER_CAPACITY_OFFSET);
const OPTIONS = wordOf(CHANNEL_HEADER_OPTIONS_OFFSET);
const SENDERS = wordOf(CHANNEL_HEADER_SENDERS_OFFSET);
const RECEIVERS = wordOf(CHANNEL_HEADER_RECEIVERS_OFFSET);

const CAPACITY_MAX = 0xffff_ffff;

/** What a new channel is like. */
export interface RingOptions {
  /** Messages; 0 for a rendezvous. */
  readonly capacity: number;
  /** Bytes, a power of two. */
  readonly ringByteLength: number;
  /** Whether an empty ring is written from its start again. */
  readonly isCompact: boolean;
}

/** The bytes of a channel's record. */
export function recordByteLength(ringByteLength: number): number {
  return CHANNEL_HEADER_SIZE + ringByteLength;
}

/** The record of a channel of any kind, opened by one thread. */
export interface SharedRecord {
  /** Where it is. */
  readonly location: ResolvedLocation;
  /** The header's words. */
  readonly words: Int32Array;
  /** This thread, as the locks of the record's memory see it. */
  readonly agent: Agent;
}

/** A channel's record, opened by one thread. */
export interface ChannelRecord extends SharedRecord {
  /** The ring's bytes. */
  readonly bytes: Uint8Array<SharedArrayBuffer>;
  /** The ring's words. */
  readonly frames: Int32Array;
  /** Messages; 0 for a rendezvous. */
  readonly capacity: number;
  /** Whether an empty ring is written from its start again. */
  readonly isCompact: boolean;
}

/**
 * Makes an open channel with one sending and one receiving end.
 *
 * @throws InvalidArgumentError, InvalidRecordError
 */
export function createRecord({ capacity, ringByteLength, isCompact }: RingOptions, place: SharedLocation | undefined): ChannelRecord {
  if (!Number.isInteger(capacity) || capacity < 0 || capacity > CAPACITY_MAX) {
    throw new InvalidArgumentError(`a channel holds 0 to 2^32 - 1 messages, not ${String(capacity)}`);
  }
  checkRingByteLength(ringByteLength);
  const size = recordByteLength(ringByteLength);
  const location = resolveLocation(place ?? { buffer: new SharedArrayBuffer(size) }, 'a channel', size, CHANNEL_HEADER_ALIGN);
  const words = new Int32Array(location.buffer, location.byteOffset, wordOf(CHANNEL_HEADER_SIZE));
  for (let i = 0; i < words.length; i += 1) Atomics.store(words, i, 0);
  Atomics.store(words, VERSION, CHANNEL_VERSION);
  Atomics.store(words, RING_SIZE, ringByteLength);
  Atomics.store(words, CAPACITY, capacity | 0);
  Atomics.store(words, OPTIONS, isCompact ? OPTION_COMPACT : 0);
  Atomics.store(words, SENDERS, 1);
  Atomics.store(words, RECEIVERS, 1);
  // Last: who sees the magic sees the rest.
  Atomics.store(words, MAGIC, CHANNEL_MAGIC);
  return viewsOf(location, words, ringByteLength);
}

/**
 * Opens the channel at a place.
 *
 * @throws InvalidRecordError `INVALID_RECORD` if there is none that this version understands
 */
export function openRecord(place: SharedLocation): ChannelRecord {
  const header = resolveLocation(place, 'a channel', CHANNEL_HEADER_SIZE, CHANNEL_HEADER_ALIGN);
  const words = new Int32Array(header.buffer, header.byteOffset, wordOf(CHANNEL_HEADER_SIZE));
  if (Atomics.load(words, MAGIC) !== CHANNEL_MAGIC) throw new InvalidRecordError(`there is no channel at ${header.byteOffset}`);
  const version = Atomics.load(words, VERSION);
  if (version !== CHANNEL_VERSION) {
    throw new InvalidRecordError(`the channel at ${header.byteOffset} has layout ${version}, this is ${CHANNEL_VERSION}`);
  }
  const size = Atomics.load(words, RING_SIZE) >>> 0;
  try {
    checkRingByteLength(size);
  } catch (error) {
    throw new InvalidRecordError(`the channel at ${header.byteOffset} is broken`, { cause: error });
  }
  return viewsOf(resolveLocation(place, 'a channel', recordByteLength(size), CHANNEL_HEADER_ALIGN), words, size);
}

function viewsOf(location: ResolvedLocation, words: Int32Array, size: number): ChannelRecord {
  const { buffer, byteOffset } = location;
  const ringByteOffset = byteOffset + CHANNEL_HEADER_SIZE;
  return {
    location,
    words,
    bytes: new Uint8Array(buffer, ringByteOffset, size),
    frames: new Int32Array(buffer, ringByteOffset, wordOf(size)),
    agent: agentOf(location.memory ?? buffer),
    capacity: Atomics.load(words, CAPACITY) >>> 0,
    isCompact: (Atomics.load(words, OPTIONS) & OPTION_COMPACT) !== 0,
  };
}

/** @throws InvalidArgumentError `INVALID_ARGUMENT` for a size that no ring can have */
export function checkRingByteLength(ringByteLength: number): void {
  const isPowerOfTwo = Number.isInteger(ringByteLength) && Math.log2(ringByteLength) % 1 === 0;
  if (!isPowerOfTwo || ringByteLength < RING_SIZE_MIN || ringByteLength > RING_SIZE_MAX) {
    throw new InvalidArgumentError(
      `the ring of a channel is a power of two from ${RING_SIZE_MIN} to ${RING_SIZE_MAX} bytes, not ${String(ringByteLength)}`,
    );
  }
}
