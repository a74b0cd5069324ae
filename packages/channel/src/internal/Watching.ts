/**
 * The protocol of the watch channel: the latest value, in one of two places under one lock. Rust's `heddle-channel` runs the same one
 * on the same record.
 *
 * It promises: whoever looks sees the latest value, whole; whoever waits for a change comes back if there was one since it looked
 * last, however many there were. A thread that dies while it sends leaves the value before.
 *
 * ## State
 * | word | written by | means |
 * | --- | --- | --- |
 * | `lock` | everybody | who is writing or reading a value |
 * | `changes` | the sender with the lock; a closer | how often the value was changed, + CLOSED |
 * | `lengths` | the sender with the lock | the bytes of the value in each place |
 *
 * The lowest bit of the count of changes tells the place of the value. A receiver remembers the count that it has seen.
 *
 * ## Invariants
 * 1. A sender writes into the place where the value is not, and then makes it the value with one write of `changes`: an owner that
 *    dies leaves nothing half-done, and the poison of the lock can be cleared.
 * 2. `changes` is moved by compare-exchange: a value and a close exclude each other.
 * 3. The count runs modulo 2^31: a receiver that looks away for exactly that many changes sees none.
 *
 * ## Fairness
 * That of the lock.
 *
 * ## Memory orderings
 * Every `Atomics` call is SeqCst. The lock orders the bytes of the values; `changes` is looked at without it by those who are about to
 * sleep.
 *
 * ## Source
 * What is promised is that of tokio's `sync::watch`.
 */
import { type ResolvedLocation } from '@heddle/atomics/internal';
import { InvalidRecordError, type SharedLocation } from '@heddle/atomics';
import {
  CHANGES_CLOSED,
  CHANGES_UNIT,
  WATCH_HEADER_CHANGES_OFFSET,
  WATCH_HEADER_ENDS_OFFSET,
  WATCH_HEADER_LENGTHS_OFFSET,
  WATCH_HEADER_LOCK_OFFSET,
  WATCH_HEADER_RECEIVERS_WAITING_OFFSET,
  WATCH_HEADER_RECEIVER_EVENTS_OFFSET,
  WATCH_HEADER_RECEIVERS_TOLD_OFFSET,
  WATCH_HEADER_RECEIVER_WATCHERS_OFFSET,
} from './layout.ts';
import { type Attempt, Monitor, type Monitored } from './Monitor.ts';
import { wordOf } from './record.ts';
import { CLOSED, DONE, NOT_NOW, type Result } from './result.ts';
import { copyOut } from './slab.ts';
import { Waiters } from './Waiters.ts';
import { type WatchRecord, createWatchRecord, openWatchRecord } from './watchRecord.ts';

const CHANGES = wordOf(WATCH_HEADER_CHANGES_OFFSET);
const LENGTHS = wordOf(WATCH_HEADER_LENGTHS_OFFSET);
const RECEIVER_WORDS = {
  waiting: wordOf(WATCH_HEADER_RECEIVERS_WAITING_OFFSET),
  events: wordOf(WATCH_HEADER_RECEIVER_EVENTS_OFFSET),
  told: wordOf(WATCH_HEADER_RECEIVERS_TOLD_OFFSET),
  watchers: wordOf(WATCH_HEADER_RECEIVER_WATCHERS_OFFSET),
};

/** A value and the count of changes with which it came. */
export interface Version {
  readonly value: Uint8Array<ArrayBuffer>;
  /** The word `changes` without CLOSED. */
  readonly changes: number;
}

/** The watch channel at one place, for the ends of one thread. */
export class Watching implements Monitored {
  readonly #record: WatchRecord;
  readonly #words: Int32Array;

  /** Where the channel is. */
  readonly location: ResolvedLocation;
  /** Its lock and its ends. */
  readonly monitor: Monitor;
  /** Those who wait for a change. */
  readonly receivers: Waiters;

