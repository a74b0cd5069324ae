/**
 * An event: something that has happened or not, and threads that wait for it. Rust's `heddle_atomics::Event` is the same one on
 * the same record.
 *
 * It promises: setting a *manual* event lets everybody through who waits then, also if it is reset at once, and everybody who
 * comes until it is reset; each setting of an *auto* event that isn't set lets exactly one through, who resets it. Who gets
 * through sees what was done before the setting.
 *
 * ## State
 * | word | means |
 * | --- | --- |
 * | `word`, bit 0 | the event is set |
 * | `word`, bits 1–31 | the epoch: how often it was set |
 * | `waiters` | how many have announced themselves; 0 spares the setter the call to the host |
 * | `mode` | EVENT_MANUAL or EVENT_AUTO |
 *
 * ## Invariants
 * 1. A waiter counts itself before its last look at `word`; a setter sets `word` before it looks at `waiters`. Either the waiter
 *    sees the event set or the setter sees the waiter.
 * 2. A waiter of a manual event goes on when the event is set or the epoch isn't the one it came in.
 *
 * ## Fairness
 * None beyond the host's queue: who comes while an auto event is set gets through, also before somebody just woken.
 *
 * ## Threads that die
 * Nobody owns an event. A wake-up that a dead waiter may have swallowed is passed on when it is reaped.
 *
 * Every `Atomics` call is SeqCst: the compare-exchange that sets the event publishes what was done before it.
 *
 * ## Source
 * The events of Windows and .NET.
 */
