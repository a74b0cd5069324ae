/**
 * The reader-writer lock that programs use: `RawRwLock` (internal/RawRwLock.ts, where the algorithm, its states and its fairness
 * are told) at a place in shared memory, with tokens and errors.
 */
import { AbortedError, NotOwnerError, PoisonedRwLockError, TimeoutError } from './errors.ts';
import { type Agent, agentOf } from './internal/agent.ts';
import { defineDisposeSymbol } from './internal/dispose.ts';
import { RW_LOCK_ALIGN, RW_LOCK_SIZE } from './internal/layout.ts';
import { type Handle, type ResolvedLocation, type SharedLocation, checkKind, handleOf, resolveLocation } from './internal/location.ts';
import { FAILED, type Outcome, TAKEN_POISONED } from './internal/RawMutex.ts';
import { READ_OPERATION, RawRwLock, WRITE_OPERATION } from './internal/RawRwLock.ts';
import { openRegistryOf } from './Mutex.ts';

defineDisposeSymbol();

const KIND = 'heddle.RwLock';

/** What is posted of a reader-writer lock; reopen it with {@link RwLock.from}. */
export type RwLockHandle = Handle<typeof KIND>;

/** How a reader-writer lock is taken without waiting. */
export interface TryRwLockOptions {
  /** Take the lock also if a writer died in it; the token's `poisoned` tells. */
  readonly acceptPoisoned?: boolean;
}

/** How a reader-writer lock is taken. */
export interface RwLockOptions extends TryRwLockOptions {
  /** The longest wait in milliseconds; no limit if not given. */
  readonly timeoutMs?: number;
}

/** How a reader-writer lock is taken asynchronously. */
export interface AsyncRwLockOptions extends RwLockOptions {
  /** Gives the wait up. */
  readonly signal?: AbortSignal;
}

/** What a token was made for. */
interface Hold {
  readonly rwLock: RwLock;
  readonly raw: RawRwLock;
  readonly owner: number;
}

/** The right to read under a {@link RwLock}. Works with `using`. */
export class ReadToken {
  #hold: Hold | undefined;
  /** Whether a writer had died in the lock when this token got it. */
  readonly poisoned: boolean;

  /** Made by {@link RwLock.read} and its kin. */
  constructor(hold: Hold, isPoisoned: boolean) {
    this.#hold = hold;
    this.poisoned = isPoisoned;
  }

  /** Whether this token reads still. */
  get locked(): boolean {
    return this.#hold !== undefined;
  }

  /** The lock under which this token reads. */
  get rwLock(): RwLock | undefined {
    return this.#hold?.rwLock;
  }

  /**
   * Ends the read.
   *
   * @returns whether there was one; a second call is harmless
   * @throws NotOwnerError `NOT_OWNER` if the place among the readers was taken away, because this thread was declared dead
   */
  unlock(): boolean {
    const hold = this.#hold;
    if (hold === undefined) return false;
    this.#hold = undefined;
    hold.raw.unlockRead(hold.owner);
    return true;
  }

  /** Ends the read at the end of a `using` block. */
  [Symbol.dispose](): void {
    this.unlock();
  }
}

/** The right to write under a {@link RwLock}. Works with `using`. */
export class WriteToken {
  #hold: Hold | undefined;
  /** Whether a writer had died in the lock when this token got it. */
  readonly poisoned: boolean;

  /** Made by {@link RwLock.write} and its kin. */
  constructor(hold: Hold, isPoisoned: boolean) {
    this.#hold = hold;
    this.poisoned = isPoisoned;
  }

  /** Whether this token writes still. */
  get locked(): boolean {
    return this.#hold !== undefined;
  }

  /** The lock under which this token writes. */
  get rwLock(): RwLock | undefined {
    return this.#hold?.rwLock;
  }

