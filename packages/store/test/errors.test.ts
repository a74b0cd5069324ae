import { beforeAll, describe, expect, test } from 'vitest';
import { type Database, HeddleStoreError, type Row, type SqlParams, type StoreErrorCode } from '../src/index.ts';
import { SHARED_LOCATIONS, sharedDatabase } from './support/database.ts';
import { expectError } from './support/errors.ts';
import { isNode, nodeModule } from './support/host.ts';
import { column, countRows, createItems } from './support/rows.ts';

/** Each statement is wrong; the message names what was. */
const MISTAKES: [string, string, StoreErrorCode, RegExp][] = [
  ['malformed SQL', 'SELEC 1', 'SQL_ERROR', /syntax error/],
  ['an unfinished statement', 'SELECT (1', 'SQL_ERROR', /incomplete input/],
  ['an unknown table', 'SELECT * FROM nowhere', 'SQL_ERROR', /no such table: nowhere/],
  ['an unknown column', 'SELECT colour FROM items', 'SQL_ERROR', /no such column: colour/],
  ['an unknown function', 'SELECT frobnicate(1)', 'SQL_ERROR', /no such function: frobnicate/],
  ['an unknown column to insert into', 'INSERT INTO items(colour) VALUES (1)', 'SQL_ERROR', /colour/],
  ['too many values', "INSERT INTO items VALUES (9, 'a', 1, 2)", 'SQL_ERROR', /items has 3 columns but 4 values/],
  ['text for a number', "INSERT INTO items VALUES (9, 'a', 'dear')", 'TYPE_MISMATCH', /items\.price/],
  ['text for a key', "INSERT INTO items VALUES ('nine', 'a', 1)", 'TYPE_MISMATCH', /items\.id/],
  ['a fraction for a key', "INSERT INTO items VALUES (9.5, 'a', 1)", 'TYPE_MISMATCH', /items\.id/],
  ['a blob for text', "INSERT INTO items VALUES (9, x'00', 1)", 'TYPE_MISMATCH', /items\.name/],
  ['a wrong type in an update', "UPDATE items SET price = 'dear'", 'TYPE_MISMATCH', /items\.price/],
  ['a duplicate key', "INSERT INTO items VALUES (3, 'again', 1)", 'CONSTRAINT', /items\.id/],
  ['a duplicate key within a statement', 'INSERT INTO items(id) VALUES (9), (10), (9)', 'CONSTRAINT', /items\.id/],
  ['NULL for a text key', 'INSERT INTO words VALUES (NULL, 1)', 'CONSTRAINT', /words\.word/],
  ['NULL where it is refused', "INSERT INTO words VALUES ('b', NULL)", 'CONSTRAINT', /words\.n/],
  ['a duplicate key of an ordinary table', 'INSERT INTO ordinary VALUES (1)', 'CONSTRAINT', /ordinary\.id/],
  ['a failed CHECK', 'INSERT INTO ordinary VALUES (-1)', 'CONSTRAINT', /CHECK/],
  ['a table that exists', 'CREATE TABLE items(a)', 'SQL_ERROR', /items already exists/],
  ['an unknown type of column', 'CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY, a GEOMETRY)', 'SQL_ERROR', /GEOMETRY/],
  ['a table without columns', 'CREATE VIRTUAL TABLE t USING tonbo()', 'SQL_ERROR', /column/],
  ['two keys', 'CREATE VIRTUAL TABLE t USING tonbo(a INTEGER PRIMARY KEY, b INTEGER PRIMARY KEY)', 'SQL_ERROR', /PRIMARY KEY/],
  ['dropping what is not there', 'DROP TABLE nowhere', 'SQL_ERROR', /no such table: nowhere/],
  ['a commit without a transaction', 'COMMIT', 'SQL_ERROR', /no transaction is active/],
];

