/**
 * What can go wrong, one class a cause. Tell them apart by `code`, which survives bundlers and structured clones;
 * the messages are for people.
 */
import type { Mutex, UnlockToken } from './Mutex.ts';
import type { Once } from './Once.ts';
import type { ReadToken, RwLock, WriteToken } from './RwLock.ts';

/** The codes of the errors that this package throws. */
export type AtomicsErrorCode =
  | 'MAY_NOT_BLOCK'
  | 'TIMEOUT'
  | 'ABORTED'
  | 'POISONED'
  | 'NOT_OWNER'
  | 'WOULD_DEADLOCK'
  | 'DEADLOCK'
  | 'LOCK_ORDER'
  | 'ONCE_POISONED'
  | 'COUNT_OUT_OF_RANGE'
  | 'ALREADY_PARKED'
  | 'VIEW_REVOKED'
  | 'VIEW_READONLY'
  | 'INVALID_ARGUMENT'
  | 'INVALID_RECORD'
  | 'REGISTRY_FULL'
  | 'HELPER_FAILED';

/** What every error of this package is. */
export abstract class AtomicsError extends Error {
  /** The cause, for programs. */
  abstract readonly code: AtomicsErrorCode;
}

/** This thread may not block (a browser's main thread), and the operation would have had to. */
export class MayNotBlockError extends AtomicsError {
  override readonly name = 'MayNotBlockError';
  readonly code = 'MAY_NOT_BLOCK';

  /** @param operation what would have had to wait, and what to use instead */
  constructor(operation: string) {
    super(`this thread may not block, and ${operation}`);
  }
}

/** The time ran out. */
export class TimeoutError extends AtomicsError {
  override readonly name = 'TimeoutError';
  readonly code = 'TIMEOUT';

  /**
   * @param operation what was waited for
   * @param timeoutMs how long, in milliseconds
   */
  constructor(operation: string, timeoutMs: number) {
    super(`${operation}: nothing within ${timeoutMs} ms`);
  }
}

/** The wait was given up by its `AbortSignal`, whose reason is the `cause`. */
export class AbortedError extends AtomicsError {
  override readonly name = 'AbortedError';
  readonly code = 'ABORTED';

  /**
   * @param operation what was waited for
   * @param reason the signal's reason
   */
  constructor(operation: string, reason: unknown) {
    super(`${operation} was aborted`, { cause: reason });
  }
}

/**
 * An owner of the mutex died while it held it: what the mutex guards may be half-changed.
 *
 * The lock was let go of again; `lock()` and `lockAsync()` of this error take it all the same, and
 * `mutex.clearPoison()` declares the data sound.
 */
export class PoisonedError extends AtomicsError {
  override readonly name = 'PoisonedError';
  readonly code = 'POISONED';
  /** The poisoned mutex. */
  readonly mutex: Mutex;

  /** @param mutex the poisoned mutex */
  constructor(mutex: Mutex) {
    super('the mutex is poisoned: a thread died while it held it');
    this.mutex = mutex;
  }

  /** Takes the lock although it is poisoned, blocking. */
  lock(): UnlockToken {
    return this.mutex.lock({ acceptPoisoned: true });
  }

  /** Takes the lock although it is poisoned, without blocking. */
  lockAsync(): Promise<UnlockToken> {
    return this.mutex.lockAsync({ acceptPoisoned: true });
  }
}

/**
 * A writer died while it held the reader-writer lock: what the lock guards may be half-changed.
 *
 * The lock was let go of again; the methods of this error take it all the same, and `rwLock.clearPoison()` declares the data
 * sound.
 */
export class PoisonedRwLockError extends AtomicsError {
  override readonly name = 'PoisonedRwLockError';
  readonly code = 'POISONED';
  /** The poisoned lock. */
  readonly rwLock: RwLock;

  /** @param rwLock the poisoned lock */
  constructor(rwLock: RwLock) {
    super('the reader-writer lock is poisoned: a thread died while it wrote');
    this.rwLock = rwLock;
  }

  /** Reads although the lock is poisoned, blocking. */
  read(): ReadToken {
    return this.rwLock.read({ acceptPoisoned: true });
  }

  /** Reads although the lock is poisoned, without blocking. */
  readAsync(): Promise<ReadToken> {
    return this.rwLock.readAsync({ acceptPoisoned: true });
  }

  /** Writes although the lock is poisoned, blocking. */
  write(): WriteToken {
    return this.rwLock.write({ acceptPoisoned: true });
  }

  /** Writes although the lock is poisoned, without blocking. */
  writeAsync(): Promise<WriteToken> {
    return this.rwLock.writeAsync({ acceptPoisoned: true });
  }
}

/** The operation belongs to the owner of the lock, and this token isn't its owner's. */
export class NotOwnerError extends AtomicsError {
  override readonly name = 'NotOwnerError';
  readonly code = 'NOT_OWNER';

  /** @param operation what was tried */
  constructor(operation: string) {
    super(`${operation} needs a token that holds the lock`);
  }
}

/** This very thread holds the lock or runs the initialiser, so that blocking on it would never end. */
export class WouldDeadlockError extends AtomicsError {
  override readonly name = 'WouldDeadlockError';
  readonly code = 'WOULD_DEADLOCK';

