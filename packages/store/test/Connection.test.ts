import { describe, expect, test } from 'vitest';
import type { HeddleStoreError } from '../src/index.ts';
import { SHARED_LOCATIONS, sharedDatabase } from './support/database.ts';
import { expectError } from './support/errors.ts';
import { column, countRows, createItems } from './support/rows.ts';

describe.each(SHARED_LOCATIONS)('in a database %s', (_, location) => {
  const database = sharedDatabase(location, { threads: 3 });

  test('a Tonbo table made on one connection is there for all, those already open included', async () => {
    const db = database();
    await using one = await db.connection();
    await using other = await db.connection();
    expect(await column(other, 'SELECT 1')).toEqual([1]);
    await createItems(one, 5);
    expect(await countRows(one, 'items')).toBe(5);
    expect(await countRows(other, 'items')).toBe(5);
    expect(await countRows(db, 'items')).toBe(5);
    await other.exec('DROP TABLE items');
    await expectError(countRows(one, 'items'), 'SQL_ERROR', /no such table: items/);
    await expectError(countRows(db, 'items'), 'SQL_ERROR', /no such table: items/);
  });

  test('its writes are seen by others when it commits, not before', async () => {
    const db = database();
    await createItems(db, 5);
    await using writer = await db.connection();
    await using reader = await db.connection();
    await writer.exec('BEGIN');
    await writer.exec('UPDATE items SET price = 0 WHERE id = 1');
    await writer.exec('DELETE FROM items WHERE id = 2');
    await writer.exec("INSERT INTO items VALUES (6, 'six', 6)");
    expect(await column(writer, 'SELECT id FROM items ORDER BY id')).toEqual([1, 3, 4, 5, 6]);
    expect(await column(reader, 'SELECT id FROM items ORDER BY id')).toEqual([1, 2, 3, 4, 5]);
    await writer.exec('COMMIT');
    expect(await column(reader, 'SELECT id FROM items ORDER BY id')).toEqual([1, 3, 4, 5, 6]);
    expect(await column(reader, 'SELECT price FROM items WHERE id = 1')).toEqual([0]);
  });

  test('a reader in a transaction sees the database as it was at its first read', async () => {
    const db = database();
    await createItems(db, 5);
    await using reader = await db.connection();
    await reader.exec('BEGIN');
    expect(await countRows(reader, 'items')).toBe(5);
    await db.exec('DELETE FROM items WHERE id <= 3');
    expect(await countRows(db, 'items')).toBe(2);
    expect(await column(reader, 'SELECT id FROM items ORDER BY id')).toEqual([1, 2, 3, 4, 5]);
    await reader.exec('COMMIT');
    expect(await countRows(reader, 'items')).toBe(2);
  });
});

