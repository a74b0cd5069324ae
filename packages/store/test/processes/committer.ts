/**
 * A process that commits single rows and says for each what was synced between its call and its answer, as a line of JSON:
 *
 *   HEDDLE_SYNC_LOG=FILE node --import=./sync-log.ts committer.ts DIRECTORY DURABILITY
 */
import { readFileSync, writeSync } from 'node:fs';
import { type Durability, open } from '../../src/index.ts';

/** What the process tells. */
export interface Committed {
  readonly what: string;
  readonly syncs: readonly string[];
}

const synced = (): string[] =>
  readFileSync(process.env['HEDDLE_SYNC_LOG'] ?? '', 'utf8')
    .split('\n')
    .slice(0, -1);

async function tell(what: string, work: () => Promise<unknown>): Promise<void> {
  const before = synced().length;
  await work();
  const told: Committed = { what, syncs: synced().slice(before) };
  writeSync(1, `${JSON.stringify(told)}\n`);
}

const COMMITS = 5;

async function commit(directory: string, durability: Durability): Promise<void> {
  const db = await open(directory, { threads: 2, durability });
  await db.exec('CREATE VIRTUAL TABLE items USING tonbo(id INTEGER PRIMARY KEY); CREATE TABLE ordinary(id INTEGER PRIMARY KEY)');
  for (let id = 0; id < COMMITS; id++) {
    await tell('Tonbo', () => db.exec('INSERT INTO items VALUES (?)', [id]));
    await tell('ordinary', () => db.exec('INSERT INTO ordinary VALUES (?)', [id]));
    await tell('both', () =>
      db.transaction(async (tx) => {
        await tx.exec('INSERT INTO items VALUES (?)', [COMMITS + id]);
        await tx.exec('INSERT INTO ordinary VALUES (?)', [COMMITS + id]);
      }),
    );
  }
  await tell('files', () => db.query('PRAGMA wal_checkpoint(FULL)').all());
  await tell('end', async () => {});
  await db.close();
}

const [, script, directory, durability] = process.argv;
if (script?.endsWith('committer.ts') && directory !== undefined) await commit(directory, durability as Durability);
