import { describe, expect, test } from 'vitest';
import type { Session } from '../src/index.ts';
import { SHARED_LOCATIONS, sharedDatabase } from './support/database.ts';
import { column, countRows, createItems, insertItems } from './support/rows.ts';

interface Snapshot {
  readonly low: number;
  readonly high: number;
  readonly count: number;
  readonly mirror: number;
}

/** Rows of one version of a Tonbo table, and the ordinary table of the same. */
const SNAPSHOT = 'SELECT min(price) AS low, max(price) AS high, count(*) AS count, (SELECT n FROM mirror) AS mirror FROM items';

describe.each(SHARED_LOCATIONS)('a database %s', (_, location) => {
  const database = sharedDatabase(location, { threads: 4 });

  test('shows readers whole transactions, beside writers', async () => {
    const db = database();
    await createItems(db, 100);
    await db.exec('UPDATE items SET price = 0; CREATE TABLE mirror(n INTEGER); INSERT INTO mirror VALUES (0)');
    let writing = true;
    const write = async () => {
      for (let round = 1; round <= 30; round++) {
        await db.transaction(async (tx) => {
          await tx.exec('UPDATE items SET price = ?', [round]);
          await tx.exec('UPDATE mirror SET n = ?', [round]);
        });
      }
    };
    const read = async () => {
      const seen: number[] = [];
      while (writing) {
        const row = await db.query<Snapshot>(SNAPSHOT).first();
        expect(row).toEqual({ low: row?.mirror, high: row?.mirror, count: 100, mirror: row?.mirror });
        seen.push(row?.mirror ?? -1);
      }
      expect(seen).toEqual(seen.toSorted((a, b) => a - b));
      expect(seen.length).toBeGreaterThan(0);
    };
    await Promise.all([write().finally(() => (writing = false)), read(), read()]);
    expect(await column(db, 'SELECT DISTINCT price FROM items')).toEqual([30]);
  }, 60_000);

  test('takes many writers of different rows', async () => {
    const db = database();
    await createItems(db, 0);
    await Promise.all(Array.from({ length: 40 }, (_, n) => insertItems(db, n * 50 + 1, n * 50 + 50)));
    expect(await countRows(db, 'items')).toBe(2000);
    expect(await column(db, 'SELECT sum(id) FROM items')).toEqual([2_001_000]);
  }, 60_000);

  test('gives several threads the same answer', async () => {
    const db = database();
    await createItems(db, 5000);
    const ask = (session: Session) => session.query('SELECT sum(id) AS s, count(*) AS n, max(name) AS m FROM items').first();
    const answers = await Promise.all(Array.from({ length: 24 }, () => ask(db)));
    expect(answers).toEqual(answers.map(() => ({ s: 12_502_500, n: 5000, m: 'item 999' })));
  });

  test('leaves the event loop alone while statements run', async () => {
    const db = database();
    const busy = 'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 2000000) SELECT count(*) AS c FROM n';
    let turns = 0;
    const timer = setInterval(() => turns++, 1);
    expect(await Promise.all([column(db, busy), column(db, busy)])).toEqual([[2_000_000], [2_000_000]]);
    clearInterval(timer);
    expect(turns).toBeGreaterThan(3);
  });
});
