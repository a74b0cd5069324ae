/** Proof that nothing stands in for Tonbo: with its files gone, queries over its tables must fail. */
import { cp, open as openFile, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { open } from '@heddle/store';
import { execute } from './executions.ts';
import { EXECUTIONS, QUERIES } from './queries.ts';

const SQLITE_MAGIC = 'SQLite format 3\0';

/** Whether a file holds no row of Tonbo's: a SQLite database, the log or index beside one, or the mark of who has the directory open. */
async function holdsNoTonbo(path: string): Promise<boolean> {
  if (/-(wal|shm|journal)$|\.lock$/.test(path)) return true;
  const file = await openFile(path);
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(SQLITE_MAGIC.length));
    return buffer.toString('latin1', 0, bytesRead) === SQLITE_MAGIC;
  } finally {
    await file.close();
  }
}

/** Removes every file of Tonbo's under a database's directory, and tells how many those were. */
export async function removeTonboFiles(location: string): Promise<number> {
  let removed = 0;
  for (const entry of await readdir(location, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (!entry.isFile() || (await holdsNoTonbo(path))) continue;
    await rm(path);
    removed++;
  }
  return removed;
}

export interface RemovedCheck {
  readonly removed: number;
  /** Names of the queries that answered all the same; empty when all is well. */
  readonly answered: readonly string[];
}

/** Copies the (closed) database at `location`, removes Tonbo's files from the copy, and runs every query on it. */
export async function checkRemoved(location: string, threads: number): Promise<RemovedCheck> {
  const copy = `${location}-without-tonbo`;
  await cp(location, copy, { recursive: true });
  try {
    const removed = await removeTonboFiles(copy);
    const db = await open(copy, { threads }).catch(() => undefined);
    if (db === undefined) return { removed, answered: [] };
    const answered: string[] = [];
    try {
      for (const query of QUERIES) {
        const reading = query.execution(EXECUTIONS - 1, 1000);
        const answer = await execute(db, reading).catch(() => undefined);
        if (answer !== undefined) answered.push(query.name);
      }
    } finally {
      await db.close();
    }
    return { removed, answered };
  } finally {
    await rm(copy, { recursive: true, force: true });
  }
}
