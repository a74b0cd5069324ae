/**
 * What a type of shared bytes is: how its values lie, and what reads and writes them in place. Numbers are in scalars.ts, byte strings,
 * arrays and structs in struct.ts.
 */
import { InvalidArgumentError } from './errors.ts';
import type { Lease } from './internal/lease.ts';
import type { ArrayView, BytesView } from './struct.ts';

/** The key of what a type does; of no use outside this package. */
export const access: unique symbol = Symbol('heddle.access');

/** Reads and writes values of one type. */
export interface Access<Value> {
  /** The value at `offset`, or a view of it. */
  view(bytes: DataView, offset: number, lease: Lease): Value;
  /** Writes a whole value, once it is known to fit. */
  write(bytes: DataView, offset: number, value: unknown): void;
  /** Says why a value doesn't fit, with the `path` to the misfit. */
  check(value: unknown, path: string): void;
  /** A copy of the value, plain data. */
  read(bytes: DataView, offset: number): unknown;
}

/**
 * How values of a type lie in shared bytes.
 *
 * `View` is what reads and writes one in place, `Init` what one is written from, `Plain` a copy of one.
 */
export interface SharedType<View, Init = unknown, Plain = unknown> {
  /** The bytes of a value. */
  readonly byteLength: number;
  /** What the place of a value is a multiple of. */
  readonly byteAlign: number;
  /** The type in words, the same exactly for types that lie the same: `{x:f64,hits:u32}`. */
  readonly signature: string;
  /** How values are read and written; of no use outside this package. */
  readonly [access]: Access<View>;
  /** Not there: what the compiler knows the type by. */
  readonly __types?: { readonly init: Init; readonly plain: Plain };
}

/** Any type. */
export type AnyType = SharedType<unknown>;

/** What reads and writes a value of `Type` in place. */
export type ViewOf<Type> = Type extends SharedType<infer View> ? View : never;
/** What a value of `Type` is written from. */
export type InitOf<Type> = Type extends SharedType<unknown, infer Init> ? Init : never;
/** A copy of a value of `Type`. */
export type PlainOf<Type> = Type extends SharedType<unknown, unknown, infer Plain> ? Plain : never;

/** What reads a value in place, and can't write: the view `View` without its ways to write. */
export type ReadonlyOf<View> = View extends BytesView
  ? Omit<BytesView, 'set'>
  : View extends ArrayView<infer Element, unknown, infer Plain>
    ? ReadonlyArrayView<Element, Plain>
    : View extends object
      ? { readonly [Name in keyof View]: ReadonlyOf<View[Name]> }
      : View;

/** An {@link ArrayView} that can't write. */
export interface ReadonlyArrayView<Element, Plain = unknown> extends Iterable<ReadonlyOf<Element>> {
  /** How many elements there are. */
  readonly length: number;
  /** The element at `index`: its value, or a view of it. */
  get(index: number): ReadonlyOf<Element>;
  /** A copy of all elements, plain data. */
  toArray(): Plain[];
}

/** Where a view looks, and for how long it may. */
export interface Place {
  readonly type: AnyType;
  readonly bytes: DataView;
  readonly offset: number;
  readonly lease: Lease;
}

/** What a view stands for. */
export let placeOf: (view: object) => Place;

/** What every view is: private state only, so that each name is free for a struct's fields. */
export class View {
  readonly #place: Place;

  static {
    placeOf = (view) => {
      if (!(#place in view)) throw new InvalidArgumentError('this is no view of shared data');
      return view.#place;
    };
  }

  constructor(place: Place) {
    this.#place = place;
  }
}

/** A copy of what a view of type `View` shows. */
export type SnapshotOf<View> =
  View extends Omit<BytesView, 'set'>
    ? Uint8Array<ArrayBuffer>
    : View extends ReadonlyArrayView<unknown, infer Plain>
      ? Plain[]
      : View extends object
        ? { -readonly [Name in keyof View]: SnapshotOf<View[Name]> }
        : View;

/**
 * A copy of all that a view shows, plain data that lives on.
 *
 * @throws ViewRevokedError `VIEW_REVOKED` if the lock was let go of
 * @throws InvalidArgumentError `INVALID_ARGUMENT` if it is no view
 */
export function snapshot<View extends object>(view: View): SnapshotOf<View> {
  const { type, bytes: data, offset, lease } = placeOf(view);
  lease.checkRead();
  return type[access].read(data, offset) as SnapshotOf<View>;
}

/** The error of a value that doesn't fit at `path`, where there must be `what`. */
export function misfit(path: string, what: string, value: unknown): InvalidArgumentError {
  const found = typeof value === 'number' || typeof value === 'bigint' ? value.toString() : typeof value;
  return new InvalidArgumentError(`${path === '' ? 'the value' : path} is ${what}, not ${found}`);
}
