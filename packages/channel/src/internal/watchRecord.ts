/** The record of a watch channel as one thread sees it: views, making and opening it. */
import { agentOf, type ResolvedLocation, resolveLocation } from '@heddle/atomics/internal';
import { InvalidArgumentError, InvalidRecordError, type SharedLocation } from '@heddle/atomics';
import {
  VALUE_SIZE_MAX,
  WATCH_HEADER_ALIGN,
  WATCH_HEADER_LENGTHS_OFFSET,
  WATCH_HEADER_MAGIC_OFFSET,
  WATCH_HEADER_RECEIVERS_OFFSET,
  WATCH_HEADER_SENDERS_OFFSET,
  WATCH_HEADER_SIZE,
  WATCH_HEADER_VALUE_SIZE_OFFSET,
  WATCH_HEADER_VERSION_OFFSET,
  WATCH_MAGIC,
  WATCH_VERSION,
} from './layout.ts';
import { type SharedRecord, wordOf } from './record.ts';

const MAGIC = wordOf(WATCH_HEADER_MAGIC_OFFSET);
const VERSION = wordOf(WATCH_HEADER_VERSION_OFFSET);
const VALUE_SIZE = wordOf(WATCH_HEADER_VALUE_SIZE_OFFSET);
const SENDERS = wordOf(WATCH_HEADER_SENDERS_OFFSET);
const RECEIVERS = wordOf(WATCH_HEADER_RECEIVERS_OFFSET);
const LENGTHS = wordOf(WATCH_HEADER_LENGTHS_OFFSET);

const WHAT = 'a watch channel';

/** A watch channel's record, opened by one thread. */
export interface WatchRecord extends SharedRecord {
  /** Both places for values. */
  readonly bytes: Uint8Array<SharedArrayBuffer>;
  /** The same as words. */
  readonly valueWords: Int32Array;
  /** Where the second place begins, in bytes. */
  readonly stride: number;
  /** The most bytes that a value may have. */
  readonly valueByteLengthMax: number;
}

const strideOf = (valueByteLengthMax: number): number => (valueByteLengthMax + 7) & -8;

/** The bytes of a watch channel's record. */
export function watchRecordByteLength(valueByteLengthMax: number): number {
  return WATCH_HEADER_SIZE + 2 * strideOf(valueByteLengthMax);
}

/**
 * Makes an open channel with one sending and one receiving end, and a first value of at most that many bytes.
 *
 * @throws InvalidArgumentError, InvalidRecordError
 */
export function createWatchRecord(valueByteLengthMax: number, value: Uint8Array, place: SharedLocation | undefined): WatchRecord {
  const size = watchRecordByteLength(valueByteLengthMax);
  const location = resolveLocation(place ?? { buffer: new SharedArrayBuffer(size) }, WHAT, size, WATCH_HEADER_ALIGN);
  const words = new Int32Array(location.buffer, location.byteOffset, wordOf(WATCH_HEADER_SIZE));
  for (let i = 0; i < words.length; i += 1) Atomics.store(words, i, 0);
  const record = viewsOf(location, words, valueByteLengthMax);
  record.bytes.set(value);
  Atomics.store(words, LENGTHS, value.length);
  Atomics.store(words, VERSION, WATCH_VERSION);
  Atomics.store(words, VALUE_SIZE, valueByteLengthMax);
  Atomics.store(words, SENDERS, 1);
  Atomics.store(words, RECEIVERS, 1);
  // Last: who sees the magic sees the rest.
  Atomics.store(words, MAGIC, WATCH_MAGIC);
  return record;
}

/**
 * Opens the watch channel at a place.
 *
 * @throws InvalidRecordError `INVALID_RECORD` if there is none that this version understands
 */
export function openWatchRecord(place: SharedLocation): WatchRecord {
  const header = resolveLocation(place, WHAT, WATCH_HEADER_SIZE, WATCH_HEADER_ALIGN);
  const words = new Int32Array(header.buffer, header.byteOffset, wordOf(WATCH_HEADER_SIZE));
  if (Atomics.load(words, MAGIC) !== WATCH_MAGIC) throw new InvalidRecordError(`there is no watch channel at ${header.byteOffset}`);
  const version = Atomics.load(words, VERSION);
  if (version !== WATCH_VERSION) {
    throw new InvalidRecordError(`the watch channel at ${header.byteOffset} has layout ${version}, this is ${WATCH_VERSION}`);
  }
  const size = Atomics.load(words, VALUE_SIZE) >>> 0;
  try {
    checkValueByteLength(size);
  } catch (error) {
    throw new InvalidRecordError(`the watch channel at ${header.byteOffset} is broken`, { cause: error });
  }
  return viewsOf(resolveLocation(place, WHAT, watchRecordByteLength(size), WATCH_HEADER_ALIGN), words, size);
}

function viewsOf(location: ResolvedLocation, words: Int32Array, valueByteLengthMax: number): WatchRecord {
  const { buffer, byteOffset } = location;
  const stride = strideOf(valueByteLengthMax);
  return {
    location,
    words,
    bytes: new Uint8Array(buffer, byteOffset + WATCH_HEADER_SIZE, 2 * stride),
    valueWords: new Int32Array(buffer, byteOffset + WATCH_HEADER_SIZE, wordOf(2 * stride)),
    agent: agentOf(location.memory ?? buffer),
    stride,
    valueByteLengthMax,
  };
}

/** @throws InvalidArgumentError `INVALID_ARGUMENT` for a size that no value can have */
export function checkValueByteLength(byteLength: number): void {
  if (Number.isInteger(byteLength) && byteLength >= 0 && byteLength <= VALUE_SIZE_MAX) return;
  throw new InvalidArgumentError(`a value of a watch channel has 0 to ${VALUE_SIZE_MAX} bytes, not ${String(byteLength)}`);
}
