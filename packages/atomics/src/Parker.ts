/**
 * A parker: one token, which one thread waits for and any thread puts there. Rust's `heddle_atomics::RawParker` is the same one
 * on the same record.
 *
 * It promises: unparking a thread that isn't parked lets its next parking through; however often it is unparked, there is one
 * token. Who takes it sees what was done before it was put there. Parking never ends without a token.
 *
 * ## State
 * | `state` | means |
 * | --- | --- |
 * | PARKER_EMPTY | no token, nobody parked |
 * | PARKER_NOTIFIED | there is a token |
 * | PARKER_PARKED | the thread is parked, or about to be |
 *
 * ## Invariants
 * 1. Only the thread that parks leaves NOTIFIED and PARKED (for EMPTY); everybody else only goes to NOTIFIED.
 * 2. Whoever goes from PARKED to NOTIFIED wakes; the sleeper compares the state as it falls asleep.
 *
 * ## Threads that die
 * A thread that dies while it is parked leaves PARKED: nobody else can park there before somebody has unparked it.
 *
 * Every `Atomics` call is SeqCst: the exchange of `unpark` publishes what was done before it to whoever takes the token.
 *
 * ## Source
 * The futex parker of Rust's std; the pair of handles is crossbeam's.
 */
import { AbortedError, AlreadyParkedError } from './errors.ts';
import {
  PARKER_ALIGN,
  PARKER_EMPTY,
  PARKER_NOTIFIED,
  PARKER_PARKED,
  PARKER_SIZE,
  PARKER_STATE_OFFSET,
  WAITING_FOR_PARKER,
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

const KIND: RecordKind<'heddle.Parker'> = { kind: 'heddle.Parker', what: 'a parker', size: PARKER_SIZE, align: PARKER_ALIGN };
const STATE = PARKER_STATE_OFFSET >> 2;

/** What is posted of a parker; reopen it with {@link Unparker.from}, or with {@link Parker.from} where the thread parks. */
export type ParkerHandle = Handle<typeof KIND.kind>;

/** Puts the token of a {@link Parker} there. */
export class Unparker {
  readonly #record: OpenRecord<typeof KIND.kind>;

  /**
   * @param location where the parker is
   * @throws InvalidRecordError `INVALID_RECORD` for a place where it can't be
   */
  constructor(location: SharedLocation) {
    this.#record = new OpenRecord(KIND, location);
  }

  /**
   * Reopens the unparker of a parker that another thread posted.
   *
   * @throws InvalidRecordError `INVALID_RECORD` if the handle is no parker's
   */
  static from(handle: ParkerHandle): Unparker {
    checkKind(handle, KIND.kind);
    return new Unparker(handle as SharedLocation);
  }

  /** What to post to another thread. */
  handle(): ParkerHandle {
    return this.#record.handle();
  }

  /** Puts the token there and wakes the thread if it is parked. */
  unpark(): void {
    const { words } = this.#record;
    if (Atomics.exchange(words, STATE, PARKER_NOTIFIED) === PARKER_PARKED) Atomics.notify(words, STATE);
  }
}

/** A place where one thread, or one of its tasks, parks at a time. */
export class Parker {
  readonly #record: OpenRecord<typeof KIND.kind>;
  readonly #site: WaitSite;
  readonly #attempt: Attempt;

  /**
   * A parker at `location`, or in a SharedArrayBuffer of its own. Zeroed bytes are one without a token, and constructing doesn't
   * write.
   *
   * @throws InvalidRecordError `INVALID_RECORD` for a place where it can't be
   */
  constructor(location?: SharedLocation) {
    this.#record = new OpenRecord(KIND, location);
    const { words, agent } = this.#record;
    this.#site = {
      words,
      index: STATE,
      agent,
      operation: 'parking',
      advice: 'there is no token; use parkAsync or tryPark here',
      kind: WAITING_FOR_PARKER,
    };
    this.#attempt = () => {
      const state = Atomics.load(words, STATE);
      return state === PARKER_NOTIFIED ? DONE : state;
    };
  }

  /** The bytes that a parker takes; it is aligned to 4. */
  static readonly byteLength: number = PARKER_SIZE;

  /**
   * Reopens a parker that another thread posted, to park there.
   *
   * @throws InvalidRecordError `INVALID_RECORD` if the handle is no parker's
   */
  static from(handle: ParkerHandle): Parker {
    checkKind(handle, KIND.kind);
    openRegistryOf(handle);
    return new Parker(handle as SharedLocation);
  }

  /** What to post to another thread. */
  handle(): ParkerHandle {
    return this.#record.handle();
  }

  /** What other threads unpark this one with; they reopen its handle. */
  unparker(): Unparker {
    return Unparker.from(this.handle());
  }

  /** Takes the token if it is there. */
  tryPark(): boolean {
    return Atomics.compareExchange(this.#record.words, STATE, PARKER_NOTIFIED, PARKER_EMPTY) === PARKER_NOTIFIED;
  }

  /**
   * Takes the token, waiting for it, blocking.
   *
   * @throws MayNotBlockError `MAY_NOT_BLOCK` if there is none and this thread may not block; use `parkAsync` there
   * @throws TimeoutError `TIMEOUT` if the time ran out
   * @throws AlreadyParkedError `ALREADY_PARKED` if somebody else is parked here
   */
  park(options?: WaitOptions): void {
    if (this.#begin()) return;
    try {
      waitUntil(this.#site, this.#attempt, options?.timeoutMs);
    } catch (error) {
      if (!this.#end()) throw error;
      return;
    }
    this.#end();
  }

  /**
   * Takes the token, waiting for it without blocking the thread.
   *
   * @throws TimeoutError `TIMEOUT` if the time ran out
   * @throws AbortedError `ABORTED` if the signal gave the wait up; its reason is the `cause`
   * @throws AlreadyParkedError `ALREADY_PARKED` if somebody else is parked here
   */
  async parkAsync(options: WaitAsyncOptions = {}): Promise<void> {
    if (options.signal?.aborted === true) throw new AbortedError(this.#site.operation, options.signal.reason);
    if (this.#begin()) return;
    try {
      await waitUntilAsync(this.#site, this.#attempt, options);
    } catch (error) {
      if (!this.#end()) throw error;
      return;
    }
    this.#end();
  }

  /** Says that somebody parks; `true` if the token was there and has been taken. */
  #begin(): boolean {
    for (;;) {
      const state = Atomics.compareExchange(this.#record.words, STATE, PARKER_EMPTY, PARKER_PARKED);
      if (state === PARKER_EMPTY) return false;
      if (state === PARKER_PARKED) throw new AlreadyParkedError();
      if (this.tryPark()) return true;
    }
  }

  /** Ends the parking; whether there was a token. */
  #end(): boolean {
    return Atomics.exchange(this.#record.words, STATE, PARKER_EMPTY) === PARKER_NOTIFIED;
  }
}
