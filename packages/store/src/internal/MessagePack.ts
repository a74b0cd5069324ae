/**
 * MessagePack, the part of it that the wire uses: nil, booleans, integers, floats, strings, bytes, arrays and maps with string
 * keys. No extensions, no timestamps.
 *
 * Why not a package: rows are the hot path. This reader makes row objects straight from the bytes, gives integers back as SQLite
 * means them (`number` where exact, else `bigint`), and keeps −0 and NaN as the floats they are.
 *
 * Source: the MessagePack specification, https://github.com/msgpack/msgpack/blob/master/spec.md
 */

import type { Row, SqlValue } from '../SqlValue.ts';

/** What the wire can carry. */
export type Packed = undefined | boolean | SqlValue | readonly Packed[] | { readonly [name: string]: Packed };

const NIL = 0xc0;
const FALSE = 0xc2;
const TRUE = 0xc3;
const BIN_8 = 0xc4;
const BIN_16 = 0xc5;
const BIN_32 = 0xc6;
const FLOAT_32 = 0xca;
const FLOAT_64 = 0xcb;
const UINT_8 = 0xcc;
const UINT_16 = 0xcd;
const UINT_32 = 0xce;
const UINT_64 = 0xcf;
const INT_8 = 0xd0;
const INT_16 = 0xd1;
const INT_32 = 0xd2;
const INT_64 = 0xd3;
const STR_8 = 0xd9;
const STR_16 = 0xda;
const STR_32 = 0xdb;
const ARRAY_16 = 0xdc;
const ARRAY_32 = 0xdd;
const MAP_16 = 0xde;
const MAP_32 = 0xdf;

const SAFE_MAX = BigInt(Number.MAX_SAFE_INTEGER);
const SAFE_MIN = BigInt(Number.MIN_SAFE_INTEGER);

/** A UTF-16 unit takes at most three bytes of UTF-8. */
const UTF8_PER_UNIT = 3;

/** Up to this many bytes, a loop over ASCII beats a call of `TextDecoder`. */
const SHORT_TEXT = 24;

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

/** Encodes a value. Properties that are `undefined` are left out. */
export function pack(value: Packed): Uint8Array<ArrayBuffer> {
  const writer = new Writer();
  writer.write(value);
  return writer.finish();
}

class Writer {
  #bytes = new Uint8Array(256);
  #view = new DataView(this.#bytes.buffer);
  #length = 0;

  finish(): Uint8Array<ArrayBuffer> {
    return this.#bytes.subarray(0, this.#length);
  }

  write(value: Packed): void {
    switch (typeof value) {
      case 'undefined':
        return this.#byte(NIL);
      case 'boolean':
        return this.#byte(value ? TRUE : FALSE);
      case 'number':
        return this.#number(value);
      case 'bigint':
        return this.#integer64(value);
      case 'string':
        return this.#text(value);
      default:
        if (value === null) this.#byte(NIL);
        else if (value instanceof Uint8Array) this.#blob(value);
        else if (isArray(value)) this.#array(value);
        else this.#map(value);
    }
  }

