import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import { HeddleStoreError, open } from '../src/index.ts';
import { openForTest, temporaryLocation } from './support/database.ts';
import { expectError } from './support/errors.ts';
import { TestProcess } from './support/process.ts';
import { column, countRows, createItems, insertItems } from './support/rows.ts';

/** Mounts a file system in memory until the test has finished; skips the test where that isn't allowed. */
function mountForTest(directory: string, options: string, skip: (note: string) => never): void {
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', directory], { stdio: 'ignore' });
  } catch {
    skip('a small file system can’t be mounted here: that needs root on Linux');
  }
  onTestFinished(() => void execFileSync('umount', ['-l', directory]));
}

test('the directory is created with its parents, and may be given as a URL', async () => {
  const location = join(await temporaryLocation(), 'a', 'b');
  const db = await open(pathToFileURL(location), { threads: 1 });
  await createItems(db, 3);
  await db.close();
  expect(statSync(location).isDirectory()).toBe(true);
  expect(await countRows(await openForTest(location), 'items')).toBe(3);
});

test('a URL of another kind is MISUSE', async () => {
  await expectError(open(new URL('https://example.com/db')), 'MISUSE', /https:/);
});

test('a path below a file is an error that names it', async () => {
  const location = await temporaryLocation();
  mkdirSync(location);
  writeFileSync(join(location, 'file'), 'kept');
  const error = await open(join(location, 'file', 'db')).catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(HeddleStoreError);
  expect(error).toMatchObject({
    code: expect.stringMatching(/^(?:PERMISSION_DENIED|NOT_FOUND|IO_ERROR)$/),
    message: expect.stringContaining('file'),
  });
});

test('a file in the place of the directory is an error, and stays as it is', async () => {
  const location = await temporaryLocation();
  writeFileSync(location, 'kept');
  await expect(open(location)).rejects.toBeInstanceOf(HeddleStoreError);
  expect(statSync(location).size).toBe(4);
});

test('a directory that may not be written: PERMISSION_DENIED', async ({ skip }) => {
  const directory = await temporaryLocation();
  mkdirSync(directory, { mode: 0o555 });
  // Permissions don't bind root, a mount that is read-only does.
  if (process.getuid?.() === 0) {
    mountForTest(directory, 'ro', skip);
    await expectError(open(directory), 'PERMISSION_DENIED', /read-only/);
  } else await expectError(open(directory), 'PERMISSION_DENIED');
  await expectError(open(join(directory, 'db')), 'PERMISSION_DENIED');
});

test('foreign files in the directory stay as they are', async () => {
  const location = await temporaryLocation();
  mkdirSync(location);
  writeFileSync(join(location, 'README'), 'mine');
  const db = await openForTest(location);
  await createItems(db, 3);
  await db.close();
  expect(readdirSync(location)).toContain('README');
});

test('another process has the directory: LOCKED; when it is killed, the lock counts no longer', async () => {
  const location = await temporaryLocation();
  const holder = new TestProcess('holder.ts', [location]);
  await holder.written(1);
  for (let attempt = 0; attempt < 3; attempt++) await expectError(open(location), 'LOCKED', /process/);
  await holder.kill();
  const db = await openForTest(location);
  expect(await column(db, 'SELECT id FROM held ORDER BY id')).toEqual([1, 2]);
}, 60_000);

test('a full disk: NO_SPACE, nothing acknowledged is lost, and with room again it goes on', async ({ skip }) => {
  const mount = await temporaryLocation();
  mkdirSync(mount);
  mountForTest(mount, 'size=32m', skip);
  const filler = join(mount, 'filler');
  // As much as the rest: rows on their way into files are there twice.
  writeFileSync(filler, new Uint8Array(16 << 20));

  const location = join(mount, 'db');
  const db = await openForTest(location, { threads: 2 });
  await db.exec('CREATE VIRTUAL TABLE blobs USING tonbo(id INTEGER PRIMARY KEY, bytes BLOB); CREATE TABLE ordinary(id INTEGER)');
  let acknowledged = 0;
  const fill = async () => {
    for (;;) {
      const id = acknowledged + 1;
      await db.transaction(async (tx) => {
        await tx.exec('INSERT INTO blobs VALUES (?, randomblob(100000))', [id]);
        await tx.exec('INSERT INTO ordinary VALUES (?)', [id]);
      });
      acknowledged = id;
    }
  };
  await expectError(fill(), 'NO_SPACE');
  expect(acknowledged).toBeGreaterThan(10);
  const ids = Array.from({ length: acknowledged }, (_, index) => index + 1);
  expect(await column(db, 'SELECT id FROM blobs ORDER BY id')).toEqual(ids);
  expect(await column(db, 'SELECT id FROM ordinary ORDER BY id')).toEqual(ids);
  rmSync(filler);
  await db.exec('INSERT INTO blobs VALUES (-1, randomblob(1000))');
  await db.close();
  const again = await openForTest(location);
  expect(await column(again, 'SELECT id FROM blobs ORDER BY id')).toEqual([-1, ...ids]);
  expect(await column(again, 'SELECT sum(length(bytes)) FROM blobs')).toEqual([acknowledged * 100_000 + 1000]);
  await insertRows(again);
}, 120_000);

async function insertRows(db: Parameters<typeof createItems>[0]): Promise<void> {
  await createItems(db, 10);
  await insertItems(db, 11, 20);
  expect(await countRows(db, 'items')).toBe(20);
}

test('a process that has closed its database exits by itself', async () => {
  const location = await temporaryLocation();
  const program = `import { open } from '@heddle/store';
    const db = await open(${JSON.stringify(location)}, { threads: 2 });
    await db.exec('CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY); INSERT INTO t VALUES (1)');
    console.log(JSON.stringify(await db.query('SELECT * FROM t').all()));
    await db.close();`;
  const output = execFileSync(
    process.execPath,
    ['--conditions=@heddle/source', '--disable-warning=ExperimentalWarning', '--input-type=module', '-e', program],
    { encoding: 'utf8', timeout: 30_000, cwd: new URL('..', import.meta.url) },
  );
  expect(output).toBe('[{"id":1}]\n');
  expect(await countRows(await openForTest(location), 't')).toBe(1);
}, 60_000);
