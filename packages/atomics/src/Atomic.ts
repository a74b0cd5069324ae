/**
 * Atomic cells of every width: one value at a place in shared memory that changes as a whole. `AtomicU32` is Rust's
 * `core::sync::atomic::AtomicU32` in the same bytes, and so are the others; those of floating point numbers are the bits of
 * `f32::to_bits` in an `AtomicU32`, of `f64::to_bits` in an `AtomicU64`.
 *
 * Constructing doesn't write, and zeroed bytes are 0 (`false`). A cell is as large as its value, and aligned to that. Every
 * operation is SeqCst, so what was written before a store is seen by whoever loads what it stored. `add` and its kin give the value
 * before, as the platform's `Atomics` do.
 */
import { InvalidArgumentError } from './errors.ts';
import { AtomicCell, AtomicInteger, type CellLayout, WaitableInteger } from './internal/AtomicCell.ts';
import type { SharedLocation } from './internal/location.ts';

/** A signed integer of 8 bits. */
export class AtomicI8 extends AtomicInteger<'heddle.AtomicI8', number> {
  /** How the cell lies in memory. */
  static readonly layout: CellLayout<'heddle.AtomicI8'> = { kind: 'heddle.AtomicI8', array: Int8Array, size: 1 };

  /** @throws InvalidRecordError `INVALID_RECORD` for a place where it can't be */
  constructor(location?: SharedLocation) {
    super(AtomicI8.layout, location, -(2 ** 7), 2 ** 7 - 1);
  }
}

/** An unsigned integer of 8 bits. */
export class AtomicU8 extends AtomicInteger<'heddle.AtomicU8', number> {
  /** How the cell lies in memory. */
  static readonly layout: CellLayout<'heddle.AtomicU8'> = { kind: 'heddle.AtomicU8', array: Uint8Array, size: 1 };

  /** @throws InvalidRecordError `INVALID_RECORD` for a place where it can't be */
  constructor(location?: SharedLocation) {
    super(AtomicU8.layout, location, 0, 2 ** 8 - 1);
  }
}

/** A signed integer of 16 bits. */
export class AtomicI16 extends AtomicInteger<'heddle.AtomicI16', number> {
  /** How the cell lies in memory. */
  static readonly layout: CellLayout<'heddle.AtomicI16'> = { kind: 'heddle.AtomicI16', array: Int16Array, size: 2 };

  /** @throws InvalidRecordError `INVALID_RECORD` for a place where it can't be */
  constructor(location?: SharedLocation) {
    super(AtomicI16.layout, location, -(2 ** 15), 2 ** 15 - 1);
  }
}

/** An unsigned integer of 16 bits. */
export class AtomicU16 extends AtomicInteger<'heddle.AtomicU16', number> {
  /** How the cell lies in memory. */
  static readonly layout: CellLayout<'heddle.AtomicU16'> = { kind: 'heddle.AtomicU16', array: Uint16Array, size: 2 };

  /** @throws InvalidRecordError `INVALID_RECORD` for a place where it can't be */
  constructor(location?: SharedLocation) {
    super(AtomicU16.layout, location, 0, 2 ** 16 - 1);
  }
}

/** A signed integer of 32 bits, which threads can wait on. */
export class AtomicI32 extends WaitableInteger<'heddle.AtomicI32', number> {
  /** How the cell lies in memory. */
  static readonly layout: CellLayout<'heddle.AtomicI32'> = { kind: 'heddle.AtomicI32', array: Int32Array, size: 4 };

  /** @throws InvalidRecordError `INVALID_RECORD` for a place where it can't be */
  constructor(location?: SharedLocation) {
    super(AtomicI32.layout, location, -(2 ** 31), 2 ** 31 - 1);
  }
}

/** An unsigned integer of 32 bits, which threads can wait on. */
export class AtomicU32 extends WaitableInteger<'heddle.AtomicU32', number> {
  /** How the cell lies in memory. */
  static readonly layout: CellLayout<'heddle.AtomicU32'> = { kind: 'heddle.AtomicU32', array: Uint32Array, size: 4 };