/** The store's error that a promise rejects with. */
async function caught(promise: Promise<unknown>): Promise<HeddleStoreError> {
  const error: unknown = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (error instanceof HeddleStoreError) return error;
  throw new Error('there was no error of the store', { cause: error });
}

describe.each(SHARED_LOCATIONS)('a database %s', (_, location) => {
  const database = sharedDatabase(location);

  beforeAll(async () => {
    const db = database();
    await createItems(db, 5);
    await db.exec("CREATE VIRTUAL TABLE words USING tonbo(word TEXT PRIMARY KEY, n INTEGER NOT NULL); INSERT INTO words VALUES ('a', 1)");
    await db.exec(`CREATE VIRTUAL TABLE parts USING tonbo(a BLOB, b TEXT, n INTEGER UNIQUE, kind TEXT, PRIMARY KEY (b, a));
      INSERT INTO parts VALUES (x'00ff', 'ä', NULL, 'same'), (x'', 'b', ${2n ** 60n}, 'same')`);
    await db.exec('CREATE TABLE ordinary(id INTEGER PRIMARY KEY, CHECK (id > 0)); INSERT INTO ordinary VALUES (1)');
  });

  async function expectIntact(db: Database): Promise<void> {
    expect(await column(db, 'SELECT id FROM items ORDER BY id')).toEqual([1, 2, 3, 4, 5]);
    expect(await column(db, 'SELECT price FROM items ORDER BY id')).toEqual([0.25, 0.5, 0.75, 1, 1.25]);
    expect(await column(db, 'SELECT word FROM words')).toEqual(['a']);
    expect(await column(db, 'SELECT id FROM ordinary')).toEqual([1]);
    await db.exec('INSERT INTO items(id) VALUES (6)');
    expect(await countRows(db, 'items')).toBe(6);
    await db.exec('DELETE FROM items WHERE id = 6');
  }

  test.each(MISTAKES)('is usable and has lost nothing after %s', async (_mistake, sql, code, message) => {
    const db = database();
    await expectError(db.exec(sql), code, message);
    await expectError(db.query(sql).all(), code, message);
    await expectIntact(db);
  });

  test('keeps a transaction open over every mistake in it', async () => {
    await using connection = await database().connection();
    await connection.exec('BEGIN; INSERT INTO items(id) VALUES (6)');
    for (const [mistake, sql, code, message] of MISTAKES) {
      if (sql === 'COMMIT') continue;
      await expectError(connection.exec(sql), code, message);
      expect(await countRows(connection, 'items'), mistake).toBe(6);
    }
    await connection.exec('COMMIT');
    expect(await countRows(database(), 'items')).toBe(6);
    await database().exec('DELETE FROM items WHERE id = 6');
  });

  test.each([
    ['SELEC 1', 0],
    ["SELECT 'ä€😀', nowhere FROM items", 15],
    ['SELECT 1; SELECT 2; SELEC 3', 20],
  ])('says that the error in %j is at %i', async (sql, offset) => {
    await expect(database().exec(sql)).rejects.toMatchObject({ code: 'SQL_ERROR', sqliteCode: 1, sql, offset });
  });

  // The error said which columns, and nobody which of the rows.
  test.each<[string, string, SqlParams, StoreErrorCode, Row | undefined]>([
    ['an INTEGER key', 'INSERT INTO items(id) VALUES (9), (3), (4)', [], 'CONSTRAINT', { id: 3 }],
    ['a TEXT key', 'INSERT INTO words VALUES (?, 2)', ['a'], 'CONSTRAINT', { word: 'a' }],
    [
      'a composite key',
      'INSERT INTO parts(a, b) VALUES (?, ?)',
      [Uint8Array.of(0, 255), 'ä'],
      'CONSTRAINT',
      { b: 'ä', a: Uint8Array.of(0, 255) },
    ],
    ['an index', 'INSERT INTO parts(a, b, n) VALUES (?, ?, ?)', [Uint8Array.of(1), 'b', 2n ** 60n], 'CONSTRAINT', { n: 2n ** 60n }],
    ['an index to be', 'CREATE UNIQUE INDEX by_kind ON parts(kind)', [], 'CONSTRAINT', { kind: 'same' }],
    ['another column', 'INSERT INTO words VALUES (?, NULL)', ['b'], 'CONSTRAINT', undefined],
    ['an ordinary table', 'INSERT INTO ordinary VALUES (1)', [], 'CONSTRAINT', undefined],
  ])('tells who asks for it the offending key of %s', async (_what, sql, params, code, key) => {
    const db = database();
    const error = await caught(db.exec(sql, params));
    expect(error).toMatchObject({ code, sql });
    expect(error.key).toEqual(key);
    expect(error.columns).toEqual(key && Object.keys(key));
    expect(error.table).toEqual(key && expect.stringMatching(/^(items|words|parts)$/));
    await expectIntact(db);
    expect(await countRows(db, 'parts')).toBe(2);
  });

  test('tells the offending key of a conflict, of an import, and of a transaction', async () => {
    const db = database();
    await using connection = await db.connection();
    await connection.exec("BEGIN; UPDATE words SET n = 3 WHERE word = 'a'");
    await db.exec("UPDATE words SET n = 2 WHERE word = 'a'");
    const conflict = await caught(connection.exec('COMMIT'));
    expect(conflict).toMatchObject({ code: 'CONFLICT', table: 'words', columns: ['word'] });
    expect(conflict.key).toEqual({ word: 'a' });
    await connection.exec("UPDATE words SET n = 1 WHERE word = 'a'");
    const file = new TextEncoder().encode('id,name\n8,x\n4,y\n');
    const imported = await caught(db.import(file, { table: 'items', format: 'csv' }));
    expect(imported).toMatchObject({ code: 'BAD_IMPORT', table: 'items', columns: ['id'] });
    expect(imported.key).toEqual({ id: 4 });
    const thrown = await caught(db.transaction((tx) => tx.exec('INSERT INTO items(id) VALUES (5)')));
    expect(thrown.key).toEqual({ id: 5 });
    await expectIntact(db);
  });

  // `console.log(error)` printed the whole SQL text with the values in it, and a number that was too large stood in the message.
  test.each<[string, string, SqlParams, StoreErrorCode]>([
    ['a value of the SQL text', "INSERT INTO items VALUES (3, 'hunter2', 1)", [], 'CONSTRAINT'],
    ['a parameter', 'INSERT INTO items VALUES (3, ?, 1)', ['hunter2'], 'CONSTRAINT'],
    ['an offending key', 'INSERT INTO words VALUES (?1, 1), (?1, 2)', ['hunter2'], 'CONSTRAINT'],
    ['a parameter of the wrong type', 'INSERT INTO items VALUES (9, ?1, ?1)', ['hunter2'], 'TYPE_MISMATCH'],
    ['a path into JSON', 'SELECT json_extract(name, ?) FROM items', ['hunter2'], 'SQL_ERROR'],
    ['a number too large', 'SELECT ?', [12_345_678_901_234_567_890n], 'MISUSE'],
  ])('does not show %s in a log', async (_what, sql, params, code) => {
    const error: unknown = await database()
      .exec(sql, params)
      .catch((reason: unknown) => reason);
    expect(error).toMatchObject({ name: 'HeddleStoreError', code, sql });
    const own = Object.getOwnPropertyNames(error);
    const shown = [String(error), JSON.stringify(error), ...own.map((name) => String((error as Record<string, unknown>)[name]))];
    if (isNode) {
      const { inspect } = await nodeModule<{ inspect: (value: unknown, options: object) => string }>('node:util');
      shown.push(inspect(error, { showHidden: true, depth: null }));
    }
    expect(shown.join('\n')).not.toMatch(/hunter2|12345678901234567890/);
  });
});
