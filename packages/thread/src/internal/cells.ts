/**
 * Small values as cells of shared memory, exactly as structured clone would copy them.
 *
 * A value is a cell of 8 bytes with its tag and its length, and what it holds in the cells behind it: a number or a bigint in one
 * cell, a text as UTF-16 in as many as it takes (so that half a surrogate pair stays one), the elements of an array and the keys and
 * values of an object one behind the other. An error is its name, its message, its stack and, if it has one, its cause.
 *
 * What isn't surely the same at the other end is refused, and goes by message: objects of a class, typed arrays, buffers, maps, dates,
 * two references to one object, arrays with holes, large values. Writing may call getters, as structured clone does.
 */

const TAG_UNDEFINED = 0;
const TAG_NULL = 1;
const TAG_FALSE = 2;
const TAG_TRUE = 3;
const TAG_NUMBER = 4;
const TAG_BIGINT = 5;
const TAG_TEXT = 6;
const TAG_ARRAY = 7;
const TAG_OBJECT = 8;
const TAG_ERROR = 9;

/** What is nested deeper goes by message. */
const DEPTH_MAX = 16;

/** The names that structured clone keeps of errors; others become `Error`. */
const ERRORS: ReadonlyMap<string, ErrorConstructor> = new Map(
  [Error, EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError].map((type) => [type.name, type]),
);

/** Views of the same cells. */
export class Cells {
  readonly #count: number;
  readonly #words: Int32Array;
  readonly #units: Uint16Array;
  readonly #numbers: Float64Array;
  readonly #bigints: BigInt64Array;
  /** The next cell to write or to read. */
  #at = 0;
  /** Objects in the value that is being written. */
  #seen: Set<object> | undefined;

  constructor(buffer: SharedArrayBuffer, byteOffset: number, byteLength: number) {
    this.#count = byteLength / 8;
    this.#words = new Int32Array(buffer, byteOffset, this.#count * 2);
    this.#units = new Uint16Array(buffer, byteOffset, this.#count * 4);
    this.#numbers = new Float64Array(buffer, byteOffset, this.#count);
    this.#bigints = new BigInt64Array(buffer, byteOffset, this.#count);
  }

  /** Writes a value over what was there; `false` if it can't be written, and what is there is of no use. */
  write(value: unknown): boolean {
    this.#at = 0;
    this.#seen = undefined;
    const isWritten = this.#write(value, 0);
    this.#seen = undefined;
    return isWritten;
  }

  /** The value that was written. */
  read(): unknown {
    this.#at = 0;
    return this.#read();
  }

  #write(value: unknown, depth: number): boolean {
    switch (typeof value) {
      case 'undefined':
        return this.#head(TAG_UNDEFINED, 0, 0);
      case 'boolean':
        return this.#head(value ? TAG_TRUE : TAG_FALSE, 0, 0);
      case 'number':
        if (!this.#head(TAG_NUMBER, 0, 1)) return false;
        this.#numbers[this.#at] = value;
        this.#at += 1;
        return true;
      case 'bigint':
        if (BigInt.asIntN(64, value) !== value || !this.#head(TAG_BIGINT, 0, 1)) return false;
        this.#bigints[this.#at] = value;
        this.#at += 1;
        return true;
      case 'string':
        return this.#writeText(value);
      case 'object':
        return value === null ? this.#head(TAG_NULL, 0, 0) : this.#writeObject(value, depth);
      default:
        return false;
    }
  }

  /** Writes the first cell of a value, where there is room for it and for `cells` more. */
  #head(tag: number, length: number, cells: number): boolean {
    if (this.#at + 1 + cells > this.#count) return false;
    this.#words[this.#at * 2] = tag;
    this.#words[this.#at * 2 + 1] = length;
    this.#at += 1;
    return true;
  }

  #writeText(text: string): boolean {
    const { length } = text;
    const cells = Math.ceil(length / 4);
    if (!this.#head(TAG_TEXT, length, cells)) return false;
    const start = this.#at * 4;
    for (let i = 0; i < length; i += 1) this.#units[start + i] = text.charCodeAt(i);
    this.#at += cells;
    return true;
  }

  #writeObject(value: object, depth: number): boolean {
    this.#seen ??= new Set();
    if (depth === DEPTH_MAX || this.#seen.has(value)) return false;
    this.#seen.add(value);
    if (Array.isArray(value)) return this.#writeArray(value, depth);
    const prototype: unknown = Object.getPrototypeOf(value);
    if (prototype === Object.prototype || prototype === null) return this.#writeRecord(value as Record<string, unknown>, depth);
    return value instanceof Error && this.#writeError(value, depth);
  }

  #writeArray(value: readonly unknown[], depth: number): boolean {
    const { length } = value;
    // Neither holes nor properties beside the elements; each element takes a cell at least.
    if (length > this.#count || Object.keys(value).length !== length || !this.#head(TAG_ARRAY, length, length)) return false;
    for (const element of value) {
      if (!this.#write(element, depth + 1)) return false;
    }
    return true;
  }

  #writeRecord(value: Record<string, unknown>, depth: number): boolean {
    // Where a class of the platform has no prototype of its own here, its tag tells.
    if (Symbol.toStringTag in value) return false;
    const keys = Object.keys(value);
    if (!this.#head(TAG_OBJECT, keys.length, keys.length * 2)) return false;
    for (const key of keys) {
      if (key === '__proto__' || !this.#writeText(key) || !this.#write(value[key], depth + 1)) return false;
    }
    return true;
  }

  #writeError(error: Error, depth: number): boolean {
    if (Object.prototype.toString.call(error) !== '[object Error]') return false;
    const parts = [error.name, error.message, error.stack, ...(Object.hasOwn(error, 'cause') ? [error.cause] : [])];
    return this.#head(TAG_ERROR, parts.length, parts.length) && parts.every((part) => this.#write(part, depth + 1));
  }

  #read(): unknown {
    const tag = this.#words[this.#at * 2];
    const length = this.#words[this.#at * 2 + 1]!;
    this.#at += 1;
    switch (tag) {
      case TAG_NULL:
        return null;
      case TAG_FALSE:
        return false;
      case TAG_TRUE:
        return true;
      case TAG_NUMBER:
        this.#at += 1;
        return this.#numbers[this.#at - 1];
      case TAG_BIGINT:
        this.#at += 1;
        return this.#bigints[this.#at - 1];
      case TAG_TEXT:
        return this.#readText(length);
      case TAG_ARRAY:
        return Array.from({ length }, () => this.#read());
      case TAG_OBJECT:
        return this.#readRecord(length);
      case TAG_ERROR:
        return this.#readError(length);
      default:
        return undefined;
    }
  }

  #readText(length: number): string {
    const start = this.#at * 4;
    this.#at += Math.ceil(length / 4);
    return String.fromCharCode(...this.#units.subarray(start, start + length));
  }

  #readRecord(length: number): Record<string, unknown> {
    const value: Record<string, unknown> = {};
    for (let i = 0; i < length; i += 1) {
      const key = this.#read() as string;
      value[key] = this.#read();
    }
    return value;
  }

  #readError(length: number): Error {
    const name = this.#read() as string;
    const message = this.#read() as string;
    const stack = this.#read();
    const error = new (ERRORS.get(name) ?? Error)(message, length > 3 ? { cause: this.#read() } : undefined);
    if (typeof stack === 'string') error.stack = stack;
    else delete error.stack;
    return error;
  }
}
