/**
 * A reader-writer lock whose readers are known by name: the algorithm of `RwLock`. Rust's `heddle_atomics::RawRwLock` is the same
 * lock on the same record.
 *
 * It promises: a writer is alone; readers share; what a writer wrote, later readers and writers see; a writer that died is
 * noticed, and a registered reader that died keeps nobody out.
 *
 * ## State
 * | word | means |
 * | --- | --- |
 * | `writer` | a mutex (RawMutex.ts): held by whoever writes, or waits for the readers to leave; also, for a moment, by a reader that had to wait |
 * | `seats` | the tokens of registered threads that read, one a seat; 0 is free |
 * | `crowd` | how many read without a seat: threads outside the registry, and those that found all seats taken |
 * | `departures` | one more when a reader leaves, or any thread dies, while `writer` is taken: the writer sleeps on it |
 *
 * ## Invariants
 * 1. A reader is in a seat or in the crowd before it looks at `writer`; a writer has taken `writer` before it looks at the seats
 *    and the crowd. Either the reader sees the writer, and stands up again, or the writer sees the reader, and waits.
 * 2. A seat is taken and freed by the thread it names, except when that is dead: then whoever finds that out frees it.
 * 3. A reader that leaves frees its place before it looks at `writer`. A writer reads `departures` before it looks for readers:
 *    either it sees the place free, or the reader sees the writer and changes what it sleeps on.
 *
 * ## Fairness
 * A writer isn't starved by readers: once it has `writer`, nobody else begins to read. A reader isn't starved by writers: having had
 * to wait once, it takes its turn for `writer` like a writer does, sits down, and lets go at once. So both wait in one queue, that
 * of the mutex, with the mutex's fairness. A thread that reads again while a writer waits for its first read would wait for itself.
 *
 * ## Memory orderings
 * Every `Atomics` call is SeqCst, which invariants 1 and 3 need. The free seat publishes the end of the reads to the writer's look
 * at it; the mutex publishes what was written.
 *
 * ## Limits
 * A reader in the crowd that dies keeps writers out for ever: the promise is for registered threads, up to RW_LOCK_SEAT_COUNT
 * readers of one lock at once. A thread that dies in the moment in which it holds `writer` to sit down poisons the lock, though it
 * wrote nothing.
 *
 * ## Source
 * The flags of readers that a writer scans are those of "big-reader" locks (J. Corbet, "Big reader locks", LWN 2010), with names in
 * them, as Linux's robust futexes have in theirs.
 */
import { NotOwnerError, TimeoutError, WouldDeadlockError } from '../errors.ts';
import { type Agent } from './agent.ts';
import { spinWhile } from './blocking.ts';
import { detection } from './deadlock.ts';
import { block, waitAsync } from './futex.ts';
import {
  OWNER_SLOT_MASK,
  RW_LOCK_CROWD_OFFSET,
  RW_LOCK_DEPARTURES_OFFSET,
  RW_LOCK_SEATS_OFFSET,
  RW_LOCK_SEAT_COUNT,
  RW_LOCK_WRITER_OFFSET,
  SLOT_UNREGISTERED,
  WAITING_FOR_RW_LOCK,
  WAITING_ON_SEQUENCE,
} from './layout.ts';
import { FAILED, type Outcome, RawMutex } from './RawMutex.ts';
import { deadlineAfter, remainingMs } from './time.ts';

const WRITER = RW_LOCK_WRITER_OFFSET >> 2;
const DEPARTURES = RW_LOCK_DEPARTURES_OFFSET >> 2;
const CROWD = RW_LOCK_CROWD_OFFSET >> 2;
const SEATS = RW_LOCK_SEATS_OFFSET >> 2;
const SEATS_END = SEATS + RW_LOCK_SEAT_COUNT;

const NAME = 'the reader-writer lock';
/** What beginning to read is called in errors. */
export const READ_OPERATION: string = `reading under ${NAME}`;
/** What is told of a writer that waits for readers to leave. */
const WAITS_FOR_READERS = WAITING_ON_SEQUENCE | WAITING_FOR_RW_LOCK;
/** What beginning to write is called in errors. */
export const WRITE_OPERATION: string = `writing under ${NAME}`;

const isRegistered = (token: number): boolean => (token & OWNER_SLOT_MASK) !== SLOT_UNREGISTERED;
/** Where the search of a thread for a seat begins: threads of neighbouring slots don't meet. */
const preferredSeat = (token: number): number => SEATS + ((token & OWNER_SLOT_MASK) % RW_LOCK_SEAT_COUNT);

/** The lock on one record. */
export class RawRwLock {
  readonly #words: Int32Array;
  readonly #agent: Agent;
  readonly #writer: RawMutex;

