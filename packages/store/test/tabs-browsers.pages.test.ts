/**
 * Real tabs of one origin share a database: they agree on what is there, and when the tab that leads goes – closed, left, crashed – nothing
 * that was acknowledged is lost and nothing is there twice. What else may befall them is in `faults-browsers.pages.test.ts`.
 */
import type { Page } from 'playwright';
import { describe, expect, test } from 'vitest';
import type { Durability } from '../src/index.ts';
import type { TabsPage } from './pages/tabs.ts';
import { BROWSERS, type BrowserName, launch, PageServer } from './support/pages.ts';
import { check, Ledger, more, openTab, openTabs, untilLeads } from './support/tabs.ts';

declare const page: TabsPage;

const TIMEOUT_MS = 240_000;

const server = new PageServer();

describe.each(BROWSERS)('in %s', (name) => {
  test(
    'tabs write and read one table at the same time, and agree',
    async () => {
      const ledger = new Ledger(server);
      const tabs = await openTabs(server, await launch(name), 3);
      await tabs[1].evaluate(() => page.create());
      await Promise.all(tabs.map((tab, index) => tab.evaluate((number) => page.write(number), index + 1)));
      await more(ledger, 60);
      await Promise.all(tabs.map((tab) => tab.evaluate(() => page.rest())));
      for (const tab of tabs) await check(ledger, tab, 0);
      expect(ledger.unknown.size).toBe(0);
      const many = 'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300000) SELECT i FROM n';
      expect(await tabs[1].evaluate((sql) => page.count(sql, 1000), many)).toBe(300_000);
    },
    TIMEOUT_MS,
  );

  test(
    'a follower imports a file, and gives an import up',
    async () => {
      const [leader, follower] = await openTabs(server, await launch(name), 2);
      expect(await follower.evaluate(() => page.importFlights(20_000, false))).toEqual({
        code: 'done',
        progress: 20_000,
        phases: ['reading', 'importing'],
      });
      expect(await leader.evaluate(() => page.all('SELECT count(*) AS n FROM imported'))).toEqual([{ n: 20_000 }]);
      expect(await follower.evaluate(() => page.importFlights(20_000, true))).toMatchObject({ code: 'ABORTED' });
      expect(await follower.evaluate(() => page.all('SELECT max(id) AS n FROM imported'))).toEqual([{ n: 20_000 }]);
    },
    TIMEOUT_MS,
  );

  test(
    'a follower that is closed in the middle of an import leaves its table to others, and whole batches',
    async () => {
      const [leader, follower] = await openTabs(server, await launch(name), 2);
      const begun = new Promise<void>((resolve) => (server.onTold = () => resolve()));
      void follower.evaluate(() => page.importFlights(200_000, false)).catch(() => undefined);
      await begun;
      await follower.close();
      await expect.poll(() => leader.evaluate(() => page.exec('INSERT INTO imported(id) VALUES (-1)')), { timeout: 60_000 }).toBe('done');
      const [row] = await leader.evaluate(() => page.all('SELECT count(*) AS n, max(id) AS last FROM imported WHERE id > 0'));
      expect(row).toMatchObject({ n: row?.['last'] });
      expect(await leader.evaluate(() => page.all('PRAGMA integrity_check'))).toEqual([{ integrity_check: 'ok' }]);
    },
    TIMEOUT_MS,
  );

  describe('a leader that goes while all tabs write', () => {
    const WAYS: [string, (tab: Page, browser: BrowserName) => Promise<unknown>, Durability?][] = [
      ['is closed', (tab) => tab.close()],

      ['is left for another page', (tab) => tab.goto('about:blank')],
      ['loses its workers and is left', (tab) => tab.evaluate(() => page.terminateWorkers()).then(() => tab.goto('about:blank'))],
      ['closes its database', (tab) => tab.evaluate(() => page.close())],
    ];
    // Relaxed durability is about the loss of power: tabs may go as they like.
    if (name === 'chromium') WAYS.push(['crashes', crash], ['crashes, with durability relaxed', crash, 'relaxed']);
    else WAYS.push(['is closed, with durability relaxed', (tab) => tab.close(), 'relaxed']);

    test.each(WAYS)(
      'and %s, has its place taken: nothing acknowledged is lost, nothing is there twice',
      async (_, go, durability = 'full') => {
        const ledger = new Ledger(server);
        const context = await launch(name);
        const tabs = await openTabs(server, context, 3, { durability });
        const first = (): Page => tabs[0];
        await tabs[0].evaluate(() => page.create());
        await Promise.all(tabs.map((tab, index) => tab.evaluate((number) => page.write(number), index + 1)));
        for (let round = 1; round <= 2; round++) {
          await more(ledger, 15);
          const leader = tabs.shift() as Page;
          await go(leader, name);
          await untilLeads(first());
          const another = await openTab(server, context, { durability });
          await another.evaluate((number) => page.write(number), 3 + round);
          tabs.push(another);
        }
        await more(ledger, 15);
        await Promise.all(tabs.map((tab) => tab.evaluate(() => page.rest())));
        for (const tab of tabs) await check(ledger, tab, 2);
        expect(await first().evaluate(() => page.restarts())).toBeGreaterThan(0);
        expect(await first().evaluate(() => page.all('PRAGMA integrity_check'))).toEqual([{ integrity_check: 'ok' }]);
      },
      TIMEOUT_MS,
    );
  });

  test(
    'a follower that is closed in the middle of a transaction leaves no lock',
    async () => {
      const [leader, follower] = await openTabs(server, await launch(name), 2);
      await leader.evaluate(() => page.create());
      await follower.evaluate(() => page.holdTransaction());
      expect(await leader.evaluate(() => page.exec('INSERT INTO twice VALUES (1, 1)'))).toBe('BUSY');
      await follower.close();
      await expect.poll(() => leader.evaluate(() => page.exec('INSERT INTO twice VALUES (1, 1)')), { timeout: 30_000 }).toBe('done');
      expect(await leader.evaluate(() => page.all('SELECT tab FROM twice'))).toEqual([{ tab: 1 }]);
    },
    TIMEOUT_MS,
  );
});