  /** @param holding what this thread does, after "this thread" */
  constructor(holding: string = 'holds the mutex') {
    super(`this thread ${holding} already: blocking on it would never end`);
  }
}

/** Threads wait for each other in a circle, so that blocking would never end. Only told after `enableDeadlockDetection()`. */
export class DeadlockError extends AtomicsError {
  override readonly name = 'DeadlockError';
  readonly code = 'DEADLOCK';
  /** The threads, by the tokens in their locks, and the addresses of the locks that they wait for; the first is this thread. */
  readonly circle: readonly { readonly token: number; readonly address: number }[];

  /**
   * @param words who waits for whom
   * @param circle the same for programs
   */
  constructor(words: string, circle: DeadlockError['circle']) {
    super(`deadlock: ${words}`);
    this.circle = circle;
  }
}

/**
 * The thread takes locks in another order than somebody has before, so that the two could wait for each other some day;
 * `enableDeadlockDetection` looks for this if it is given a `LockOrder`. The lock wasn't taken.
 */
export class LockOrderError extends AtomicsError {
  override readonly name = 'LockOrderError';
  readonly code = 'LOCK_ORDER';
  /**
   * Who takes the lock at the address `to` while it holds the one at `from`: first this thread, now, then those who did before, from
   * the one lock back to the other.
   */
  readonly orders: readonly { readonly from: number; readonly to: number; readonly token: number }[];

  /**
   * @param words who took what while it held what
   * @param orders the same for programs
   */
  constructor(words: string, orders: LockOrderError['orders']) {
    super(`lock order: ${words}`);
    this.orders = orders;
  }
}

/** An initialiser failed, or its thread died: what it should have made may be half-made. `callForce` tries again. */
export class OncePoisonedError extends AtomicsError {
  override readonly name = 'OncePoisonedError';
  readonly code = 'ONCE_POISONED';
  /** The poisoned once. */
  readonly once: Once;

  /** @param once the poisoned once */
  constructor(once: Once) {
    super('the once is poisoned: its initialiser failed, or its thread died');
    this.once = once;
  }
}

/** A count would leave its range; nothing was changed. */
export class CountError extends AtomicsError {
  override readonly name = 'CountError';
  readonly code = 'COUNT_OUT_OF_RANGE';
  /** What the count was. */
  readonly count: number;
  /** By how much it should have gone down (negative) or up. */
  readonly change: number;
  /** The most that it may be; the least is 0. */
  readonly countMax: number;

  /**
   * @param count what the count was
   * @param change by how much it should have changed
   * @param countMax the most that it may be
   */
  constructor(count: number, change: number, countMax: number) {
    super(`a count of ${count} can't change by ${change}: it is 0 to ${countMax}`);
    this.count = count;
    this.change = change;
    this.countMax = countMax;
  }
}

/** Somebody else is parked on the parker: it is one thread's at a time. */
export class AlreadyParkedError extends AtomicsError {
  override readonly name = 'AlreadyParkedError';
  readonly code = 'ALREADY_PARKED';

  constructor() {
    super('somebody else is parked on the parker');
  }
}

/** A view of guarded data was used after its lock was let go of. Take the view anew from the token of the next lock. */
export class ViewRevokedError extends AtomicsError {
  override readonly name = 'ViewRevokedError';
  readonly code = 'VIEW_REVOKED';

  /** @param attempt what was tried */
  constructor(attempt: string) {
    super(`${attempt}: the lock that the view was had under was let go of`);
  }
}

/** A view that is for reading was written to. */
export class ReadonlyViewError extends AtomicsError {
  override readonly name = 'ReadonlyViewError';
  readonly code = 'VIEW_READONLY';

  constructor() {
    super('these data are for reading');
  }
}

/** An argument is out of its range. */
export class InvalidArgumentError extends AtomicsError {
  override readonly name = 'InvalidArgumentError';
  readonly code = 'INVALID_ARGUMENT';
}

/** There is no usable record at the place that was given: not shared, out of range, misaligned, or of another kind or version. */
export class InvalidRecordError extends AtomicsError {
  override readonly name = 'InvalidRecordError';
  readonly code = 'INVALID_RECORD';
}

/** Every slot of the thread registry is taken. */
export class RegistryFullError extends AtomicsError {
  override readonly name = 'RegistryFullError';
  readonly code = 'REGISTRY_FULL';

  /** @param capacity how many threads the registry has room for */
  constructor(capacity: number) {
    super(`all ${capacity} slots of the thread registry are taken`);
  }
}

/** This engine has no `Atomics.waitAsync`, and the worker that was to wait in its place failed, mostly because it could not be loaded. */
export class HelperFailedError extends AtomicsError {
  override readonly name = 'HelperFailedError';
  readonly code = 'HELPER_FAILED';

  /** @param reason what the worker's error event says, which may be nothing */
  constructor(reason: string) {
    const advice = "see that the build contains @heddle/atomics' helper worker, and that the page's policy lets it load (worker-src)";
    super(`the worker that waits in place of Atomics.waitAsync failed${reason === '' ? '' : `: ${reason}`}; ${advice}`);
  }
}
