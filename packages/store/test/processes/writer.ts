/**
 * A process that writes transactions until it is killed, and says on its standard output which were acknowledged.
 *
 *   node writer.ts DIRECTORY FIRST DURABILITY
 *
 * Each transaction, with a number from FIRST on, writes {@link PARTS} rows with its number to the Tonbo table `parts`, counts
 * itself in its writer's row of the Tonbo table `totals` and, if its number is odd, adds a row to the ordinary table `odd`.
 *
 * Behind every tenth something larger is done beside the other writers: rows are written to files and those merged, an index is built or dropped,
 * a column comes or goes, a file of {@link IMPORTED} rows with that number is imported. Lines with an `i` before the number acknowledge imports.
 */
import { writeSync } from 'node:fs';
import { type Database, type Durability, HeddleStoreError, open, type Transaction } from '../../src/index.ts';

/** Rows of `parts` in each transaction. */
export const PARTS = 7;

/** Rows of `imported` of each import. */
export const IMPORTED = 40;

const WRITERS = 3;

const LARGER: readonly ((db: Database, batch: number) => Promise<unknown>)[] = [
  (db) => db.query('PRAGMA wal_checkpoint(FULL)').all(),
  (db) => db.exec('CREATE INDEX IF NOT EXISTS by_batch ON parts(batch)'),
  (db) => db.exec('ALTER TABLE parts ADD COLUMN extra INTEGER DEFAULT 7'),
  async (db, batch) => {
    const rows = Array.from({ length: IMPORTED }, (_, row) => `${batch * IMPORTED + row},${batch}\n`);
    await db.import(new TextEncoder().encode(`id,batch\n${rows.join('')}`), { table: 'imported', format: 'csv' });
    writeSync(1, `i${batch}\n`);
  },
  (db) => db.exec('DROP INDEX IF EXISTS by_batch'),
  (db) => db.exec('ALTER TABLE parts DROP COLUMN extra'),
];

/** Does again what was refused because an index is being built, or a file imported. */
async function untilFree(work: () => Promise<unknown>): Promise<void> {
  for (;;) {
    try {
      // oxlint-disable-next-line no-await-in-loop -- one attempt after the other
      await work();
      return;
    } catch (error) {
      if (!(error instanceof HeddleStoreError && error.code === 'TABLE_BUSY')) throw error;
    }
  }
}

/** Does one of them; where another writer has come first, or the column is there already, it is left. */
async function doLarger(db: Database, batch: number): Promise<void> {
  try {
    await LARGER[(batch / 10) % LARGER.length]?.(db, batch);
  } catch (error) {
    const isExpected = error instanceof HeddleStoreError && ['CONFLICT', 'BUSY', 'TABLE_BUSY', 'SQL_ERROR'].includes(error.code);
    if (!isExpected) throw error;
  }
}

async function write(directory: string, first: number, durability: Durability): Promise<void> {
  const db = await open(directory, { threads: WRITERS, durability });
  await db.exec('CREATE VIRTUAL TABLE IF NOT EXISTS parts USING tonbo(id INTEGER PRIMARY KEY, batch INTEGER, filler TEXT)');
  await db.exec('CREATE VIRTUAL TABLE IF NOT EXISTS totals USING tonbo(id INTEGER PRIMARY KEY, batches INTEGER)');
  await db.exec('CREATE VIRTUAL TABLE IF NOT EXISTS imported USING tonbo(id INTEGER PRIMARY KEY, batch INTEGER)');
  await db.exec('CREATE TABLE IF NOT EXISTS odd(batch INTEGER PRIMARY KEY)');
  await db.exec('INSERT OR IGNORE INTO totals VALUES (1, 0), (2, 0), (3, 0)');
  let next = first;
  const writer = async (id: number) => {
    for (;;) {
      const batch = next++;
      const work = async (tx: Transaction) => {
        for (let part = 0; part < PARTS; part++) {
          await tx.exec('INSERT INTO parts(id, batch, filler) VALUES (?, ?, ?)', [
            batch * PARTS + part,
            batch,
            'x'.repeat((batch * 37) % 500),
          ]);
        }
        await tx.exec('UPDATE totals SET batches = batches + 1 WHERE id = ?', [id]);
        if (batch % 2 === 1) await tx.exec('INSERT INTO odd VALUES (?)', [batch]);
      };
      // Only one at a time can write the ordinary table: the others try again, however often.
      await untilFree(() => db.transaction(work, { retries: Infinity }));
      // Not through a stream: what is written is in the pipe when the call returns, whatever happens then.
      writeSync(1, `${batch}\n`);
      if (batch % 10 === 0) await doLarger(db, batch);
    }
  };
  await Promise.all(Array.from({ length: WRITERS }, (_, index) => writer(index + 1)));
}

const [, script, directory, first, durability = 'full'] = process.argv;
if (script?.endsWith('writer.ts') && directory !== undefined) await write(directory, Number(first), durability as Durability);