/** The tab's process ends, as by a fault of the browser. */
async function crash(tab: Page): Promise<void> {
  const session = await tab.context().newCDPSession(tab);
  const crashed = tab.waitForEvent('crash');
  session.send('Page.crash').catch(() => undefined);
  await crashed;
}

describe('in chromium', () => {
  test(
    'a full quota is NO_SPACE in the follower, and the database goes on',
    async () => {
      const context = await launch('chromium');
      const [leader, follower] = await openTabs(server, context, 2);
      await leader.evaluate(() => page.create());
      const session = await leader.context().newCDPSession(leader);
      const { origin } = new URL(server.url(''));
      const big = 'INSERT INTO twice SELECT 1, randomblob(1000000) FROM (VALUES (1), (2), (3), (4), (5), (6), (7), (8))';
      await session.send('Storage.overrideQuotaForOrigin', { origin, quotaSize: 4_000_000 });
      expect(await follower.evaluate((sql) => page.exec(sql), big)).toBe('NO_SPACE');
      expect(await follower.evaluate(() => page.all('SELECT count(*) AS n FROM twice'))).toEqual([{ n: 0 }]);
      await session.send('Storage.overrideQuotaForOrigin', { origin });
      expect(await follower.evaluate((sql) => page.exec(sql), big)).toBe('done');
      for (const tab of [leader, follower])
        expect(await tab.evaluate(() => page.all('SELECT count(*) AS n FROM twice'))).toEqual([{ n: 8 }]);
      await Promise.all([leader.close(), follower.close()]);
      const again = await openTab(server, context);
      expect(await again.evaluate(() => page.all('SELECT count(*) AS n FROM twice'))).toEqual([{ n: 8 }]);
    },
    TIMEOUT_MS,
  );
});
