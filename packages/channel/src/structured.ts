/**
 * Values as structured clone takes them, between TypeScript threads: typed arrays of every type and their buffers, `Map`, `Set`,
 * `Date`, `RegExp`, `Error`, bigint, `undefined`, `NaN`, `-0`, holes of arrays, and references to one object from many places,
 * cycles among them.
 *
 * ## A message
 * | bytes | |
 * | --- | --- |
 * | 4 | the length of the text, little-endian |
 * | that many | the text, JSON in UTF-8 as `devalue` writes it; a buffer in it is its place and its length in what follows |
 * | the rest | the bytes of the buffers, one behind the other |
 *
 * ## What differs from `postMessage`
 * - Nothing is transferred, and a `SharedArrayBuffer` is refused: post it once, or send its bytes.
 * - Objects of a class are refused, where structured clone drops the class. So are objects with a property `__proto__` or with
 *   symbols as keys.
 * - A view takes its whole buffer along, as there. Send `view.slice()` of a small part.
 *
 * - An `Error` keeps its name, message, stack and cause, nothing else; one that is its own cause can't be read.
 *
 * What is received is not believed: buffers together are no longer than the message, and the holes of an array cost nothing.
 *
 * @module
 */
import { parse, stringify } from 'devalue';
import { type Codec } from './Codec.ts';

const LENGTH_SIZE = 4;

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * Messages are what structured clone takes.
 *
 * The type is the caller's claim: what is received is a value, but not checked to be a `T`.
 */
export function structuredCodec<T>(): Codec<T> {
  return { name: 'structured', encode, decode: (bytes) => decode(bytes) as T };
}

function encode(value: unknown): Uint8Array {
  const buffers: Uint8Array[] = [];
  let size = 0;
  const place = (thing: unknown): unknown => {
    if (Object.prototype.toString.call(thing) !== '[object ArrayBuffer]') return undefined;
    const buffer = new Uint8Array(thing as ArrayBuffer);
    const start = size;
    buffers.push(buffer);
    size += buffer.length;
    return [start, buffer.length];
  };
  // By its name it stands for what devalue would write itself, in base64; views refer to it as they would to that.
  const text = encoder.encode(stringify(value, { ArrayBuffer: place, Error: partsOf }));
  const message = new Uint8Array(LENGTH_SIZE + text.length + size);
  new DataView(message.buffer).setUint32(0, text.length, true);
  message.set(text, LENGTH_SIZE);
  let at = LENGTH_SIZE + text.length;
  for (const buffer of buffers) {
    message.set(buffer, at);
    at += buffer.length;
  }
  return message;
}

function decode(message: Uint8Array<ArrayBuffer>): unknown {
  const textLength = new DataView(message.buffer, message.byteOffset, message.byteLength).getUint32(0, true);
  if (textLength > message.length - LENGTH_SIZE) throw new RangeError('the text is longer than the message');
  const text = decoder.decode(message.subarray(LENGTH_SIZE, LENGTH_SIZE + textLength));
  const bytes = message.subarray(LENGTH_SIZE + textLength);
  let size = 0;
  const bufferAt = (payload: unknown): ArrayBuffer => {
    const [start, length] = payload as [number, number];
    if (!isCount(start) || !isCount(length) || start + length > bytes.length) throw new RangeError('a buffer lies outside of the message');
    // Many buffers in the same place would be more than the message.
    size += length;
    if (size > bytes.length) throw new RangeError('the buffers overlap');
    return bytes.slice(start, start + length).buffer;
  };
  const value: unknown = parse(text, { ArrayBuffer: bufferAt, Error: errorOf });
  if (size !== bytes.length) throw new RangeError('the message has bytes that no buffer has');
  return value;
}

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;

interface ErrorParts {
  readonly name: string;
  readonly message: string;
  readonly stack?: string | undefined;
  readonly cause?: unknown;
}

const errorTypes: ReadonlyMap<string, ErrorConstructor> = new Map(
  [Error, EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError].map((type) => [type.name, type]),
);

function partsOf(thing: unknown): unknown {
  if (!(thing instanceof Error)) return undefined;
  const { name, message, stack } = thing;
  const parts: ErrorParts = { name, message, stack };
  return 'cause' in thing ? { ...parts, cause: thing.cause } : parts;
}

function errorOf(payload: unknown): Error {
  const { name, message, stack, ...rest } = payload as ErrorParts;
  const error = new (errorTypes.get(name) ?? Error)(message, rest);
  // As structured clone has it, a name that is not of the language is Error's.
  if (typeof stack === 'string') error.stack = stack;
  return error;
}