  /**
   * @param words a view of the record
   * @param agent this thread, as the locks of that memory see it
   */
  constructor(words: Int32Array, agent: Agent) {
    this.#words = words;
    this.#agent = agent;
    this.#writer = new RawMutex(words, WRITER, agent, { name: NAME, purpose: WAITING_FOR_RW_LOCK });
  }

  /** Whether somebody writes, or waits for it; of the past as soon as it is known. */
  get isWritten(): boolean {
    return this.#writer.isLocked;
  }

  /** Whether anybody reads, as far as can be known; of the past as soon as it is known. */
  get isRead(): boolean {
    return this.#hasReaders();
  }

  /** Whether a writer died. */
  get isPoisoned(): boolean {
    return this.#writer.isPoisoned;
  }

  /** Declares what the lock guards sound again. */
  clearPoison(): void {
    this.#writer.clearPoison();
  }

  /** Begins to read if that is possible without waiting. */
  tryRead(): Outcome {
    const me = this.#agent.token;
    this.#sitDown(me);
    const outcome = this.#writer.free;
    if (outcome !== FAILED) return outcome;
    this.#standUp(me);
    // The writer may be dead.
    return this.#passToSeat(this.#writer.takeUnowned());
  }

  /**
   * Begins to read, blocking for at most `timeoutMs`.
   *
   * @throws MayNotBlockError, WouldDeadlockError
   */
  read(timeoutMs: number): Outcome {
    if (detection.keepsOrder && timeoutMs === Infinity) this.#writer.checkOrder();
    const outcome = this.tryRead();
    if (outcome !== FAILED || timeoutMs <= 0) return outcome;
    return this.#passToSeat(this.#writer.take(timeoutMs));
  }

  /**
   * Begins to read, waiting without blocking the thread.
   *
   * @throws TimeoutError, AbortedError
   */
  async readAsync(timeoutMs: number, signal: AbortSignal | undefined): Promise<Outcome> {
    const outcome = this.tryRead();
    if (outcome !== FAILED) return outcome;
    return this.#passToSeat(await this.#writer.takeAsync(timeoutMs, signal));
  }

  /** Ends a read of `owner`'s. */
  unlockRead(owner: number): void {
    this.#standUp(owner);
  }

