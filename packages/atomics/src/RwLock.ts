/**
 * The reader-writer lock that programs use: `RawRwLock` (internal/RawRwLock.ts, where the algorithm, its states and its fairness
 * are told) at a place in shared memory, with tokens and errors.
 *
 * A lock may guard data of a type (struct.ts), which lie behind it: they are had through a token, for reading or for writing, and
 * only as long as that holds the lock.
 */
import { AbortedError, InvalidArgumentError, NotOwnerError, PoisonedRwLockError, TimeoutError, ViewRevokedError } from './errors.ts';
import { type Agent, agentOf } from './internal/agent.ts';
import { defineDisposeSymbol } from './internal/dispose.ts';
import { GuardedData, type Leased, checkGuardedType, guardedByteLength, resolveGuarded } from './internal/guarded.ts';
import { RW_LOCK_ALIGN, RW_LOCK_SIZE } from './internal/layout.ts';
import { type Handle, type ResolvedLocation, type SharedLocation, checkKind, handleOf, resolveLocation } from './internal/location.ts';
import { FAILED, type Outcome, TAKEN_POISONED } from './internal/RawMutex.ts';
import { READ_OPERATION, RawRwLock, WRITE_OPERATION } from './internal/RawRwLock.ts';
import { openRegistryOf } from './Mutex.ts';
import { type ReadonlyOf, type SharedType, access } from './SharedType.ts';

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
interface Hold<T> {
  readonly rwLock: RwLock<T>;
  readonly raw: RawRwLock;
  readonly owner: number;
  readonly data: GuardedData<T> | undefined;
}

/** The right to what a token's lock guards, as long as it holds the lock. */
function leaseOf<T>(hold: Hold<T> | undefined, mayWrite: boolean): Leased<T> {
  if (hold === undefined) throw new ViewRevokedError('using what the lock guards');
  if (hold.data === undefined) throw new InvalidArgumentError('the lock guards no data');
  return hold.data.lease(mayWrite);
}

/** The right to read under a {@link RwLock}. Works with `using`. */
export class ReadToken<T = unknown> {
  #hold: Hold<T> | undefined;
  #leased: Leased<T> | undefined;
  /** Whether a writer had died in the lock when this token got it. */
  readonly poisoned: boolean;

  /** Made by {@link RwLock.read} and its kin. */
  constructor(hold: Hold<T>, isPoisoned: boolean) {
    this.#hold = hold;
    this.poisoned = isPoisoned;
  }

  /** Whether this token reads still. */
  get locked(): boolean {
    return this.#hold !== undefined;
  }

  /** The lock under which this token reads. */
  get rwLock(): RwLock<T> | undefined {
    return this.#hold?.rwLock;
  }

  /**
   * What the lock guards, for reading: a view of the shared bytes for as long as this token reads; a number, bigint or boolean
   * where the lock guards just that.
   *
   * @throws ViewRevokedError `VIEW_REVOKED` if the token holds no lock; each use of a view that was had before does so too
   * @throws InvalidArgumentError `INVALID_ARGUMENT` if the lock guards nothing
   */
  get value(): ReadonlyOf<T> {
    this.#leased ??= leaseOf(this.#hold, false);
    return this.#leased.value as ReadonlyOf<T>;
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
    // First: nobody may use the data any more when others can.
    this.#leased?.revoke();
    this.#leased = undefined;
    hold.raw.unlockRead(hold.owner);
    return true;
  }

  /** Ends the read at the end of a `using` block. */
  [Symbol.dispose](): void {
    this.unlock();
  }
}

/** The right to write under a {@link RwLock}. Works with `using`. */
export class WriteToken<T = unknown> {
  #hold: Hold<T> | undefined;
  #leased: Leased<T> | undefined;
  /** Whether a writer had died in the lock when this token got it. */
  readonly poisoned: boolean;

  /** Made by {@link RwLock.write} and its kin. */
  constructor(hold: Hold<T>, isPoisoned: boolean) {
    this.#hold = hold;
    this.poisoned = isPoisoned;
  }

  /** Whether this token writes still. */
  get locked(): boolean {
    return this.#hold !== undefined;
  }

  /** The lock under which this token writes. */
  get rwLock(): RwLock<T> | undefined {
    return this.#hold?.rwLock;
  }

  /**
   * What the lock guards: a view that reads and writes the shared bytes, for as long as this token writes; a number, bigint or
   * boolean where the lock guards just that.
   *
   * @throws ViewRevokedError `VIEW_REVOKED` if the token holds no lock; each use of a view that was had before does so too
   * @throws InvalidArgumentError `INVALID_ARGUMENT` if the lock guards nothing
   */
  get value(): T {
    this.#leased ??= leaseOf(this.#hold, true);
    return this.#leased.value;
  }

  /**
   * Writes all that the lock guards.
   *
   * @throws ViewRevokedError, InvalidArgumentError as reading it, and `INVALID_ARGUMENT` for what doesn't fit
   */
  set value(value: T) {
    this.#leased ??= leaseOf(this.#hold, true);
    this.#leased.value = value;
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
    // First: nobody may use the data any more when others can.
    this.#leased?.revoke();
    this.#leased = undefined;
    hold.raw.unlockWrite(hold.owner);
    return true;
  }

  /**
   * Goes on reading, with no other writer between. This token holds nothing any more.
   *
   * @throws NotOwnerError `NOT_OWNER` if this token doesn't write
   */
  downgrade(): ReadToken<T> {
    const hold = this.#hold;
    if (hold === undefined) throw new NotOwnerError('downgrading');
    this.#hold = undefined;
    this.#leased?.revoke();
    this.#leased = undefined;
    hold.raw.downgrade(hold.owner);
    return new ReadToken(hold, this.poisoned);
  }

