/**
 * Those who wait on one side of a channel: receivers for a message, or senders for room.
 *
 * ## State
 * | word | means |
 * | --- | --- |
 * | waiting, bits 0–15 | how many wait for this channel alone, at least |
 * | waiting, bits 16–31 | how many selects wait here, at least |
 * | events | counts the changes that were told; all who wait here sleep on it |
 * | told | how many of those who wait are known to look again; who comes to wait clears it |
 * | watchers | the event counts of other channels, on which selects sleep that wait here too, and the tokens of their threads |
 *
 * ## Invariants
 * 1. Who is going to sleep counts itself, then reads `events`, then looks at the channel once more. Who changes the channel
 *    looks at `waiting` afterwards and adds to `events`. Either the first sees the change, or the second the count; and if
 *    the second adds before the first sleeps, the first doesn't sleep.
 * 2. A select writes its watcher before it counts itself, and notes there that it did. Whoever finds it counted finds the watcher. A watcher
 *    is read and changed as one word, by its select while that lives; who finds that its thread is dead may take it out. Whoever takes out
 *    one that is counted takes back the count. (A select that dies between counting and noting stays counted, as one does that dies where it
 *    sleeps: then more are told than need to be.)
 * 3. A death adds to `events` of everyone who sleeps, so that ends of the dead are noticed (ThreadRegistry.ts).
 * 4. Who changed the channel may die before it tells. So a sleeper looks once more after the registry knows of it: either it sees
 *    what the dead did, or the reaper sees it.
 * 5. Who tells one adds to `told`, then to `events`, then wakes one; and who goes takes one from `told`, then from `waiting`. As long as
 *    `told` is less than `waiting` it says too little at most, which costs a wake-up for nobody. When it isn't, all of them will look
 *    once more, and nobody is told: that is what makes a stream of messages to a receiver that is just waking up cheap. For as many
 *    wake-ups came as `told` says, or come yet: each ended a sleep, and who slept looks again once it has gone and come back; or nobody
 *    slept, and who was about to can't, since `events` has changed. Who comes after that was not meant. It reads `events` and then clears
 *    `told`: of what it leaves there, the change of `events` is still to come, and keeps it from sleeping or finds it asleep.
 *    If the one who tells dies in between, its death tells everybody (invariant 3).
 * 6. A select that sleeps here is in no `told`, but may be woken by what was meant for a waiter, if it came after the look at `waiting`.
 *    As long as it is counted everybody is told. It clears `told` before it goes, so that no waiter is taken for one that will look.
 *
 * Every `Atomics` call is SeqCst; invariants 1, 5 and 6 need that.
 *
 * ## Source
 * Event counts: D. Reed and R. Kanodia, "Synchronization with Eventcounts and Sequencers" (1979).
 */
import {
  type AsyncWaitOptions,
  WAITING_FOR_CHANNEL,
  WAITING_ON_SEQUENCE,
  type WaitResult,
  block,
  waitAsync,
} from '@heddle/atomics/internal';
import { WAITING_MASK, WAITING_SELECT, WATCHERS, WATCHER_COUNTED, WATCHER_TOKEN_SHIFT } from './layout.ts';
import { type SharedRecord } from './record.ts';

const TOKEN_SHIFT = BigInt(WATCHER_TOKEN_SHIFT);
const COUNTED = BigInt(WATCHER_COUNTED);
const NOBODY = 0n;
/** What is told of a wait: it is on a count of events of a channel. */
const WAITS = WAITING_ON_SEQUENCE | WAITING_FOR_CHANNEL;

/** The indices of the words of one side. */
export interface SideWords {
  readonly waiting: number;
  readonly events: number;
  readonly told: number;
  readonly watchers: number;
}

/** Those who wait on one side of a channel. */
export class Waiters {
  readonly #record: SharedRecord;
  readonly #words: Int32Array;
  readonly #waiting: number;
  readonly #events: number;
  readonly #told: number;
  /** The places of the watchers, each as one, and their lower halves. */
  readonly #watchers: BigUint64Array;
  readonly #watcherAddresses: number;
  /** How many are woken by a change: one, or all of them if not every change is for everyone. */
  readonly #wakeCount: number;
  /** Whose death these wait to hear of. */
  #memoryWords: Int32Array | undefined;

