/**
 * That a commit is synced before it is answered: a test that kills a process passes without any sync, for the system has what was written.
 * So the host's own calls are counted, in all threads of a process.
 */
import { dirname } from 'node:path';
import { expect, test } from 'vitest';
import type { Durability } from '../src/index.ts';
import { temporaryLocation } from './support/database.ts';
import { filesBelow } from './support/files.ts';
import { TestProcess } from './support/process.ts';
import type { Committed } from './processes/committer.ts';

/** Only Linux tells what a descriptor is of. */
const onLinux = { skip: process.platform !== 'linux', timeout: 120_000 };

async function committed(location: string, durability: Durability): Promise<Committed[]> {
  const preloaded = new URL('processes/sync-log.ts', import.meta.url);
  const committer = new TestProcess('committer.ts', [location, durability], {
    options: [`--import=${preloaded.href}`],
    env: { HEDDLE_SYNC_LOG: `${await temporaryLocation()}.log` },
  });
  await committer.ended();
  const told = committer.lines.map((line) => JSON.parse(line) as Committed);
  expect(told.at(-1)?.what).toBe('end');
  return told;
}

test('each commit is synced before its answer, with durability full', onLinux, async () => {
  const location = await temporaryLocation();
  const told = await committed(location, 'full');
  const commits = told.filter(({ what }) => what !== 'files' && what !== 'end');
  expect(commits.length).toBeGreaterThan(10);
  for (const { what, syncs } of commits) {
    expect(syncs, what).toContainEqual(expect.stringMatching(/^fdatasyncSync .*-wal$/));
    expect(
      syncs.every((sync) => sync.includes(location)),
      what,
    ).toBe(true);
  }
  // What the database made is nothing without its names, which are synced behind it.
  const { syncs = [] } = told.find(({ what }) => what === 'files') ?? {};
  const written = (await filesBelow(location)).filter((file) => file.endsWith('.parquet')).map((file) => `${location}/${file}`);
  expect(written.length).toBeGreaterThan(0);
  for (const file of written) {
    const at = syncs.indexOf(`fdatasyncSync ${file}`);
    expect(at, file).toBeGreaterThanOrEqual(0);
    expect(syncs.indexOf(`fsyncSync ${dirname(file)}`, at), file).toBeGreaterThan(at);
  }
});

test('no commit to one kind of table waits for a sync, with durability relaxed', onLinux, async () => {
  const told = await committed(await temporaryLocation(), 'relaxed');
  const commits = told.filter(({ what }) => what === 'Tonbo' || what === 'ordinary');
  expect(commits.length).toBeGreaterThan(5);
  // What moves rows to Tonbo in the background syncs the logs before, perhaps beside a commit; hardly beside each.
  expect(commits.filter(({ syncs }) => syncs.length === 0)).not.toEqual([]);
  // The order of both logs is kept: what is in one is synced before what is in the other names it.
  for (const { what, syncs } of told.filter((each) => each.what === 'both')) {
    expect(syncs, what).toContainEqual(expect.stringMatching(/^fdatasyncSync .*\/log\.db-wal$/));
  }
});
