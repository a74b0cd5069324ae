/** What a Tonbo table may declare, in every host: the engine's own tests have the details. */
import { describe, expect, test } from 'vitest';
import { SHARED_LOCATIONS, sharedDatabase } from './support/database.ts';
import { expectError } from './support/errors.ts';
import { column } from './support/rows.ts';

describe.each(SHARED_LOCATIONS)('a Tonbo table %s', (_, location) => {
  const database = sharedDatabase(location);

  test('has defaults and checks, which an explicit NULL passes', async () => {
    const db = database();
    await db.exec(`
      DROP TABLE IF EXISTS t;
      CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY, n INTEGER DEFAULT (3 * 7) CHECK (n < 100), at TIMESTAMP DEFAULT CURRENT_TIMESTAMP)`);
    await db.exec('INSERT INTO t(id) VALUES (1); INSERT INTO t(id, n) VALUES (2, NULL)');
    expect(await db.query("SELECT n, at BETWEEN '2020-01-01' AND '2100-01-01' AS is_now FROM t ORDER BY id").all()).toEqual([
      { n: 21, is_now: 1 },
      { n: null, is_now: 1 },
    ]);
    await expectError(db.exec('UPDATE t SET n = 100'), 'CONSTRAINT', /CHECK constraint failed: n < 100/);
    expect(await column(db, 'SELECT count(*) FROM t WHERE n = 21')).toEqual([1]);
  });

  test('has dates, instants and exact decimals', async () => {
    const db = database();
    await db.exec(`
      DROP TABLE IF EXISTS t;
      CREATE VIRTUAL TABLE t USING tonbo(day DATE PRIMARY KEY, at TIMESTAMP, price DECIMAL(20, 2), name TEXT COLLATE NOCASE)`);
    await db.exec(
      "INSERT INTO t VALUES ('2024-02-29', '2024-02-29T12:00:00.5+02:00', '123456789012345678.90', 'Warp'), ('1969-12-31', NULL, '-9.5', 'weft')",
    );
    expect(await db.query('SELECT * FROM t ORDER BY price DESC').all()).toEqual([
      { day: '2024-02-29', at: '2024-02-29 10:00:00.500', price: '123456789012345678.90', name: 'Warp' },
      { day: '1969-12-31', at: null, price: '-9.50', name: 'weft' },
    ]);
    expect(await column(db, "SELECT decimal_add(price, '0.10') FROM t WHERE day > '2000-01-01' AND name = 'WARP'")).toEqual([
      '123456789012345679.00',
    ]);
    await expectError(db.exec("INSERT INTO t(day) VALUES ('2023-02-29')"), 'TYPE_MISMATCH', /day/);
  });

  test('has indexes, which keep values unlike each other and are used', async () => {
    const db = database();
    await db.exec(`
      DROP TABLE IF EXISTS t;
      CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY, name TEXT UNIQUE, n INTEGER);
      WITH RECURSIVE r(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM r LIMIT 5000) INSERT INTO t SELECT i, 'row ' || i, i % 100 FROM r;
      CREATE INDEX by_n ON t(n)`);
    expect(await column(db, 'SELECT count(*) FROM t WHERE n = 42')).toEqual([50]);
    const plan = await db.query<{ detail: string }>('EXPLAIN QUERY PLAN SELECT id FROM t WHERE n = 42').first();
    expect(plan?.detail).toContain('by_n');
    await expectError(db.exec("INSERT INTO t VALUES (9999, 'row 7', 0)"), 'CONSTRAINT', /UNIQUE constraint failed: t\.name/);
    const insert = () => db.transaction((tx) => tx.exec("INSERT INTO t(name, n) VALUES ('both', 1)"), { retries: 0 });
    const outcomes = await Promise.allSettled([insert(), insert()]);
    expect(outcomes.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected']);
    expect(await column(db, "SELECT count(*) FROM t WHERE name = 'both'")).toEqual([1]);
    expect(await column(db, 'PRAGMA integrity_check')).toEqual(['ok']);
  });

  test('compares the text of keys and indexes by its collation, and keeps it as it was written', async () => {
    const db = database();
    await db.exec(`
      DROP TABLE IF EXISTS t;
      CREATE VIRTUAL TABLE t USING tonbo(name TEXT COLLATE NOCASE PRIMARY KEY, code TEXT, UNIQUE (code COLLATE RTRIM));
      INSERT INTO t VALUES ('Warp', 'a'), ('weft', 'B  '), ('_', NULL)`);
    expect(await column(db, 'SELECT name FROM t ORDER BY name')).toEqual(['_', 'Warp', 'weft']);
    expect(await column(db, "SELECT name FROM t WHERE name = 'WARP' OR name LIKE 'WE%' ORDER BY name")).toEqual(['Warp', 'weft']);
    const plan = await db.query<{ detail: string }>("EXPLAIN QUERY PLAN SELECT code FROM t WHERE name LIKE 'WE%'").first();
    expect(plan?.detail).toContain('name>=? AND name<?');
    await expectError(db.exec("INSERT INTO t VALUES ('WEFT', 'c')"), 'CONSTRAINT', /UNIQUE constraint failed: t\.name/);
    await expectError(db.exec("INSERT INTO t VALUES ('heddle', 'a ')"), 'CONSTRAINT', /UNIQUE constraint failed: t\.code/);
    await db.exec("INSERT OR REPLACE INTO t VALUES ('WEFT', 'c'); CREATE INDEX by_code ON t(code COLLATE NOCASE DESC)");
    expect(await column(db, "SELECT name FROM t WHERE code = 'C' COLLATE NOCASE")).toEqual(['WEFT']);
    const insert = (name: string) => db.transaction((tx) => tx.exec(`INSERT INTO t VALUES ('${name}', NULL)`), { retries: 0 });
    const outcomes = await Promise.allSettled([insert('both'), insert('BOTH')]);
    expect(outcomes.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected']);
    expect(await column(db, 'PRAGMA integrity_check')).toEqual(['ok']);
  });

  test('is altered', async () => {
    const db = database();
    await db.exec(`
      DROP TABLE IF EXISTS t; DROP TABLE IF EXISTS renamed;
      CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY, a TEXT, b TEXT);
      INSERT INTO t VALUES (1, 'a', 'b');
      ALTER TABLE t ADD COLUMN c INTEGER DEFAULT 7; ALTER TABLE t DROP COLUMN a; ALTER TABLE t RENAME COLUMN b TO text; ALTER TABLE t RENAME TO renamed;
      INSERT INTO renamed(id, text) VALUES (2, 'later')`);
    expect(await db.query('SELECT * FROM renamed ORDER BY id').all()).toEqual([
      { id: 1, text: 'b', c: 7 },
      { id: 2, text: 'later', c: 7 },
    ]);
  });

  test('has views and triggers, which every connection sees', async () => {
    const db = database();
    await db.exec(`
      DROP VIEW IF EXISTS cheap; DROP TABLE IF EXISTS t; DROP TABLE IF EXISTS arrivals;
      CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY, price REAL);
      CREATE TABLE arrivals(id INTEGER, price REAL)`);
    const connection = await db.connection();
    await connection.exec(`
      CREATE VIEW cheap AS SELECT id FROM t WHERE price < 10;
      CREATE TRIGGER cheap_insert INSTEAD OF INSERT ON cheap BEGIN INSERT INTO t VALUES (new.id, 1); END;
      CREATE TRIGGER arrived AFTER INSERT ON arrivals BEGIN INSERT INTO t VALUES (new.id, new.price); END`);
    await db.exec('INSERT INTO arrivals VALUES (1, 5), (2, 50); INSERT INTO cheap VALUES (3)');
    expect(await column(db, 'SELECT id FROM cheap ORDER BY id')).toEqual([1, 3]);
    await db.exec('ALTER TABLE t RENAME COLUMN price TO cost');
    expect(await column(connection, 'SELECT id FROM cheap ORDER BY id')).toEqual([1, 3]);
    await expectError(connection.exec('CREATE TABLE cheap(x)'), 'SQL_ERROR', /view cheap already exists/);
    await connection.exec('DROP VIEW cheap');
    await connection.release();
    await expectError(column(db, 'SELECT id FROM cheap'), 'SQL_ERROR', /no such table: cheap/);
    expect(await column(db, 'SELECT name FROM heddle_views')).toEqual(['arrived']);
  });
});