  /** @throws InvalidRecordError `INVALID_RECORD` for a place where it can't be */
  constructor(location?: SharedLocation) {
    super(AtomicU32.layout, location, 0, 2 ** 32 - 1);
  }
}

/** A signed integer of 64 bits, which threads can wait on. Rust can wait on it in Wasm only, and not through this family. */
export class AtomicI64 extends WaitableInteger<'heddle.AtomicI64', bigint> {
  /** How the cell lies in memory. */
  static readonly layout: CellLayout<'heddle.AtomicI64'> = { kind: 'heddle.AtomicI64', array: BigInt64Array, size: 8 };

  /** @throws InvalidRecordError `INVALID_RECORD` for a place where it can't be */
  constructor(location?: SharedLocation) {
    super(AtomicI64.layout, location, -(2n ** 63n), 2n ** 63n - 1n);
  }
}

/** An unsigned integer of 64 bits, which threads can wait on. Rust can wait on it in Wasm only, and not through this family. */
export class AtomicU64 extends WaitableInteger<'heddle.AtomicU64', bigint> {
  /** How the cell lies in memory. */
  static readonly layout: CellLayout<'heddle.AtomicU64'> = { kind: 'heddle.AtomicU64', array: BigUint64Array, size: 8 };

  /** @throws InvalidRecordError `INVALID_RECORD` for a place where it can't be */
  constructor(location?: SharedLocation) {
    super(AtomicU64.layout, location, 0n, 2n ** 64n - 1n);
  }
}

/** Rust has no other bytes than 0 and 1 for a truth value. */
function byteOf(value: boolean): number {
  if (typeof value !== 'boolean') throw new InvalidArgumentError(`a truth value is true or false, not ${typeof value}`);
  return value ? 1 : 0;
}

/** A truth value, one byte. */
export class AtomicBool extends AtomicCell<'heddle.AtomicBool', boolean> {
  /** How the cell lies in memory. */
  static readonly layout: CellLayout<'heddle.AtomicBool'> = { kind: 'heddle.AtomicBool', array: Uint8Array, size: 1 };
  readonly #byte: Uint8Array;

  /** @throws InvalidRecordError `INVALID_RECORD` for a place where it can't be */
  constructor(location?: SharedLocation) {
    super(AtomicBool.layout, location);
    this.#byte = this.array as Uint8Array;
  }

