/** What only a process shows of a restart: that of the dead engine nothing is left. */
import { readdirSync, readlinkSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test, vi } from 'vitest';
import type { Database } from '../src/index.ts';
import { openForTest, temporaryLocation } from './support/database.ts';
import { memoriesHeld, trap } from './support/engines.ts';
import { expectError } from './support/errors.ts';
import { column, countRows, createItems } from './support/rows.ts';

const ENDLESS_COUNT = 'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n';

const RESTARTS = 5;

/** Only Linux lists a process's threads and open files as directories. */
const onLinux = { skip: process.platform !== 'linux', timeout: 120_000 };

interface Count {
  readonly threads: number;
  readonly files: readonly string[];
}

function count(location: string): Count {
  const paths = readdirSync('/proc/self/fd').flatMap((file) => {
    try {
      return [readlinkSync(`/proc/self/fd/${file}`)];
    } catch {
      // The descriptor by which the directory was read.
      return [];
    }
  });
  const files = paths.filter((path) => path.startsWith(location)).toSorted();
  return { threads: readdirSync('/proc/self/task').length, files };
}

/** For how long a thread that is told to end may take, and work in the background that has a file open. */
const SETTLED = { timeout: 60_000, interval: 20 };

async function restart(db: Database): Promise<void> {
  const call = expectError(db.exec(ENDLESS_COUNT), 'ENGINE_RESTARTED');
  trap();
  await call;
  expect(await countRows(db, 'items')).toBe(10);
}

test('no thread and no open file of a dead engine stays behind', onLinux, async () => {
  const location = await temporaryLocation();
  const db = await openForTest(location);
  await createItems(db, 10);
  // Beyond those of the first engine, Node's own threads come up as they are needed.
  await restart(db);
  const first = count(location);
  expect(first.files.length).toBeGreaterThan(0);
  for (let time = 0; time < RESTARTS; time++) await restart(db);
  await vi.waitFor(() => {
    const now = count(location);
    expect(now.threads).toBeLessThanOrEqual(first.threads);
    // Each is open once, and was before: those that a dead engine had open would be there twice, or be its alone. Of those before, some were
    // open for a moment only.
    expect(now.files).toEqual([...new Set(now.files)]);
    expect(now.files.filter((file) => !first.files.includes(file))).toEqual([]);
  }, SETTLED);
  await db.close();
  expect(count(location).files).toEqual([]);
});

test('the memory of a dead engine is given back', async () => {
  setFlagsFromString('--expose-gc');
  const collectGarbage = runInNewContext('gc') as () => void;
  const before = memoriesHeld();
  const db = await openForTest(await temporaryLocation());
  await createItems(db, 10);
  for (let time = 0; time < RESTARTS; time++) await restart(db);
  // What a listener of the past still refers to goes with a later round of the event loop.
  while (memoriesHeld() > before + 1) {
    await new Promise((resolve) => setTimeout(resolve, 20));
    collectGarbage();
  }
  expect(await column(db, 'SELECT 1')).toEqual([1]);
}, 120_000);