  constructor(record: SharedRecord, side: SideWords, wakeCount: number) {
    this.#record = record;
    this.#words = record.words;
    this.#waiting = side.waiting;
    this.#events = side.events;
    this.#told = side.told;
    this.#watchers = new BigUint64Array(record.words.buffer, record.words.byteOffset + side.watchers * 4, WATCHERS);
    this.#watcherAddresses = side.watchers;
    this.#wakeCount = wakeCount;
  }

  /** How many wait for this channel alone, at least. */
  get count(): number {
    return Atomics.load(this.#words, this.#waiting) & WAITING_MASK;
  }

  /** The byte address of the event count in its memory. */
  get eventsAddress(): number {
    return this.#record.words.byteOffset + this.#events * 4;
  }

  /** Counts a waiter, which must look at the channel once more before it sleeps with this ticket (invariant 1). */
  announce(): number {
    Atomics.add(this.#words, this.#waiting, 1);
    const ticket = Atomics.load(this.#words, this.#events);
    // Invariant 5.
    Atomics.store(this.#words, this.#told, 0);
    return ticket;
  }

  /** Takes a waiter out again. */
  retire(): void {
    // Invariant 5.
    const words = this.#words;
    let told = Atomics.load(words, this.#told);
    while (told > 0) {
      const seen = Atomics.compareExchange(words, this.#told, told, told - 1);
      if (seen === told) break;
      told = seen;
    }
    Atomics.sub(words, this.#waiting, 1);
  }

  /** Tells the waiters that something changed, if there are any. */
  signal(): void {
    // Invariant 1.
    const waiting = Atomics.load(this.#words, this.#waiting);
    if (waiting === 0) return;
    if ((waiting & ~WAITING_MASK) !== 0 || this.#wakeCount !== 1) {
      this.#tell(Infinity);
    } else if (Atomics.load(this.#words, this.#told) < waiting) {
      // Invariant 5.
      Atomics.add(this.#words, this.#told, 1);
      this.#tell(1);
    }
  }

  /** Tells the selects that wait here, if there are any. */
  signalSelects(): void {
    if ((Atomics.load(this.#words, this.#waiting) & ~WAITING_MASK) !== 0) this.#tell(Infinity);
  }

  /** Tells all of them. */
  signalAll(): void {
    if (Atomics.load(this.#words, this.#waiting) !== 0) this.#tell(Infinity);
  }

  #tell(count: number): void {
    Atomics.add(this.#words, this.#events, 1);
    Atomics.notify(this.#words, this.#events, count);
    if (count !== Infinity) return;
    for (let i = 0; i < WATCHERS; i += 1) {
      // Most places are free, and numbers are cheaper than those of 64 bits.
      if (Atomics.load(this.#words, this.#watcherAddresses + 2 * i) === 0) continue;
      const watcher = Atomics.load(this.#watchers, i);
      if (watcher === NOBODY) continue;
      // What a dead one slept on may be something else by now.
      if (this.#isLive(watcher)) this.#tellElsewhere(Number(BigInt.asUintN(WATCHER_TOKEN_SHIFT, watcher)) >>> 2);
      else this.#takeOut(i, watcher);
    }
  }

  /** Whether a watcher's thread lives. */
  #isLive(watcher: bigint): boolean {
    return this.#record.agent.registry?.isLiveToken(Number(watcher >> TOKEN_SHIFT)) ?? true;
  }

  /** Takes a watcher out, if it is still there. */
  #takeOut(index: number, watcher: bigint): void {
    // Invariant 2.
    if (Atomics.compareExchange(this.#watchers, index, watcher, NOBODY) === watcher && (watcher & COUNTED) !== 0n) this.#uncount();
  }

  #uncount(): void {
    Atomics.sub(this.#words, this.#waiting, WAITING_SELECT);
  }

  #tellElsewhere(index: number): void {
    const { memory, buffer } = this.#record.location;
    // As it is now: the address may lie in what was added to the memory.
    const now = memory?.buffer ?? buffer;
    if (this.#memoryWords === undefined || index >= this.#memoryWords.length)
      this.#memoryWords = new Int32Array(now, 0, now.byteLength >> 2);
    if (index >= this.#memoryWords.length) return;
    Atomics.add(this.#memoryWords, index, 1);
    Atomics.notify(this.#memoryWords, index);
  }

  /** {@link Waiters.sleep}, and takes the waiter out. */
  block(ticket: number, timeoutMs: number, shouldWait: () => boolean): WaitResult {
    try {
      return this.sleep(ticket, timeoutMs, shouldWait);
    } finally {
      this.retire();
    }
  }

  /**
   * Sleeps, unless something was told since the ticket.
   *
   * @param shouldWait looks at the channel once the registry knows of the sleeper (invariant 4)
   */
  sleep(ticket: number, timeoutMs: number, shouldWait: () => boolean): WaitResult {
    const operation = 'the channel would have to wait';
    return block(this.#words, this.#events, ticket, timeoutMs, this.#record.agent, WAITS, operation, shouldWait);
  }

  /** {@link Waiters.block} without blocking the thread. */
  async wait(ticket: number, options: AsyncWaitOptions): Promise<WaitResult> {
    try {
      return await waitAsync(this.#words, this.#events, ticket, options);
    } finally {
      this.retire();
    }
  }

  /**
   * Counts a select that will sleep on the event count at `address`.
   *
   * @returns what takes it out again; `undefined` if there is no place for it
   */
  announceSelect(address: number): (() => void) | undefined {
    if (address === this.eventsAddress) {
      Atomics.add(this.#words, this.#waiting, WAITING_SELECT);
      return () => {
        this.#clearTold();
        this.#uncount();
      };
    }
    const watcher = BigInt(address) | (BigInt(this.#record.agent.token) << TOKEN_SHIFT);
    const index = this.#addWatcher(watcher);
    if (index === undefined) return undefined;
    // Invariant 2.
    Atomics.add(this.#words, this.#waiting, WAITING_SELECT);
    // In vain if this thread was declared dead, and has lost its place.
    Atomics.compareExchange(this.#watchers, index, watcher, watcher | COUNTED);
    return () => {
      this.#clearTold();
      this.#takeOut(index, watcher | COUNTED);
    };
  }

  /** Before a select goes (invariant 6). */
  #clearTold(): void {
    Atomics.store(this.#words, this.#told, 0);
  }

  /** The place that the watcher got: one that is free, or of a dead thread. */
  #addWatcher(watcher: bigint): number | undefined {
    const free = this.#addWhere(watcher, () => true);
    return free ?? this.#addWhere(watcher, (index) => this.#sweep(index));
  }

  #addWhere(watcher: bigint, isTried: (index: number) => boolean): number | undefined {
    for (let i = 0; i < WATCHERS; i += 1) {
      if (isTried(i) && Atomics.compareExchange(this.#watchers, i, NOBODY, watcher) === NOBODY) return i;
    }
    return undefined;
  }

  /** Takes out the select of a dead thread; whether there was one. */
  #sweep(index: number): boolean {
    const watcher = Atomics.load(this.#watchers, index);
    if (watcher === NOBODY || this.#isLive(watcher)) return watcher === NOBODY;
    this.#takeOut(index, watcher);
    return true;
  }

  /** The event count, for a select that sleeps here. */
  get ticket(): number {
    return Atomics.load(this.#words, this.#events);
  }

  /** Has each death from now on count as an event, until the returned function is called: a reaper knows of no asynchronous waiters. */
  watchDeaths(): () => void {
    return this.#record.agent.registry?.watchDeaths(() => this.#tell(Infinity)) ?? (() => {});
  }

  /** One asynchronous wait of a select, which counts itself. */
  waitForSelect(ticket: number, options: AsyncWaitOptions): WaitResult | Promise<WaitResult> {
    return waitAsync(this.#words, this.#events, ticket, options);
  }
}
