/** What comes out of a codec is what went in, or it is refused. */
import { array, bool, bytes, f32, f64, i64, struct, u16, u32, u64, u8 } from '@heddle/atomics';
import { describe, expect, test } from 'vitest';
import {
  type Codec,
  type DecodeError,
  type EncodeError,
  Receiver,
  bytesCodec,
  channel,
  jsonCodec,
  structCodec,
  textCodec,
} from '../src/index.ts';
import { ExtData, msgpackCodec } from '../src/msgpack.ts';
import { structuredCodec } from '../src/structured.ts';
import { errorOf } from './support/spawn.ts';

/** Sends a value through a channel. */
function through<T>(codec: Codec<T>, value: T): T {
  const { sender, receiver } = channel({ codec, ringByteLength: 1 << 20 });
  sender.send(value);
  return receiver.recv();
}

const LONG = 'ä€𝄞'.repeat(5_000);

describe('bytes and texts', () => {
  test.each([[new Uint8Array(0)], [Uint8Array.of(0, 255)], [new Uint8Array(300_000).fill(7)]])('arrive as they are', (value) => {
    expect(through(bytesCodec, value)).toEqual(value);
  });

  // A text that began with U+FEFF lost it: a decoder takes it for a byte order mark.
  test.each([[''], ['plain'], [LONG], ['\uFEFFmarked'], ['\u0000']])('arrive whole', (value) => {
    expect(through(textCodec, value)).toBe(value);
    expect(through(jsonCodec<string>(), value)).toBe(value);
    expect(through(msgpackCodec<string>(), value)).toBe(value);
    expect(through(structuredCodec<string>(), value)).toBe(value);
  });

  test('half a surrogate pair is refused where it could only be changed', () => {
    expect(errorOf(() => through(textCodec, 'a\uD800'))).toMatchObject({ code: 'ENCODE_FAILED', value: 'a\uD800' });
    expect(through(jsonCodec<string>(), 'a\uD800')).toBe('a\uD800');
    expect(through(structuredCodec<string>(), 'a\uD800')).toBe('a\uD800');
  });
});

describe('JSON', () => {
  test('refuses what it has no text for, and gives the value back', () => {
    for (const value of [undefined, 1n, () => 0]) {
      expect(errorOf(() => through(jsonCodec<unknown>(), value))).toMatchObject({ code: 'ENCODE_FAILED', value });
    }
  });
});

