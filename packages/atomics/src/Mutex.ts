/**
 * The lock that programs use: `RawMutex` (internal/RawMutex.ts, where the algorithm, its states and its fairness are told)
 * at a place in shared memory, with tokens and errors.
 *
 * The static forms and UnlockToken are those of the TC39 structs proposal.
 */
import { AbortedError, InvalidArgumentError, PoisonedError, TimeoutError } from './errors.ts';
import { type Agent, agentOf } from './internal/agent.ts';
import { defineDisposeSymbol } from './internal/dispose.ts';
import { MUTEX_ALIGN, MUTEX_SIZE } from './internal/layout.ts';
import { type Handle, type ResolvedLocation, type SharedLocation, checkKind, handleOf, resolveLocation } from './internal/location.ts';
import { FAILED, LOCK_OPERATION, type Outcome, RawMutex, TAKEN_POISONED } from './internal/RawMutex.ts';
import { ThreadRegistry } from './ThreadRegistry.ts';

defineDisposeSymbol();

const KIND = 'heddle.Mutex';

/** What is posted of a mutex; reopen it with {@link Mutex.from}. */
export type MutexHandle = Handle<typeof KIND>;

/** How a lock is taken. */
export interface LockOptions {
  /** The longest wait in milliseconds; no limit if not given. */
  readonly timeoutMs?: number;
  /** Take the lock also if an owner died in it; the token's `poisoned` tells. */
  readonly acceptPoisoned?: boolean;
  /** An unlocked token to use again, so that nothing is allocated. */
  readonly token?: UnlockToken;
}

/** How a lock is taken asynchronously. */
export interface AsyncLockOptions extends LockOptions {
  /** Gives the wait up. */
  readonly signal?: AbortSignal;
}

let holdToken: (token: UnlockToken, mutex: Mutex, raw: RawMutex, owner: number, isPoisoned: boolean) => void;

/** The right to unlock: held, it is the proof that its mutex is locked. Works with `using`. */
export class UnlockToken {
  #mutex: Mutex | undefined;
  #raw: RawMutex | undefined;
  #owner = 0;
  #isPoisoned = false;

  static {
    holdToken = (token, mutex, raw, owner, isPoisoned) => {
      token.#mutex = mutex;
      token.#raw = raw;
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
  get mutex(): Mutex | undefined {
    return this.#raw === undefined ? undefined : this.#mutex;
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
    raw.unlock(this.#owner);
    return true;
  }

  /** Lets go of the lock at the end of a `using` block. */
  [Symbol.dispose](): void {
    this.unlock();
  }
}

/** A mutual exclusion lock between threads and between asynchronous tasks. */
export class Mutex {
  readonly #raw: RawMutex;
  readonly #location: ResolvedLocation;
  readonly #agent: Agent;

  /**
   * A mutex at `location`, or in a SharedArrayBuffer of its own. Zeroed bytes are an unlocked mutex, and constructing
   * doesn't write: several threads may construct the mutex of one place.
   *
   * @throws InvalidRecordError `INVALID_RECORD` for a place where it can't be
   */
  constructor(location?: SharedLocation) {
    this.#location = resolveLocation(location ?? { buffer: new SharedArrayBuffer(MUTEX_SIZE) }, 'a mutex', MUTEX_SIZE, MUTEX_ALIGN);
    this.#agent = agentOf(this.#location.memory ?? this.#location.buffer);
    const words = new Int32Array(this.#location.buffer, this.#location.byteOffset, MUTEX_SIZE / 4);
    this.#raw = new RawMutex(words, 0, this.#agent);
  }

  /** The bytes that a mutex takes; it is aligned to 4. */
  static readonly byteLength: number = MUTEX_SIZE;

  /**
   * Reopens a mutex that another thread posted.
   *
   * @throws InvalidRecordError `INVALID_RECORD` if the handle is no mutex's
   */
  static from(handle: MutexHandle): Mutex {
    checkKind(handle, KIND);
    openRegistryOf(handle);
    return new Mutex(handle as SharedLocation);
  }

  /** Takes the lock, blocking: the form of the TC39 proposal. See {@link Mutex.lock} of the instance. */
  static lock(mutex: Mutex, token?: UnlockToken): UnlockToken {
    return token === undefined ? mutex.lock() : mutex.lock({ token });
  }

  /**
   * Takes the lock if it is to be had within `timeoutMs` (0 if not given): the form of the TC39 proposal.
   *
   * @returns `null` if it wasn't
   * @throws MayNotBlockError `MAY_NOT_BLOCK` if it would have to wait where that isn't possible
   * @throws PoisonedError `POISONED` if an owner died in it
   */
  static lockIfAvailable(mutex: Mutex, timeoutMs = 0, token?: UnlockToken): UnlockToken | null {
    const free = freeTokenOf(token);
    const outcome = mutex.#raw.take(timeoutMs);
    return outcome === FAILED ? null : mutex.#hold(outcome, free, false);
  }

  /** What to post to another thread. */
  handle(): MutexHandle {
    return handleOf(KIND, this.#location, this.#agent.registry?.byteOffset);
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
   */
  lock(options?: LockOptions): UnlockToken {
    const token = freeTokenOf(options?.token);
    const owner = this.#agent.token;
    if (this.#raw.takeFree(owner)) {
      holdToken(token, this, this.#raw, owner, false);
      return token;
    }
    const timeoutMs = options?.timeoutMs ?? Infinity;
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
  tryLock(options?: Omit<LockOptions, 'timeoutMs'>): UnlockToken | undefined {
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
  async lockAsync(options: AsyncLockOptions = {}): Promise<UnlockToken> {
    if (options.signal?.aborted === true) throw new AbortedError(LOCK_OPERATION, options.signal.reason);
    const token = freeTokenOf(options.token);
    let outcome = this.#raw.takeUnowned();
    if (outcome === FAILED) outcome = await this.#raw.takeAsync(options.timeoutMs ?? Infinity, options.signal);
    return this.#hold(outcome, token, options.acceptPoisoned);
  }

  /** Puts the lock that was just taken into `token`, or refuses it for poison. */
  #hold(outcome: Outcome, token: UnlockToken, acceptPoisoned: boolean | undefined): UnlockToken {
    const isPoisoned = outcome === TAKEN_POISONED;
    const owner = this.#agent.token;
    if (isPoisoned && acceptPoisoned !== true) {
      this.#raw.unlock(owner);
      throw new PoisonedError(this);
    }
    holdToken(token, this, this.#raw, owner, isPoisoned);
    return token;
  }
}

/** The token to put a lock into: the caller's, which must be free, or a new one. */
function freeTokenOf(token: UnlockToken | undefined): UnlockToken {
  if (token === undefined) return new UnlockToken();
  if (token.locked) throw new InvalidArgumentError('the token holds a lock already');
  return token;
}

/** Lets the locks of a handle's memory know its registry, if the handle tells where that is. */
export function openRegistryOf(handle: Handle<string>): void {
  if (handle.registryByteOffset === undefined) return;
  ThreadRegistry.at({ ...(handle as SharedLocation), byteOffset: handle.registryByteOffset });
}