  /**
   * Ends the write.
   *
   * @returns whether there was one; a second call is harmless
   * @throws NotOwnerError `NOT_OWNER` if the lock was taken away meanwhile, because this thread was declared dead
   */
  unlock(): boolean {
    const hold = this.#hold;
    if (hold === undefined) return false;
    this.#hold = undefined;
    hold.raw.unlockWrite(hold.owner);
    return true;
  }

  /**
   * Goes on reading, with no other writer between. This token holds nothing any more.
   *
   * @throws NotOwnerError `NOT_OWNER` if this token doesn't write
   */
  downgrade(): ReadToken {
    const hold = this.#hold;
    if (hold === undefined) throw new NotOwnerError('downgrading');
    this.#hold = undefined;
    hold.raw.downgrade(hold.owner);
    return new ReadToken(hold, this.poisoned);
  }

  /** Ends the write at the end of a `using` block. */
  [Symbol.dispose](): void {
    this.unlock();
  }
}

/** A lock that many may have for reading, or one for writing, between threads and between asynchronous tasks. */
export class RwLock {
  readonly #raw: RawRwLock;
  readonly #location: ResolvedLocation;
  readonly #agent: Agent;

  /**
   * A lock at `location`, or in a SharedArrayBuffer of its own. Zeroed bytes are an unlocked one, and constructing doesn't write:
   * several threads may construct the lock of one place.
   *
   * @throws InvalidRecordError `INVALID_RECORD` for a place where it can't be
   */
  constructor(location?: SharedLocation) {
    const place = location ?? { buffer: new SharedArrayBuffer(RW_LOCK_SIZE) };
    this.#location = resolveLocation(place, 'a reader-writer lock', RW_LOCK_SIZE, RW_LOCK_ALIGN);
    this.#agent = agentOf(this.#location.memory ?? this.#location.buffer);
    this.#raw = new RawRwLock(new Int32Array(this.#location.buffer, this.#location.byteOffset, RW_LOCK_SIZE / 4), this.#agent);
  }

  /** The bytes that a reader-writer lock takes; it is aligned to 4. */
  static readonly byteLength: number = RW_LOCK_SIZE;

  /**
   * Reopens a reader-writer lock that another thread posted.
   *
   * @throws InvalidRecordError `INVALID_RECORD` if the handle is no reader-writer lock's
   */
  static from(handle: RwLockHandle): RwLock {
    checkKind(handle, KIND);
    openRegistryOf(handle);
    return new RwLock(handle as SharedLocation);
  }

