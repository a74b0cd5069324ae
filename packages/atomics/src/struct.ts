/**
 * Types of shared bytes: how numbers, byte strings, arrays and structs of them lie in memory, and views that read and write them
 * there.
 *
 * A struct lies as Rust's `#[repr(C)]` and C on wasm32 lay it: each field at the next multiple of its alignment, the whole as long as a
 * multiple of the largest alignment; little-endian. A view reads and writes the bytes in place, without atomic operations:
 * it is had from a lock (`Mutex`) or a once (`OnceCell`), and only while that allows it.
 *
 * | type | view | bytes, and alignment |
 * | --- | --- | --- |
 * | `i8 u8 i16 u16 i32 u32` | number, whole and in range | 1, 2, 4 |
 * | `i64 u64` | bigint in range | 8 |
 * | `f32 f64` | number | 4, 8 |
 * | `bool` | boolean | 1 |
 * | `bytes(n)` | {@link BytesView} | n, aligned to 1 |
 * | `array(type, n)` | {@link ArrayView} | n times its element |
 * | `struct({ … })` | an object with the fields | as above |
 */
import { InvalidArgumentError } from './errors.ts';
import type { Lease } from './internal/lease.ts';
import {
  type Access,
  type AnyType,
  type InitOf,
  type Place,
  type PlainOf,
  type SharedType,
  View,
  type ViewOf,
  access,
  misfit,
  placeOf,
} from './SharedType.ts';

/** A struct's type. */
export type StructType<Fields extends Record<string, AnyType>> = SharedType<
  { -readonly [Name in keyof Fields]: ViewOf<Fields[Name]> },
  { readonly [Name in keyof Fields]: InitOf<Fields[Name]> },
  { -readonly [Name in keyof Fields]: PlainOf<Fields[Name]> }
> & {
  /** Where each field begins, in bytes. */
  readonly offsets: { readonly [Name in keyof Fields]: number };
};

function checkLength(length: number, what: string): void {
  if (!Number.isSafeInteger(length) || length < 1) throw new InvalidArgumentError(`${what} has 1 or more, not ${String(length)}`);
}

function checkIndex(index: number, length: number): void {
  if (!Number.isInteger(index) || index < 0 || index >= length) {
    throw new InvalidArgumentError(`an index here is 0 to ${length - 1}, not ${String(index)}`);
  }
}

/** A byte string of fixed length, in place. */
export class BytesView extends View {
  /** How many bytes there are. */
  readonly length: number;
  readonly #bytes: Uint8Array;
  readonly #lease: Lease;

  /** Made by `bytes`. */
  constructor(place: Place, bytes: Uint8Array) {
    super(place);
    this.length = bytes.length;
    this.#bytes = bytes;
    this.#lease = place.lease;
  }

  /** The byte at `index`. */
  get(index: number): number {
    this.#lease.checkRead();
    checkIndex(index, this.length);
    return this.#bytes[index] ?? 0;
  }

  /**
   * Writes bytes from `offset` on; the others stay.
   *
   * @throws InvalidArgumentError `INVALID_ARGUMENT` if they don't fit
   */
  set(source: ArrayLike<number>, offset: number = 0): void {
    this.#lease.checkWrite();
    if (!Number.isInteger(offset) || offset < 0 || offset + source.length > this.length) {
      throw new InvalidArgumentError(`${source.length} bytes at ${String(offset)} don't fit into ${this.length}`);
    }
    this.#bytes.set(source, offset);
  }

  /** A copy. */
  toUint8Array(): Uint8Array<ArrayBuffer> {
    this.#lease.checkRead();
    return new Uint8Array(this.#bytes);
  }
}

/** A byte string of `length` bytes. What it is written from may be shorter: the rest becomes 0. */
export function bytes(length: number): SharedType<BytesView, ArrayLike<number>, Uint8Array<ArrayBuffer>> {
  checkLength(length, 'a byte string');
  const bytesAt = (data: DataView, offset: number): Uint8Array => new Uint8Array(data.buffer, data.byteOffset + offset, length);
  const type: SharedType<BytesView, ArrayLike<number>, Uint8Array<ArrayBuffer>> = {
    byteLength: length,
    byteAlign: 1,
    signature: `bytes(${length})`,
    [access]: {
      view: (data, offset, lease) => new BytesView({ type, bytes: data, offset, lease }, bytesAt(data, offset)),
      write: (data, offset, value) => {
        const target = bytesAt(data, offset);
        const source = value instanceof BytesView ? value.toUint8Array() : (value as ArrayLike<number>);
        target.fill(0);
        target.set(source);
      },
      check: (value, path) => {
        const size = (value as ArrayLike<number> | undefined)?.length;
        if (typeof value === 'string' || typeof size !== 'number' || size > length) throw misfit(path, `at most ${length} bytes`, value);
      },
      read: (data, offset) => new Uint8Array(bytesAt(data, offset)),
    },
  };
  return type;
}

/** An array of fixed length, in place. */
export class ArrayView<Element, Init = unknown, Plain = unknown> extends View {
  /** How many elements there are. */
  readonly length: number;
  readonly #element: SharedType<Element, Init, Plain>;
  readonly #bytes: DataView;
  readonly #offset: number;
  readonly #lease: Lease;

  /** Made by `array`. */
  constructor(place: Place, element: SharedType<Element, Init, Plain>, length: number) {
    super(place);
    this.length = length;
    this.#element = element;
    this.#bytes = place.bytes;
    this.#offset = place.offset;
    this.#lease = place.lease;
  }

