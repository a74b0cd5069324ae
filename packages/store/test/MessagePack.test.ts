import { describe, expect, test } from 'vitest';
import { pack, type Packed, Reader } from '../src/internal/MessagePack.ts';

const bytes = (hex: string) => Uint8Array.from(hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
const read = (hex: string) => new Reader(bytes(hex)).value();
const roundTrip = (value: Packed) => new Reader(pack(value)).value();

describe('reading', () => {
  // The examples are those of the specification: each format, by its first byte.
  test.each<[string, string, Packed]>([
    ['nil', 'c0', null],
    ['false', 'c2', false],
    ['true', 'c3', true],
    ['positive fixint', '7f', 127],
    ['negative fixint', 'e0', -32],
    ['uint 8', 'ccff', 255],
    ['uint 16', 'cdffff', 65_535],
    ['uint 32', 'ceffffffff', 4_294_967_295],
    ['uint 64, exact', 'cf001fffffffffffff', Number.MAX_SAFE_INTEGER],
    ['uint 64, beyond', 'cf0020000000000000', 2n ** 53n],
    ['int 8', 'd080', -128],
    ['int 16', 'd18000', -32_768],
    ['int 32', 'd280000000', -2_147_483_648],
    ['int 64, exact', 'd3ffe0000000000001', Number.MIN_SAFE_INTEGER],
    ['int 64, beyond', 'd38000000000000000', -(2n ** 63n)],
    ['float 32', 'ca3fc00000', 1.5],
    ['float 64', 'cbbff8000000000000', -1.5],
    ['fixstr', 'a3666f6f', 'foo'],
    ['str 8', 'd903666f6f', 'foo'],
    ['str 16', 'da0003666f6f', 'foo'],
    ['str 32', 'db00000003666f6f', 'foo'],
    ['text beyond ASCII', 'a7e282acf09f9880', '€😀'],
    ['bin 8', 'c4020102', Uint8Array.of(1, 2)],
    ['bin 16', 'c500020102', Uint8Array.of(1, 2)],
    ['bin 32', 'c6000000020102', Uint8Array.of(1, 2)],
    ['fixarray', '93010203', [1, 2, 3]],
    ['array 16', 'dc000101', [1]],
    ['array 32', 'dd0000000101', [1]],
    ['fixmap', '81a16101', { a: 1 }],
    ['map 16', 'de0001a16101', { a: 1 }],
    ['map 32', 'df00000001a16101', { a: 1 }],
  ])('%s', (_, hex, value) => {
    expect(read(hex)).toEqual(value);
  });

  test.each(['', 'a3666f', 'cb0000', '92', 'c1', 'c7'])('refuses the malformed "%s"', (hex) => {
    expect(() => read(hex)).toThrow(RangeError);
  });
});

describe('writing', () => {
  test.each<[string, Packed]>([
    ['the small integers', [0, 1, 127, 128, -1, -32, -33, 255, 256, 65_535, 65_536]],
    ['integers around 32 bits', [2 ** 31 - 1, 2 ** 31, -(2 ** 31), -(2 ** 31) - 1, 2 ** 32]],
    ['integers that a number holds exactly', [Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER]],
    ['integers of 64 bits', [2n ** 63n - 1n, -(2n ** 63n), 2n ** 53n]],
    ['floats', [0.1, -1e308, 5e-324, Infinity, -Infinity, NaN, 2 ** 60]],
    ['short and long text', ['', 'a', 'ü'.repeat(43), 'ü'.repeat(86), '😀'.repeat(100_000)]],
    ['bytes', [new Uint8Array(0), Uint8Array.of(0, 255), new Uint8Array(100_000).fill(7)]],
    ['nested lists and maps', { a: [{ b: null }], c: { d: [true, false] } }],
  ])('what is written is read: %s', (_, value) => {
    expect(roundTrip(value)).toEqual(value);
  });

  test('keeps the sign of zero', () => {
    expect(Object.is(roundTrip(-0), -0)).toBe(true);
    expect(Object.is(roundTrip(0), 0)).toBe(true);
  });

  test('a bigint that a number could hold comes back as a number: SQLite knows only INTEGER', () => {
    expect(roundTrip(5n)).toBe(5);
  });

  test('leaves out what is undefined', () => {
    expect(roundTrip({ a: undefined, b: 1 })).toEqual({ b: 1 });
  });
});

describe('rows', () => {
  const rows = (values: Packed[][], names: string[]) => new Reader(pack(values)).rows(names);

  test('become objects with the columns as properties', () => {
    expect(
      rows(
        [
          [1, 'a'],
          [null, 2.5],
        ],
        ['x', 'y'],
      ),
    ).toEqual([
      { x: 1, y: 'a' },
      { x: null, y: 2.5 },
    ]);
  });

  test('of columns with the same name, the last counts', () => {
    expect(rows([[1, 2]], ['x', 'x'])).toEqual([{ x: 2 }]);
  });

  test('a column named __proto__ is a column', () => {
    const [row] = rows([[1]], ['__proto__']);
    expect(Object.entries(row ?? {})).toEqual([['__proto__', 1]]);
    expect(Object.getPrototypeOf(row)).toBe(Object.prototype);
  });

  test("blobs are the reader's own: they outlive the message", () => {
    const message = pack([[Uint8Array.of(1, 2, 3)]]);
    const [row] = new Reader(message).rows(['b']);
    message.fill(0);
    expect(row?.['b']).toEqual(Uint8Array.of(1, 2, 3));
  });

  test('of another width than the columns are refused', () => {
    expect(() => rows([[1, 2, 3]], ['x', 'y'])).toThrow('a row has 3 values for 2 columns');
  });
});
