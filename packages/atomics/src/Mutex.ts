/**
 * The lock that programs use: `RawMutex` (internal/RawMutex.ts, where the algorithm, its states and its fairness are told)
 * at a place in shared memory, with tokens and errors.
 *
 * The static forms and UnlockToken are those of the TC39 structs proposal.
 *
 * A mutex may guard data of a type (struct.ts), which lie behind it: they are had through the token, and only as long as that
 * holds the lock.
 */
import { AbortedError, InvalidArgumentError, PoisonedError, TimeoutError, ViewRevokedError } from './errors.ts';
import { type Agent, agentOf } from './internal/agent.ts';
import { detection } from './internal/deadlock.ts';
import { defineDisposeSymbol } from './internal/dispose.ts';
import { GuardedData, type Leased, checkGuardedType, guardedByteLength, resolveGuarded } from './internal/guarded.ts';
import { MUTEX_ALIGN, MUTEX_SIZE } from './internal/layout.ts';
import { type Handle, type ResolvedLocation, type SharedLocation, checkKind, handleOf, resolveLocation } from './internal/location.ts';
import { FAILED, LOCK_OPERATION, type Outcome, RawMutex, TAKEN_POISONED } from './internal/RawMutex.ts';
import { type SharedType, access } from './SharedType.ts';
import { ThreadRegistry } from './ThreadRegistry.ts';

defineDisposeSymbol();

const KIND = 'heddle.Mutex';

/** What is posted of a mutex; reopen it with {@link Mutex.from}. */
export type MutexHandle = Handle<typeof KIND>;

/** How a lock is taken. */
export interface LockOptions<T = unknown> {
  /** The longest wait in milliseconds; no limit if not given. */
  readonly timeoutMs?: number;
  /** Take the lock also if an owner died in it; the token's `poisoned` tells. */
  readonly acceptPoisoned?: boolean;
  /** An unlocked token to use again, so that nothing is allocated. */
  readonly token?: UnlockToken<T>;
}

/** How a lock is taken asynchronously. */
export interface AsyncLockOptions<T = unknown> extends LockOptions<T> {
  /** Gives the wait up. */
  readonly signal?: AbortSignal;
}

let holdToken: <T>(
  token: UnlockToken<T>,
  mutex: Mutex<T>,
  raw: RawMutex,
  data: GuardedData<T> | undefined,
  owner: number,
  isPoisoned: boolean,
) => void;

/**
 * The right to unlock: held, it is the proof that its mutex is locked, and what the mutex guards is had through it. Works with
 * `using`.
 */
export class UnlockToken<T = unknown> {
  #mutex: Mutex<T> | undefined;
  #raw: RawMutex | undefined;
  #owner = 0;
  #isPoisoned = false;
  #data: GuardedData<T> | undefined;
  #leased: Leased<T> | undefined;

  static {
    holdToken = (token, mutex, raw, data, owner, isPoisoned) => {
      token.#mutex = mutex;
      token.#raw = raw;
      token.#data = data;
      token.#owner = owner;
      token.#isPoisoned = isPoisoned;
    };
  }

  /** Whether this token holds a lock. */
  get locked(): boolean {
    return this.#raw !== undefined;
  }

  /** Whether an owner had died in the lock when this token got it. */
  get poisoned(): boolean {
    return this.#isPoisoned;
  }

  /** The mutex that this token holds. */
  get mutex(): Mutex<T> | undefined {
    return this.#raw === undefined ? undefined : this.#mutex;
  }

  /**
   * What the mutex guards: a view that reads and writes the shared bytes, for as long as this token holds the lock; a number,
   * bigint or boolean where the mutex guards just that.
   *
   * @throws ViewRevokedError `VIEW_REVOKED` if the token holds no lock; each use of a view that was had before does so too
   * @throws InvalidArgumentError `INVALID_ARGUMENT` if the mutex guards nothing
   */
  get value(): T {
    return this.#lease('reading the value').value;
  }

  /**
   * Writes all that the mutex guards.
   *
   * @throws ViewRevokedError, InvalidArgumentError as reading it, and `INVALID_ARGUMENT` for what doesn't fit
   */
  set value(value: T) {
    this.#lease('writing the value').value = value;
  }

