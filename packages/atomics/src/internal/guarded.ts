/**
 * Data behind the record of a lock or of a once, and the views of it: what `Mutex` and `OnceCell` share.
 *
 * ## Layout
 * The data begin at the first multiple of their alignment behind the record: where a `#[repr(C)]` struct of the record and of the
 * data has them, as Rust's `heddle_atomics::Mutex<T>` and `OnceCell<T>`.
 */
import { InvalidRecordError } from '../errors.ts';
import { type SharedType, access } from '../SharedType.ts';
import { Lease } from './lease.ts';
import { type Handle, type ResolvedLocation, type SharedLocation, resolveLocation } from './location.ts';

/** Where `type` begins behind a record of `headSize` bytes. */
export const dataOffsetOf = (headSize: number, type: SharedType<unknown>): number => Math.ceil(headSize / type.byteAlign) * type.byteAlign;

/** The bytes of a record of `headSize` with data of `type` behind it, as `#[repr(C)]` has them. */
export function guardedByteLength(headSize: number, headAlign: number, type: SharedType<unknown>): number {
  const align = Math.max(headAlign, type.byteAlign);
  return Math.ceil((dataOffsetOf(headSize, type) + type.byteLength) / align) * align;
}

/** Where a record with data behind it can be; a SharedArrayBuffer of its own if no location is given. */
export function resolveGuarded(
  location: SharedLocation | undefined,
  what: string,
  headSize: number,
  headAlign: number,
  type: SharedType<unknown>,
): ResolvedLocation {
  const size = guardedByteLength(headSize, headAlign, type);
  return resolveLocation(location ?? { buffer: new SharedArrayBuffer(size) }, what, size, Math.max(headAlign, type.byteAlign));
}

/**
 * Checks that a handle is of a record with data of `type` behind it.
 *
 * @throws InvalidRecordError `INVALID_RECORD` if it isn't
 */
export function checkGuardedType(handle: Handle<string>, type: SharedType<unknown>): void {
  if (handle.type !== type.signature) {
    // Whoever posted it may have made it: a symbol, for one, is no part of a text.
    const found = typeof handle.type === 'string' ? handle.type : handle.type === undefined ? 'nothing' : 'of no type';
    throw new InvalidRecordError(`what is guarded there is ${found}, not ${type.signature}`);
  }
}

/** Views of the data, for as long as somebody has the right to them. */
export class Leased<View> {
  readonly #lease: Lease;
  readonly #data: GuardedData<View>;
  #view: View | undefined;

  /**
   * @param data what is viewed
   * @param mayWrite whether it may be written to
   */
  constructor(data: GuardedData<View>, mayWrite: boolean) {
    this.#data = data;
    this.#lease = new Lease(mayWrite);
  }

  /** The value, or a view of it. */
  get value(): View {
    if (this.#view !== undefined) return this.#view;
    this.#lease.checkRead();
    const view = this.#data.view(this.#lease);
    // Numbers are read anew each time.
    if (typeof view === 'object') this.#view = view;
    return view;
  }

  /** Writes the whole value. */
  set value(value: View) {
    this.#lease.checkWrite();
    this.#data.write(value);
  }

  /** Ends the use of the views. */
  revoke(): void {
    this.#lease.revoke();
  }
}

/** Data of one type at their place. */
export class GuardedData<View> {
  /** What the data are. */
  readonly type: SharedType<View>;
  readonly #bytes: DataView;

  /**
   * @param type what the data are
   * @param location where the record before them is
   * @param headSize the bytes of that record
   */
  constructor(type: SharedType<View>, location: ResolvedLocation, headSize: number) {
    this.type = type;
    this.#bytes = new DataView(location.buffer, location.byteOffset + dataOffsetOf(headSize, type), type.byteLength);
  }

  /** A view of the data, or their value. */
  view(lease: Lease): View {
    return this.type[access].view(this.#bytes, 0, lease);
  }

  /**
   * Writes all of the data.
   *
   * @throws InvalidArgumentError `INVALID_ARGUMENT` if the value doesn't fit
   */
  write(value: unknown): void {
    this.type[access].check(value, '');
    this.type[access].write(this.#bytes, 0, value);
  }

  /** The right to use them. */
  lease(mayWrite: boolean): Leased<View> {
    return new Leased(this, mayWrite);
  }
}