  /** The value. */
  load(): boolean {
    return Atomics.load(this.#byte, 0) !== 0;
  }

  /** Writes `value`. */
  store(value: boolean): void {
    Atomics.store(this.#byte, 0, byteOf(value));
  }

  /** Writes `value`; the one before. */
  exchange(value: boolean): boolean {
    return Atomics.exchange(this.#byte, 0, byteOf(value)) !== 0;
  }

  /** Writes `value` if the cell has `expected`; what it had: `expected` exactly if it was written. */
  compareExchange(expected: boolean, value: boolean): boolean {
    return Atomics.compareExchange(this.#byte, 0, byteOf(expected), byteOf(value)) !== 0;
  }

  /** Becomes `true` if it was and `value` is; the value before. */
  and(value: boolean): boolean {
    return Atomics.and(this.#byte, 0, byteOf(value)) !== 0;
  }

  /** Becomes `true` if it was or `value` is; the value before. */
  or(value: boolean): boolean {
    return Atomics.or(this.#byte, 0, byteOf(value)) !== 0;
  }

  /** Becomes `true` if it differed from `value`; the value before. */
  xor(value: boolean): boolean {
    return Atomics.xor(this.#byte, 0, byteOf(value)) !== 0;
  }
}

/** What turns floating point numbers into the bits that `Atomics` can work on, and back. */
const f32 = new Float32Array(1);
const f32Bits = new Int32Array(f32.buffer);
const f64 = new Float64Array(1);
const f64Bits = new BigInt64Array(f64.buffer);

function checkNumber(value: number): void {
  if (typeof value !== 'number') throw new InvalidArgumentError(`a floating point cell takes a number, not ${typeof value}`);
}

function bitsOfF32(value: number): number {
  checkNumber(value);
  f32[0] = value;
  return f32Bits[0]!;
}

function f32OfBits(bits: number): number {
  f32Bits[0] = bits;
  return f32[0]!;
}

function bitsOfF64(value: number): bigint {
  checkNumber(value);
  f64[0] = value;
  return f64Bits[0]!;
}

function f64OfBits(bits: bigint): number {
  f64Bits[0] = bits;
  return f64[0]!;
}

/** A floating point number of 32 bits. What is stored is rounded to that. */
export class AtomicF32 extends AtomicCell<'heddle.AtomicF32', number> {
  /** How the cell lies in memory. */
  static readonly layout: CellLayout<'heddle.AtomicF32'> = { kind: 'heddle.AtomicF32', array: Int32Array, size: 4 };
  readonly #bits: Int32Array;

  /** @throws InvalidRecordError `INVALID_RECORD` for a place where it can't be */
  constructor(location?: SharedLocation) {
    super(AtomicF32.layout, location);
    this.#bits = this.array as Int32Array;
  }

  /** The value. */
  load(): number {
    return f32OfBits(Atomics.load(this.#bits, 0));
  }

  /** Writes `value`. */
  store(value: number): void {
    Atomics.store(this.#bits, 0, bitsOfF32(value));
  }

  /** Writes `value`; the one before. */
  exchange(value: number): number {
    return f32OfBits(Atomics.exchange(this.#bits, 0, bitsOfF32(value)));
  }

  /** Writes `value` if the cell has the bits of `expected` (0 is not -0 then); what it had. */
  compareExchange(expected: number, value: number): number {
    const bits = bitsOfF32(value);
    return f32OfBits(Atomics.compareExchange(this.#bits, 0, bitsOfF32(expected), bits));
  }

  /** Adds `value`; the value before. */
  add(value: number): number {
    let bits = Atomics.load(this.#bits, 0);
    for (;;) {
      const before = f32OfBits(bits);
      const seen = Atomics.compareExchange(this.#bits, 0, bits, bitsOfF32(before + value));
      if (seen === bits) return before;
      bits = seen;
    }
  }

  /** Takes `value` off; the value before. */
  sub(value: number): number {
    return this.add(-value);
  }
}

/** A floating point number of 64 bits. */
export class AtomicF64 extends AtomicCell<'heddle.AtomicF64', number> {
  /** How the cell lies in memory. */
  static readonly layout: CellLayout<'heddle.AtomicF64'> = { kind: 'heddle.AtomicF64', array: BigInt64Array, size: 8 };
  readonly #bits: BigInt64Array;

  /** @throws InvalidRecordError `INVALID_RECORD` for a place where it can't be */
  constructor(location?: SharedLocation) {
    super(AtomicF64.layout, location);
    this.#bits = this.array as BigInt64Array;
  }

  /** The value. */
  load(): number {
    return f64OfBits(Atomics.load(this.#bits, 0));
  }

  /** Writes `value`. */
  store(value: number): void {
    Atomics.store(this.#bits, 0, bitsOfF64(value));
  }

  /** Writes `value`; the one before. */
  exchange(value: number): number {
    return f64OfBits(Atomics.exchange(this.#bits, 0, bitsOfF64(value)));
  }

  /** Writes `value` if the cell has the bits of `expected` (0 is not -0 then); what it had. */
  compareExchange(expected: number, value: number): number {
    const bits = bitsOfF64(value);
    return f64OfBits(Atomics.compareExchange(this.#bits, 0, bitsOfF64(expected), bits));
  }

  /** Adds `value`; the value before. */
  add(value: number): number {
    let bits = Atomics.load(this.#bits, 0);
    for (;;) {
      const before = f64OfBits(bits);
      const seen = Atomics.compareExchange(this.#bits, 0, bits, bitsOfF64(before + value));
      if (seen === bits) return before;
      bits = seen;
    }
  }

  /** Takes `value` off; the value before. */
  sub(value: number): number {
    return this.add(-value);
  }
}
