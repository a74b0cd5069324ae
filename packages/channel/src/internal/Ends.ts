/**
 * How many ends of a channel are open on each side, so that the last one closes it.
 *
 * ## State
 * | where | means |
 * | --- | --- |
 * | an entry, bits 0–31 | the token of a registered thread; 0 when the entry is nobody's |
 * | an entry, bits 32–47 and 48–63 | how many sending and receiving ends are that thread's |
 * | `senders`, `receivers` | the ends that are in no entry: of threads outside the registry, of those for which no entry was free, and of Rust, whose ends may move from thread to thread |
 * | `endsAdded` | how many were added |
 *
 * A side has as many ends as its sum and the entries of living threads say. Nothing has to be taken away when a thread dies: its
 * entry counts no more, and is free for the next thread.
 *
 * ## Invariants
 * 1. An entry is read and changed as one word. While its thread lives only that one changes it; once it is dead, anybody may free it
 *    or take it. So who looked at it before another thread took it changes nothing any more.
 * 2. A new end is counted, then `endsAdded`, and only then may the end go that it was made of: at no time is none of them counted.
 * 3. A side has no end if each place says so between two looks at `endsAdded` that see the same: what was counted meanwhile in one
 *    place was counted there all the time, or in the one from which it came.
 * 4. Who gives up an end, and who is about to sleep, looks whether a side has none. Of several that give up theirs at the same time the
 *    last one finds it; if it dies before, its death ends the sleep of the others, and these find it.
 *
 * Every `Atomics` call is SeqCst; invariants 2 to 4 are an order between writes and reads of different words. The sums and entries
 * that say 0 may not be those of one moment, which invariant 3 is for; it fails if 2^32 ends are added during one look.
 */
import { OWNER_SLOT_MASK, SLOT_UNREGISTERED } from '@heddle/atomics/internal';
import {
  CHANNEL_HEADER_ENDS_ADDED_OFFSET,
  CHANNEL_HEADER_ENDS_OFFSET,
  CHANNEL_HEADER_RECEIVERS_OFFSET,
  CHANNEL_HEADER_SENDERS_OFFSET,
  END_COUNTS,
  END_COUNT_MAX,
  END_RECEIVERS_SHIFT,
  END_SENDERS_SHIFT,
} from './layout.ts';
import { type SharedRecord, wordOf } from './record.ts';

// Every kind of channel has them there; layout.node.test.ts sees to it.
const ADDED = wordOf(CHANNEL_HEADER_ENDS_ADDED_OFFSET);
const SUMS = { sender: wordOf(CHANNEL_HEADER_SENDERS_OFFSET), receiver: wordOf(CHANNEL_HEADER_RECEIVERS_OFFSET) } as const;
const SHIFTS = { sender: BigInt(END_SENDERS_SHIFT), receiver: BigInt(END_RECEIVERS_SHIFT) } as const;
const COUNT_MAX = BigInt(END_COUNT_MAX);
const FREE = 0n;

/** Which ends. */
export type Side = 'sender' | 'receiver';

/** The token under which an end is counted; `undefined` in the sums. */
export type Counted = number | undefined;

const tokenIn = (entry: bigint): number => Number(BigInt.asUintN(END_SENDERS_SHIFT, entry));
const countIn = (entry: bigint, side: Side): bigint => (entry >> SHIFTS[side]) & COUNT_MAX;

/** The open ends of one channel. */
export class Ends {
  readonly #record: SharedRecord;
  readonly #words: Int32Array;
  readonly #entries: BigUint64Array;

  /** @param byteOffset where in the record the entries are */
  constructor(record: SharedRecord, byteOffset: number = CHANNEL_HEADER_ENDS_OFFSET) {
    const { words } = record;
    this.#record = record;
    this.#words = words;
    this.#entries = new BigUint64Array(words.buffer, words.byteOffset + byteOffset, END_COUNTS);
  }

