/**
 * A leader's process that is stopped as a whole, without warning, as by a debugger or the system: it keeps its files, so that nobody can take over,
 * but whoever calls gets an answer; and when it goes on, so do all.
 *
 * In the long run alone, because those answers take some twenty seconds; and in Chromium alone, for Firefox has no call by which a page is frozen.
 * There a leader whose main thread hangs stands for it, in `faults-browsers.pages.test.ts`.
 */
import { readdir, readFile, readlink } from 'node:fs/promises';
import { expect, onTestFinished, test } from 'vitest';
import type { TabsPage } from './pages/tabs.ts';
import { emptyProfile, launch, PageServer } from './support/pages.ts';
import { check, Ledger, more, openTabs } from './support/tabs.ts';

declare const page: TabsPage;

const LONG_MINUTES = Number(process.env['HEDDLE_LONG_MINUTES'] ?? 0);

const ENDLESS_COUNT = 'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n';

const server = new PageServer();

/** The processes of tabs that have files of the origin's private file system open. */
async function renderersWithFiles(profile: string): Promise<number[]> {
  const found: number[] = [];
  for (const id of (await readdir('/proc')).filter((entry) => /^\d+$/.test(entry))) {
    const command = await readFile(`/proc/${id}/cmdline`, 'utf8').catch(() => '');
    if (!command.includes('--type=renderer')) continue;
    const files = await readdir(`/proc/${id}/fd`).catch(() => []);
    const targets = await Promise.all(files.map((file) => readlink(`/proc/${id}/fd/${file}`).catch(() => '')));
    if (targets.some((target) => target.startsWith(profile) && target.includes('/File System/'))) found.push(Number(id));
  }
  return found;
}

test.skipIf(LONG_MINUTES === 0)(
  'in chromium, in the long run: calls under way in a leader that is stopped reject, calls that wait have their timeouts, and all go on with it',
  async () => {
    const ledger = new Ledger(server);
    const profile = await emptyProfile();
    const [leader, follower] = await openTabs(server, await launch('chromium', { profile }), 2);
    await leader.evaluate(() => page.create());
    await leader.evaluate(() => page.write(1));
    await follower.evaluate(() => page.write(2));
    await more(ledger, 10);
    await Promise.all([leader, follower].map((tab) => tab.evaluate(() => page.rest())));
    const processes = await renderersWithFiles(profile);
    expect(processes.length).toBe(1);
    const [id = 0] = processes;
    const underWay = [1, 2].map(() => follower.evaluate((sql) => page.exec(sql), ENDLESS_COUNT));
    await expect.poll(() => leader.evaluate(() => page.running())).toBe(2);
    process.kill(id, 'SIGSTOP');
    onTestFinished(() => void process.kill(id, 'SIGCONT'));
    // The threads are not free, and nobody takes over: this one waits.
    expect(await follower.evaluate(() => page.exec('INSERT INTO twice VALUES (-1, -1)', 3000))).toBe('TIMEOUT');
    expect(await Promise.all(underWay)).toEqual(['ENGINE_RESTARTED', 'ENGINE_RESTARTED']);
    expect(await follower.evaluate(() => page.exec('INSERT INTO twice VALUES (-1, -1)', 3000))).toBe('TIMEOUT');
    process.kill(id, 'SIGCONT');
    await leader.evaluate(() => page.write(3));
    await follower.evaluate(() => page.write(4));
    await more(ledger, 20);
    await Promise.all([leader, follower].map((tab) => tab.evaluate(() => page.rest())));
    for (const tab of [leader, follower]) await check(ledger, tab, 0);
    expect(ledger.unknown.size).toBe(0);
    expect(await follower.evaluate(() => page.all('PRAGMA integrity_check'))).toEqual([{ integrity_check: 'ok' }]);
  },
  240_000,
);
