import { describe, expect, test } from 'vitest';
import { HeddleStoreError } from '../src/index.ts';
import { SHARED_LOCATIONS, sharedDatabase } from './support/database.ts';
import { expectError } from './support/errors.ts';
import { column, countRows, createItems } from './support/rows.ts';

describe.each(SHARED_LOCATIONS)('in a database %s', (_, location) => {
  const database = sharedDatabase(location, { threads: 4 });

  test('commits what the function did, and gives its result', async () => {
    const db = database();
    await createItems(db, 5);
    const result = await db.transaction(async (tx) => {
      await tx.exec('DELETE FROM items WHERE id = 5');
      return countRows(tx, 'items');
    });
    expect(result).toBe(4);
    expect(await countRows(db, 'items')).toBe(4);
  });

  test('rolls back when the function throws, and throws the same', async () => {
    const db = database();
    await createItems(db, 5);
    const oops = new Error('oops');
    const work = db.transaction(async (tx) => {
      await tx.exec('DELETE FROM items');
      throw oops;
    });
    await expect(work).rejects.toBe(oops);
    expect(await countRows(db, 'items')).toBe(5);
  });

  test('Tonbo tables and ordinary tables commit together or not at all', async () => {
    const db = database();
    await createItems(db, 5);
    await db.exec('DROP TABLE IF EXISTS ordinary');
    await db.exec('CREATE TABLE ordinary(id INTEGER PRIMARY KEY)');
    const both = (id: number, fail: boolean) =>
      db.transaction(async (tx) => {
        await tx.exec('INSERT INTO items(id) VALUES (?)', [id]);
        await tx.exec('INSERT INTO ordinary VALUES (?)', [id]);
        if (fail) await tx.exec('INSERT INTO ordinary VALUES (?)', [id]);
      });
    await both(10, false);
    await expectError(both(11, true), 'CONSTRAINT', /ordinary\.id/);
    expect(await column(db, 'SELECT id FROM items WHERE id >= 10')).toEqual([10]);
    expect(await column(db, 'SELECT id FROM ordinary')).toEqual([10]);
  });

  test('savepoints nest', async () => {
    const db = database();
    await createItems(db, 3);
    await db.exec('DROP TABLE IF EXISTS ordinary');
    await db.exec('CREATE TABLE ordinary(id INTEGER)');
    await db.transaction(async (tx) => {
      await tx.exec('INSERT INTO items(id) VALUES (10); INSERT INTO ordinary VALUES (10)');
      await tx.exec('SAVEPOINT a; INSERT INTO items(id) VALUES (11); INSERT INTO ordinary VALUES (11)');
      await tx.exec('SAVEPOINT b; DELETE FROM items WHERE id = 10; UPDATE items SET name = NULL WHERE id = 1');
      expect(await column(tx, 'SELECT id FROM items ORDER BY id')).toEqual([1, 2, 3, 11]);
      await tx.exec('ROLLBACK TO b; RELEASE b');
      expect(await column(tx, 'SELECT id FROM items ORDER BY id')).toEqual([1, 2, 3, 10, 11]);
      expect(await column(tx, 'SELECT name FROM items WHERE id = 1')).toEqual(['item 1']);
      await tx.exec('ROLLBACK TO a; INSERT INTO items(id) VALUES (12); RELEASE a');
    });
    expect(await column(db, 'SELECT id FROM items ORDER BY id')).toEqual([1, 2, 3, 10, 12]);
    expect(await column(db, 'SELECT id FROM ordinary')).toEqual([10]);
  });

  test('a failed statement undoes itself and leaves the transaction open', async () => {
    const db = database();
    await createItems(db, 3);
    await db.transaction(async (tx) => {
      await tx.exec('INSERT INTO items(id) VALUES (10)');
      await expectError(tx.exec('INSERT INTO items(id) VALUES (11), (12), (1)'), 'CONSTRAINT', /items\.id/);
      await tx.exec('INSERT INTO items(id) VALUES (13)');
    });
    expect(await column(db, 'SELECT id FROM items ORDER BY id')).toEqual([1, 2, 3, 10, 13]);
  });

  test('two uncommitted writers at once: disjoint rows both commit', async () => {
    const db = database();
    await createItems(db, 10);
    await using one = await db.connection();
    await using other = await db.connection();
    await one.exec('BEGIN');
    await other.exec('BEGIN');
    await one.exec('UPDATE items SET price = -1 WHERE id <= 5');
    await other.exec('UPDATE items SET price = -2 WHERE id > 5');
    await one.exec('INSERT INTO items(id, price) VALUES (11, -1)');
    await other.exec('INSERT INTO items(id, price) VALUES (12, -2)');
    expect(await column(db, 'SELECT count(*) FROM items WHERE price < 0')).toEqual([0]);
    await other.exec('COMMIT');
    await one.exec('COMMIT');
    expect(await column(db, 'SELECT price FROM items ORDER BY id')).toEqual([-1, -1, -1, -1, -1, -2, -2, -2, -2, -2, -1, -2]);
  });

  test('two uncommitted writers at once: of overlapping ones, the second to commit gets one CONFLICT', async () => {
    const db = database();
    await createItems(db, 10);
    await using one = await db.connection();
    await using other = await db.connection();
    await one.exec('BEGIN; UPDATE items SET price = price + 1 WHERE id = 5; UPDATE items SET price = 0 WHERE id = 1');
    await other.exec('BEGIN; UPDATE items SET price = price + 1 WHERE id = 5; UPDATE items SET price = 0 WHERE id = 2');
    await one.exec('COMMIT');
    await expectError(other.exec('COMMIT'), 'CONFLICT', /retry|again/i);
    await other.exec('ROLLBACK').catch(() => undefined);
    expect(await column(db, 'SELECT price FROM items WHERE id IN (1, 2, 5) ORDER BY id')).toEqual([0, 0.5, 2.25]);
    await other.exec('UPDATE items SET price = price + 1 WHERE id = 5');
    expect(await column(db, 'SELECT price FROM items WHERE id = 5')).toEqual([3.25]);
  });

  test('counters that many transactions raise lose nothing: conflicts are retried', async () => {
    const db = database();
    await db.exec('CREATE VIRTUAL TABLE counters USING tonbo(id INTEGER PRIMARY KEY, n INTEGER); INSERT INTO counters VALUES (1, 0)');
    let runs = 0;
    const raise = () =>
      db.transaction(
        async (tx) => {
          runs++;
          const row = await tx.query<{ n: number }>('SELECT n FROM counters WHERE id = 1').first();
          await tx.exec('UPDATE counters SET n = ? WHERE id = 1', [(row?.n ?? 0) + 1]);
        },
        { retries: 100 },
      );
    await Promise.all(Array.from({ length: 40 }, raise));
    expect(await column(db, 'SELECT n FROM counters')).toEqual([40]);
    expect(runs).toBeGreaterThanOrEqual(40);
  });
});