describe('MessagePack', () => {
  const codec = msgpackCodec<unknown>();

  test.each<[string, unknown]>([
    ['null', null],
    ['booleans', [true, false]],
    ['integers at the edges of their encodings', edges()],
    ['integers up to the safe ones', [2 ** 32, Number.MAX_SAFE_INTEGER, -(2 ** 31) - 1, Number.MIN_SAFE_INTEGER]],
    ['bigints beyond them', [2n ** 53n, 2n ** 64n - 1n, -(2n ** 53n), -(2n ** 63n)]],
    ['bigints beside large numbers', { big: 2n ** 60n, id: 2 ** 40, deep: [{ when: 1.7e12, n: -(2 ** 50) }] }],
    ['fractions, infinities and NaN', [0.1, -1.5, 1e300, Infinity, -Infinity, NaN, 5e-324]],
    ['bytes', [new Uint8Array(0), Uint8Array.of(1, 2, 255), new Uint8Array(70_000).fill(1)]],
    ['dates', [new Date(0), new Date(1_700_000_000_123), new Date(-1), new Date(8.64e15)]],
    ['nested objects', { a: { b: { c: [{}, [], [[1]]] } }, '': 0, ä: 'ö', '1': 'one' }],
    [
      'long arrays and maps',
      [Array.from({ length: 70_000 }, (_, i) => i), Object.fromEntries(Array.from({ length: 70_000 }, (_, i) => [`k${i}`, i]))],
    ],
    ['another extension', new ExtData(42, Uint8Array.of(1, 2, 3))],
  ])('carries %s', (_what, value) => {
    const { sender, receiver } = channel({ codec, ringByteLength: 1 << 22 });
    sender.send(value);
    expect(receiver.recv()).toEqual(value);
  });

  test('has one kind of integer, nothing but null, and no negative zero', () => {
    expect(through(codec, 5n)).toBe(5);
    expect(through(codec, [1n, 2n ** 60n])).toEqual([1, 2n ** 60n]);
    expect(through(codec, undefined)).toBe(null);
    expect(through(codec, [undefined, , 1])).toEqual([null, null, 1]); // oxlint-disable-line no-sparse-arrays -- a hole is what is tried
    expect(Object.keys(through(codec, { a: undefined, b: 1 }) as object)).toEqual(['b']);
    expect(through(codec, -0)).toBe(0);
  });

  test('keeps the values of a property that sends a message itself', () => {
    const nested = {
      get big(): bigint {
        through(codec, 1n);
        return 2n ** 60n;
      },
      get n(): number {
        through(codec, 1);
        return 1;
      },
    };
    expect(through(codec, nested)).toEqual({ big: 2n ** 60n, n: 1 });
  });

  const cycle: { self?: unknown } = {};
  cycle.self = cycle;
  test.each<[string, unknown]>([
    ['Map', new Map([[1, 2]])],
    ['Set', [new Set([1])]],
    ['ArrayBuffer', { bytes: new ArrayBuffer(3) }],
    ['Float64Array', new Float64Array(1)],
    ['DataView', new DataView(new ArrayBuffer(1))],
    ['RegExp', /a/u],
    ['Error', new Error('no')],
    ['a function', () => 0],
    ['a symbol', Symbol('s')],
    ['a bigint of 65 bits', 2n ** 64n],
    ['a negative bigint of 65 bits', -(2n ** 63n) - 1n],
    ['no date', new Date(NaN)],
    ['a property __proto__', JSON.parse('{"__proto__": 1}')],
    ['a cycle', cycle],
  ])('refuses %s rather than lose what it holds', (_what, value) => {
    const { sender, receiver } = channel({ codec });
    const error = errorOf(() => sender.send({ value })) as EncodeError;
    expect(error).toMatchObject({ code: 'ENCODE_FAILED', value: { value } });
    expect(error.cause).toBeInstanceOf(Error);
    sender.send('the channel goes on');
    expect(receiver.recv()).toBe('the channel goes on');
  });

  test.each<[string, number[]]>([
    ['no bytes', []],
    ['an array of 2^32 elements in 5 bytes', [0xdd, 0xff, 0xff, 0xff, 0xff]],
    ['a map of 2^32 elements in 5 bytes', [0xdf, 0xff, 0xff, 0xff, 0xff]],
    ['a text of 4 GiB', [0xdb, 0xff, 0xff, 0xff, 0xff, 0x61]],
    ['bytes of 4 GiB', [0xc6, 0xff, 0xff, 0xff, 0xff, 0x61]],
    ['an extension of 4 GiB', [0xc9, 0xff, 0xff, 0xff, 0xff, 0x01, 0x61]],
    ['arrays that each claim all that is left', Array.from({ length: 3000 }, () => [0xdc, 0x17, 0x70]).flat()],
    ['arrays deeper than the stack', Array.from({ length: 20_000 }, () => 0x91)],
    ['an unused first byte', [0xc1]],
    ['half a number', [0xcb, 1, 2]],
    ['a value too many', [1, 2]],
    ['text that is no UTF-8', [0xa2, 0xc3, 0x28]],
    ['half a surrogate pair', [0xa3, 0xed, 0xa0, 0x80]],
    ['a key __proto__', [0x81, 0xa9, ...new TextEncoder().encode('__proto__'), 0x80]],
    ['an array as a key', [0x81, 0x90, 0x01]],
    ['a timestamp of 5 bytes', [0xc7, 5, 0xff, 0, 0, 0, 0, 0]],
  ])('tells %s', (_what, bytes) => {
    expectDecodeError(codec, Uint8Array.from(bytes));
  });

  test('reads maps of Rust with numbers as keys', () => {
    expect(codec.decode(Uint8Array.of(0x82, 0x01, 0xa1, 0x61, 0xff, 0xa1, 0x62))).toEqual({ '1': 'a', '-1': 'b' });
    const large = Uint8Array.of(0x81, 0xcf, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01);
    expect(codec.decode(large)).toEqual({ '18446744073709551615': 1 });
  });
});

