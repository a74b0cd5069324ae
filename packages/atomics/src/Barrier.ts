/**
 * A barrier: a fixed number of threads that wait for each other, again and again. Rust's `heddle_atomics::Barrier` is the same
 * one on the same record.
 *
 * It promises: nobody goes on before all parties have arrived, and then all of them do, and see what each did before; exactly one
 * of each generation is the leader. The barrier is ready for the next generation at once. A wait that ends early takes its arrival
 * back.
 *
 * ## State
 * | bits of `word` | means |
 * | --- | --- |
 * | 0–11 | how many have arrived in this generation |
 * | 12–31 | the generation, one more each time all have arrived |
 *
 * `parties` says how many have to arrive.
 *
 * ## Invariants
 * 1. Arrivals and generation change in one step, so arrived < parties, and an arrival can be taken back exactly while its
 *    generation lasts.
 * 2. Whoever completes a generation wakes everybody. A waiter compares the whole word as it falls asleep, so it either sees the
 *    new generation or is woken by it.
 *
 * ## Threads that die
 * An arrival counts, also when its thread is dead by the time the others come. A thread that dies before it has arrived keeps the
 * others waiting, since the barrier doesn't know who its parties are: wait with a timeout where that can happen.
 *
 * ## Fairness
 * All of a generation go on. With more threads than parties, who arrives first goes first.
 *
 * Every `Atomics` call is SeqCst: the compare-exchange of each arrival publishes what was done before it.
 *
 * ## Source
 * `std::sync::Barrier` of Rust, without its lock.
 */
import { AbortedError, InvalidArgumentError, InvalidRecordError } from './errors.ts';
import {
  BARRIER_ALIGN,
  BARRIER_ARRIVED_MASK,
  BARRIER_GENERATION_SHIFT,
  BARRIER_PARTIES_MAX,
  BARRIER_PARTIES_OFFSET,
  BARRIER_SIZE,
  BARRIER_WORD_OFFSET,
  WAITING_FOR_BARRIER,
} from './internal/layout.ts';
import { type Handle, type SharedLocation, checkKind } from './internal/location.ts';
import { OpenRecord, type RecordKind } from './internal/record.ts';
import {
  type Attempt,
  DONE,
  type WaitAsyncOptions,
  type WaitOptions,
  type WaitSite,
  waitUntil,
  waitUntilAsync,
} from './internal/waiting.ts';
import { openRegistryOf } from './Mutex.ts';

const KIND: RecordKind<'heddle.Barrier'> = { kind: 'heddle.Barrier', what: 'a barrier', size: BARRIER_SIZE, align: BARRIER_ALIGN };
const WORD = BARRIER_WORD_OFFSET >> 2;
const PARTIES = BARRIER_PARTIES_OFFSET >> 2;

/** What is posted of a barrier; reopen it with {@link Barrier.from}. */
export type BarrierHandle = Handle<typeof KIND.kind>;

/** How a wait at a barrier ended. */
export interface BarrierWaitResult {
  /** `true` for exactly one of each generation: the one that arrived last. */
  readonly isLeader: boolean;
}

const LEADER: BarrierWaitResult = { isLeader: true };
const FOLLOWER: BarrierWaitResult = { isLeader: false };

/** What an arrival was: the last of its generation, refused, or else the generation that it waits for. */
type Arrival = 'last' | 'none' | number;

/** A fixed number of threads that wait for each other. */
export class Barrier {
  readonly #record: OpenRecord<typeof KIND.kind>;
  readonly #site: WaitSite;

  /** How many have to arrive. */
  readonly parties: number;