  private constructor(record: WatchRecord) {
    this.#record = record;
    this.#words = record.words;
    this.location = record.location;
    this.monitor = new Monitor(record, wordOf(WATCH_HEADER_LOCK_OFFSET), WATCH_HEADER_ENDS_OFFSET, this);
    this.receivers = new Waiters(record, RECEIVER_WORDS, Infinity);
  }

  /**
   * Makes an open channel with one sending and one receiving end, and a first value.
   *
   * @throws InvalidArgumentError, InvalidRecordError
   */
  static create(valueByteLengthMax: number, value: Uint8Array, place: SharedLocation | undefined): Watching {
    return new Watching(createWatchRecord(valueByteLengthMax, value, place));
  }

  /**
   * Opens the channel at a place.
   *
   * @throws InvalidRecordError `INVALID_RECORD` if there is none that this version understands
   */
  static open(place: SharedLocation): Watching {
    return new Watching(openWatchRecord(place));
  }

  /** Where the memory's thread registry starts, in bytes, if this thread knows one. */
  get registryByteOffset(): number | undefined {
    return this.#record.agent.registry?.byteOffset;
  }

  /** The most bytes that a value may have. */
  get valueByteLengthMax(): number {
    return this.#record.valueByteLengthMax;
  }

  /** Whether the channel is closed; the value stays. */
  get isClosed(): boolean {
    return (Atomics.load(this.#words, CHANGES) & CHANGES_CLOSED) !== 0;
  }

  /** The word `changes` without CLOSED. */
  get changes(): number {
    return Atomics.load(this.#words, CHANGES) & ~CHANGES_CLOSED;
  }

  /** Closes the channel: the value stays as it is. */
  close(): void {
    Atomics.or(this.#words, CHANGES, CHANGES_CLOSED);
    this.receivers.signalAll();
  }

  /** Invariant 1: there is nothing to repair. */
  // oxlint-disable-next-line class-methods-use-this -- what a monitor asks for
  repair(): void {}

  /** The latest value; called with the lock. */
  read(): Version {
    const { changes } = this;
    const index = placeOf(changes);
    const { stride, bytes, valueWords, valueByteLengthMax } = this.#record;
    const length = this.#words[LENGTHS + index]! >>> 0;
    if (length > valueByteLengthMax) {
      const where = `the watch channel at ${this.location.byteOffset}`;
      throw new InvalidRecordError(`${where} is broken: a value of ${length} bytes where ${valueByteLengthMax} may be`);
    }
    return { changes, value: copyOut(bytes, valueWords, index * stride, length) };
  }

  /** Makes `value` the latest one, DONE or CLOSED; called with the lock. */
  write(value: Uint8Array): Result {
    const words = this.#words;
    const changes = Atomics.load(words, CHANGES);
    if ((changes & CHANGES_CLOSED) !== 0) return CLOSED;
    const next = (changes + CHANGES_UNIT) | 0;
    const index = placeOf(next);
    // Invariant 1: nobody reads there.
    this.#record.bytes.set(value, index * this.#record.stride);
    words[LENGTHS + index] = value.length;
    // Invariant 2.
    return Atomics.compareExchange(words, CHANGES, changes, next) === changes ? DONE : CLOSED;
  }

  /** Waiting for another count of changes than the one that was seen. It needs the lock for nothing but to be found by its monitor. */
  changing(seen: () => number): Attempt {
    return {
      operation: 'waiting for a change of the watched value',
      run: () => {
        const changes = Atomics.load(this.#words, CHANGES);
        if ((changes & ~CHANGES_CLOSED) !== seen()) return DONE;
        return (changes & CHANGES_CLOSED) !== 0 ? CLOSED : NOT_NOW;
      },
      isStill: () => Atomics.load(this.#words, CHANGES) === seen(),
    };
  }
}

const placeOf = (changes: number): number => (changes >>> 1) & 1;
