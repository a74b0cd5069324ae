/**
 * Real tabs of one origin share a database: they agree on what is there, and when the tab that leads goes – closed, left, frozen, crashed –
 * nothing that was acknowledged is lost and nothing is there twice.
 */
import type { BrowserContext, Page } from 'playwright';
import { describe, expect, test } from 'vitest';
import type { TabsPage } from './pages/tabs.ts';
import { BROWSERS, type BrowserName, launch, PageServer } from './support/pages.ts';

declare const page: TabsPage;

const TIMEOUT_MS = 240_000;

const server = new PageServer();

/** What tabs told of their transactions. */
class Ledger {
  readonly acknowledged = new Set<string>();
  /** Those of which nobody knows how they ended. */
  readonly unknown = new Set<string>();
  readonly unexpected: string[] = [];

  constructor() {
    server.onTold = (message) => {
      const { tab, n, code } = message as { tab: number; n: number; code: string };
      if (code === 'done') this.acknowledged.add(`${tab}/${n}`);
      else if (code === 'ENGINE_RESTARTED' || code === 'CLOSED') this.unknown.add(`${tab}/${n}`);
      else this.unexpected.push(`${tab}/${n}: ${code}`);
    };
  }
}

/** Waits for so many more acknowledgements. */
async function more(ledger: Ledger, count: number): Promise<void> {
  const goal = ledger.acknowledged.size + count;
  await expect.poll(() => ledger.acknowledged.size, { timeout: 120_000, interval: 50 }).toBeGreaterThanOrEqual(goal);
}

/**
 * What a tab sees is what was acknowledged, and of the rest at most what nobody was told of: the last transaction of each tab that went.
 */
async function check(ledger: Ledger, tab: Page, tabsGone: number): Promise<void> {
  const { acknowledged, unknown, unexpected } = ledger;
  const { there, broken } = await tab.evaluate(() => page.check());
  expect(broken).toEqual([]);
  expect([...acknowledged].filter((name) => !there.includes(name))).toEqual([]);
  const untold = there.filter((name) => !acknowledged.has(name) && !unknown.has(name));
  expect(untold.length).toBeLessThanOrEqual(tabsGone);
  expect(unexpected).toEqual([]);
}

async function openTab(context: BrowserContext, options: { threads?: number } = {}): Promise<Page> {
  const tab = await context.newPage();
  await server.goto(tab, 'tabs.html');
  await tab.evaluate((given) => page.open(given), options);
  return tab;
}

/** Opens two tabs or more, of which the first leads. */
async function openTabs(context: BrowserContext, count: number): Promise<[Page, Page, ...Page[]]> {
  const tabs: [Page, Page, ...Page[]] = [await openTab(context), await openTab(context)];
  while (tabs.length < count) tabs.push(await openTab(context));
  expect(await Promise.all(tabs.map((tab) => tab.evaluate(() => page.role())))).toEqual(['leader', ...Array(count - 1).fill('follower')]);
  return tabs;
}

/** Waits until a tab leads. */
async function untilLeads(tab: Page): Promise<void> {
  await expect.poll(() => tab.evaluate(() => page.role()), { timeout: 60_000 }).toBe('leader');
}

