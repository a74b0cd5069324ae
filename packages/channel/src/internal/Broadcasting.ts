/**
 * The protocol of the broadcast channel: a ring of numbered frames under one lock. Rust's `heddle-channel` runs the same one on the
 * same record.
 *
 * It promises: each receiver receives each message that was sent since it was opened, once and in the one order that all receivers
 * see; or it is told how many it has missed. A thread that dies loses at most the message it was just sending.
 *
 * ## State
 * Positions run freely modulo 2^32, in multiples of 8; `position & (ringSize - 1)` is the place in the ring, which holds the frames
 * between `oldest` and `tail`. Messages are numbered from 0, in 64 bits, and each frame has its number. A receiver has a place of its
 * own: the number of the message that it receives next and its position, in its thread, and with back-pressure the number also in its
 * cursor in the record.
 *
 * | word | written by | means |
 * | --- | --- | --- |
 * | `lock` | everybody | who is sending or receiving |
 * | `tail` | the sender with the lock; a closer | the position behind the last message, + CLOSED |
 * | `oldest` | the sender with the lock | the position of the oldest message that is kept |
 * | `sent` | the owner of the lock | the number of the next message |
 * | `cursors` | their receivers, with the lock | with back-pressure, which message each receives next |
 *
 * A sender makes room by giving up the oldest messages. With back-pressure it waits before it gives up one that a receiver has not
 * received yet; without, that receiver lags.
 *
 * ## Invariants
 * 1. A frame exists from the write of `tail` behind it to the write of `oldest` behind it, and what is outside of both is written
 *    only after that. So an owner that dies leaves whole frames.
 * 2. `sent` is the number of the last frame and 1. It is written after `tail`: whoever finds the lock poisoned looks the number up.
 * 3. `tail` is moved by compare-exchange: a message and a close exclude each other.
 * 4. With back-pressure no message is given up whose number is not below all cursors. A cursor's token is written after its number, by
 *    compare-exchange, and taken away by the receiver, or by whoever finds it dead.
 * 5. A receiver's end goes before its cursor, so that the last one closes the channel before a sender takes it for room. A sender that
 *    finds no cursor looks whether a receiver is left: who has died has closed nothing.
 *
 * ## Fairness
 * That of the lock. Nobody starves but who is slow by the channel's rules: a receiver that lags, or a sender that waits for one.
 *
 * ## Memory orderings
 * Every `Atomics` call is SeqCst. The lock orders what is plain; `tail`, `oldest` and the cursors are looked at without it by those
 * who are about to sleep.
 *
 * ## Source
 * What is promised is that of tokio's `sync::broadcast`.
 */
import { OWNER_SLOT_MASK, type ResolvedLocation, SLOT_UNREGISTERED } from '@heddle/atomics/internal';
import { InvalidRecordError, type SharedLocation } from '@heddle/atomics';
import { TooManyReceiversError } from '../errors.ts';
import { type BroadcastRecord, type BroadcastRecordOptions, createBroadcastRecord, openBroadcastRecord } from './broadcastRecord.ts';
import { copyBytes } from './copy.ts';
import {
  BROADCAST_FRAME_LENGTH_OFFSET,
  BROADCAST_FRAME_NUMBER_OFFSET,
  BROADCAST_FRAME_SIZE,
  BROADCAST_HEADER_CURSORS_OFFSET,
  BROADCAST_HEADER_ENDS_OFFSET,
  BROADCAST_HEADER_LOCK_OFFSET,
  BROADCAST_HEADER_OLDEST_OFFSET,
  BROADCAST_HEADER_RECEIVERS_WAITING_OFFSET,
  BROADCAST_HEADER_RECEIVER_EVENTS_OFFSET,
  BROADCAST_HEADER_RECEIVERS_TOLD_OFFSET,
  BROADCAST_HEADER_RECEIVER_WATCHERS_OFFSET,
  BROADCAST_HEADER_SENDERS_WAITING_OFFSET,
  BROADCAST_HEADER_SENDER_EVENTS_OFFSET,
  BROADCAST_HEADER_SENDERS_TOLD_OFFSET,
  BROADCAST_HEADER_SENDER_WATCHERS_OFFSET,
  BROADCAST_HEADER_SENT_OFFSET,
  BROADCAST_HEADER_TAIL_OFFSET,
  CURSORS,
  CURSOR_NEXT_OFFSET,
  CURSOR_SIZE,
  CURSOR_TOKEN_OFFSET,
  FRAME_ALIGN,
  FRAME_LENGTH_MASK,
  POSITION_CLOSED,
} from './layout.ts';
import { type Attempt, Monitor, type Monitored } from './Monitor.ts';
import { wordOf } from './record.ts';
import { CLOSED, DONE, LAGGED, NOT_NOW, type Result } from './result.ts';
import { copyOut } from './slab.ts';
import { Waiters } from './Waiters.ts';
import { FRAME_WRAP, POSITION_MASK } from './words.ts';