  #number(value: number): void {
    if (!Number.isSafeInteger(value) || Object.is(value, -0)) {
      const at = this.#take(9);
      this.#bytes[at] = FLOAT_64;
      this.#view.setFloat64(at + 1, value);
    } else if (value >= -0x20 && value < 0x80) {
      this.#byte(value & 0xff);
    } else if (value >= -0x8000_0000 && value < 0x8000_0000) {
      const at = this.#take(5);
      this.#bytes[at] = INT_32;
      this.#view.setInt32(at + 1, value);
    } else {
      this.#integer64(BigInt(value));
    }
  }

  #integer64(value: bigint): void {
    const at = this.#take(9);
    this.#bytes[at] = INT_64;
    this.#view.setBigInt64(at + 1, value);
  }

  #text(text: string): void {
    // The length stands before the bytes, so room is made for the longest form and the header written afterwards.
    const header = text.length * UTF8_PER_UNIT < 0x100 ? 2 : 5;
    const at = this.#take(header + text.length * UTF8_PER_UNIT);
    const { written } = encoder.encodeInto(text, this.#bytes.subarray(at + header));
    if (header === 2) {
      this.#bytes[at] = STR_8;
      this.#bytes[at + 1] = written;
    } else {
      this.#bytes[at] = STR_32;
      this.#view.setUint32(at + 1, written);
    }
    this.#length = at + header + written;
  }

  #blob(bytes: Uint8Array): void {
    this.#head(BIN_32, bytes.length);
    const at = this.#take(bytes.length);
    this.#bytes.set(bytes, at);
  }

  #array(values: readonly Packed[]): void {
    this.#head(ARRAY_32, values.length);
    for (const value of values) this.write(value);
  }

  #map(object: { readonly [name: string]: Packed }): void {
    const entries = Object.entries(object).filter(([, value]) => value !== undefined);
    this.#head(MAP_32, entries.length);
    for (const [name, value] of entries) {
      this.#text(name);
      this.write(value);
    }
  }

  #head(tag: number, count: number): void {
    const at = this.#take(5);
    this.#bytes[at] = tag;
    this.#view.setUint32(at + 1, count);
  }

  #byte(byte: number): void {
    const at = this.#take(1);
    this.#bytes[at] = byte;
  }

  /** Reserves bytes and returns where they start. Called before `#bytes` and `#view` are touched: it may replace them. */
  #take(count: number): number {
    const start = this.#length;
    const end = start + count;
    if (end > this.#bytes.length) this.#grow(end);
    this.#length = end;
    return start;
  }

  #grow(needed: number): void {
    const grown = new Uint8Array(Math.max(needed, this.#bytes.length * 2));
    grown.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = grown;
    this.#view = new DataView(grown.buffer);
  }
}

function isArray(value: readonly Packed[] | { readonly [name: string]: Packed }): value is readonly Packed[] {
  return Array.isArray(value);
}

