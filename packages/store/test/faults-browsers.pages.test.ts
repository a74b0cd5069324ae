/**
 * What may befall tabs that share a database in real browsers: their locks are stolen, their files are taken away, processes are killed, main
 * threads hang, pages are frozen, the quota is used up. Nothing that was acknowledged is lost or there twice, and whoever calls gets an
 * answer. The tests keep the acknowledgements.
 */
import { readdir, readFile, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { Page } from 'playwright';
import { describe, expect, test } from 'vitest';
import type { TabsPage } from './pages/tabs.ts';
import { BROWSERS, emptyProfile, launch, launchWithHiddenPages, PageServer } from './support/pages.ts';
import { check, Ledger, more, openTab, openTabs, untilLeads } from './support/tabs.ts';

declare const page: TabsPage;

const TIMEOUT_MS = 240_000;

/** Firefox gives tabs of one origin a process each. It has one for all of them otherwise, and one main thread. */
const SEPARATE_PROCESSES = { 'dom.ipc.processCount.webIsolated': 8, 'dom.ipc.processCount.webCOOP+COEP': 8 };

/** Firefox gives an origin 10 MiB. */
const SMALL_QUOTA = { 'dom.quotaManager.temporaryStorage.fixedLimit': 16_000 };

/** A profile keeps its settings. */
const LARGE_QUOTA = { 'dom.quotaManager.temporaryStorage.fixedLimit': 1_000_000 };

const DIRECTORY_LOCK = 'heddle-store:tabs';
const LEADER_LOCK = 'heddle-store-leader:tabs';
const TAB_LOCK = 'heddle-store-tab:';

const server = new PageServer();

describe.each(BROWSERS)('in %s', (name) => {
  test(
    'a directory whose lock is stolen has one engine all the same',
    async () => {
      const ledger = new Ledger(server);
      const context = await launch(name);
      const [leader, follower] = await openTabs(server, context, 2);
      await leader.evaluate(() => page.create());
      await leader.evaluate(() => page.write(1));
      await follower.evaluate(() => page.write(2));
      await more(ledger, 5);
      const thief = await context.newPage();
      await server.goto(thief, 'tabs.html');
      await thief.evaluate((lock) => page.steal(lock), DIRECTORY_LOCK);
      await more(ledger, 5);
      // The lock is free from now on, the directory is not.
      await thief.evaluate(() => page.giveBack());
      expect(await thief.evaluate(() => page.openAlone())).toBe('LOCKED');
      await more(ledger, 5);
      expect(await follower.evaluate(() => page.restarts())).toBe(0);
      expect(ledger.unknown.size).toBe(0);
      await leader.close();
      await untilLeads(follower);
      await more(ledger, 5);
      await follower.evaluate(() => page.rest());
      await check(ledger, follower, 1);
    },
    TIMEOUT_MS,
  );

  test(
    'tabs whose own locks are stolen, the leader’s and those that say that they live, go on',
    async () => {
      const ledger = new Ledger(server);
      const context = await launch(name);
      const tabs = await openTabs(server, context, 2);
      await tabs[0].evaluate(() => page.create());
      await Promise.all(tabs.map((tab, index) => tab.evaluate((number) => page.write(number), index + 1)));
      await more(ledger, 5);
      const thief = await context.newPage();
      await server.goto(thief, 'tabs.html');
      const steal = async (lock: string): Promise<void> => {
        await thief.evaluate((stolen) => page.steal(stolen), lock);
        await thief.evaluate(() => page.giveBack());
        await more(ledger, 5);
      };
      for (const lock of await thief.evaluate(() => page.locks())) if (lock.startsWith(TAB_LOCK)) await steal(lock);
      for (let round = 1; round <= 2; round++) await steal(LEADER_LOCK);
      await Promise.all(tabs.map((tab) => tab.evaluate(() => page.rest())));
      for (const tab of tabs) await check(ledger, tab, 0);
      const roles = await Promise.all(tabs.map((tab) => tab.evaluate(() => page.role())));
      expect(roles.toSorted()).toEqual(['follower', 'leader']);
    },
    TIMEOUT_MS,
  );

  test(
    'a database whose files the user removes ends in all tabs, and is empty when it is opened again',
    async () => {
      const ledger = new Ledger(server);
      const tabs = await openTabs(server, await launch(name), 2);
      const [leader, follower] = tabs;
      await leader.evaluate(() => page.create());
      await Promise.all(tabs.map((tab, index) => tab.evaluate((number) => page.write(number), index + 1)));
      await more(ledger, 5);
      expect(await follower.evaluate(() => page.removeDirectory())).toBe('NoModificationAllowedError');
      await more(ledger, 5);
      expect(ledger.unexpected).toEqual([]);
      expect(await follower.evaluate(() => page.clearSite())).toBe('cleared');
      // They write until they are told.
      await expect.poll(() => ledger.unexpected.length, { timeout: 60_000 }).toBe(2);
      expect(ledger.unexpected.map((told) => told.split(': ')[1])).toEqual(['ENGINE_FAILED', 'ENGINE_FAILED']);
      for (const tab of tabs) {
        expect(await tab.evaluate(() => page.causeOf('SELECT 1'))).toEqual(['ENGINE_FAILED', 'NOT_FOUND']);
        await tab.evaluate(() => page.close());
        await server.goto(tab, 'tabs.html');
      }
      const again = new Ledger(server);
      for (const tab of tabs) await tab.evaluate(() => page.open());
      expect(await follower.evaluate(() => page.all("SELECT * FROM sqlite_schema WHERE name IN ('parts', 'twice')"))).toEqual([]);
      await follower.evaluate(() => page.create());
      await follower.evaluate(() => page.write(1));
      await more(again, 5);
      await follower.evaluate(() => page.rest());
      for (const tab of tabs) await check(again, tab, 0);
    },
    TIMEOUT_MS,
  );

  test(
    'a leader whose main thread hangs loses the lead, and follows when it goes on',
    async () => {
      const ledger = new Ledger(server);
      const [leader, follower] = await openTabs(server, await launch(name, { prefs: SEPARATE_PROCESSES }), 2);
      await leader.evaluate(() => page.create());
      await leader.evaluate(() => page.write(1));
      await follower.evaluate(() => page.write(2));
      await more(ledger, 5);
      await leader.evaluate(() => page.hang());
      await untilLeads(follower);
      await more(ledger, 5);
      await follower.evaluate(() => page.endHang());
      await expect.poll(() => leader.evaluate(() => page.role()), { timeout: 90_000 }).toBe('follower');
      await more(ledger, 5);
      await Promise.all([leader, follower].map((tab) => tab.evaluate(() => page.rest())));
      for (const tab of [leader, follower]) await check(ledger, tab, 0);
    },
    TIMEOUT_MS,
  );
});

describe('in firefox', () => {
  test(
    'a leader whose process is killed, and the browser with it, loses nothing that was acknowledged',
    async () => {
      const ledger = new Ledger(server);
      const profile = await emptyProfile();
      const context = await launch('firefox', { profile, prefs: SEPARATE_PROCESSES });
      const [leader, follower] = await openTabs(server, context, 2);
      await leader.evaluate(() => page.create());
      await leader.evaluate(() => page.write(1));
      await follower.evaluate(() => page.write(2));
      await more(ledger, 10);
      const processes = await processesWithFiles(profile);
      expect(processes.length).toBe(1);
      process.kill(processes[0] as number, 'SIGKILL');
      // Playwright's Firefox ends when a process of its ends so.
      await context.close();
      const again = await openTab(server, await launch('firefox', { profile }));
      await check(ledger, again, 2);
      expect(await again.evaluate(() => page.all('PRAGMA integrity_check'))).toEqual([{ integrity_check: 'ok' }]);
    },
    TIMEOUT_MS,
  );

  test(
    'a full quota is NO_SPACE and takes nothing along, and there is room when the database is opened with more',
    async () => {
      const profile = await emptyProfile();
      const context = await launch('firefox', { profile, prefs: SMALL_QUOTA });
      const [leader, follower] = await openTabs(server, context, 2);
      await leader.evaluate(() => page.create());
      const insert = (megabytes: number) =>
        `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${megabytes}) INSERT INTO twice SELECT 1, randomblob(1000000) FROM n`;
      const run = (tab: Page, sql: string) => tab.evaluate((text) => page.exec(text), sql);
      const count = (tab: Page) => tab.evaluate(() => page.all('SELECT count(*) AS n FROM twice'));
      expect(await run(follower, insert(1))).toBe('done');
      expect(await run(follower, insert(12))).toBe('NO_SPACE');
      for (const tab of [leader, follower]) expect(await count(tab)).toEqual([{ n: 1 }]);
      await context.close();
      const again = await openTab(server, await launch('firefox', { profile, prefs: LARGE_QUOTA }));
      expect(await count(again)).toEqual([{ n: 1 }]);
      expect(await run(again, insert(12))).toBe('done');
      expect(await count(again)).toEqual([{ n: 13 }]);
    },
    TIMEOUT_MS,
  );
});

/** The processes of tabs that have files of the origin's private file system open. */
async function processesWithFiles(profile: string): Promise<number[]> {
  const found: number[] = [];
  for (const id of (await readdir('/proc')).filter((entry) => /^\d+$/.test(entry))) {
    const command = await readFile(`/proc/${id}/cmdline`, 'utf8').catch(() => '');
    if (!command.includes('-contentproc')) continue;
    const files = await readdir(`/proc/${id}/fd`).catch(() => []);
    const targets = await Promise.all(files.map((file) => readlink(`/proc/${id}/fd/${file}`).catch(() => '')));
    if (targets.some((target) => target.startsWith(join(profile, 'storage')) && target.includes('/fs/'))) found.push(Number(id));
  }
  return found;
}

test(
  'in chromium, a leader that is frozen gives the lead up, and follows when it goes on',
  async () => {
    const ledger = new Ledger(server);
    // The first is hidden by the second: the browser freezes it, with its workers.
    const context = await launchWithHiddenPages();
    const [leader, follower] = await openTabs(server, context, 2);
    await leader.evaluate(() => page.create());
    await leader.evaluate(() => page.write(1));
    await follower.evaluate(() => page.write(2));
    await more(ledger, 5);
    const session = await context.newCDPSession(leader);
    await session.send('Page.setWebLifecycleState', { state: 'frozen' });
    await untilLeads(follower);
    await more(ledger, 5);
    await session.send('Page.setWebLifecycleState', { state: 'active' });
    await expect.poll(() => leader.evaluate(() => page.role()), { timeout: 60_000 }).toBe('follower');
    await more(ledger, 10);
    await Promise.all([leader, follower].map((tab) => tab.evaluate(() => page.rest())));
    for (const tab of [leader, follower]) await check(ledger, tab, 0);
  },
  TIMEOUT_MS,
);