const SENT = wordOf(BROADCAST_HEADER_SENT_OFFSET);
const TAIL = wordOf(BROADCAST_HEADER_TAIL_OFFSET);
const OLDEST = wordOf(BROADCAST_HEADER_OLDEST_OFFSET);
const RECEIVER_WORDS = {
  waiting: wordOf(BROADCAST_HEADER_RECEIVERS_WAITING_OFFSET),
  events: wordOf(BROADCAST_HEADER_RECEIVER_EVENTS_OFFSET),
  told: wordOf(BROADCAST_HEADER_RECEIVERS_TOLD_OFFSET),
  watchers: wordOf(BROADCAST_HEADER_RECEIVER_WATCHERS_OFFSET),
};
const SENDER_WORDS = {
  waiting: wordOf(BROADCAST_HEADER_SENDERS_WAITING_OFFSET),
  events: wordOf(BROADCAST_HEADER_SENDER_EVENTS_OFFSET),
  told: wordOf(BROADCAST_HEADER_SENDERS_TOLD_OFFSET),
  watchers: wordOf(BROADCAST_HEADER_SENDER_WATCHERS_OFFSET),
};
const LENGTH_WORD = wordOf(BROADCAST_FRAME_LENGTH_OFFSET);
const NUMBER_WORD = wordOf(BROADCAST_FRAME_NUMBER_OFFSET);

const cursorTokenOf = (cursor: number): number => wordOf(BROADCAST_HEADER_CURSORS_OFFSET + cursor * CURSOR_SIZE + CURSOR_TOKEN_OFFSET);
const cursorNextOf = (cursor: number): number => wordOf(BROADCAST_HEADER_CURSORS_OFFSET + cursor * CURSOR_SIZE + CURSOR_NEXT_OFFSET);

const TWO_TO_32 = 2 ** 32;

/** Where a receiver is. */
export interface Place {
  /** The number of the message that it receives next. */
  next: number;
  /** That message's position, unless it lags. */
  position: number;
  /** Its cursor, with back-pressure. */
  readonly cursor: number | undefined;
  /** The token in its cursor. */
  readonly token: number;
}

/** Receiving one message. */
export interface Reception extends Attempt {
  /** The message, once it is DONE. */
  message: Uint8Array<ArrayBuffer>;
  /** How many messages were missed, if it is LAGGED. */
  skipped: number;
}

const NOTHING = new Uint8Array(0);

/** A frame that is kept. */
interface Frame {
  /** The place of its header in the ring, in bytes. */
  readonly place: number;
  readonly length: number;
  readonly number: number;
  /** The position behind it. */
  readonly end: number;
}

/** The broadcast channel at one place, for the ends of one thread. */
export class Broadcasting implements Monitored {
  readonly #record: BroadcastRecord;
  readonly #words: Int32Array;
  readonly #frames: Int32Array;
  readonly #size: number;

  /** Where the channel is. */
  readonly location: ResolvedLocation;
  /** Its lock and its ends. */
  readonly monitor: Monitor;
  /** Those who wait for the slowest receiver. */
  readonly senders: Waiters;
  /** Those who wait for a message. */
  readonly receivers: Waiters;