  /** Counts one more end of this thread. */
  add(side: Side): Counted {
    const counted = this.#addOwn(side);
    if (counted === undefined) Atomics.add(this.#words, SUMS[side], 1);
    // Invariant 2.
    Atomics.add(this.#words, ADDED, 1);
    return counted;
  }

  /** Makes an end that is in the sum this thread's. */
  own(side: Side): Counted {
    const counted = this.#addOwn(side);
    if (counted === undefined) return undefined;
    // Invariant 2.
    Atomics.add(this.#words, ADDED, 1);
    Atomics.sub(this.#words, SUMS[side], 1);
    return counted;
  }

  /**
   * Gives up an end of this thread.
   *
   * @returns whether it was the last one of its side
   */
  remove(side: Side, counted: Counted): boolean {
    const isRemoved = counted === undefined ? Atomics.sub(this.#words, SUMS[side], 1) === 1 : this.#removeOwn(side, counted);
    return isRemoved && this.#hasNone(side);
  }

  /** Whether a side has no end any more. */
  isDeserted(): boolean {
    return this.#hasNone('sender') || this.#hasNone('receiver');
  }

  /** Counts an end in this thread's entry, if it has one or there is one for it. */
  #addOwn(side: Side): Counted {
    const { token } = this.#record.agent;
    if ((token & OWNER_SLOT_MASK) === SLOT_UNREGISTERED) return undefined;
    const unit = 1n << SHIFTS[side];
    const own = this.#entryOf(token);
    if (own === undefined) return this.#takeEntry(BigInt(token) | unit) ? token : undefined;
    const entry = Atomics.load(this.#entries, own);
    if (countIn(entry, side) === COUNT_MAX) return undefined;
    // In vain if this thread was declared dead: then it has lost its ends (invariant 1).
    Atomics.compareExchange(this.#entries, own, entry, entry + unit);
    return token;
  }

  /** Takes an end from the entry of a thread; whether it was there. */
  #removeOwn(side: Side, token: number): boolean {
    const own = this.#entryOf(token);
    // A thread that was declared dead and lives on has lost its ends (invariant 1).
    if (own === undefined) return false;
    const entry = Atomics.load(this.#entries, own);
    const rest = entry - (1n << SHIFTS[side]);
    return Atomics.compareExchange(this.#entries, own, entry, rest >> SHIFTS.sender === 0n ? FREE : rest) === entry;
  }

  /** The index of a thread's entry. */
  #entryOf(token: number): number | undefined {
    for (let index = 0; index < END_COUNTS; index += 1) {
      if (tokenIn(Atomics.load(this.#entries, index)) === token) return index;
    }
    return undefined;
  }

  /** Makes the first entry that is free or of a dead thread this one. */
  #takeEntry(own: bigint): boolean {
    for (let index = 0; index < END_COUNTS; index += 1) {
      let entry = Atomics.load(this.#entries, index);
      // Invariant 1; who looks whether there are ends may free it meanwhile.
      while (!this.#isLive(entry)) {
        const seen = Atomics.compareExchange(this.#entries, index, entry, own);
        if (seen === entry) return true;
        entry = seen;
      }
    }
    return false;
  }

  #hasNone(side: Side): boolean {
    for (;;) {
      // Invariant 3.
      const added = Atomics.load(this.#words, ADDED);
      if (Atomics.load(this.#words, SUMS[side]) !== 0) return false;
      for (let index = 0; index < END_COUNTS; index += 1) {
        const entry = Atomics.load(this.#entries, index);
        if (entry === FREE) continue;
        if (!this.#isLive(entry)) {
          // Not for the count, but so that no later thread's token is found there once generations have gone round (invariant 1).
          Atomics.compareExchange(this.#entries, index, entry, FREE);
        } else if (countIn(entry, side) > 0n) return false;
      }
      if (Atomics.load(this.#words, ADDED) === added) return true;
    }
  }

  /** Whether an entry is somebody's who lives. */
  #isLive(entry: bigint): boolean {
    return entry !== FREE && (this.#record.agent.registry?.isLiveToken(tokenIn(entry)) ?? true);
  }
}
