import { describe, expect, test } from 'vitest';
import type { Database } from '../src/index.ts';
import { openForTest, SHARED_LOCATIONS, sharedDatabase, temporaryLocation } from './support/database.ts';
import { expectError } from './support/errors.ts';
import { column, countRows, createItems, insertItems } from './support/rows.ts';

const range = (first: number, last: number) => Array.from({ length: Math.max(0, last - first + 1) }, (_, index) => first + index);

describe.each(SHARED_LOCATIONS)('a Tonbo table %s', (_, location) => {
  const database = sharedDatabase(location);

  const items = async (count: number): Promise<Database> => {
    const db = database();
    await createItems(db, count);
    return db;
  };

  test('is read by key, by ranges of keys, in order, with limits', async () => {
    const db = await items(3000);
    const ids = (rest: string) => column(db, `SELECT id FROM items ${rest}`);
    expect(await ids('WHERE id = 17')).toEqual([17]);
    expect(await ids('WHERE id = 3001')).toEqual([]);
    expect(await ids('WHERE id BETWEEN 1020 AND 1030 ORDER BY id')).toEqual(range(1020, 1030));
    expect(await ids('WHERE id > 2995 ORDER BY id')).toEqual(range(2996, 3000));
    expect(await ids('WHERE id >= 2995 AND id < 2999 ORDER BY id')).toEqual(range(2995, 2998));
    expect(await ids('WHERE id <= 3 ORDER BY id DESC')).toEqual([3, 2, 1]);
    expect(await ids('ORDER BY id DESC LIMIT 3 OFFSET 2')).toEqual([2998, 2997, 2996]);
    expect(await ids('ORDER BY id LIMIT 2 OFFSET 1024')).toEqual([1025, 1026]);
    expect(await ids('WHERE id IN (5, 2000, 4000, 5, -1) ORDER BY id')).toEqual([5, 2000]);
    expect(await ids('WHERE id > 5 AND id < 5')).toEqual([]);
    expect(await ids('WHERE id > 2.5 AND id < 5.5 ORDER BY id')).toEqual([3, 4, 5]);
    expect(await ids("WHERE name = 'item 77'")).toEqual([77]);
    expect(await ids('WHERE price > 749 AND id % 2 = 0 ORDER BY id')).toEqual([2998, 3000]);
    expect(await db.query('SELECT count(*) AS n, sum(id) AS s, min(price) AS a, max(price) AS z FROM items').first()).toEqual({
      n: 3000,
      s: 4_501_500,
      a: 0.25,
      z: 750,
    });
  });

  test('is written row by row and in bulk', async () => {
    const db = await items(3000);
    expect(await db.exec("UPDATE items SET name = 'new' WHERE id % 1000 = 0")).toMatchObject({ changes: 3 });
    expect(await db.exec('DELETE FROM items WHERE id BETWEEN 11 AND 2990')).toMatchObject({ changes: 2980 });
    expect(await column(db, "SELECT id FROM items WHERE name = 'new'")).toEqual([3000]);
    expect(await column(db, 'SELECT id FROM items ORDER BY id')).toEqual([...range(1, 10), ...range(2991, 3000)]);
    await insertItems(db, 11, 20);
    expect(await db.exec('INSERT INTO items(id) VALUES (21)')).toMatchObject({ changes: 1, lastInsertRowid: 21 });
    expect(await db.query('SELECT * FROM items WHERE id = 21').all()).toEqual([{ id: 21, name: null, price: null }]);
    expect(await countRows(db, 'items')).toBe(31);
    await db.exec('DELETE FROM items');
    expect(await countRows(db, 'items')).toBe(0);
  });

  test('a row can move to another key, but not onto another row', async () => {
    const db = await items(3);
    await db.exec('UPDATE items SET id = 30 WHERE id = 3');
    expect(await db.query('SELECT * FROM items WHERE id >= 3').all()).toEqual([{ id: 30, name: 'item 3', price: 0.75 }]);
    await expectError(db.exec('UPDATE items SET id = 2 WHERE id = 1'), 'CONSTRAINT', /items\.id/);
    expect(await column(db, 'SELECT id FROM items ORDER BY id')).toEqual([1, 2, 30]);
  });

  test('OR REPLACE, OR IGNORE and RETURNING', async () => {
    const db = await items(3);
    await db.exec("INSERT OR REPLACE INTO items VALUES (2, 'two', 22), (4, 'four', 44)");
    await db.exec("INSERT OR IGNORE INTO items VALUES (1, 'one', 11), (5, 'five', 55)");
    expect(await db.query('SELECT * FROM items ORDER BY id').all()).toEqual([
      { id: 1, name: 'item 1', price: 0.25 },
      { id: 2, name: 'two', price: 22 },
      { id: 3, name: 'item 3', price: 0.75 },
      { id: 4, name: 'four', price: 44 },
      { id: 5, name: 'five', price: 55 },
    ]);
  });

  test('joins with ordinary tables and with itself', async () => {
    const db = await items(100);
    await db.exec('CREATE TABLE tags(item INTEGER, tag TEXT)');
    await db.exec("INSERT INTO tags VALUES (3, 'a'), (3, 'b'), (99, 'a'), (500, 'c')");
    expect(await db.query('SELECT name, tag FROM tags JOIN items ON items.id = tags.item ORDER BY items.id, tag').all()).toEqual([
      { name: 'item 3', tag: 'a' },
      { name: 'item 3', tag: 'b' },
      { name: 'item 99', tag: 'a' },
    ]);
    expect(await column(db, 'SELECT count(*) FROM items a JOIN items b ON b.id = a.id + 1')).toEqual([99]);
  });

  test('an INSERT that reads the table it writes to sees it as it was', async () => {
    const db = await items(1500);
    await db.exec('INSERT INTO items SELECT id + 1500, name, price FROM items');
    expect(await countRows(db, 'items')).toBe(3000);
    expect(await column(db, 'SELECT sum(id) FROM items')).toEqual([4_501_500]);
  });
});

