/**
 * Fixed structs as messages: the bytes of a `#[repr(C)]` struct of Rust, or of C on wasm32, little-endian.
 *
 * A message is as long as the struct; what lies between its fields is zero. Sending copies a value's fields into it, receiving gives
 * plain data: numbers, bigints, booleans, `Uint8Array` for `bytes(n)`, arrays and objects of these. The other end may be Rust's
 * `heddle_channel::fixed`.
 */
import { type PlainOf, type SharedType, type StructType, struct } from '@heddle/atomics';
import { access } from '@heddle/atomics/internal';
import { type Codec } from './Codec.ts';

/**
 * Messages are structs with these fields, in this order.
 *
 * The name has the fields in it, so that an end can't be opened with a struct that lies differently.
 *
 * @throws InvalidArgumentError `INVALID_ARGUMENT` for a struct that can't be, as `struct` of `@heddle/atomics`
 */
export function structCodec<Fields extends Record<string, SharedType<unknown>>>(fields: Fields): Codec<PlainOf<StructType<Fields>>> {
  const type = struct(fields);
  const { byteLength, signature } = type;
  return {
    name: `struct ${signature}`,
    encode: (value) => {
      type[access].check(value, '');
      const message = new Uint8Array(byteLength);
      type[access].write(viewOf(message), 0, value);
      return message;
    },
    decode: (message) => {
      if (message.length !== byteLength) throw new RangeError(`a struct of ${byteLength} bytes, in ${message.length}`);
      return type[access].read(viewOf(message), 0) as PlainOf<StructType<Fields>>;
    },
  };
}

const viewOf = ({ buffer, byteOffset, byteLength }: Uint8Array): DataView => new DataView(buffer, byteOffset, byteLength);