  private constructor(record: BroadcastRecord) {
    this.#record = record;
    this.#words = record.words;
    this.#frames = record.frames;
    this.#size = record.bytes.length;
    this.location = record.location;
    this.monitor = new Monitor(record, wordOf(BROADCAST_HEADER_LOCK_OFFSET), BROADCAST_HEADER_ENDS_OFFSET, this);
    // Every message is for everybody, and what one receiver leaves may do for several senders.
    this.senders = new Waiters(record, SENDER_WORDS, Infinity);
    this.receivers = new Waiters(record, RECEIVER_WORDS, Infinity);
  }

  /**
   * Makes an open channel with one sending and one receiving end.
   *
   * @throws InvalidArgumentError, InvalidRecordError
   */
  static create(options: BroadcastRecordOptions, place: SharedLocation | undefined): Broadcasting {
    return new Broadcasting(createBroadcastRecord(options, place));
  }

  /**
   * Opens the channel at a place.
   *
   * @throws InvalidRecordError `INVALID_RECORD` if there is none that this version understands
   */
  static open(place: SharedLocation): Broadcasting {
    return new Broadcasting(openBroadcastRecord(place));
  }

  /** Where the memory's thread registry starts, in bytes, if this thread knows one. */
  get registryByteOffset(): number | undefined {
    return this.#record.agent.registry?.byteOffset;
  }

  /** How many messages are kept at most. */
  get capacity(): number {
    return this.#record.capacity;
  }

  /** The bytes of the longest message. */
  get messageByteLengthMax(): number {
    return this.#size / 2 - BROADCAST_FRAME_SIZE;
  }