describe('structs', () => {
  const codec = structCodec({
    flag: bool,
    x: f64,
    hits: u32,
    tag: bytes(5),
    list: array(u16, 3),
    inner: struct({ a: u8, big: u64, small: i64, coarse: f32 }),
  });
  const value = {
    flag: true,
    x: -0.1,
    hits: 2 ** 32 - 1,
    tag: Uint8Array.of(1, 2, 3, 4, 5),
    list: [1, 2, 65_535],
    inner: { a: 255, big: 2n ** 64n - 1n, small: -(2n ** 63n), coarse: 0.5 },
  };

  test('arrive as they lie in Rust and C', () => {
    const message = codec.encode(value);
    expect(through(codec, value)).toEqual(value);
    expect(message.length).toBe(64);
    const view = new DataView(message.buffer);
    expect([view.getFloat64(8, true), view.getUint32(16, true), view.getUint16(26, true)]).toEqual([-0.1, 2 ** 32 - 1, 1]);
    // What lies between is zero, so that nothing leaks.
    expect([...message.subarray(1, 8), ...message.subarray(33, 40)]).toEqual(new Array(14).fill(0));
  });

  test.each<[string, Record<string, unknown>]>([
    ['a missing field', { ...value, x: undefined }],
    ['a number out of range', { ...value, hits: 2 ** 32 }],
    ['a fraction of an integer', { ...value, hits: 0.5 }],
    ['too many bytes', { ...value, tag: new Uint8Array(6) }],
    ['too few elements', { ...value, list: [1, 2] }],
    ['a misfit deep inside', { ...value, inner: { ...value.inner, big: -1n } }],
  ])('refuse %s', (_what, wrong) => {
    expect(errorOf(() => through(codec, wrong as typeof value))).toMatchObject({ code: 'ENCODE_FAILED', value: wrong });
  });

  test('of another length are no messages, and of another layout no codec', () => {
    const { sender, receiver } = channel({ codec: { ...codec, encode: (message: unknown) => message as Uint8Array } });
    for (const length of [0, 63, 65]) {
      sender.send(new Uint8Array(length));
      expect(errorOf(() => receiver.recv()).code).toBe('DECODE_FAILED');
    }
    sender.send(codec.encode(value));
    expect(receiver.recv()).toEqual(value);
    const other = structCodec({ flag: bool, x: f32 });
    expect(errorOf(() => Receiver.from(receiver.handle(), { codec: other })).code).toBe('CODEC_MISMATCH');
  });
});