describe('a Tonbo table', () => {
  const database = sharedDatabase('directory', { cacheBytes: 1 << 20 });

  test('keys of text keep the order of their bytes', async () => {
    const db = database();
    await db.exec('CREATE VIRTUAL TABLE words USING tonbo(word TEXT PRIMARY KEY, n INTEGER)');
    const words = ['', 'a', 'a\u0000b', 'ab', 'b', 'ä', 'ÿ', '€', '😀'];
    for (const [n, word] of words.toReversed().entries()) await db.exec('INSERT INTO words VALUES (?, ?)', [word, n]);
    expect(await column(db, 'SELECT word FROM words ORDER BY word')).toEqual(words);
    expect(await column(db, "SELECT word FROM words WHERE word >= 'a' AND word < 'b' ORDER BY word")).toEqual(['a', 'a\u0000b', 'ab']);
    expect(await column(db, 'SELECT n FROM words WHERE word = ?', ['😀'])).toEqual([0]);
    await expectError(db.exec('INSERT INTO words VALUES (?, 1)', ['ä']), 'CONSTRAINT', /words\.word/);
    await db.exec('DELETE FROM words WHERE word = ?', ['ä']);
    expect(await countRows(db, 'words')).toBe(words.length - 1);
  });

  test('keys of several columns', async () => {
    const db = database();
    await db.exec('CREATE VIRTUAL TABLE points USING tonbo(y INTEGER, x REAL, label TEXT, PRIMARY KEY (x, y))');
    await db.exec("INSERT INTO points VALUES (2, -1.5, 'a'), (1, -1.5, 'b'), (-1, 3, 'c'), (0, 1e300, 'd'), (5, -1e300, 'e')");
    expect(await column(db, 'SELECT label FROM points ORDER BY x, y')).toEqual(['e', 'b', 'a', 'c', 'd']);
    expect(await column(db, 'SELECT label FROM points WHERE x = -1.5 AND y > 1')).toEqual(['a']);
    expect(await column(db, 'SELECT label FROM points WHERE x BETWEEN -2 AND 4 ORDER BY x, y')).toEqual(['b', 'a', 'c']);
    await expectError(db.exec("INSERT INTO points VALUES (1, -1.5, 'again')"), 'CONSTRAINT', /points/);
    await db.exec("UPDATE points SET label = 'B' WHERE x = -1.5 AND y = 1");
    expect(await column(db, 'SELECT label FROM points WHERE y = 1')).toEqual(['B']);
  });

  test('without a key, rows are numbered', async () => {
    const db = database();
    await db.exec('CREATE VIRTUAL TABLE log USING tonbo(line TEXT)');
    await db.exec("INSERT INTO log VALUES ('a'), ('b')");
    const { lastInsertRowid } = await db.exec("INSERT INTO log VALUES ('a')");
    expect(await column(db, 'SELECT line FROM log ORDER BY rowid')).toEqual(['a', 'b', 'a']);
    expect(await column(db, 'SELECT rowid FROM log WHERE rowid = ?', [Number(lastInsertRowid)])).toEqual([lastInsertRowid]);
  });

  test('tables survive reopening with what happened to them, dropped ones stay dropped', async () => {
    const location = await temporaryLocation();
    let db = await openForTest(location);
    await createItems(db, 2500);
    await db.exec('CREATE VIRTUAL TABLE gone USING tonbo(id INTEGER PRIMARY KEY); INSERT INTO gone VALUES (1); DROP TABLE gone');
    await db.exec('CREATE VIRTUAL TABLE "odd ""name""" USING tonbo("a b" TEXT PRIMARY KEY, "select" BLOB)');
    await db.exec(`INSERT INTO "odd ""name""" VALUES ('k', x'00ff')`);
    await db.exec('DELETE FROM items WHERE id % 2 = 0');
    await db.close();
    db = await openForTest(location);
    expect(await column(db, 'SELECT count(*) FROM items WHERE id % 2 = 0')).toEqual([0]);
    expect(await countRows(db, 'items')).toBe(1250);
    expect(await db.query('SELECT * FROM "odd ""name"""').all()).toEqual([{ 'a b': 'k', select: Uint8Array.of(0, 255) }]);
    await expectError(countRows(db, 'gone'), 'SQL_ERROR', /no such table: gone/);
    await db.exec('CREATE VIRTUAL TABLE gone USING tonbo(id INTEGER PRIMARY KEY)');
    expect(await countRows(db, 'gone')).toBe(0);
  });

  test('a temporary view over a Tonbo table is there on its connection', async () => {
    const db = database();
    await createItems(db, 10);
    const connection = await db.connection();
    await connection.exec('CREATE TEMP VIEW cheap AS SELECT id FROM items WHERE price < 1');
    expect(await column(connection, 'SELECT id FROM cheap ORDER BY id')).toEqual([1, 2, 3]);
    await connection.exec('DROP VIEW cheap');
    await connection.release();
  });

  test('creating a table that exists is an error; IF NOT EXISTS is not', async () => {
    const db = database();
    await createItems(db, 2);
    await expectError(db.exec('CREATE VIRTUAL TABLE items USING tonbo(id INTEGER PRIMARY KEY)'), 'SQL_ERROR', /items already exists/);
    await expectError(db.exec('CREATE TABLE items(id)'), 'SQL_ERROR', /items already exists/);
    await db.exec('CREATE VIRTUAL TABLE IF NOT EXISTS items USING tonbo(id INTEGER PRIMARY KEY)');
    expect(await countRows(db, 'items')).toBe(2);
  });

  test('creating a table is part of its transaction', async () => {
    const db = database();
    await db.exec('DROP TABLE IF EXISTS items');
    const work = db.transaction(async (tx) => {
      await createItems(tx, 5);
      expect(await countRows(tx, 'items')).toBe(5);
      throw new Error('no');
    });
    await expect(work).rejects.toThrow('no');
    await expectError(countRows(db, 'items'), 'SQL_ERROR', /no such table: items/);
    await db.transaction((tx) => createItems(tx, 7));
    expect(await countRows(db, 'items')).toBe(7);
  });

  test('many rows, overwritten and deleted again and again, agree with an ordinary table', async () => {
    const db = database();
    await createItems(db, 0);
    await db.exec('CREATE TABLE model(id INTEGER PRIMARY KEY, name TEXT, price REAL)');
    let seed = 12_345;
    const random = (below: number) => (seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648) % below;
    for (let round = 0; round < 40; round++) {
      const first = 1 + random(20_000);
      const count = 1 + random(3000);
      const statement =
        round % 4 === 3
          ? 'DELETE FROM %s WHERE id BETWEEN ?1 AND ?2'
          : `INSERT OR REPLACE INTO %s WITH RECURSIVE n(i) AS (SELECT ?1 UNION ALL SELECT i + 1 FROM n WHERE i < ?2)
           SELECT i, 'round ${round}', i / 8.0 FROM n`;
      await db.transaction(async (tx) => {
        for (const table of ['items', 'model']) await tx.exec(statement.replace('%s', table), [first, first + count]);
      });
    }
    const difference = (a: string, b: string) => column(db, `SELECT count(*) FROM (SELECT * FROM ${a} EXCEPT SELECT * FROM ${b})`);
    expect(await difference('items', 'model')).toEqual([0]);
    expect(await difference('model', 'items')).toEqual([0]);
    expect(await countRows(db, 'items')).toBe(await countRows(db, 'model'));
  }, 120_000);
});