describe('a connection', () => {
  const database = sharedDatabase('directory');

  test('releasing it rolls back what is open', async () => {
    const db = database();
    await createItems(db, 5);
    const connection = await db.connection();
    await connection.exec('BEGIN; DELETE FROM items');
    expect(await countRows(connection, 'items')).toBe(0);
    await connection.release();
    await connection.release();
    expect(await countRows(db, 'items')).toBe(5);
    await expectError(connection.exec('SELECT 1'), 'CLOSED', /released/);
  });

  test('it is a thread less for the others, until it is released', async () => {
    const db = database();
    const connection = await db.connection();
    expect(
      db
        .threads()
        .map(({ state }) => state)
        .toSorted(),
    ).toEqual(['idle', 'reserved']);
    const second = await db.connection();
    const waiting = db.query('SELECT 7 AS n').first();
    await expectError(db.connection({ timeoutMs: 20 }), 'TIMEOUT');
    await second.release();
    expect(await waiting).toEqual({ n: 7 });
    await connection.release();
    expect(db.threads().map(({ state }) => state)).toEqual(['idle', 'idle']);
  });

  test('calls run in the order in which they were made', async () => {
    const db = database();
    await using connection = await db.connection();
    await connection.exec('CREATE TEMP TABLE log(n INTEGER)');
    const calls = Array.from({ length: 20 }, (_, n) => connection.exec('INSERT INTO log VALUES (?)', [n]));
    expect(await column(connection, 'SELECT n FROM log ORDER BY rowid')).toEqual(calls.map((_, n) => n));
    await Promise.all(calls);
  });

  test('a call inside the loop over its rows is MISUSE, not a deadlock', async () => {
    const db = database();
    await using connection = await db.connection();
    for await (const _ of connection.query('SELECT 1 UNION ALL SELECT 2', [], { batchRows: 1 })) {
      await expectError(connection.exec('SELECT 1'), 'MISUSE', /being read/);
      break;
    }
    expect(await column(connection, 'SELECT 3')).toEqual([3]);
  });

  test('a transaction left open by a call on the pool is MISUSE and rolled back', async () => {
    const db = database();
    await createItems(db, 5);
    await expectError(db.exec('BEGIN; DELETE FROM items'), 'MISUSE', /db\.transaction/);
    expect(await countRows(db, 'items')).toBe(5);
    await db.exec('BEGIN; DELETE FROM items WHERE id = 1; COMMIT');
    expect(await countRows(db, 'items')).toBe(4);
  });

  // They stayed with the thread of the pool that had run them: a later call failed, or not, by which thread it got.
  test('settings end with the call on the pool, or with the connection', async () => {
    const db = database();
    await createItems(db, 5);
    await db.exec('PRAGMA query_only = ON; PRAGMA foreign_keys = OFF; SELECT count(*) FROM items');
    const connection = await db.connection();
    await using other = await db.connection();
    for (const each of [connection, other]) {
      expect(await column(each, 'PRAGMA query_only')).toEqual([0]);
      expect(await column(each, 'PRAGMA foreign_keys')).toEqual([1]);
    }
    await connection.exec('PRAGMA query_only = ON');
    await expectError(
      connection.transaction((tx) => tx.exec('DELETE FROM items')),
      'PERMISSION_DENIED',
    );
    expect(await column(connection, 'PRAGMA query_only')).toEqual([1]);
    await connection.release();
    expect(await column(db, 'PRAGMA query_only')).toEqual([0]);
    await db.exec('DELETE FROM items');
    expect(await countRows(db, 'items')).toBe(0);
  });

  // SQLite forgets all of temp then, the declarations of Tonbo tables among it.
  test('PRAGMA temp_store leaves Tonbo tables and temporary ones where they are', async () => {
    const db = database();
    await createItems(db, 5);
    await using connection = await db.connection();
    await connection.exec('CREATE TEMP TABLE own(x); INSERT INTO own VALUES (7)');
    await connection.exec('PRAGMA temp_store = MEMORY');
    expect(await countRows(connection, 'items')).toBe(5);
    expect(await column(connection, 'SELECT x FROM own')).toEqual([7]);
  });

  test('what the database stands on is refused: settings, its own tables, foreign keys to Tonbo tables', async () => {
    const db = database();
    await createItems(db, 5);
    await expectError(db.exec('PRAGMA synchronous = OFF'), 'MISUSE', /durability/);
    await expectError(db.exec("ATTACH 'log.db' AS log"), 'MISUSE', /log\.db/);
    await expectError(db.exec('CREATE VIRTUAL TABLE temp.z USING tonbo(id INTEGER)'), 'MISUSE', /name none/);
    await expectError(db.exec('DELETE FROM heddle_tables'), 'SQL_ERROR', /heddle_tables may not be modified/);
    const sql = 'CREATE TABLE orders(item REFERENCES items(id))';
    const error = await db.exec(sql).catch((error: HeddleStoreError) => error);
    expect(error).toMatchObject({ code: 'SQL_ERROR', offset: sql.indexOf('items') });
    expect(await countRows(db, 'items')).toBe(5);
  });
});