  /** Whether the channel is closed. */
  get isClosed(): boolean {
    return (Atomics.load(this.#words, TAIL) & POSITION_CLOSED) !== 0;
  }

  /** Closes the channel: nothing more is sent, what is kept is still received. */
  close(): void {
    Atomics.or(this.#words, TAIL, POSITION_CLOSED);
    this.receivers.signalAll();
    this.senders.signalAll();
  }

  /** Invariant 2: the number of the next message, from the last frame. */
  repair(): void {
    const tail = Atomics.load(this.#words, TAIL) & POSITION_MASK;
    let number: number | undefined;
    for (let position = Atomics.load(this.#words, OLDEST); position !== tail;) {
      const frame = this.#frameAt(position, tail);
      number = frame.number;
      position = frame.end;
    }
    if (number !== undefined) writeNumber(this.#words, SENT, number + 1);
  }

  /**
   * A new receiver's place: before the next message, or before the one with that number. Called with the lock.
   *
   * @throws TooManyReceiversError `TOO_MANY_RECEIVERS` if there is no cursor for it
   * @throws InvalidRecordError `INVALID_RECORD` for the number of a message that wasn't sent
   */
  place(from: number | undefined): Place {
    const sent = readNumber(this.#words, SENT);
    const tail = Atomics.load(this.#words, TAIL) & POSITION_MASK;
    const next = from ?? sent;
    if (next > sent) throw new InvalidRecordError(`message ${next} of the broadcast channel was not sent yet; the next is ${sent}`);
    let position = Atomics.load(this.#words, OLDEST);
    while (position !== tail) {
      const frame = this.#frameAt(position, tail);
      if (frame.number >= next) break;
      position = frame.end;
    }
    const { token } = this.#record.agent;
    return { next, position, token, cursor: this.#record.hasBackPressure ? this.#openCursor(token, next) : undefined };
  }

  /** Gives up a receiver's cursor. Without the lock: it is one write. */
  leave({ cursor, token }: Place): void {
    if (cursor === undefined) return;
    Atomics.compareExchange(this.#words, cursorTokenOf(cursor), token, 0);
    this.senders.signal();
  }

  /** Tells those who wait after a message was sent. */
  afterSending(): void {
    this.receivers.signal();
  }

  /** Tells those who wait after a message was received. */
  afterReceiving(): void {
    if (this.#record.hasBackPressure) this.senders.signal();
  }

  /** Sending a message of at most {@link Broadcasting.messageByteLengthMax} bytes. */
  sending(message: Uint8Array): Attempt {
    let slowest = 0;
    return {
      operation: 'sending to the broadcast channel',
      run: () => {
        slowest = this.#slowest();
        return this.#isDeserted(slowest) ? CLOSED : this.#write(message, slowest);
      },
      isStill: () => !this.isClosed && this.#slowest() === slowest,
    };
  }

  /** Receiving the message that is next at a place. */
  receiving(place: Place): Reception {
    let tail = 0;
    const reception: Reception = {
      operation: 'receiving from the broadcast channel',
      message: NOTHING,
      skipped: 0,
      run: () => {
        tail = Atomics.load(this.#words, TAIL);
        return this.#read(place, tail, reception);
      },
      isStill: () => Atomics.load(this.#words, TAIL) === tail,
    };
    return reception;
  }

  /** How many messages wait at a place, missed ones included; of the past as soon as it is known. */
  waitingAt({ next }: Place): number {
    return Math.max(0, readNumber(this.#words, SENT) - next);
  }

  #write(message: Uint8Array, slowest: number): Result {
    const words = this.#words;
    const frames = this.#frames;
    const flagged = Atomics.load(words, TAIL);
    if ((flagged & POSITION_CLOSED) !== 0) return CLOSED;
    const tail = flagged & POSITION_MASK;
    let place = tail & (this.#size - 1);
    const frameSize = (BROADCAST_FRAME_SIZE + message.length + FRAME_ALIGN - 1) & -FRAME_ALIGN;
    const rest = this.#size - place;
    const advance = frameSize <= rest ? frameSize : rest + frameSize;
    const number = readNumber(words, SENT);
    if (!this.#makeRoom(tail, advance, number, slowest)) return NOT_NOW;

    // Invariant 1: from here on nobody reads what is written.
    if (advance !== frameSize) {
      frames[place >> 2] = FRAME_WRAP;
      place = 0;
    }
    frames[(place >> 2) + LENGTH_WORD] = message.length;
    writeNumber(frames, (place >> 2) + NUMBER_WORD, number);
    copyBytes(message, 0, message.length, this.#record.bytes, place + BROADCAST_FRAME_SIZE);
    // Invariant 3.
    if (Atomics.compareExchange(words, TAIL, tail, (tail + advance) | 0) !== tail) return CLOSED;
    writeNumber(words, SENT, number + 1);
    return DONE;
  }

  /** Gives up the oldest messages until there is room; `false` if a receiver has not received one of them yet (invariant 4). */
  #makeRoom(tail: number, advance: number, number: number, slowest: number): boolean {
    let oldest = Atomics.load(this.#words, OLDEST);
    while (oldest !== tail) {
      const frame = this.#frameAt(oldest, tail);
      const isRoom = ((tail - oldest) >>> 0) + advance <= this.#size && number - frame.number < this.#record.capacity;
      if (isRoom) return true;
      if (frame.number >= slowest) return false;
      oldest = frame.end;
      Atomics.store(this.#words, OLDEST, oldest);
    }
    return true;
  }

  #read(place: Place, flagged: number, reception: Reception): Result {
    const words = this.#words;
    if (place.cursor !== undefined && Atomics.load(words, cursorTokenOf(place.cursor)) !== place.token) {
      // This thread was declared dead and lives on: its receiver is gone.
      return CLOSED;
    }
    if (place.next === readNumber(words, SENT)) return (flagged & POSITION_CLOSED) !== 0 ? CLOSED : NOT_NOW;
    const tail = flagged & POSITION_MASK;
    const oldest = Atomics.load(words, OLDEST);
    const first = this.#frameAt(oldest, tail);
    if (place.next < first.number) {
      reception.skipped = first.number - place.next;
      this.#move(place, first.number, oldest);
      return LAGGED;
    }
    const frame = this.#frameAt(place.position, tail);
    if (frame.number !== place.next) throw this.#broken(`message ${frame.number} where ${place.next} is due`);
    reception.message = copyOut(this.#record.bytes, this.#frames, frame.place + BROADCAST_FRAME_SIZE, frame.length);
    this.#move(place, frame.number + 1, frame.end);
    return DONE;
  }

  #move(place: Place, next: number, position: number): void {
    place.next = next;
    place.position = position;
    if (place.cursor !== undefined) writeNumber(this.#words, cursorNextOf(place.cursor), next);
  }

  /** The frame at a position before the tail. */
  #frameAt(position: number, tail: number): Frame {
    const kept = (tail - position) >>> 0;
    // In a broken record, frames could be looked for in all of 2^32 positions, or beside the ring.
    if (kept > this.#size || (position & (FRAME_ALIGN - 1)) !== 0) throw this.#broken(`${kept} bytes of messages from ${position} on`);
    let place = position & (this.#size - 1);
    let end = position;
    if (this.#frames[place >> 2] === FRAME_WRAP) {
      end += this.#size - place;
      place = 0;
    }
    const length = this.#frames[(place >> 2) + LENGTH_WORD]! & FRAME_LENGTH_MASK;
    end = (end + ((BROADCAST_FRAME_SIZE + length + FRAME_ALIGN - 1) & -FRAME_ALIGN)) | 0;
    if ((end - position) >>> 0 > kept || place + BROADCAST_FRAME_SIZE + length > this.#size) {
      throw this.#broken(`a message of ${length} bytes at ${place}`);
    }
    return { place, length, number: readNumber(this.#frames, (place >> 2) + NUMBER_WORD), end };
  }

  /** The number that the slowest receiver receives next, with back-pressure; cursors of the dead are freed. */
  #slowest(): number {
    let slowest = Infinity;
    if (!this.#record.hasBackPressure) return slowest;
    const { registry } = this.#record.agent;
    for (let cursor = 0; cursor < CURSORS; cursor += 1) {
      const token = Atomics.load(this.#words, cursorTokenOf(cursor));
      if (token === 0) continue;
      const isRegistered = (token & OWNER_SLOT_MASK) !== SLOT_UNREGISTERED;
      if (isRegistered && registry?.isLiveToken(token) === false) Atomics.compareExchange(this.#words, cursorTokenOf(cursor), token, 0);
      else slowest = Math.min(slowest, readNumber(this.#words, cursorNextOf(cursor)));
    }
    return slowest;
  }

  /** Whether nobody is left to receive, which was found by there being no cursor (invariant 5). */
  #isDeserted(slowest: number): boolean {
    return slowest === Infinity && this.#record.hasBackPressure && this.monitor.isDeserted();
  }

  #openCursor(token: number, next: number): number {
    // Frees those of the dead.
    this.#slowest();
    for (let cursor = 0; cursor < CURSORS; cursor += 1) {
      if (Atomics.load(this.#words, cursorTokenOf(cursor)) !== 0) continue;
      // Invariant 4; cursors are opened with the lock only.
      writeNumber(this.#words, cursorNextOf(cursor), next);
      Atomics.store(this.#words, cursorTokenOf(cursor), token);
      return cursor;
    }
    throw new TooManyReceiversError(CURSORS);
  }

  #broken(what: string): InvalidRecordError {
    return new InvalidRecordError(`the broadcast channel at ${this.location.byteOffset} is broken: ${what}`);
  }
}

/** A number of 64 bits, of which JavaScript's reach to 2^53. */
function readNumber(words: Int32Array, index: number): number {
  return (Atomics.load(words, index) >>> 0) + (Atomics.load(words, index + 1) >>> 0) * TWO_TO_32;
}

function writeNumber(words: Int32Array, index: number, number: number): void {
  Atomics.store(words, index, number | 0);
  Atomics.store(words, index + 1, Math.floor(number / TWO_TO_32));
}