describe('a transaction', () => {
  const database = sharedDatabase('directory', { threads: 3 });

  test('a function that cannot win is told of the CONFLICT after its retries', async () => {
    const db = database();
    await createItems(db, 1);
    let runs = 0;
    const work = db.transaction(
      async (tx) => {
        runs++;
        await tx.exec('UPDATE items SET price = price + 1');
        await db.exec('UPDATE items SET price = price + 1');
      },
      { retries: 2 },
    );
    await expectError(work, 'CONFLICT');
    expect(runs).toBe(3);
    expect(await column(db, 'SELECT price FROM items')).toEqual([3.25]);
  });

  test('no retry for an error of another kind', async () => {
    const db = database();
    let runs = 0;
    await expectError(
      db.transaction(async (tx) => {
        runs++;
        await tx.exec('nonsense');
      }),
      'SQL_ERROR',
    );
    expect(runs).toBe(1);
  });

  test('calls that the function did not wait for belong to the transaction; later ones are MISUSE', async () => {
    const db = database();
    await createItems(db, 1);
    let late: (() => Promise<unknown>) | undefined;
    await db.transaction(async (tx) => {
      void tx.exec('INSERT INTO items(id) VALUES (2)');
      late = () => tx.exec('INSERT INTO items(id) VALUES (3)');
    });
    await expectError(late?.() ?? Promise.resolve(), 'MISUSE', /transaction has ended/);
    expect(await column(db, 'SELECT id FROM items')).toEqual([1, 2]);
  });

  test('a timeout rolls it back, even when the function hangs', async () => {
    const db = database();
    await createItems(db, 5);
    const work = db.transaction(
      async (tx) => {
        await tx.exec('DELETE FROM items');
        await new Promise(() => {});
      },
      { timeoutMs: 100 },
    );
    await expectError(work, 'TIMEOUT');
    expect(await countRows(db, 'items')).toBe(5);
    expect(db.threads().every(({ state }) => state === 'idle')).toBe(true);
  });

  test('one that writes ordinary tables from the start waits for no surprise later', async () => {
    const db = database();
    await db.exec('DROP TABLE IF EXISTS ordinary');
    await db.exec('CREATE TABLE ordinary(n INTEGER); INSERT INTO ordinary VALUES (0)');
    const raise = () =>
      db
        .transaction((tx) => tx.exec('UPDATE ordinary SET n = n + 1'), { mode: 'immediate' })
        .catch((error: unknown) => {
          // Another one may hold the only lock for longer than the wait; nothing else may go wrong.
          if (!(error instanceof HeddleStoreError && error.code === 'BUSY')) throw error;
          return undefined;
        });
    const done = (await Promise.all(Array.from({ length: 12 }, raise))).filter((result) => result !== undefined);
    expect(await column(db, 'SELECT n FROM ordinary')).toEqual([done.length]);
  });
});