  /** Ends the write at the end of a `using` block. */
  [Symbol.dispose](): void {
    this.unlock();
  }
}

/**
 * A lock that many may have for reading, or one for writing, between threads and between asynchronous tasks; with data of the view
 * `T` if it guards some.
 */
export class RwLock<T = unknown> {
  readonly #raw: RawRwLock;
  readonly #data: GuardedData<T> | undefined;
  readonly #location: ResolvedLocation;
  readonly #agent: Agent;

  /**
   * A lock at `location`, or in a SharedArrayBuffer of its own. Zeroed bytes are an unlocked one, and constructing doesn't write:
   * several threads may construct the lock of one place.
   *
   * @throws InvalidRecordError `INVALID_RECORD` for a place where it can't be
   */
  constructor(location?: SharedLocation);
  /** The same with data of `type`, zeroed at first. They begin at the first multiple of their alignment behind the lock. */
  constructor(type: SharedType<T>, location?: SharedLocation);
  constructor(typeOrLocation?: SharedType<T> | SharedLocation, place?: SharedLocation) {
    const type = typeof typeOrLocation === 'object' && access in typeOrLocation ? typeOrLocation : undefined;
    if (type === undefined) {
      const location = (typeOrLocation as SharedLocation | undefined) ?? { buffer: new SharedArrayBuffer(RW_LOCK_SIZE) };
      this.#location = resolveLocation(location, 'a reader-writer lock', RW_LOCK_SIZE, RW_LOCK_ALIGN);
    } else {
      this.#location = resolveGuarded(place, 'a reader-writer lock with data', RW_LOCK_SIZE, RW_LOCK_ALIGN, type);
      this.#data = new GuardedData(type, this.#location, RW_LOCK_SIZE);
    }
    this.#agent = agentOf(this.#location.memory ?? this.#location.buffer);
    this.#raw = new RawRwLock(new Int32Array(this.#location.buffer, this.#location.byteOffset, RW_LOCK_SIZE / 4), this.#agent);
  }

  /** The bytes that a reader-writer lock takes; it is aligned to 4. */
  static readonly byteLength: number = RW_LOCK_SIZE;

  /** The bytes that a lock with data of `type` takes; it is aligned to 4, or to what the data need. */
  static byteLengthOf(type: SharedType<unknown>): number {
    return guardedByteLength(RW_LOCK_SIZE, RW_LOCK_ALIGN, type);
  }

  /**
   * A lock that guards data of `type`, zeroed at first; the same as constructing it.
   *
   * @throws InvalidRecordError `INVALID_RECORD` for a place where it can't be
   */
  static guarding<View>(type: SharedType<View>, location?: SharedLocation): RwLock<View> {
    return new RwLock<View>(type, location);
  }

  /**
   * Reopens a reader-writer lock that another thread posted, with the data that it guards if their type is given.
   *
   * @throws InvalidRecordError `INVALID_RECORD` if the handle is no reader-writer lock's, or of one that guards data of another type
   */
  static from(handle: RwLockHandle): RwLock;
  static from<View>(handle: RwLockHandle, type: SharedType<View>): RwLock<View>;
  static from<View>(handle: RwLockHandle, type?: SharedType<View>): RwLock<View> {
    checkKind(handle, KIND);
    if (type !== undefined) checkGuardedType(handle, type);
    openRegistryOf(handle);
    return type === undefined ? new RwLock(handle as SharedLocation) : new RwLock(type, handle as SharedLocation);
  }

  /** What to post to another thread. */
  handle(): RwLockHandle {
    const handle = handleOf(KIND, this.#location, this.#agent.registry?.byteOffset);
    return this.#data === undefined ? handle : { ...handle, type: this.#data.type.signature };
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
  read(options: RwLockOptions = {}): ReadToken<T> {
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
  tryRead(options: TryRwLockOptions = {}): ReadToken<T> | undefined {
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
  async readAsync(options: AsyncRwLockOptions = {}): Promise<ReadToken<T>> {
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
  write(options: RwLockOptions = {}): WriteToken<T> {
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
  tryWrite(options: TryRwLockOptions = {}): WriteToken<T> | undefined {
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
  async writeAsync(options: AsyncRwLockOptions = {}): Promise<WriteToken<T>> {
    const { timeoutMs = Infinity, signal } = options;
    if (signal?.aborted === true) throw new AbortedError(WRITE_OPERATION, signal.reason);
    return this.#writing(await this.#raw.writeAsync(timeoutMs, signal), options);
  }

  #reading(outcome: Outcome, options: TryRwLockOptions): ReadToken<T> {
    const token = new ReadToken(this.#hold(), outcome === TAKEN_POISONED);
    this.#refusePoison(token, options);
    return token;
  }

  #writing(outcome: Outcome, options: TryRwLockOptions): WriteToken<T> {
    const token = new WriteToken(this.#hold(), outcome === TAKEN_POISONED);
    this.#refusePoison(token, options);
    return token;
  }

  #hold(): Hold<T> {
    return { rwLock: this, raw: this.#raw, owner: this.#agent.token, data: this.#data };
  }

  #refusePoison(token: ReadToken<T> | WriteToken<T>, { acceptPoisoned }: TryRwLockOptions): void {
    if (!token.poisoned || acceptPoisoned === true) return;
    token.unlock();
    throw new PoisonedRwLockError(this);
  }
}
