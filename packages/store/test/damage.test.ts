/** Files that are damaged while nobody has them open. What is told, and saved, of each is shown natively in crates/store/tests/damage.rs. */
import { expect, test } from 'vitest';
import type { Damage, Database } from '../src/index.ts';
import { openForTest, temporaryLocation } from './support/database.ts';
import { expectError } from './support/errors.ts';
import { changeFile, filesBelow } from './support/files.ts';
import { column, countRows } from './support/rows.ts';

const TIMEOUT_MS = 60_000;
/** More than a close leaves in Tonbo's log alone. */
const ROWS = 10_000;
/** Within the first page of a Parquet file. */
const FIRST_PAGE_AT = 10;

async function createWithDamage(location: string, isDamaged: (path: string) => boolean): Promise<string> {
  const db = await openForTest(location);
  await db.exec('CREATE VIRTUAL TABLE items USING tonbo(id INTEGER PRIMARY KEY, n INTEGER); CREATE INDEX items_n ON items(n)');
  await db.exec(
    `WITH RECURSIVE c(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM c WHERE i < ${ROWS}) INSERT INTO items SELECT i, i * 7 FROM c`,
  );
  await db.close();
  const path = (await filesBelow(location)).find(isDamaged);
  if (path === undefined) throw new Error('no such file');
  await changeFile(location, path, (bytes) => {
    bytes[FIRST_PAGE_AT] = (bytes[FIRST_PAGE_AT] ?? 0) ^ 1;
  });
  return path;
}

const isOfRows = (path: string): boolean => path.includes('tables/1/') && path.endsWith('.parquet');

/** Whether every row and every index entry is right, and they agree. */
async function expectSound(db: Database): Promise<void> {
  expect(await column(db, 'PRAGMA integrity_check')).toEqual(['ok']);
  expect(await column(db, 'SELECT count(*) FROM items WHERE n <> id * 7')).toEqual([0]);
}

test(
  'a damaged file of rows: CORRUPT, until it is salvaged',
  async () => {
    const location = await temporaryLocation();
    const path = await createWithDamage(location, isOfRows);
    const damaged = await openForTest(location);
    await expectError(damaged.query('SELECT sum(n) FROM items').all(), 'CORRUPT', /items/);
    expect(await column(damaged, 'SELECT 1')).toEqual([1]);
    await damaged.close();

    const found: Damage[] = [];
    const salvaged = await openForTest(location, { recovery: 'salvage', onDamage: (damage) => found.push(damage) });
    expect(found).toMatchObject([{ file: path, table: 'items' }]);
    expect(await filesBelow(location)).toContain(found[0]?.copy);
    await expectSound(salvaged);
    const rows = await countRows(salvaged, 'items');
    await salvaged.exec('INSERT INTO items VALUES (-1, -7)');
    await salvaged.close();

    const db = await openForTest(location);
    await expectSound(db);
    expect(await countRows(db, 'items')).toBe(rows + 1);
  },
  TIMEOUT_MS,
);

test(
  'a log that is no log: CORRUPT, until it is salvaged',
  async () => {
    const location = await temporaryLocation();
    await createWithDamage(location, isOfRows);
    await changeFile(location, 'log.db', (bytes) => bytes.fill(0x5a));
    await expectError(openForTest(location), 'CORRUPT', /recovery: 'salvage'/);
    const found: Damage[] = [];
    const db = await openForTest(location, { recovery: 'salvage', onDamage: (damage) => found.push(damage) });
    expect(found.map(({ table, file }) => table ?? file)).toEqual(['log.db', 'items']);
    await expectSound(db);
  },
  TIMEOUT_MS,
);

test(
  'nothing is told where nothing is damaged',
  async () => {
    const location = await temporaryLocation();
    const onDamage = (damage: Damage): never => {
      throw new Error(damage.message);
    };
    for (let time = 0; time < 2; time++) {
      // oxlint-disable-next-line no-await-in-loop -- one opening after the other
      const db = await openForTest(location, { recovery: 'salvage', onDamage });
      // oxlint-disable-next-line no-await-in-loop
      await db.exec(
        'CREATE VIRTUAL TABLE IF NOT EXISTS items USING tonbo(id INTEGER PRIMARY KEY, n INTEGER); INSERT INTO items(n) VALUES (1)',
      );
      // oxlint-disable-next-line no-await-in-loop
      await db.close();
    }
    expect((await filesBelow(location)).filter((path) => path.startsWith('damaged/'))).toEqual([]);
  },
  TIMEOUT_MS,
);