describe('structured values', () => {
  const codec = structuredCodec<unknown>();

  test.each<[string, unknown]>([
    ['nothing', undefined],
    ['numbers of every kind', [0, -0, NaN, Infinity, -Infinity, 1e300, 5e-324, Number.MAX_SAFE_INTEGER]],
    ['bigints', [5n, -(2n ** 200n)]],
    [
      'maps and sets',
      new Map<unknown, unknown>([
        [{ a: 1 }, new Set([1, 'two', new Date(3)])],
        [undefined, null],
      ]),
    ],
    ['properties that are undefined, and holes', { a: undefined, list: [, 1, undefined, ,] }], // oxlint-disable-line no-sparse-arrays -- holes are what is tried
    ['dates and expressions', [new Date(1_700_000_000_123), new Date(NaN), /a+/giu]],
    ['a buffer', Uint8Array.of(1, 2, 3).buffer],
    ['an empty buffer', new ArrayBuffer(0)],
    ['an object without a prototype', Object.assign(Object.create(null), { a: 1 })],
  ])('carries %s', (_what, value) => {
    expect(through(codec, value)).toStrictEqual(value);
  });

  test.each([Int8Array, Uint8Array, Uint8ClampedArray, Int16Array, Uint16Array, Int32Array, Uint32Array, Float32Array, Float64Array])(
    'carries a %o',
    (Type) => {
      const value = { odd: 'ä', view: Type.of(1, 2, 250) };
      expect(through(codec, value)).toStrictEqual(value);
    },
  );

  test.each([BigInt64Array, BigUint64Array])('carries a %o', (Type) => {
    expect(through(codec, Type.of(1n, 2n ** 60n))).toStrictEqual(Type.of(1n, 2n ** 60n));
  });

  test('keeps what two views share, cycles, and one object in two places', () => {
    const buffer = new ArrayBuffer(16);
    const value: Record<string, unknown> = { bytes: new Uint8Array(buffer, 4, 8), view: new DataView(buffer, 8), buffer };
    value['self'] = [value];
    const copy = through(codec, value) as { bytes: Uint8Array; view: DataView; buffer: ArrayBuffer; self: unknown[] };
    expect(copy.self[0]).toBe(copy);
    expect([copy.bytes.buffer, copy.view.buffer]).toEqual([copy.buffer, copy.buffer]);
    copy.view.setUint8(0, 7);
    expect([copy.bytes[4], copy.bytes.byteOffset, copy.bytes.length]).toEqual([7, 4, 8]);
    expect(copy.bytes.buffer).toBe(copy.buffer);
  });

  test('carries errors with their causes', () => {
    const value = new RangeError('too far', { cause: new TypeError('not so') });
    const copy = through(codec, value) as RangeError;
    expect(copy).toBeInstanceOf(RangeError);
    expect([copy.message, copy.stack, (copy.cause as Error).name]).toEqual([value.message, value.stack, 'TypeError']);
    expect('cause' in (through(codec, new Error('plain')) as Error)).toBe(false);
  });

  class Point {
    x = 1;
  }
  test.each<[string, unknown]>([
    ['a function', () => 0],
    ['a symbol', Symbol('s')],
    ['an object of a class', new Point()],
    ['shared memory', new Uint8Array(new SharedArrayBuffer(8))],
    ['a promise', Promise.resolve()],
  ])('refuses %s', (_what, value) => {
    expect(errorOf(() => through(codec, [value]))).toMatchObject({ code: 'ENCODE_FAILED', value: [value] });
  });

  test('tells what is no message', () => {
    const message = codec.encode([Uint8Array.of(1, 2, 3)]);
    expectDecodeError(codec, new Uint8Array(0));
    expectDecodeError(codec, Uint8Array.of(255, 255, 255, 255, 0x5b));
    expectDecodeError(codec, message.slice(0, -1));
    expectDecodeError(codec, Uint8Array.of(...message, 0));
    for (const text of [
      '',
      '[',
      '[1',
      '[["Map",1]]',
      '[["ArrayBuffer",1],0]',
      '[["ArrayBuffer",1],[2,3],0,9]',
      '[["Unknown",0]]',
      '{"a":1}',
      '[["Uint8Array",0]]',
    ]) {
      expectDecodeError(codec, messageOf(text, 0));
    }
  });

  test('makes nothing of a message that is larger than it', () => {
    // A thousand times the same 64 KiB.
    const copies = Array.from({ length: 1000 }, (_, i) => i + 1);
    const buffers = copies.map(() => '["ArrayBuffer",1001]');
    expectDecodeError(codec, messageOf(`[[${copies.join(',')}],${buffers.join(',')},[1002,1003],0,65536]`, 65_536));
    const sparse = codec.decode(messageOf('[[-7,4294967295]]', 0) as Uint8Array<ArrayBuffer>) as unknown[];
    expect([sparse.length, Object.keys(sparse)]).toEqual([4_294_967_295, []]);
  });
});

/** A structured message of a text, and so many bytes of buffers. */
function messageOf(text: string, size: number): Uint8Array {
  const bytes = new TextEncoder().encode(text);
  const message = new Uint8Array(4 + bytes.length + size);
  new DataView(message.buffer).setUint32(0, bytes.length, true);
  message.set(bytes, 4);
  return message;
}

/** The bytes are told as no message of the codec, and the channel goes on. */
function expectDecodeError(codec: Codec<unknown>, bytes: Uint8Array): void {
  const { sender, receiver } = channel({ codec: { ...codec, encode: (value) => value as Uint8Array }, ringByteLength: 1 << 18 });
  sender.send(bytes);
  sender.send(codec.encode('next'));
  const error = errorOf(() => receiver.recv()) as DecodeError;
  expect(error.code).toBe('DECODE_FAILED');
  expect(error.bytes).toEqual(bytes);
  expect(receiver.recv()).toBe('next');
}

function edges(): number[] {
  const powers = [5, 7, 8, 15, 16, 31, 32].map((exponent) => 2 ** exponent);
  return powers.flatMap((power) => [power - 1, power, -power, -power - 1]);
}