describe.each(BROWSERS)('in %s', (name) => {
  test(
    'tabs write and read one table at the same time, and agree',
    async () => {
      const ledger = new Ledger();
      const tabs = await openTabs(await launch(name), 3);
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
      const [leader, follower] = await openTabs(await launch(name), 2);
      expect(await follower.evaluate((file) => page.importFile(file, 20_000, false), flightsUrl())).toEqual({
        code: 'done',
        progress: 20_000,
        phases: ['reading', 'importing'],
      });
      expect(await leader.evaluate(() => page.all('SELECT count(*) AS n FROM imported'))).toEqual([{ n: 20_000 }]);
      expect(await follower.evaluate((file) => page.importFile(file, 20_000, true), flightsUrl())).toMatchObject({ code: 'ABORTED' });
      expect(await follower.evaluate(() => page.all('SELECT max(id) AS n FROM imported'))).toEqual([{ n: 20_000 }]);
    },
    TIMEOUT_MS,
  );

  test(
    'a follower that is closed in the middle of an import leaves its table to others, and whole batches',
    async () => {
      const [leader, follower] = await openTabs(await launch(name), 2);
      const begun = new Promise<void>((resolve) => (server.onTold = () => resolve()));
      void follower.evaluate((file) => page.importFile(file, 200_000, false), flightsUrl()).catch(() => undefined);
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
    const WAYS: [string, (tab: Page, browser: BrowserName) => Promise<unknown>][] = [
      ['is closed', (tab) => tab.close()],
      ['is left for another page', (tab) => tab.goto('about:blank')],
      ['loses its workers and is reloaded', (tab) => tab.evaluate(() => page.terminateWorkers()).then(() => tab.goto('about:blank'))],
      ['closes its database', (tab) => tab.evaluate(() => page.close())],
    ];
    if (name === 'chromium') WAYS.push(['crashes', crash]);

    test.each(WAYS)(
      'and %s, has its place taken: nothing acknowledged is lost, nothing is there twice',
      async (_, go) => {
        const ledger = new Ledger();
        const context = await launch(name);
        const tabs = await openTabs(context, 3);
        const first = (): Page => tabs[0];
        await tabs[0].evaluate(() => page.create());
        await Promise.all(tabs.map((tab, index) => tab.evaluate((number) => page.write(number), index + 1)));
        for (let round = 1; round <= 2; round++) {
          await more(ledger, 15);
          const leader = tabs.shift() as Page;
          await go(leader, name);
          await untilLeads(first());
          const another = await openTab(context);
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
      const [leader, follower] = await openTabs(await launch(name), 2);
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

/** Where the pages find a file to import. */
function flightsUrl(): string {
  return `/@fs${new URL('../node_modules/vega-datasets/data/flights-200k.arrow', import.meta.url).pathname}`;
}

/** The tab's process ends, as by a fault of the browser. */
async function crash(tab: Page): Promise<void> {
  const session = await tab.context().newCDPSession(tab);
  const crashed = tab.waitForEvent('crash');
  session.send('Page.crash').catch(() => undefined);
  await crashed;
}

describe('in chromium', () => {
  test(
    'a leader that is frozen gives the lead up, and follows when it goes on',
    async () => {
      const ledger = new Ledger();
      const [leader, follower] = await openTabs(await launch('chromium'), 2);
      await leader.evaluate(() => page.create());
      await follower.evaluate(() => page.write(1));
      await more(ledger, 5);
      // Told as the browser tells it. Playwright keeps its pages visible, and a visible page is never frozen.
      await leader.evaluate(() => document.dispatchEvent(new Event('freeze')));
      await untilLeads(follower);
      await more(ledger, 5);
      await leader.evaluate(() => document.dispatchEvent(new Event('resume')));
      await leader.evaluate(() => page.write(2));
      await more(ledger, 10);
      await Promise.all([leader, follower].map((tab) => tab.evaluate(() => page.rest())));
      expect(await leader.evaluate(() => page.role())).toBe('follower');
      for (const tab of [leader, follower]) await check(ledger, tab, 0);
    },
    TIMEOUT_MS,
  );

  test(
    'a leader whose main thread hangs loses the lead, and follows when it goes on',
    async () => {
      const ledger = new Ledger();
      const [leader, follower] = await openTabs(await launch('chromium'), 2);
      await leader.evaluate(() => page.create());
      await leader.evaluate(() => page.write(1));
      await follower.evaluate(() => page.write(2));
      await more(ledger, 10);
      const hung = leader.evaluate(() => page.hang(30_000));
      await untilLeads(follower);
      await more(ledger, 10);
      await hung;
      await more(ledger, 10);
      await expect.poll(() => leader.evaluate(() => page.role()), { timeout: 90_000 }).toBe('follower');
      await Promise.all([leader, follower].map((tab) => tab.evaluate(() => page.rest())));
      for (const tab of [leader, follower]) await check(ledger, tab, 0);
    },
    TIMEOUT_MS,
  );

  test(
    'a full quota is NO_SPACE in the follower, and the database goes on',
    async () => {
      const [leader, follower] = await openTabs(await launch('chromium'), 2);
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
    },
    TIMEOUT_MS,
  );
});
