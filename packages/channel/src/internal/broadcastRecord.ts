/** The record of a broadcast channel as one thread sees it: views, making and opening it. */
import { agentOf, type ResolvedLocation, resolveLocation } from '@heddle/atomics/internal';
import { InvalidArgumentError, InvalidRecordError, type SharedLocation } from '@heddle/atomics';
import {
  BROADCAST_HEADER_ALIGN,
  BROADCAST_HEADER_CAPACITY_OFFSET,
  BROADCAST_HEADER_MAGIC_OFFSET,
  BROADCAST_HEADER_OPTIONS_OFFSET,
  BROADCAST_HEADER_RECEIVERS_OFFSET,
  BROADCAST_HEADER_RING_SIZE_OFFSET,
  BROADCAST_HEADER_SENDERS_OFFSET,
  BROADCAST_HEADER_SIZE,
  BROADCAST_HEADER_VERSION_OFFSET,
  BROADCAST_MAGIC,
  BROADCAST_VERSION,
  OPTION_BACK_PRESSURE,
} from './layout.ts';
import { type SharedRecord, checkRingByteLength, wordOf } from './record.ts';

const MAGIC = wordOf(BROADCAST_HEADER_MAGIC_OFFSET);
const VERSION = wordOf(BROADCAST_HEADER_VERSION_OFFSET);
const RING_SIZE = wordOf(BROADCAST_HEADER_RING_SIZE_OFFSET);
const CAPACITY = wordOf(BROADCAST_HEADER_CAPACITY_OFFSET);
const OPTIONS = wordOf(BROADCAST_HEADER_OPTIONS_OFFSET);
const SENDERS = wordOf(BROADCAST_HEADER_SENDERS_OFFSET);
const RECEIVERS = wordOf(BROADCAST_HEADER_RECEIVERS_OFFSET);

const CAPACITY_MAX = 0xffff_ffff;
const WHAT = 'a broadcast channel';

/** What a new broadcast channel is like. */
export interface BroadcastRecordOptions {
  /** Messages. */
  readonly capacity: number;
  /** Bytes, a power of two. */
  readonly ringByteLength: number;
  /** Whether a sender waits for the slowest receiver. */
  readonly hasBackPressure: boolean;
}

/** A broadcast channel's record, opened by one thread. */
export interface BroadcastRecord extends SharedRecord {
  /** The ring's bytes. */
  readonly bytes: Uint8Array<SharedArrayBuffer>;
  /** The ring's words. */
  readonly frames: Int32Array;
  /** Messages. */
  readonly capacity: number;
  /** Whether a sender waits for the slowest receiver. */
  readonly hasBackPressure: boolean;
}

/** The bytes of a broadcast channel's record. */
export function broadcastRecordByteLength(ringByteLength: number): number {
  return BROADCAST_HEADER_SIZE + ringByteLength;
}

/**
 * Makes an open channel with one sending and one receiving end.
 *
 * @throws InvalidArgumentError, InvalidRecordError
 */
export function createBroadcastRecord(options: BroadcastRecordOptions, place: SharedLocation | undefined): BroadcastRecord {
  const { capacity, ringByteLength, hasBackPressure } = options;
  if (!Number.isInteger(capacity) || capacity < 1 || capacity > CAPACITY_MAX) {
    throw new InvalidArgumentError(`${WHAT} keeps 1 to 2^32 - 1 messages, not ${String(capacity)}`);
  }
  checkRingByteLength(ringByteLength);
  const size = broadcastRecordByteLength(ringByteLength);
  const location = resolveLocation(place ?? { buffer: new SharedArrayBuffer(size) }, WHAT, size, BROADCAST_HEADER_ALIGN);
  const words = new Int32Array(location.buffer, location.byteOffset, wordOf(BROADCAST_HEADER_SIZE));
  for (let i = 0; i < words.length; i += 1) Atomics.store(words, i, 0);
  Atomics.store(words, VERSION, BROADCAST_VERSION);
  Atomics.store(words, RING_SIZE, ringByteLength);
  Atomics.store(words, CAPACITY, capacity | 0);
  Atomics.store(words, OPTIONS, hasBackPressure ? OPTION_BACK_PRESSURE : 0);
  Atomics.store(words, SENDERS, 1);
  Atomics.store(words, RECEIVERS, 1);
  // Last: who sees the magic sees the rest.
  Atomics.store(words, MAGIC, BROADCAST_MAGIC);
  return viewsOf(location, words, ringByteLength);
}

/**
 * Opens the broadcast channel at a place.
 *
 * @throws InvalidRecordError `INVALID_RECORD` if there is none that this version understands
 */
export function openBroadcastRecord(place: SharedLocation): BroadcastRecord {
  const header = resolveLocation(place, WHAT, BROADCAST_HEADER_SIZE, BROADCAST_HEADER_ALIGN);
  const words = new Int32Array(header.buffer, header.byteOffset, wordOf(BROADCAST_HEADER_SIZE));
  if (Atomics.load(words, MAGIC) !== BROADCAST_MAGIC) {
    throw new InvalidRecordError(`there is no broadcast channel at ${header.byteOffset}`);
  }
  const version = Atomics.load(words, VERSION);
  if (version !== BROADCAST_VERSION) {
    throw new InvalidRecordError(`the broadcast channel at ${header.byteOffset} has layout ${version}, this is ${BROADCAST_VERSION}`);
  }
  const size = Atomics.load(words, RING_SIZE) >>> 0;
  try {
    checkRingByteLength(size);
  } catch (error) {
    throw new InvalidRecordError(`the broadcast channel at ${header.byteOffset} is broken`, { cause: error });
  }
  return viewsOf(resolveLocation(place, WHAT, broadcastRecordByteLength(size), BROADCAST_HEADER_ALIGN), words, size);
}

function viewsOf(location: ResolvedLocation, words: Int32Array, size: number): BroadcastRecord {
  const { buffer, byteOffset } = location;
  const ringByteOffset = byteOffset + BROADCAST_HEADER_SIZE;
  return {
    location,
    words,
    bytes: new Uint8Array(buffer, ringByteOffset, size),
    frames: new Int32Array(buffer, ringByteOffset, wordOf(size)),
    agent: agentOf(location.memory ?? buffer),
    capacity: Atomics.load(words, CAPACITY) >>> 0,
    hasBackPressure: (Atomics.load(words, OPTIONS) & OPTION_BACK_PRESSURE) !== 0,
  };
}