  /** What to post to another thread. */
  handle(): RwLockHandle {
    return handleOf(KIND, this.#location, this.#agent.registry?.byteOffset);
  }

  /** Where the lock is in its memory, in bytes. */
  get byteOffset(): number {
    return this.#location.byteOffset;
  }

  /** Whether somebody writes, or waits for it; of the past as soon as it is known. */
  get isWritten(): boolean {
    return this.#raw.isWritten;
  }

  /** Whether anybody reads; of the past as soon as it is known. */
  get isRead(): boolean {
    return this.#raw.isRead;
  }

  /** Whether a writer died in the lock. */
  get isPoisoned(): boolean {
    return this.#raw.isPoisoned;
  }

  /** Declares what the lock guards sound again. */
  clearPoison(): void {
    this.#raw.clearPoison();
  }

  /**
   * Begins to read, blocking as long as it takes or as the options say. A thread that reads already may wait for ever, if a writer
   * has begun to wait meanwhile.
   *
   * @throws MayNotBlockError `MAY_NOT_BLOCK` if somebody writes and this thread may not block; use `readAsync` there
   * @throws TimeoutError `TIMEOUT` if the time ran out
   * @throws PoisonedRwLockError `POISONED` if a writer died in it
   * @throws WouldDeadlockError `WOULD_DEADLOCK` if this thread, being registered, writes already
   */
  read(options: RwLockOptions = {}): ReadToken {
    const { timeoutMs = Infinity } = options;
    const outcome = this.#raw.read(timeoutMs);
    if (outcome === FAILED) throw new TimeoutError(READ_OPERATION, timeoutMs);
    return this.#reading(outcome, options);
  }

  /**
   * Begins to read if that is possible without waiting.
   *
   * @returns `undefined` if it wasn't
   * @throws PoisonedRwLockError `POISONED` if a writer died in it
   */
  tryRead(options: TryRwLockOptions = {}): ReadToken | undefined {
    const outcome = this.#raw.tryRead();
    return outcome === FAILED ? undefined : this.#reading(outcome, options);
  }

  /**
   * Begins to read without blocking the thread; its other tasks run on.
   *
   * @throws TimeoutError `TIMEOUT` if the time ran out
   * @throws AbortedError `ABORTED` if the signal gave the wait up; its reason is the `cause`
   * @throws PoisonedRwLockError `POISONED` if a writer died in it
   */
  async readAsync(options: AsyncRwLockOptions = {}): Promise<ReadToken> {
    const { timeoutMs = Infinity, signal } = options;
    if (signal?.aborted === true) throw new AbortedError(READ_OPERATION, signal.reason);
    return this.#reading(await this.#raw.readAsync(timeoutMs, signal), options);
  }

  /**
   * Begins to write, blocking as long as it takes or as the options say.
   *
   * @throws MayNotBlockError `MAY_NOT_BLOCK` if others read or write and this thread may not block; use `writeAsync` there
   * @throws TimeoutError `TIMEOUT` if the time ran out
   * @throws PoisonedRwLockError `POISONED` if a writer died in it
   * @throws WouldDeadlockError `WOULD_DEADLOCK` if this thread, being registered, reads or writes already
   */
  write(options: RwLockOptions = {}): WriteToken {
    const { timeoutMs = Infinity } = options;
    const outcome = this.#raw.write(timeoutMs);
    if (outcome === FAILED) throw new TimeoutError(WRITE_OPERATION, timeoutMs);
    return this.#writing(outcome, options);
  }

  /**
   * Begins to write if that is possible without waiting.
   *
   * @returns `undefined` if it wasn't
   * @throws PoisonedRwLockError `POISONED` if a writer died in it
   */
  tryWrite(options: TryRwLockOptions = {}): WriteToken | undefined {
    const outcome = this.#raw.tryWrite();
    return outcome === FAILED ? undefined : this.#writing(outcome, options);
  }

  /**
   * Begins to write without blocking the thread; its other tasks run on.
   *
   * @throws TimeoutError `TIMEOUT` if the time ran out
   * @throws AbortedError `ABORTED` if the signal gave the wait up; its reason is the `cause`
   * @throws PoisonedRwLockError `POISONED` if a writer died in it
   */
  async writeAsync(options: AsyncRwLockOptions = {}): Promise<WriteToken> {
    const { timeoutMs = Infinity, signal } = options;
    if (signal?.aborted === true) throw new AbortedError(WRITE_OPERATION, signal.reason);
    return this.#writing(await this.#raw.writeAsync(timeoutMs, signal), options);
  }

  #reading(outcome: Outcome, options: TryRwLockOptions): ReadToken {
    const token = new ReadToken(this.#hold(), outcome === TAKEN_POISONED);
    this.#refusePoison(token, options);
    return token;
  }

  #writing(outcome: Outcome, options: TryRwLockOptions): WriteToken {
    const token = new WriteToken(this.#hold(), outcome === TAKEN_POISONED);
    this.#refusePoison(token, options);
    return token;
  }

  #hold(): Hold {
    return { rwLock: this, raw: this.#raw, owner: this.#agent.token };
  }

  #refusePoison(token: ReadToken | WriteToken, { acceptPoisoned }: TryRwLockOptions): void {
    if (!token.poisoned || acceptPoisoned === true) return;
    token.unlock();
    throw new PoisonedRwLockError(this);
  }
}
