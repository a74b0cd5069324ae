/**
 * The store's sqllogictest files, on the engine that users run: another C library, another libm and another clock than the native one's.
 *
 * In Node each file runs on one connection, and as four copies at once on four. Browsers, where the same Wasm computes, run the four copies of
 * a third of the files, on Tonbo tables: changes of the schema, constraints, indexes, and rows without a key.
 */
import { expect, onTestFinished, test } from 'vitest';
import { open } from '../src/index.ts';
import { temporaryLocation } from './support/database.ts';
import { isNode } from './support/host.ts';
import { copyOf, type Kind, partsOf, recordsOf, type Runner, runRecords, type TestRecord } from './support/sqllogictest.ts';

const ALL = import.meta.glob<string>('../../../crates/store/tests/sqllogictest/*.slt', {
  query: '?raw',
  import: 'default',
  eager: true,
});

const FILES = Object.entries(ALL).filter(([path]) => isNode || /\/(?:alter|constraints|indexes|rowids)\.slt$/.test(path));

const TIMEOUT_MS = 300_000;

/** A file on one kind of table, under names of its own. */
interface Copy {
  readonly title: string;
  readonly parts: readonly (readonly TestRecord[])[];
  readonly movesOften: boolean;
}

/** All files. */
function copiesOf(kind: Kind, suffix: string, movesOften = false): Copy[] {
  return FILES.map(([path, source]) => {
    const file = path.replace(/^.*\//, '');
    const records = copyOf(recordsOf(source, kind), `${file.replace('.slt', '')}_${suffix}`);
    return { title: `${file} on ${kind} tables`, parts: partsOf(records), movesOften };
  });
}

async function openRunner(location: string, connections: number): Promise<Runner> {
  const db = await open(location, { threads: connections + 1 });
  const mover = await db.connection();
  await mover.exec('PRAGMA busy_timeout = 0');
  return { db, mover };
}

/** Copies for each connection. */
type Lists = readonly (readonly Copy[])[];

/**
 * Runs the copies of one stage after the other, those of different connections at once; the database is opened again for all together. Returns
 * how many records that were.
 */
async function run(stages: readonly Lists[]): Promise<number> {
  const location = await temporaryLocation();
  const all = stages.flat(2);
  for (let part = 0; part < Math.max(...all.map(({ parts }) => parts.length)); part++) {
    const runner = await openRunner(location, Math.max(...stages.map((lists) => lists.length)));
    onTestFinished(() => runner.db.close());
    for (const lists of stages) await Promise.all(lists.map((copies) => runPart(runner, copies, part)));
    await runner.db.close();
  }
  return all.reduce((count, copy) => count + copy.parts.flat().length, 0);
}

async function runPart(runner: Runner, copies: readonly Copy[], part: number): Promise<void> {
  for (const { title, parts, movesOften } of copies) {
    try {
      await runRecords(runner, parts[part] ?? [], movesOften);
    } catch (error) {
      throw new Error(`${title}: ${(error as Error).message}`, { cause: error });
    }
  }
}

const four = (kind: Kind): Lists => ['a', 'b', 'c', 'd'].map((name) => copiesOf(kind, `${kind}_${name}`));

test(
  'the files hold, alone and as four copies at once',
  async () => {
    const alone: Lists = [[...copiesOf('tonbo', 't'), ...copiesOf('tonbo', 'in_files', true), ...copiesOf('ordinary', 'o')]];
    const stages = isNode ? [alone, four('tonbo'), four('ordinary')] : [four('tonbo')];
    expect(await run(stages)).toBeGreaterThan(10 * stages.flat(2).length);
  },
  TIMEOUT_MS,
);