  private constructor(location: SharedLocation | undefined, parties?: number) {
    this.#record = new OpenRecord(KIND, location);
    const { words, agent } = this.#record;
    if (parties !== undefined) {
      Atomics.store(words, WORD, 0);
      Atomics.store(words, PARTIES, parties);
    }
    this.parties = Atomics.load(words, PARTIES);
    if (this.parties < 1 || this.parties > BARRIER_PARTIES_MAX) {
      throw new InvalidRecordError(`there is no barrier at ${this.#record.byteOffset}: it would have ${this.parties} parties`);
    }
    this.#site = {
      words,
      index: WORD,
      agent,
      operation: 'waiting at the barrier',
      advice: 'not all have arrived at the barrier; use waitAsync or tryWait here',
      kind: WAITING_FOR_BARRIER,
    };
  }

  /** The bytes that a barrier takes; it is aligned to 4. */
  static readonly byteLength: number = BARRIER_SIZE;
  /** The most parties that a barrier can have. */
  static readonly partiesMax: number = BARRIER_PARTIES_MAX;

  /**
   * A new barrier for `parties` threads or tasks, at `location` or in a SharedArrayBuffer of its own.
   *
   * @throws InvalidArgumentError `INVALID_ARGUMENT` if parties isn't 1 to {@link Barrier.partiesMax}
   * @throws InvalidRecordError `INVALID_RECORD` for a place where it can't be
   */
  static create(parties: number, location?: SharedLocation): Barrier {
    if (!Number.isInteger(parties) || parties < 1 || parties > BARRIER_PARTIES_MAX) {
      throw new InvalidArgumentError(`a barrier has 1 to ${BARRIER_PARTIES_MAX} parties, not ${String(parties)}`);
    }
    return new Barrier(location, parties);
  }

  /**
   * Opens the barrier at a place, as it is.
   *
   * @throws InvalidRecordError `INVALID_RECORD` if there is none
   */
  static at(location: SharedLocation): Barrier {
    return new Barrier(location);
  }

  /**
   * Reopens a barrier that another thread posted.
   *
   * @throws InvalidRecordError `INVALID_RECORD` if the handle is no barrier's
   */
  static from(handle: BarrierHandle): Barrier {
    checkKind(handle, KIND.kind);
    openRegistryOf(handle);
    return new Barrier(handle as SharedLocation);
  }

  /** What to post to another thread. */
  handle(): BarrierHandle {
    return this.#record.handle();
  }

  /** How many have arrived in this generation; of the past as soon as it is known. */
  get arrived(): number {
    return Atomics.load(this.#record.words, WORD) & BARRIER_ARRIVED_MASK;
  }

  /** Arrives if all others have; `undefined`, and nothing has happened, if somebody is missing. */
  tryWait(): BarrierWaitResult | undefined {
    return this.#arrive(true) === 'last' ? LEADER : undefined;
  }

  /**
   * Waits until all parties have arrived, blocking.
   *
   * @throws MayNotBlockError `MAY_NOT_BLOCK` if somebody is missing and this thread may not block; use `waitAsync` there
   * @throws TimeoutError `TIMEOUT` if the time ran out; the arrival is taken back
   */
  wait(options?: WaitOptions): BarrierWaitResult {
    const generation = this.#arrive(false);
    if (typeof generation === 'string') return LEADER;
    try {
      waitUntil(this.#site, this.#attempt(generation), options?.timeoutMs);
    } catch (error) {
      if (this.#takeBack(generation)) throw error;
    }
    return FOLLOWER;
  }

  /**
   * Waits until all parties have arrived, without blocking the thread.
   *
   * @throws TimeoutError `TIMEOUT` if the time ran out; the arrival is taken back
   * @throws AbortedError `ABORTED` if the signal gave the wait up; the arrival is taken back
   */
  async waitAsync(options: WaitAsyncOptions = {}): Promise<BarrierWaitResult> {
    if (options.signal?.aborted === true) throw new AbortedError(this.#site.operation, options.signal.reason);
    const generation = this.#arrive(false);
    if (typeof generation === 'string') return LEADER;
    try {
      await waitUntilAsync(this.#site, this.#attempt(generation), options);
    } catch (error) {
      if (this.#takeBack(generation)) throw error;
    }
    return FOLLOWER;
  }

  #attempt(generation: number): Attempt {
    const { words } = this.#record;
    return () => {
      const word = Atomics.load(words, WORD);
      return word >>> BARRIER_GENERATION_SHIFT === generation ? word : DONE;
    };
  }

  #arrive(onlyAsLast: boolean): Arrival {
    const { words } = this.#record;
    let word = Atomics.load(words, WORD);
    for (;;) {
      const isLast = (word & BARRIER_ARRIVED_MASK) + 1 >= this.parties;
      if (onlyAsLast && !isLast) return 'none';
      const generation = word >>> BARRIER_GENERATION_SHIFT;
      const seen = Atomics.compareExchange(words, WORD, word, isLast ? (generation + 1) << BARRIER_GENERATION_SHIFT : word + 1);
      if (seen !== word) {
        word = seen;
      } else if (isLast) {
        Atomics.notify(words, WORD);
        return 'last';
      } else {
        return generation;
      }
    }
  }

  /** Takes an arrival back; `false` if its generation is complete. */
  #takeBack(generation: number): boolean {
    const { words } = this.#record;
    let word = Atomics.load(words, WORD);
    while (word >>> BARRIER_GENERATION_SHIFT === generation) {
      const seen = Atomics.compareExchange(words, WORD, word, word - 1);
      if (seen === word) return true;
      word = seen;
    }
    return false;
  }
}