  /** The element at `index`: its value, or a view of it. */
  get(index: number): Element {
    this.#lease.checkRead();
    return this.#element[access].view(this.#bytes, this.#placeOf(index), this.#lease);
  }

  /**
   * Writes the element at `index`.
   *
   * @throws InvalidArgumentError `INVALID_ARGUMENT` if there is no such place, or the value doesn't fit
   */
  set(index: number, value: Init): void {
    this.#lease.checkWrite();
    const at = this.#placeOf(index);
    this.#element[access].check(value, `[${index}]`);
    this.#element[access].write(this.#bytes, at, value);
  }

  /** Writes the same value everywhere. */
  fill(value: Init): void {
    for (let index = 0; index < this.length; index += 1) this.set(index, value);
  }

  /** The elements, as `get` gives them. */
  *[Symbol.iterator](): IterableIterator<Element> {
    for (let index = 0; index < this.length; index += 1) yield this.get(index);
  }

  /** A copy of all elements, plain data. */
  toArray(): Plain[] {
    this.#lease.checkRead();
    return Array.from({ length: this.length }, (_, index) => this.#element[access].read(this.#bytes, this.#placeOf(index)) as Plain);
  }

  #placeOf(index: number): number {
    checkIndex(index, this.length);
    return this.#offset + index * this.#element.byteLength;
  }
}

/** An array of `length` values. It is written from as many. */
export function array<Element, Init, Plain>(
  element: SharedType<Element, Init, Plain>,
  length: number,
): SharedType<ArrayView<Element, Init, Plain>, readonly Init[], Plain[]> {
  checkLength(length, 'an array');
  const { byteLength, byteAlign } = element;
  const type: SharedType<ArrayView<Element, Init, Plain>, readonly Init[], Plain[]> = {
    byteLength: byteLength * length,
    byteAlign,
    signature: `[${element.signature};${length}]`,
    [access]: {
      view: (data, offset, lease) => new ArrayView({ type, bytes: data, offset, lease }, element, length),
      write: (data, offset, value) => {
        const items = value instanceof ArrayView ? value.toArray() : (value as readonly Init[]);
        for (const [index, item] of items.entries()) element[access].write(data, offset + index * byteLength, item);
      },
      check: (given, path) => {
        const value: unknown = given instanceof ArrayView ? given.toArray() : given;
        if (!Array.isArray(value) || value.length !== length) throw misfit(path, `an array of ${length}`, value);
        for (const [index, item] of value.entries()) element[access].check(item, `${path}[${index}]`);
      },
      read: (data, offset) => Array.from({ length }, (_, index) => element[access].read(data, offset + index * byteLength)),
    },
  };
  return type;
}

interface Field {
  readonly name: string;
  readonly type: AnyType;
  readonly offset: number;
}

/** Lays fields one behind the other, as `#[repr(C)]` does. */
function layOut(types: Record<string, AnyType>): { fields: Field[]; byteLength: number; byteAlign: number } {
  let end = 0;
  let byteAlign = 1;
  const fields = Object.entries(types).map(([name, type]) => {
    // An object has the names that are numbers first, whatever the order they were written in.
    if (/^\d+$/u.test(name)) throw new InvalidArgumentError(`a field can't be called ${name}`);
    const offset = Math.ceil(end / type.byteAlign) * type.byteAlign;
    end = offset + type.byteLength;
    byteAlign = Math.max(byteAlign, type.byteAlign);
    return { name, type, offset };
  });
  if (fields.length === 0) throw new InvalidArgumentError('a struct has a field or more');
  return { fields, byteLength: Math.ceil(end / byteAlign) * byteAlign, byteAlign };
}

/**
 * A struct with fields in this order. Its view is an object with the same fields: numbers are read and written by name, nested
 * structs are written from objects with all their fields.
 *
 * @throws InvalidArgumentError `INVALID_ARGUMENT` for a struct without fields, or a field whose name is a number
 */
export function struct<Fields extends Record<string, AnyType>>(types: Fields): StructType<Fields> {
  const { fields, byteLength, byteAlign } = layOut(types);
  class StructView extends View {}
  for (const { name, type, offset } of fields) {
    Object.defineProperty(StructView.prototype, name, {
      enumerable: true,
      get(this: object) {
        const place = placeOf(this);
        place.lease.checkRead();
        return type[access].view(place.bytes, place.offset + offset, place.lease);
      },
      set(this: object, value: unknown) {
        const place = placeOf(this);
        place.lease.checkWrite();
        type[access].check(value, name);
        type[access].write(place.bytes, place.offset + offset, value);
      },
    });
  }
  const structAccess: Access<unknown> = {
    // Extensible: to prevent that would cost more than all the rest of a short lock.
    view: (data, offset, lease) => new StructView({ type: result, bytes: data, offset, lease }),
    write: (data, offset, value) => {
      for (const field of fields) field.type[access].write(data, offset + field.offset, (value as Record<string, unknown>)[field.name]);
    },
    check: (value, path) => {
      if (typeof value !== 'object' || value === null) throw misfit(path, 'an object with the fields of the struct', value);
      for (const { name, type } of fields)
        type[access].check((value as Record<string, unknown>)[name], path === '' ? name : `${path}.${name}`);
    },
    read: (data, offset) => Object.fromEntries(fields.map(({ name, type, offset: at }) => [name, type[access].read(data, offset + at)])),
  };
  const result = {
    byteLength,
    byteAlign,
    signature: `{${fields.map(({ name, type }) => `${name}:${type.signature}`).join(',')}}`,
    offsets: Object.fromEntries(fields.map(({ name, offset }) => [name, offset])),
    [access]: structAccess,
  } as unknown as StructType<Fields>;
  return result;
}
