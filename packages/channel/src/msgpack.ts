/**
 * Values as MessagePack, which Rust reads and writes with serde: `heddle_channel::msgpack`.
 *
 * ## What arrives
 * | sent from TypeScript | in Rust | back in TypeScript |
 * | --- | --- | --- |
 * | `null`, `undefined` | `None`, `()` | `null`; a property that is `undefined` is left out |
 * | boolean, string | `bool`, `String` | the same |
 * | number that is an integer | any integer type that has it, `f32`, `f64` | the same; `-0` becomes `0` |
 * | other number | `f64`, `f32` | the same |
 * | bigint of 64 bits | any integer type that has it | number if that is exact (`Number.isSafeInteger`), else bigint |
 * | `Uint8Array` | `serde_bytes::ByteBuf`; `Vec<u8>` | `Uint8Array`; an array of numbers |
 * | `Date` | `msgpack::Timestamp` | `Date`, to the millisecond |
 * | array | `Vec`, tuple | the same, its holes `null` |
 * | object | struct, map with keys that are texts or numbers | object without a class |
 * | `ExtData` of another type | – | the same |
 *
 * MessagePack has one kind of integer, so that `5n` comes back as `5`; where the difference counts, take `structuredCodec`.
 * What would lose more is refused when it is sent: `Map`, `Set`, `ArrayBuffer`, other typed arrays, `RegExp`, `Error`, functions,
 * symbols, bigints beyond 64 bits, dates that are none, a property `__proto__`, and cycles, which are deeper than 256.
 *
 * What is received was checked before anything is made of it: see `internal/messagepack.ts`.
 *
 * @module
 */
import { Decoder, Encoder, ExtData, ExtensionCodec, type ExtensionCodecType } from '@msgpack/msgpack';
import { type Codec } from './Codec.ts';
import { DEPTH_MAX, inspect, isSafe } from './internal/messagepack.ts';

export { ExtData } from '@msgpack/msgpack';

const NOTHING = new Uint8Array(0);

/** Set when what is being encoded has a bigint. */
let hasBigint = false;

const extensions: ExtensionCodecType<undefined> = {
  tryToEncode: (value) => {
    if (typeof value === 'bigint') {
      checkRange(value);
      hasBigint = true;
      // Only a placeholder: the value is encoded once more.
      return new ExtData(0, NOTHING);
    }
    return isPlain(value) ? null : ExtensionCodec.defaultCodec.tryToEncode(value, undefined);
  },
  decode: (data, type) => ExtensionCodec.defaultCodec.decode(data, type, undefined),
};

const encoderOptions = { extensionCodec: extensions, maxDepth: DEPTH_MAX, ignoreUndefined: true };
// The library writes large integers either from numbers or from bigints; a value with both is made all bigints.
const encoder = new Encoder(encoderOptions);
const bigintEncoder = new Encoder({ ...encoderOptions, useBigInt64: true });

const decoderOptions = { extensionCodec: extensions, mapKeyConverter: keyOf };
const decoder = new Decoder(decoderOptions);
const bigintDecoder = new Decoder({ ...decoderOptions, useBigInt64: true });

/**
 * Messages are MessagePack. The other end may be Rust's `heddle_channel::msgpack`.
 *
 * The type is the caller's claim: what is received is MessagePack, but not checked to be a `T`.
 */
export function msgpackCodec<T>(): Codec<T> {
  return { name: 'msgpack', encode, decode: (bytes) => decode(bytes) as T };
}

function encode(value: unknown): Uint8Array {
  const outer = hasBigint;
  hasBigint = false;
  try {
    const bytes = encoder.encode(value);
    return hasBigint ? bigintEncoder.encode(widened(value)) : bytes;
  } finally {
    // A property that is computed may have sent a message of its own.
    hasBigint = outer;
  }
}

function decode(bytes: Uint8Array): unknown {
  return inspect(bytes) === 'beyond' ? narrowed(bigintDecoder.decode(bytes)) : decoder.decode(bytes);
}

function checkRange(value: bigint): void {
  if (BigInt.asIntN(64, value) !== value && BigInt.asUintN(64, value) !== value) {
    throw new RangeError('MessagePack holds integers of 64 bits');
  }
}

/** Whether a value is written without an extension; throws if it isn't written at all. */
function isPlain(value: unknown): boolean {
  if (Array.isArray(value) || value instanceof Uint8Array) return true;
  if (value instanceof ExtData) return false;
  const tag = Object.getPrototypeOf(value) === Object.prototype ? 'Object' : tagOf(value);
  if (tag === 'Date') {
    if (Number.isNaN((value as Date).getTime())) throw new RangeError('the date is none');
    return false;
  }
  if (tag !== 'Object') throw new TypeError(`MessagePack has nothing for ${tag}; send an object, an array or a Uint8Array in its place`);
  if (Object.hasOwn(value as object, '__proto__')) throw new TypeError("a property '__proto__' is not received");
  return true;
}

/** What a value is by its nature, whatever its class. */
function tagOf(value: unknown): string {
  return Object.prototype.toString.call(value).slice('[object '.length, -1);
}

/** The value with integers beyond 32 bits as bigints. */
function widened(value: unknown): unknown {
  if (typeof value === 'number') {
    return Number.isSafeInteger(value) && (value >= 2 ** 32 || value < -(2 ** 31)) ? BigInt(value) : value;
  }
  if (Array.isArray(value)) return value.map(widened);
  if (!isRecord(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, element]) => [key, widened(element)]));
}

/** The value, in place, with bigints as numbers where that is exact. */
function narrowed(value: unknown): unknown {
  if (typeof value === 'bigint') return isSafe(value) ? Number(value) : value;
  if (Array.isArray(value)) {
    for (const [i, element] of value.entries()) value[i] = narrowed(element);
  } else if (isRecord(value)) {
    for (const key of Object.keys(value)) value[key] = narrowed(value[key]);
  }
  return value;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return tagOf(value) === 'Object' && !(value instanceof ExtData);
}

function keyOf(key: unknown): string | number {
  if (typeof key === 'string' || typeof key === 'number') return key;
  if (typeof key === 'bigint') return String(key);
  throw new TypeError('a key of an object is a text or a number');
}