  /** Begins to write if that is possible without waiting. */
  tryWrite(): Outcome {
    // First without a trace, so that a reader that tries meanwhile isn't turned away.
    if (this.#hasReaders()) return FAILED;
    const outcome = this.#writer.takeUnowned();
    if (outcome === FAILED || !this.#hasReaders()) return outcome;
    this.#writer.unlock(this.#agent.token);
    return FAILED;
  }

  /**
   * Begins to write, blocking for at most `timeoutMs`.
   *
   * @throws MayNotBlockError, WouldDeadlockError
   */
  write(timeoutMs: number): Outcome {
    if (timeoutMs <= 0) return this.tryWrite();
    const deadline = deadlineAfter(timeoutMs);
    const outcome = this.#writer.take(timeoutMs);
    if (outcome === FAILED || !this.#hasReaders()) return outcome;
    const me = this.#agent.token;
    let haveLeft = false;
    try {
      haveLeft = this.#waitForReaders(me, deadline);
    } finally {
      if (!haveLeft) this.#writer.unlock(me);
    }
    return haveLeft ? outcome : FAILED;
  }

  /**
   * Begins to write, waiting without blocking the thread.
   *
   * @throws TimeoutError, AbortedError
   */
  async writeAsync(timeoutMs: number, signal: AbortSignal | undefined): Promise<Outcome> {
    const deadline = deadlineAfter(timeoutMs);
    let outcome = this.#writer.takeUnowned();
    if (outcome === FAILED) outcome = await this.#writer.takeAsync(timeoutMs, signal);
    const me = this.#agent.token;
    let haveLeft = false;
    try {
      if (this.#hasReaders()) await this.#waitForReadersAsync(deadline, timeoutMs, signal);
      haveLeft = true;
    } finally {
      if (!haveLeft) this.#writer.unlock(me);
    }
    return outcome;
  }

  /**
   * Ends the write of `owner`.
   *
   * @throws NotOwnerError `NOT_OWNER` if it doesn't write
   */
  unlockWrite(owner: number): void {
    this.#writer.unlock(owner);
  }

  /**
   * Lets `owner` go on reading after its write, with no other writer between.
   *
   * @throws NotOwnerError `NOT_OWNER` if it doesn't write
   */
  downgrade(owner: number): void {
    if (!this.#writer.isOwnedBy(owner)) throw new NotOwnerError('downgrading');
    this.#sitDown(owner);
    this.#writer.unlock(owner);
  }

  /** Sits down for a reader that took `writer` in passing. */
  #passToSeat(outcome: Outcome): Outcome {
    if (outcome === FAILED) return outcome;
    const me = this.#agent.token;
    this.#sitDown(me);
    this.#writer.unlock(me);
    return outcome;
  }

  /** Takes a place among the readers. */
  #sitDown(me: number): void {
    if (detection.keepsOrder) this.#writer.noteTaken();
    const words = this.#words;
    if (isRegistered(me)) {
      const preferred = preferredSeat(me);
      if (Atomics.compareExchange(words, preferred, 0, me) === 0) return;
      for (let seat = SEATS; seat < SEATS_END; seat += 1) {
        if (Atomics.compareExchange(words, seat, 0, me) === 0) return;
      }
      for (let seat = SEATS; seat < SEATS_END; seat += 1) {
        const sitting = Atomics.load(words, seat);
        if (!this.#lives(sitting) && Atomics.compareExchange(words, seat, sitting, me) === sitting) return;
      }
    }
    Atomics.add(words, CROWD, 1);
  }

  /** Leaves a place that `me` has, and tells the writer if there is one. */
  #standUp(me: number): void {
    if (detection.keepsOrder) this.#writer.noteReleased();
    if (!this.#freeSeatOf(me)) this.#leaveCrowd(me);
    if (this.#writer.free === FAILED) this.#tellWriter();
  }

  #freeSeatOf(me: number): boolean {
    if (!isRegistered(me)) return false;
    const words = this.#words;
    if (Atomics.compareExchange(words, preferredSeat(me), me, 0) === me) return true;
    for (let seat = SEATS; seat < SEATS_END; seat += 1) {
      if (Atomics.compareExchange(words, seat, me, 0) === me) return true;
    }
    return false;
  }

  #leaveCrowd(me: number): void {
    const words = this.#words;
    // One that left the registry, or was declared dead, may have lost its seat: others' places aren't its to give.
    let crowd = this.#lives(me) ? Atomics.load(words, CROWD) : 0;
    for (;;) {
      if (crowd === 0) throw new NotOwnerError('unlocking');
      const seen = Atomics.compareExchange(words, CROWD, crowd, (crowd - 1) | 0);
      if (seen === crowd) return;
      crowd = seen;
    }
  }

  #tellWriter(): void {
    Atomics.add(this.#words, DEPARTURES, 1);
    Atomics.notify(this.#words, DEPARTURES);
  }

  /** Whether anybody alive reads; frees the seats of the dead. */
  #hasReaders(): boolean {
    const words = this.#words;
    if (Atomics.load(words, CROWD) !== 0) return true;
    for (let seat = SEATS; seat < SEATS_END; seat += 1) {
      const sitting = Atomics.load(words, seat);
      if (sitting === 0) continue;
      if (this.#lives(sitting) || Atomics.compareExchange(words, seat, sitting, 0) !== sitting) return true;
    }
    return false;
  }

  /** Waits, blocking, until the readers have left; `false` if the time ran out. */
  #waitForReaders(me: number, deadline: number): boolean {
    const words = this.#words;
    for (let isOver = false; ;) {
      const departures = Atomics.load(words, DEPARTURES);
      if (!this.#hasReaders()) return true;
      if (isOver) return false;
      if (isRegistered(me) && words.includes(me, SEATS)) throw new WouldDeadlockError(`reads under ${NAME}`);
      if (spinWhile(words, DEPARTURES, departures)) continue;
      // A reader may have died before a reaper could know that we wait.
      const stillRead = (): boolean => this.#hasReaders();
      const left = remainingMs(deadline);
      isOver = block(words, DEPARTURES, departures, left, this.#agent, WAITS_FOR_READERS, WRITE_OPERATION, stillRead) === 'timed-out';
    }
  }

  async #waitForReadersAsync(deadline: number, timeoutMs: number, signal: AbortSignal | undefined): Promise<void> {
    const words = this.#words;
    // A reaper doesn't know of asynchronous waiters: they look after each death themselves.
    const stopWatching = this.#agent.registry?.watchDeaths(() => this.#tellWriter());
    try {
      for (let isOver = false; ;) {
        const departures = Atomics.load(words, DEPARTURES);
        if (!this.#hasReaders()) return;
        if (isOver) throw new TimeoutError(WRITE_OPERATION, timeoutMs);
        const options = { timeoutMs: remainingMs(deadline), signal, operation: WRITE_OPERATION };
        const result = waitAsync(words, DEPARTURES, departures, options);
        isOver = (typeof result === 'string' ? result : await result) === 'timed-out';
      }
    } finally {
      stopWatching?.();
    }
  }

  #lives(token: number): boolean {
    return this.#agent.registry?.isLiveToken(token) ?? true;
  }
}
