import { expect, test } from 'vitest';
import { Cells } from '../src/internal/cells.ts';

const cells = new Cells(new SharedArrayBuffer(256), 0, 256);

test.each([
  undefined,
  null,
  true,
  false,
  0,
  -0,
  NaN,
  1.5,
  -1n,
  2n ** 63n - 1n,
  '',
  'ε🧵',
  '\uDC00',
  [],
  [[], [1, 'x']],
  {},
  { a: { b: [null] } },
])('a small value %# is read as it was written', (value) => {
  expect(cells.write(value)).toBe(true);
  expect(cells.read()).toStrictEqual(value);
});

test('an error keeps its type, message and stack, as structured clone has it', () => {
  const wide = new Cells(new SharedArrayBuffer(131_072), 0, 131_072);
  class Mine extends TypeError {}
  for (const error of [new RangeError('far'), new Mine('mine'), Object.assign(new Error('x'), { name: 'Other' })]) {
    expect(wide.write(error)).toBe(true);
    const read = wide.read() as Error;
    const clone = structuredClone(error);
    expect(read.message).toBe(clone.message);
    expect(read.name).toBe(clone.name);
    expect(Object.getPrototypeOf(read)).toBe(Object.getPrototypeOf(clone));
    expect(read.stack).toBe(error.stack);
    expect(Object.hasOwn(read, 'cause')).toBe(false);
  }
  expect(wide.write(new Error('outer', { cause: new RangeError('inner') }))).toBe(true);
  expect(wide.read()).toHaveProperty('cause.message', 'inner');
});

test('what would not be the same is refused', () => {
  class Plain {
    readonly x = 1;
  }
  const shared = {};
  const circle: unknown[] = [];
  circle.push(circle);
  const deep = JSON.parse('['.repeat(20) + ']'.repeat(20)) as unknown;
  const refused: unknown[] = [
    () => {},
    Symbol('s'),
    2n ** 63n,
    new Date(0),
    new Map(),
    new Uint8Array(1),
    new SharedArrayBuffer(1),
    new Plain(),
    Object.assign([1], { extra: 1 }),
    Array(2),
    [shared, shared],
    circle,
    deep,
    JSON.parse('{"__proto__": 1}'),
    new Error('x', { cause: () => {} }),
    new DOMException('x'),
    'x'.repeat(200),
    Array.from({ length: 40 }, () => 0),
  ];
  for (const value of refused) expect(cells.write(value), typeof value).toBe(false);
  expect(cells.write('still')).toBe(true);
  expect(cells.read()).toBe('still');
});
