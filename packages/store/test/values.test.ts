import { describe, expect, test } from 'vitest';
import type { SqlParam, SqlValue } from '../src/index.ts';
import { sharedDatabase } from './support/database.ts';
import { expectError } from './support/errors.ts';

const VALUES: [string, SqlParam, SqlValue, string][] = [
  ['NULL', null, null, 'null'],
  ['zero', 0, 0, 'integer'],
  ['a small integer', -5, -5, 'integer'],
  ['an integer of 33 bits', 2 ** 32, 2 ** 32, 'integer'],
  ['the largest exact number', Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER, 'integer'],
  ['the smallest exact number', Number.MIN_SAFE_INTEGER, Number.MIN_SAFE_INTEGER, 'integer'],
  ['2^53', 2n ** 53n, 2n ** 53n, 'integer'],
  ['-2^53', -(2n ** 53n), -(2n ** 53n), 'integer'],
  ['the largest INTEGER', 2n ** 63n - 1n, 2n ** 63n - 1n, 'integer'],
  ['the smallest INTEGER', -(2n ** 63n), -(2n ** 63n), 'integer'],
  ['a bigint that a number holds', 12n, 12, 'integer'],
  ['true', true, 1, 'integer'],
  ['false', false, 0, 'integer'],
  ['a fraction', 0.1, 0.1, 'real'],
  ['a huge number', 1.7e308, 1.7e308, 'real'],
  ['the least number', 5e-324, 5e-324, 'real'],
  ['infinity', -Infinity, -Infinity, 'real'],
  ['not a number', NaN, null, 'null'],
  ['no text', '', '', 'text'],
  ['text', 'häddle 🧵', 'häddle 🧵', 'text'],
  ['text with a zero', 'a\u0000b', 'a\u0000b', 'text'],
  ['long text', 'ü'.repeat(5000), 'ü'.repeat(5000), 'text'],
  ['no bytes', new Uint8Array(0), new Uint8Array(0), 'blob'],
  ['bytes', Uint8Array.of(0, 1, 255), Uint8Array.of(0, 1, 255), 'blob'],
];

const database = sharedDatabase('memory:');

test.each(VALUES)('%s as a parameter comes back as it went in', async (_, param, value, type) => {
  const db = database();
  expect(await db.query('SELECT ? AS value, typeof(?) AS type', [param, param]).first()).toEqual({ value, type });
});

test('values of every type are kept by tables of both kinds', async () => {
  const db = database();
  await db.exec('CREATE VIRTUAL TABLE kept USING tonbo(id INTEGER PRIMARY KEY, i INTEGER, r REAL, t TEXT, b BLOB, o BOOLEAN)');
  await db.exec('CREATE TABLE ordinary(id INTEGER PRIMARY KEY, i INTEGER, r REAL, t TEXT, b BLOB, o BOOLEAN)');
  const rows: SqlParam[][] = [
    [1, 2n ** 63n - 1n, 1e300, 'text', Uint8Array.of(1, 2), true],
    [2, -(2n ** 63n), -0.5, '', new Uint8Array(0), false],
    [3, null, null, null, null, null],
    [2n ** 62n, 0, Infinity, '😀', new Uint8Array(3000).fill(7), 1],
    [-(2n ** 63n), 2 ** 40, 3, 'a\u0000', Uint8Array.of(0), 0],
  ];
  for (const table of ['kept', 'ordinary']) {
    for (const row of rows) await db.exec(`INSERT INTO ${table} VALUES (?, ?, ?, ?, ?, ?)`, row);
  }
  const [kept, ordinary] = [
    await db.query('SELECT * FROM kept ORDER BY id').all(),
    await db.query('SELECT * FROM ordinary ORDER BY id').all(),
  ];
  expect(kept).toEqual(ordinary);
  expect(kept.map((row) => row['id'])).toEqual([-(2n ** 63n), 1, 2, 3, 2n ** 62n]);
  expect(kept[1]).toEqual({ id: 1, i: 2n ** 63n - 1n, r: 1e300, t: 'text', b: Uint8Array.of(1, 2), o: 1 });
});

