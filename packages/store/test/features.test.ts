import { expect, test } from 'vitest';
import { sharedDatabase } from './support/database.ts';
import { column, createItems } from './support/rows.ts';

const database = sharedDatabase('directory', { threads: 3 });

test('full text search: FTS5', async () => {
  const db = database();
  await db.exec('CREATE VIRTUAL TABLE notes USING fts5(title, body)');
  await db.exec("INSERT INTO notes VALUES ('loom', 'warp and weft'), ('heddle', 'one thread of the warp')");
  expect(await column(db, "SELECT title FROM notes WHERE notes MATCH 'warp AND thread'")).toEqual(['heddle']);
  expect(await column(db, "SELECT highlight(notes, 1, '[', ']') FROM notes WHERE notes MATCH 'weft'")).toEqual(['warp and [weft]']);
});

test('JSON', async () => {
  const db = database();
  expect(await column(db, `SELECT json_extract('{"a": [1, {"b": "c"}]}', '$.a[1].b')`)).toEqual(['c']);
  expect(await column(db, "SELECT value FROM json_each('[3, 1, 2]') ORDER BY value")).toEqual([1, 2, 3]);
  expect(await column(db, `SELECT '{"a": 5}' ->> 'a'`)).toEqual([5]);
  await createItems(db, 3);
  expect(await column(db, 'SELECT json_group_array(name) FROM items')).toEqual(['["item 1","item 2","item 3"]']);
});

test('mathematical functions', async () => {
  const db = database();
  const row = await db
    .query('SELECT sqrt(2) AS r, pow(2, 10) AS p, round(pi(), 5) AS pi, floor(-1.5) AS f, log2(8) AS l, sin(0) AS s')
    .first();
  expect(row).toEqual({ r: Math.SQRT2, p: 1024, pi: 3.14159, f: -2, l: 3, s: 0 });
});

test('dates and times, also that of now', async () => {
  const db = database();
  expect(await column(db, "SELECT datetime(0, 'unixepoch')")).toEqual(['1970-01-01 00:00:00']);
  const [now] = await column(db, "SELECT unixepoch('now')");
  expect(Math.abs(Number(now) - Date.now() / 1000)).toBeLessThan(10);
});

test('window functions, common table expressions, generated columns, upserts, indexes', async () => {
  const db = database();
  await createItems(db, 4);
  expect(await column(db, 'SELECT sum(id) OVER (ORDER BY id) FROM items ORDER BY id')).toEqual([1, 3, 6, 10]);
  await db.exec('CREATE TABLE t(a INTEGER PRIMARY KEY, b INTEGER, c AS (b * 2)); CREATE INDEX t_b ON t(b)');
  await db.exec('INSERT INTO t(a, b) VALUES (1, 5) ON CONFLICT DO UPDATE SET b = b + 1');
  await db.exec('INSERT INTO t(a, b) VALUES (1, 5) ON CONFLICT DO UPDATE SET b = b + 1');
  expect(await db.query('SELECT * FROM t').all()).toEqual([{ a: 1, b: 6, c: 12 }]);
});

test('random numbers differ between threads and runs', async () => {
  const db = database();
  await using one = await db.connection();
  await using two = await db.connection();
  await using three = await db.connection();
  const connections = [one, two, three];
  const numbers = await Promise.all(connections.map((connection) => column(connection, 'SELECT hex(randomblob(16))')));
  expect(new Set(numbers.flat()).size).toBe(3);
});

test('the build is thread-safe, and integrity checks pass', async () => {
  const db = database();
  expect(await column(db, "SELECT compile_options FROM pragma_compile_options WHERE compile_options LIKE 'THREADSAFE=%'")).not.toEqual([
    'THREADSAFE=0',
  ]);
  await db.exec('CREATE TABLE ordinary(a); INSERT INTO ordinary VALUES (1)');
  expect(await column(db, 'PRAGMA integrity_check')).toEqual(['ok']);
});
