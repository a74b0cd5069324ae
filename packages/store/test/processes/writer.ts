/**
 * A process that writes transactions until it is killed, and says on its standard output which were acknowledged.
 *
 *   node writer.ts DIRECTORY FIRST
 *
 * Each transaction, with a number from FIRST on, writes {@link PARTS} rows with its number to the Tonbo table `parts`, counts
 * itself in its writer's row of the Tonbo table `totals` and, if its number is odd, adds a row to the ordinary table `odd`.
 */
import { writeSync } from 'node:fs';
import { open, type Transaction } from '../../src/index.ts';

/** Rows of `parts` in each transaction. */
export const PARTS = 7;

const WRITERS = 3;

async function write(directory: string, first: number): Promise<void> {
  const db = await open(directory, { threads: WRITERS });
  await db.exec('CREATE VIRTUAL TABLE IF NOT EXISTS parts USING tonbo(id INTEGER PRIMARY KEY, batch INTEGER, filler TEXT)');
  await db.exec('CREATE VIRTUAL TABLE IF NOT EXISTS totals USING tonbo(id INTEGER PRIMARY KEY, batches INTEGER)');
  await db.exec('CREATE TABLE IF NOT EXISTS odd(batch INTEGER PRIMARY KEY)');
  await db.exec('INSERT OR IGNORE INTO totals VALUES (1, 0), (2, 0), (3, 0)');
  let next = first;
  const writer = async (id: number) => {
    for (;;) {
      const batch = next++;
      const work = async (tx: Transaction) => {
        for (let part = 0; part < PARTS; part++) {
          await tx.exec('INSERT INTO parts VALUES (?, ?, ?)', [batch * PARTS + part, batch, 'x'.repeat((batch * 37) % 500)]);
        }
        await tx.exec('UPDATE totals SET batches = batches + 1 WHERE id = ?', [id]);
        if (batch % 2 === 1) await tx.exec('INSERT INTO odd VALUES (?)', [batch]);
      };
      // Only one at a time can write the ordinary table: the others try again, however often.
      await db.transaction(work, { retries: Infinity });
      // Not through a stream: what is written is in the pipe when the call returns, whatever happens then.
      writeSync(1, `${batch}\n`);
    }
  };
  await Promise.all(Array.from({ length: WRITERS }, (_, index) => writer(index + 1)));
}

const [, script, directory, first] = process.argv;
if (script?.endsWith('writer.ts') && directory !== undefined) await write(directory, Number(first));