  #lease(attempt: string): Leased<T> {
    if (this.#leased !== undefined) return this.#leased;
    if (this.#raw === undefined) throw new ViewRevokedError(attempt);
    if (this.#data === undefined) throw new InvalidArgumentError('the mutex guards no data');
    this.#leased = this.#data.lease(true);
    return this.#leased;
  }

  /**
   * Lets go of the lock.
   *
   * @returns whether there was one; a second call is harmless
   * @throws NotOwnerError `NOT_OWNER` if the lock was taken away meanwhile, because this thread was declared dead
   */
  unlock(): boolean {
    const raw = this.#raw;
    if (raw === undefined) return false;
    this.#raw = undefined;
    // First: nobody may use the data any more when another thread can.
    this.#leased?.revoke();
    this.#leased = undefined;
    raw.unlock(this.#owner);
    return true;
  }

  /** Lets go of the lock at the end of a `using` block. */
  [Symbol.dispose](): void {
    this.unlock();
  }
}

/** A mutual exclusion lock between threads and between asynchronous tasks, with data of the view `T` if it guards some. */
export class Mutex<T = unknown> {
  readonly #raw: RawMutex;
  readonly #data: GuardedData<T> | undefined;
  readonly #location: ResolvedLocation;
  readonly #agent: Agent;

  /**
   * A mutex at `location`, or in a SharedArrayBuffer of its own. Zeroed bytes are an unlocked mutex, and constructing
   * doesn't write: several threads may construct the mutex of one place.
   *
   * @throws InvalidRecordError `INVALID_RECORD` for a place where it can't be
   */
  constructor(location?: SharedLocation);
  /** The same with data of `type`, zeroed at first. They begin at the first multiple of their alignment behind the mutex. */
  constructor(type: SharedType<T>, location?: SharedLocation);
  constructor(typeOrLocation?: SharedType<T> | SharedLocation, place?: SharedLocation) {
    const type = typeof typeOrLocation === 'object' && access in typeOrLocation ? typeOrLocation : undefined;
    if (type === undefined) {
      const location = typeOrLocation as SharedLocation | undefined;
      this.#location = resolveLocation(location ?? { buffer: new SharedArrayBuffer(MUTEX_SIZE) }, 'a mutex', MUTEX_SIZE, MUTEX_ALIGN);
    } else {
      this.#location = resolveGuarded(place, 'a mutex with data', MUTEX_SIZE, MUTEX_ALIGN, type);
      this.#data = new GuardedData(type, this.#location, MUTEX_SIZE);
    }
    this.#agent = agentOf(this.#location.memory ?? this.#location.buffer);
    const words = new Int32Array(this.#location.buffer, this.#location.byteOffset, MUTEX_SIZE / 4);
    this.#raw = new RawMutex(words, 0, this.#agent);
  }

  /** The bytes that a mutex takes; it is aligned to 4. */
  static readonly byteLength: number = MUTEX_SIZE;

  /** The bytes that a mutex with data of `type` takes; it is aligned to 4, or to what the data need. */
  static byteLengthOf(type: SharedType<unknown>): number {
    return guardedByteLength(MUTEX_SIZE, MUTEX_ALIGN, type);
  }

  /**
   * A mutex that guards data of `type`, zeroed at first; the same as constructing it.
   *
   * @throws InvalidRecordError `INVALID_RECORD` for a place where it can't be
   */
  static guarding<View>(type: SharedType<View>, location?: SharedLocation): Mutex<View> {
    return new Mutex<View>(type, location);
  }

  /**
   * Reopens a mutex that another thread posted, with the data that it guards if their type is given.
   *
   * @throws InvalidRecordError `INVALID_RECORD` if the handle is no mutex's, or of one that guards data of another type
   */
  static from(handle: MutexHandle): Mutex;
  static from<View>(handle: MutexHandle, type: SharedType<View>): Mutex<View>;
  static from<View>(handle: MutexHandle, type?: SharedType<View>): Mutex<View> {
    checkKind(handle, KIND);
    if (type !== undefined) checkGuardedType(handle, type);
    openRegistryOf(handle);
    return type === undefined ? new Mutex(handle as SharedLocation) : new Mutex(type, handle as SharedLocation);
  }

  /** Takes the lock, blocking: the form of the TC39 proposal. See {@link Mutex.lock} of the instance. */
  static lock<T>(mutex: Mutex<T>, token?: UnlockToken<T>): UnlockToken<T> {
    return token === undefined ? mutex.lock() : mutex.lock({ token });
  }

  /**
   * Takes the lock if it is to be had within `timeoutMs` (0 if not given): the form of the TC39 proposal.
   *
   * @returns `null` if it wasn't
   * @throws MayNotBlockError `MAY_NOT_BLOCK` if it would have to wait where that isn't possible
   * @throws PoisonedError `POISONED` if an owner died in it
   */
  static lockIfAvailable<T>(mutex: Mutex<T>, timeoutMs = 0, token?: UnlockToken<T>): UnlockToken<T> | null {
    const free = freeTokenOf(token);
    const outcome = mutex.#raw.take(timeoutMs);
    return outcome === FAILED ? null : mutex.#hold(outcome, free, false);
  }

  /** What to post to another thread. */
  handle(): MutexHandle {
    const handle = handleOf(KIND, this.#location, this.#agent.registry?.byteOffset);
    return this.#data === undefined ? handle : { ...handle, type: this.#data.type.signature };
  }

  /** Where the mutex is in its memory, in bytes. */
  get byteOffset(): number {
    return this.#location.byteOffset;
  }

  /** Whether somebody holds the lock; of the past as soon as it is known. */
  get isLocked(): boolean {
    return this.#raw.isLocked;
  }

  /** Whether an owner died in the lock. */
  get isPoisoned(): boolean {
    return this.#raw.isPoisoned;
  }

  /** Declares what the mutex guards sound again. */
  clearPoison(): void {
    this.#raw.clearPoison();
  }

  /**
   * Takes the lock, blocking as long as it takes or as the options say.
   *
   * @throws MayNotBlockError `MAY_NOT_BLOCK` if the lock is taken and this thread may not block; use `lockAsync` there
   * @throws TimeoutError `TIMEOUT` if the time ran out
   * @throws PoisonedError `POISONED` if an owner died in it
   * @throws WouldDeadlockError `WOULD_DEADLOCK` if this thread, being registered, holds it already
   * @throws DeadlockError, LockOrderError `DEADLOCK`, `LOCK_ORDER` if `enableDeadlockDetection` found one
   */
  lock(options?: LockOptions<T>): UnlockToken<T> {
    const token = freeTokenOf(options?.token);
    const owner = this.#agent.token;
    const timeoutMs = options?.timeoutMs ?? Infinity;
    if (detection.keepsOrder && timeoutMs === Infinity) this.#raw.checkOrder();
    if (this.#raw.takeFree(owner)) {
      holdToken(token, this, this.#raw, this.#data, owner, false);
      return token;
    }
    const outcome = this.#raw.take(timeoutMs);
    if (outcome === FAILED) throw new TimeoutError(LOCK_OPERATION, timeoutMs);
    return this.#hold(outcome, token, options?.acceptPoisoned);
  }

  /**
   * Takes the lock if that is possible without waiting.
   *
   * @returns `undefined` if it wasn't
   * @throws PoisonedError `POISONED` if an owner died in it
   */
  tryLock(options?: Omit<LockOptions<T>, 'timeoutMs'>): UnlockToken<T> | undefined {
    const token = freeTokenOf(options?.token);
    const outcome = this.#raw.takeUnowned();
    return outcome === FAILED ? undefined : this.#hold(outcome, token, options?.acceptPoisoned);
  }

  /**
   * Takes the lock without blocking the thread; its other tasks run on.
   *
   * @throws TimeoutError `TIMEOUT` if the time ran out
   * @throws AbortedError `ABORTED` if the signal gave the wait up; its reason is the `cause`
   * @throws PoisonedError `POISONED` if an owner died in it
   */
  async lockAsync(options: AsyncLockOptions<T> = {}): Promise<UnlockToken<T>> {
    if (options.signal?.aborted === true) throw new AbortedError(LOCK_OPERATION, options.signal.reason);
    const token = freeTokenOf(options.token);
    let outcome = this.#raw.takeUnowned();
    if (outcome === FAILED) outcome = await this.#raw.takeAsync(options.timeoutMs ?? Infinity, options.signal);
    return this.#hold(outcome, token, options.acceptPoisoned);
  }

  /** Puts the lock that was just taken into `token`, or refuses it for poison. */
  #hold(outcome: Outcome, token: UnlockToken<T>, acceptPoisoned: boolean | undefined): UnlockToken<T> {
    const isPoisoned = outcome === TAKEN_POISONED;
    const owner = this.#agent.token;
    if (isPoisoned && acceptPoisoned !== true) {
      this.#raw.unlock(owner);
      throw new PoisonedError(this);
    }
    holdToken(token, this, this.#raw, this.#data, owner, isPoisoned);
    return token;
  }
}

/** The token to put a lock into: the caller's, which must be free, or a new one. */
function freeTokenOf<T>(token: UnlockToken<T> | undefined): UnlockToken<T> {
  if (token === undefined) return new UnlockToken();
  if (token.locked) throw new InvalidArgumentError('the token holds a lock already');
  return token;
}

/** Lets the locks of a handle's memory know its registry, if the handle tells where that is. */
export function openRegistryOf(handle: Handle<string>): void {
  if (handle.registryByteOffset === undefined) return;
  ThreadRegistry.at({ ...(handle as SharedLocation), byteOffset: handle.registryByteOffset });
}
