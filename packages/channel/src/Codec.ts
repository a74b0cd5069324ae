/**
 * How values become the bytes of messages and values again.
 *
 * A codec has a name, which goes with each handle: the end that opens the handle must use the same one. Bring your own by
 * giving an object of this shape.
 */

/** Turns values of type `T` into bytes and back. */
export interface Codec<T> {
  /** Tells codecs apart; both ends must agree. */
  readonly name: string;
  /**
   * The bytes of a value. They are copied before the call that sends them returns; values that one call sends have bytes of their own. Throws
   * if it has none.
   */
  encode(value: T): Uint8Array;
  /** The value in bytes that belong to the receiver alone. May throw if there is none. */
  decode(bytes: Uint8Array<ArrayBuffer>): T;
}

/** Messages are bytes. */
export const bytesCodec: Codec<Uint8Array> = {
  name: 'bytes',
  encode: (value) => value,
  decode: (bytes) => bytes,
};

const encoder = new TextEncoder();
// A mark at the beginning is part of the text.
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Messages are texts, as UTF-8. Half a surrogate pair is refused: there is no UTF-8 for it. */
export const textCodec: Codec<string> = {
  name: 'text',
  encode: (value) => {
    if (!value.isWellFormed()) throw new TypeError('the text has half a surrogate pair');
    return encoder.encode(value);
  },
  decode: (bytes) => decoder.decode(bytes),
};

/** Messages are what JSON can hold. The other end may be Rust's `heddle_channel::json`, whose integers beyond 2^53 lose digits here. */
export function jsonCodec<T>(): Codec<T> {
  return {
    name: 'json',
    encode: (value) => {
      const text = JSON.stringify(value) as string | undefined;
      if (text === undefined) throw new TypeError(`JSON can't hold ${typeof value}`);
      return encoder.encode(text);
    },
    decode: (bytes) => JSON.parse(decoder.decode(bytes)) as T,
  };
}

const builtIn: ReadonlyMap<string, Codec<never>> = new Map(
  [bytesCodec, textCodec, jsonCodec<unknown>()].map((codec) => [codec.name, codec as unknown as Codec<never>]),
);

/** The codec of this package with that name. */
export function builtInCodec(name: string): Codec<never> | undefined {
  return builtIn.get(name);
}
