/** The types of single numbers and truth values in shared bytes. They are written only with what fits, and little-endian. */
import { type Access, type SharedType, access, misfit } from './SharedType.ts';

/** A type whose views are its values. */
export type Scalar<Value> = SharedType<Value, Value, Value>;

function scalar<Value>(
  signature: string,
  byteLength: number,
  check: (value: unknown, path: string) => void,
  read: (bytes: DataView, offset: number) => Value,
  write: (bytes: DataView, offset: number, value: Value) => void,
): Scalar<Value> {
  const typeAccess: Access<Value> = { view: read, read, check, write: (bytes, offset, value) => write(bytes, offset, value as Value) };
  return { byteLength, byteAlign: byteLength, signature, [access]: typeAccess };
}

function integer(signature: string, bits: number, isSigned: boolean): (value: unknown, path: string) => void {
  const min = isSigned ? -(2 ** (bits - 1)) : 0;
  const max = isSigned ? 2 ** (bits - 1) - 1 : 2 ** bits - 1;
  return (value, path) => {
    if (!Number.isInteger(value) || (value as number) < min || (value as number) > max) {
      throw misfit(path, `${signature}, a whole number from ${min} to ${max}`, value);
    }
  };
}

function bigInteger(signature: string, min: bigint, max: bigint): (value: unknown, path: string) => void {
  return (value, path) => {
    if (typeof value !== 'bigint' || value < min || value > max) throw misfit(path, `${signature}, a bigint from ${min} to ${max}`, value);
  };
}

function numeric(value: unknown, path: string): void {
  if (typeof value !== 'number') throw misfit(path, 'a number', value);
}

function truth(value: unknown, path: string): void {
  if (typeof value !== 'boolean') throw misfit(path, 'true or false', value);
}

/** A signed integer of 8 bits. */
export const i8: Scalar<number> = scalar(
  'i8',
  1,
  integer('i8', 8, true),
  (bytes, at) => bytes.getInt8(at),
  (bytes, at, value) => bytes.setInt8(at, value),
);
/** An unsigned integer of 8 bits. */
export const u8: Scalar<number> = scalar(
  'u8',
  1,
  integer('u8', 8, false),
  (bytes, at) => bytes.getUint8(at),
  (bytes, at, value) => bytes.setUint8(at, value),
);
/** A signed integer of 16 bits. */
export const i16: Scalar<number> = scalar(
  'i16',
  2,
  integer('i16', 16, true),
  (bytes, at) => bytes.getInt16(at, true),
  (bytes, at, value) => bytes.setInt16(at, value, true),
);
/** An unsigned integer of 16 bits. */
export const u16: Scalar<number> = scalar(
  'u16',
  2,
  integer('u16', 16, false),
  (bytes, at) => bytes.getUint16(at, true),
  (bytes, at, value) => bytes.setUint16(at, value, true),
);
/** A signed integer of 32 bits. */
export const i32: Scalar<number> = scalar(
  'i32',
  4,
  integer('i32', 32, true),
  (bytes, at) => bytes.getInt32(at, true),
  (bytes, at, value) => bytes.setInt32(at, value, true),
);
/** An unsigned integer of 32 bits. */
export const u32: Scalar<number> = scalar(
  'u32',
  4,
  integer('u32', 32, false),
  (bytes, at) => bytes.getUint32(at, true),
  (bytes, at, value) => bytes.setUint32(at, value, true),
);
/** A signed integer of 64 bits. */
export const i64: Scalar<bigint> = scalar(
  'i64',
  8,
  bigInteger('i64', -(2n ** 63n), 2n ** 63n - 1n),
  (bytes, at) => bytes.getBigInt64(at, true),
  (bytes, at, value) => bytes.setBigInt64(at, value, true),
);
/** An unsigned integer of 64 bits. */
export const u64: Scalar<bigint> = scalar(
  'u64',
  8,
  bigInteger('u64', 0n, 2n ** 64n - 1n),
  (bytes, at) => bytes.getBigUint64(at, true),
  (bytes, at, value) => bytes.setBigUint64(at, value, true),
);
/** A floating point number of 32 bits; what is written is rounded to that. */
export const f32: Scalar<number> = scalar(
  'f32',
  4,
  numeric,
  (bytes, at) => bytes.getFloat32(at, true),
  (bytes, at, value) => bytes.setFloat32(at, value, true),
);
/** A floating point number of 64 bits. */
export const f64: Scalar<number> = scalar(
  'f64',
  8,
  numeric,
  (bytes, at) => bytes.getFloat64(at, true),
  (bytes, at, value) => bytes.setFloat64(at, value, true),
);
/** A truth value, one byte that is 0 or 1. */
export const bool: Scalar<boolean> = scalar(
  'bool',
  1,
  truth,
  (bytes, at) => bytes.getUint8(at) !== 0,
  (bytes, at, value) => bytes.setUint8(at, Number(value)),
);