import { AbortedError, InvalidRecordError } from './errors.ts';
import {
  EVENT_ALIGN,
  EVENT_AUTO,
  EVENT_EPOCH,
  EVENT_MANUAL,
  EVENT_MODE_OFFSET,
  EVENT_SET,
  EVENT_SIZE,
  EVENT_WAITERS_OFFSET,
  EVENT_WORD_OFFSET,
  WAITING_FOR_EVENT,
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

const KIND: RecordKind<'heddle.Event'> = { kind: 'heddle.Event', what: 'an event', size: EVENT_SIZE, align: EVENT_ALIGN };
const WORD = EVENT_WORD_OFFSET >> 2;
const WAITERS = EVENT_WAITERS_OFFSET >> 2;
const MODE = EVENT_MODE_OFFSET >> 2;

/** What is posted of an event; reopen it with {@link Event.from}. */
export type EventHandle = Handle<typeof KIND.kind>;

/** How an event is made. */
export interface EventOptions {
  /** Whether whoever gets through resets the event; `false` if not given. */
  readonly autoReset?: boolean;
  /** Where it is made; a SharedArrayBuffer of its own if not given. */
  readonly location?: SharedLocation;
}

/** Something that has happened or not. */
export class Event {
  readonly #record: OpenRecord<typeof KIND.kind>;
  readonly #site: WaitSite;

  /** Whether whoever gets through resets the event. */
  readonly autoReset: boolean;

  private constructor(location: SharedLocation | undefined, mode?: number) {
    this.#record = new OpenRecord(KIND, location);
    const { words, agent } = this.#record;
    if (mode !== undefined) {
      Atomics.store(words, WORD, 0);
      Atomics.store(words, WAITERS, 0);
      Atomics.store(words, MODE, mode);
    }
    const modeThere = Atomics.load(words, MODE);
    if (modeThere !== EVENT_MANUAL && modeThere !== EVENT_AUTO) {
      throw new InvalidRecordError(`there is no event at ${this.#record.byteOffset}: it would have the mode ${modeThere}`);
    }
    this.autoReset = modeThere === EVENT_AUTO;
    this.#site = {
      words,
      index: WORD,
      agent,
      operation: 'waiting for the event',
      advice: 'the event is not set; use waitAsync or tryWait here',
      kind: WAITING_FOR_EVENT,
    };
  }

  /** The bytes that an event takes; it is aligned to 4. */
  static readonly byteLength: number = EVENT_SIZE;

  /**
   * A new event that is not set.
   *
   * @throws InvalidRecordError `INVALID_RECORD` for a place where it can't be
   */
  static create(options: EventOptions = {}): Event {
    return new Event(options.location, options.autoReset === true ? EVENT_AUTO : EVENT_MANUAL);
  }

  /**
   * Opens the event at a place, as it is.
   *
   * @throws InvalidRecordError `INVALID_RECORD` if there is none
   */
  static at(location: SharedLocation): Event {
    return new Event(location);
  }

  /**
   * Reopens an event that another thread posted.
   *
   * @throws InvalidRecordError `INVALID_RECORD` if the handle is no event's
   */
  static from(handle: EventHandle): Event {
    checkKind(handle, KIND.kind);
    openRegistryOf(handle);
    return new Event(handle as SharedLocation);
  }

  /** What to post to another thread. */
  handle(): EventHandle {
    return this.#record.handle();
  }

  /** Whether the event is set; of the past as soon as it is known. */
  get isSet(): boolean {
    return (Atomics.load(this.#record.words, WORD) & EVENT_SET) !== 0;
  }

  /** Sets the event and wakes those that it lets through. `false` if it was set already. */
  set(): boolean {
    const { words } = this.#record;
    let word = Atomics.load(words, WORD);
    for (;;) {
      if ((word & EVENT_SET) !== 0) return false;
      const seen = Atomics.compareExchange(words, WORD, word, (word + EVENT_EPOCH) | EVENT_SET | 0);
      if (seen === word) break;
      word = seen;
    }
    // Invariant 1.
    if (Atomics.load(words, WAITERS) !== 0) Atomics.notify(words, WORD, this.autoReset ? 1 : Infinity);
    return true;
  }

  /** Takes the setting back; whether it was set. Who has got through is through. */
  reset(): boolean {
    return (Atomics.and(this.#record.words, WORD, ~EVENT_SET) & EVENT_SET) !== 0;
  }

  /** Gets through if that is possible without waiting; resets an auto event. */
  tryWait(): boolean {
    return this.#attempt()() === DONE;
  }

  /**
   * Waits until the event lets this thread through, blocking.
   *
   * @throws MayNotBlockError `MAY_NOT_BLOCK` if it isn't set and this thread may not block; use `waitAsync` there
   * @throws TimeoutError `TIMEOUT` if the time ran out
   */
  wait(options?: WaitOptions): void {
    const attempt = this.#attempt();
    if (attempt() === DONE) return;
    const { words } = this.#record;
    Atomics.add(words, WAITERS, 1);
    try {
      waitUntil(this.#site, attempt, options?.timeoutMs);
    } finally {
      Atomics.sub(words, WAITERS, 1);
    }
  }

  /**
   * Waits until the event lets this task through, without blocking the thread.
   *
   * @throws TimeoutError `TIMEOUT` if the time ran out
   * @throws AbortedError `ABORTED` if the signal gave the wait up; its reason is the `cause`
   */
  async waitAsync(options: WaitAsyncOptions = {}): Promise<void> {
    if (options.signal?.aborted === true) throw new AbortedError(this.#site.operation, options.signal.reason);
    const attempt = this.#attempt();
    if (attempt() === DONE) return;
    const { words } = this.#record;
    Atomics.add(words, WAITERS, 1);
    try {
      await waitUntilAsync(this.#site, attempt, options);
    } finally {
      Atomics.sub(words, WAITERS, 1);
    }
  }

  /** Gets through, or tells why not. */
  #attempt(): Attempt {
    const { words } = this.#record;
    if (!this.autoReset) {
      const epoch = Atomics.load(words, WORD) & ~EVENT_SET;
      return () => {
        const word = Atomics.load(words, WORD);
        // Invariant 2.
        return (word & EVENT_SET) !== 0 || (word & ~EVENT_SET) !== epoch ? DONE : word;
      };
    }
    return () => {
      let word = Atomics.load(words, WORD);
      while ((word & EVENT_SET) !== 0) {
        const seen = Atomics.compareExchange(words, WORD, word, word & ~EVENT_SET);
        if (seen === word) return DONE;
        word = seen;
      }
      return word;
    };
  }
}
