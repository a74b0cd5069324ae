/**
 * How many ends of a channel are open on each side, so that the last one closes it.
 *
 * ## State
 * `senders` and `receivers` count all open ends. Beside that, each registered thread has an entry that says how many of
 * them are its own; ends of other threads, and of those for which no entry was free, are in the sums alone.
 *
 * ## Invariants
 * 1. Only the thread that an entry names adds to it and takes from it, while it lives. Once it is dead, whoever exchanges
 *    its counts for 0 takes them from the sums; the entry is free after that.
 * 2. A sum is never less than what the entries of its side hold: it is added to first, and taken from last.
 *
 * Every `Atomics` call is SeqCst: the last one to go sees what the others did.
 */
import { OWNER_SLOT_MASK, SLOT_UNREGISTERED } from '@heddle/atomics/internal';
import {
  CHANNEL_HEADER_ENDS_OFFSET,
  CHANNEL_HEADER_RECEIVERS_OFFSET,
  CHANNEL_HEADER_SENDERS_OFFSET,
  END_COUNTS,
  END_COUNT_COUNTS_OFFSET,
  END_COUNT_SIZE,
  END_COUNT_TOKEN_OFFSET,
  END_RECEIVER,
  END_SENDERS_MASK,
} from './layout.ts';
import { type SharedRecord, wordOf } from './record.ts';

// Every kind of channel has its sums there; layout.node.test.ts sees to it.
const SENDERS = wordOf(CHANNEL_HEADER_SENDERS_OFFSET);
const RECEIVERS = wordOf(CHANNEL_HEADER_RECEIVERS_OFFSET);
const ENTRY_WORDS = wordOf(END_COUNT_SIZE);
const TOKEN = wordOf(END_COUNT_TOKEN_OFFSET);
const COUNTS = wordOf(END_COUNT_COUNTS_OFFSET);

/** Which ends. */
export type Side = 'sender' | 'receiver';

const SUMS = { sender: SENDERS, receiver: RECEIVERS } as const;
const UNITS = { sender: 1, receiver: END_RECEIVER } as const;

/** The token under which an end is counted; `undefined` in the sums alone. */
export type Counted = number | undefined;

/** The open ends of one channel. */
export class Ends {
  readonly #record: SharedRecord;
  readonly #words: Int32Array;
  readonly #entries: number;

  /** @param byteOffset where in the record the entries are */
  constructor(record: SharedRecord, byteOffset: number = CHANNEL_HEADER_ENDS_OFFSET) {
    this.#record = record;
    this.#words = record.words;
    this.#entries = wordOf(byteOffset);
  }

  /** Counts one more end of this thread. */
  add(side: Side): Counted {
    Atomics.add(this.#words, SUMS[side], 1);
    return this.own(side);
  }

  /** Makes an end that the sums hold already this thread's. */
  own(side: Side): Counted {
    const { token } = this.#record.agent;
    if ((token & OWNER_SLOT_MASK) === SLOT_UNREGISTERED) return undefined;
    const entry = this.#entryOf(token) ?? this.#freeEntryFor(token);
    if (entry === undefined) return undefined;
    Atomics.add(this.#words, this.#countsOf(entry), UNITS[side]);
    return token;
  }

  /**
   * Gives up an end of this thread.
   *
   * @returns whether it was the last one of its side
   */
  remove(side: Side, counted: Counted): boolean {
    const words = this.#words;
    const entry = counted === undefined ? undefined : this.#entryOf(counted);
    if (entry !== undefined && Atomics.sub(words, this.#countsOf(entry), UNITS[side]) === UNITS[side]) {
      Atomics.compareExchange(words, this.#tokenOf(entry), counted!, 0);
    }
    // A thread that was declared dead and lives on has lost its ends already (invariant 1).
    if (counted !== undefined && entry === undefined) return false;
    return Atomics.sub(words, SUMS[side], 1) === 1;
  }

  /**
   * Takes the ends of dead threads away.
   *
   * @returns whether a side has lost its last end
   */
  sweep(): boolean {
    const { registry } = this.#record.agent;
    if (registry === undefined) return false;
    const words = this.#words;
    let isLast = false;
    for (let entry = 0; entry < END_COUNTS; entry += 1) {
      const token = Atomics.load(words, this.#tokenOf(entry));
      if (token === 0 || registry.isLiveToken(token)) continue;
      // Invariant 1.
      const counts = Atomics.exchange(words, this.#countsOf(entry), 0);
      Atomics.compareExchange(words, this.#tokenOf(entry), token, 0);
      const senders = counts & END_SENDERS_MASK;
      const receivers = counts >>> 16;
      if (senders > 0 && Atomics.sub(words, SENDERS, senders) === senders) isLast = true;
      if (receivers > 0 && Atomics.sub(words, RECEIVERS, receivers) === receivers) isLast = true;
    }
    return isLast;
  }

  #entryOf(token: number): number | undefined {
    for (let entry = 0; entry < END_COUNTS; entry += 1) {
      if (Atomics.load(this.#words, this.#tokenOf(entry)) === token) return entry;
    }
    return undefined;
  }

  #freeEntryFor(token: number): number | undefined {
    for (let entry = 0; entry < END_COUNTS; entry += 1) {
      if (Atomics.compareExchange(this.#words, this.#tokenOf(entry), 0, token) === 0) return entry;
    }
    return undefined;
  }

  #tokenOf(entry: number): number {
    return this.#entries + entry * ENTRY_WORDS + TOKEN;
  }

  #countsOf(entry: number): number {
    return this.#entries + entry * ENTRY_WORDS + COUNTS;
  }
}
