/**
 * A value that is made once and read by everybody: a {@link Once} and data of a type behind it. Rust's
 * `heddle_atomics::OnceCell<T>` of a `#[repr(C)]` struct is the same one on the same record.
 *
 * The algorithm, its states and what a death means are the once's. Here is what the data add: they can be reached only when they
 * are complete, and nobody writes to them then. An initialiser that throws, or whose thread dies, leaves the cell empty: the next
 * one tries again, and writes all of the data.
 */
import { GuardedData, checkGuardedType, guardedByteLength, resolveGuarded } from './internal/guarded.ts';
import { Lease } from './internal/lease.ts';
import { ONCE_ALIGN, ONCE_SIZE } from './internal/layout.ts';
import { type Handle, type ResolvedLocation, type SharedLocation, checkKind, handleOf } from './internal/location.ts';
import { agentOf } from './internal/agent.ts';
import type { WaitAsyncOptions, WaitOptions } from './internal/waiting.ts';
import { openRegistryOf } from './Mutex.ts';
import { Once } from './Once.ts';
import type { ReadonlyOf, SharedType } from './SharedType.ts';

const KIND = 'heddle.OnceCell';

/** What is posted of a cell; reopen it with {@link OnceCell.from}. */
export type OnceCellHandle = Handle<typeof KIND>;

/** A value that is set once. */
export class OnceCell<View, Init = unknown> {
  readonly #once: Once;
  readonly #data: GuardedData<View>;
  readonly #location: ResolvedLocation;
  #value: ReadonlyOf<View> | undefined;

  /**
   * A cell for a value of `type` at `location`, or in a SharedArrayBuffer of its own. Zeroed bytes are an empty cell, and
   * constructing doesn't write. The value begins at the first multiple of its alignment behind the once.
   *
   * @throws InvalidRecordError `INVALID_RECORD` for a place where it can't be
   */
  constructor(type: SharedType<View, Init>, location?: SharedLocation) {
    this.#location = resolveGuarded(location, 'a once cell', ONCE_SIZE, ONCE_ALIGN, type);
    this.#data = new GuardedData<View>(type, this.#location, ONCE_SIZE);
    const { buffer, memory, byteOffset } = this.#location;
    this.#once = new Once(memory === undefined ? { buffer, byteOffset } : { memory, byteOffset });
  }

  /** The bytes that a cell for a value of `type` takes; it is aligned to 4, or to what the value needs. */
  static byteLengthOf(type: SharedType<unknown>): number {
    return guardedByteLength(ONCE_SIZE, ONCE_ALIGN, type);
  }

  /**
   * Reopens a cell that another thread posted.
   *
   * @throws InvalidRecordError `INVALID_RECORD` if the handle is no cell's, or of one for values of another type
   */
  static from<View, Init>(handle: OnceCellHandle, type: SharedType<View, Init>): OnceCell<View, Init> {
    checkKind(handle, KIND);
    checkGuardedType(handle, type);
    openRegistryOf(handle);
    return new OnceCell(type, handle as SharedLocation);
  }

  /** What to post to another thread. */
  handle(): OnceCellHandle {
    const { registry } = agentOf(this.#location.memory ?? this.#location.buffer);
    return { ...handleOf(KIND, this.#location, registry?.byteOffset), type: this.#data.type.signature };
  }

  /** A view of the value for reading, or `undefined` while there is none. */
  get(): ReadonlyOf<View> | undefined {
    // The views of a complete cell stay: nobody writes any more.
    if (this.#value === undefined && this.#once.isCompleted) {
      this.#value = this.#data.view(new Lease(false)) as ReadonlyOf<View>;
    }
    return this.#value;
  }

  /**
   * Puts `value` in.
   *
   * @returns whether this call did; `false` if there was one
   * @throws MayNotBlockError, WouldDeadlockError, TimeoutError as {@link OnceCell.getOrInit}
   * @throws InvalidArgumentError `INVALID_ARGUMENT` if it doesn't fit
   */
  set(value: Init, options?: WaitOptions): boolean {
    return this.#once.callForce(() => this.#data.write(value), options);
  }

  /**
   * Puts `value` in if that is possible without waiting.
   *
   * @returns whether this call did; `false` if there was one; `undefined` if one is being made elsewhere
   * @throws InvalidArgumentError `INVALID_ARGUMENT` if it doesn't fit
   */
  trySet(value: Init): boolean | undefined {
    let isMine = false;
    const isComplete = this.#once.tryCallForce(() => {
      this.#data.write(value);
      isMine = true;
    });
    return isComplete ? isMine : undefined;
  }

  /**
   * As {@link OnceCell.set}, without blocking the thread.
   *
   * @throws AbortedError `ABORTED` if the signal gave the wait up; its reason is the `cause`
   * @throws TimeoutError, InvalidArgumentError as {@link OnceCell.set}
   */
  setAsync(value: Init, options: WaitAsyncOptions = {}): Promise<boolean> {
    return this.#once.callForceAsync(() => this.#data.write(value), options);
  }

  /**
   * The value; `make` makes it if nobody has. Waits for one that is being made, blocking.
   *
   * @throws MayNotBlockError `MAY_NOT_BLOCK` if it is being made elsewhere and this thread may not block; use `getOrInitAsync` there
   * @throws WouldDeadlockError `WOULD_DEADLOCK` if this thread, being registered, is making it
   * @throws TimeoutError `TIMEOUT` if the time ran out
   * @throws InvalidArgumentError `INVALID_ARGUMENT` if what `make` returns doesn't fit; the cell is empty then
   * @throws what `make` throws; the cell is empty then
   */
  getOrInit(make: () => Init, options?: WaitOptions): ReadonlyOf<View> {
    this.#once.callForce(() => this.#data.write(make()), options);
    return this.#complete();
  }

  /**
   * The value; `make` makes it if nobody has and nobody does.
   *
   * @returns `undefined` if it is being made elsewhere
   * @throws InvalidArgumentError, what `make` throws, as {@link OnceCell.getOrInit}
   */
  tryGetOrInit(make: () => Init): ReadonlyOf<View> | undefined {
    return this.#once.tryCallForce(() => this.#data.write(make())) ? this.#complete() : undefined;
  }

  /**
   * As {@link OnceCell.getOrInit}, without blocking the thread; `make` may be asynchronous.
   *
   * @throws AbortedError `ABORTED` if the signal gave the wait up; its reason is the `cause`
   */
  async getOrInitAsync(make: () => Init | Promise<Init>, options: WaitAsyncOptions = {}): Promise<ReadonlyOf<View>> {
    await this.#once.callForceAsync(async () => this.#data.write(await make()), options);
    return this.#complete();
  }

  #complete(): ReadonlyOf<View> {
    const value = this.get();
    if (value === undefined) throw new Error('a once that has run is not complete');
    return value;
  }
}