/** Reads one message. Blobs are copied out; nothing keeps the message's bytes alive. */
export class Reader {
  readonly #bytes: Uint8Array<ArrayBuffer>;
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Uint8Array<ArrayBuffer>) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** Whether an array comes next. */
  atArray(): boolean {
    const tag = this.#bytes[this.#at] ?? NIL;
    return (tag & 0xf0) === 0x90 || tag === ARRAY_16 || tag === ARRAY_32;
  }

  /** Reads the head of an array and returns how many values follow. */
  arrayLength(): number {
    const tag = this.#tag();
    if ((tag & 0xf0) === 0x90) return tag & 0x0f;
    if (tag === ARRAY_16) return this.#view.getUint16(this.#skip(2));
    if (tag === ARRAY_32) return this.#view.getUint32(this.#skip(4));
    throw malformed(`an array was expected, not 0x${tag.toString(16)}`);
  }

  /** Reads the head of a map and returns how many pairs follow. */
  mapLength(): number {
    const tag = this.#tag();
    if ((tag & 0xf0) === 0x80) return tag & 0x0f;
    if (tag === MAP_16) return this.#view.getUint16(this.#skip(2));
    if (tag === MAP_32) return this.#view.getUint32(this.#skip(4));
    throw malformed(`a map was expected, not 0x${tag.toString(16)}`);
  }

  /** Reads a string. */
  string(): string {
    const value = this.value();
    if (typeof value === 'string') return value;
    throw malformed('a string was expected');
  }

  /** Reads an array of arrays as row objects with the columns' names as properties. */
  rows(names: readonly string[]): Row[] {
    const count = this.arrayLength();
    const rows: Row[] = new Array(count);
    // Assigning to this one name would set the object's prototype and lose the value.
    const assign = names.includes('__proto__') ? defineColumn : setColumn;
    for (let index = 0; index < count; index++) {
      const width = this.arrayLength();
      if (width !== names.length) throw malformed(`a row has ${width} values for ${names.length} columns`);
      const row: Row = {};
      for (const name of names) assign(row, name, this.#sqlValue());
      rows[index] = row;
    }
    return rows;
  }

  #sqlValue(): SqlValue {
    const value = this.value();
    if (value === null || typeof value !== 'object') {
      if (typeof value === 'boolean') return value ? 1 : 0;
      return value ?? null;
    }
    if (value instanceof Uint8Array) return value;
    throw malformed('a row holds a value that is none of SQLite');
  }

  /** Reads any value. */
  value(): Packed {
    const tag = this.#tag();
    if (tag < 0x80) return tag;
    if (tag >= 0xe0) return tag - 0x100;
    if (tag >= 0xa0 && tag < 0xc0) return this.#text(tag & 0x1f);
    switch (tag) {
      case NIL:
        return null;
      case FALSE:
        return false;
      case TRUE:
        return true;
      case FLOAT_64:
        return this.#view.getFloat64(this.#skip(8));
      case FLOAT_32:
        return this.#view.getFloat32(this.#skip(4));
      case UINT_8:
        return this.#view.getUint8(this.#skip(1));
      case UINT_16:
        return this.#view.getUint16(this.#skip(2));
      case UINT_32:
        return this.#view.getUint32(this.#skip(4));
      case UINT_64:
        return exact(this.#view.getBigUint64(this.#skip(8)));
      case INT_8:
        return this.#view.getInt8(this.#skip(1));
      case INT_16:
        return this.#view.getInt16(this.#skip(2));
      case INT_32:
        return this.#view.getInt32(this.#skip(4));
      case INT_64:
        return exact(this.#view.getBigInt64(this.#skip(8)));
      case STR_8:
        return this.#text(this.#view.getUint8(this.#skip(1)));
      case STR_16:
        return this.#text(this.#view.getUint16(this.#skip(2)));
      case STR_32:
        return this.#text(this.#view.getUint32(this.#skip(4)));
      case BIN_8:
        return this.#blob(this.#view.getUint8(this.#skip(1)));
      case BIN_16:
        return this.#blob(this.#view.getUint16(this.#skip(2)));
      case BIN_32:
        return this.#blob(this.#view.getUint32(this.#skip(4)));
      default:
        this.#at--;
        return this.atArray() ? this.#array() : this.#map();
    }
  }

  #array(): Packed[] {
    const count = this.arrayLength();
    const values: Packed[] = [];
    for (let index = 0; index < count; index++) values.push(this.value());
    return values;
  }

  #map(): { readonly [name: string]: Packed } {
    const count = this.mapLength();
    const object: Record<string, Packed> = Object.create(null);
    for (let index = 0; index < count; index++) object[this.string()] = this.value();
    return object;
  }

  #text(length: number): string {
    const start = this.#skip(length);
    const end = start + length;
    if (length <= SHORT_TEXT) {
      let text = '';
      for (let at = start; at < end; at++) {
        const byte = this.#bytes[at] ?? 0;
        if (byte >= 0x80) return decoder.decode(this.#bytes.subarray(start, end));
        text += String.fromCharCode(byte);
      }
      return text;
    }
    return decoder.decode(this.#bytes.subarray(start, end));
  }

  #blob(length: number): Uint8Array {
    const start = this.#skip(length);
    return this.#bytes.slice(start, start + length);
  }

  #tag(): number {
    return this.#view.getUint8(this.#skip(1));
  }

  /** Passes over bytes and returns where they start. */
  #skip(count: number): number {
    const start = this.#at;
    this.#at = start + count;
    if (this.#at > this.#bytes.length) throw malformed('the message ends too early');
    return start;
  }
}

function setColumn(row: Row, name: string, value: SqlValue): void {
  row[name] = value;
}

function defineColumn(row: Row, name: string, value: SqlValue): void {
  Object.defineProperty(row, name, { value, writable: true, enumerable: true, configurable: true });
}

function exact(value: bigint): number | bigint {
  return value >= SAFE_MIN && value <= SAFE_MAX ? Number(value) : value;
}

function malformed(what: string): RangeError {
  return new RangeError(`malformed MessagePack: ${what}`);
}