describe('parameters', () => {
  test('by position, by number and by name', async () => {
    const db = database();
    expect(await db.query('SELECT ? AS a, ? AS b', ['x', 'y']).first()).toEqual({ a: 'x', b: 'y' });
    expect(await db.query('SELECT ?2 AS a, ?1 AS b, ?2 AS c', ['x', 'y']).first()).toEqual({ a: 'y', b: 'x', c: 'y' });
    expect(await db.query('SELECT :one AS a, @two AS b, $three AS c', { one: 1, two: 2, three: 3 }).first()).toEqual({ a: 1, b: 2, c: 3 });
  });

  test.each<[string, string, SqlParam[] | Record<string, SqlParam>]>([
    ['too few', 'SELECT ?, ?', [1]],
    ['too many', 'SELECT ?', [1, 2]],
    ['a name that is not given', 'SELECT :a, :b', { a: 1 }],
  ])('%s: MISUSE', async (_, sql, params) => {
    const db = database();
    await expectError(db.query(sql, params).all(), 'MISUSE', /parameter/);
    expect(await db.query('SELECT 1 AS one').first()).toEqual({ one: 1 });
  });

  test('a value without a type of SQLite is MISUSE at the call, not at the engine', async () => {
    const db = database();
    expect(() => db.query('SELECT ?', [undefined as never])).toThrow(expect.objectContaining({ code: 'MISUSE' }));
    await expectError(db.exec('SELECT ?', [new Date() as never]), 'MISUSE', /parameter 1 is a Date/);
  });

  // The engine could not read such a request, and was ended for it: with it went what was in memory.
  test.each([42, null, undefined, { text: 42, params: [] }])('%j as SQL is MISUSE, and nothing else happens', async (sql) => {
    const db = database();
    await expectError(db.exec(sql as never), 'MISUSE', /the SQL is .*, not a string/);
    expect(() => db.query(sql as never)).toThrow(expect.objectContaining({ code: 'MISUSE' }));
    expect(await db.query('SELECT 1 AS one').first()).toEqual({ one: 1 });
  });
});

test.each([100_000, 10_000_000])(
  'a blob and a text of %i bytes pass in both directions',
  async (size) => {
    const db = database();
    const blob = Uint8Array.from({ length: size }, (_, index) => index % 251);
    const text = 'häddle '.repeat(size / 10);
    const row = await db.query<{ b: Uint8Array; t: string }>('SELECT ? AS b, ? AS t', [blob, text]).first();
    expect(row?.b.length).toBe(size);
    expect(row?.b.every((byte, index) => byte === index % 251)).toBe(true);
    expect(row?.t === text).toBe(true);
  },
  60_000,
);

test('columns have the names that SQLite gives them; of equal names the last counts', async () => {
  const db = database();
  const query = db.query('SELECT 1 AS a, 2 AS "b c", 3, 4 AS a');
  expect(await query.columns()).toEqual(['a', 'b c', '3', 'a']);
  expect(await query.all()).toEqual([{ a: 4, 'b c': 2, '3': 3 }]);
});

test('a query reads the rows of one statement', async () => {
  const db = database();
  await expectError(db.query('SELECT 1 AS a; SELECT 2 AS b').all(), 'MISUSE', /one statement/);
  expect(await db.query('SELECT 3 AS c;').all()).toEqual([{ c: 3 }]);
});

test('a statement without rows has no columns and no rows', async () => {
  const db = database();
  expect(await db.query('CREATE TABLE empty(a)').all()).toEqual([]);
  expect(await db.query('SELECT * FROM empty').columns()).toEqual(['a']);
  expect(await db.query('SELECT * FROM empty').all()).toEqual([]);
  expect(await db.query('SELECT * FROM empty').first()).toBeUndefined();
});
