/** Tabs that share a database, and what they tell of it: the test keeps their acknowledgements. */
import type { BrowserContext, Page } from 'playwright';
import { expect } from 'vitest';
import type { Durability } from '../../src/index.ts';
import type { TabsPage } from '../pages/tabs.ts';
import type { PageServer } from './pages.ts';

declare const page: TabsPage;

/** What tabs told of their transactions. */
export class Ledger {
  readonly acknowledged = new Set<string>();
  /** Those of which nobody knows how they ended. */
  readonly unknown = new Set<string>();
  readonly unexpected: string[] = [];

  constructor(server: PageServer) {
    server.onTold = (message) => {
      const { tab, n, code } = message as { tab: number; n: number; code: string };
      if (code === 'done') this.acknowledged.add(`${tab}/${n}`);
      else if (code === 'ENGINE_RESTARTED' || code === 'CLOSED') this.unknown.add(`${tab}/${n}`);
      else this.unexpected.push(`${tab}/${n}: ${code}`);
    };
  }
}

/** Waits for so many more acknowledgements. */
export async function more(ledger: Ledger, count: number): Promise<void> {
  const goal = ledger.acknowledged.size + count;
  await expect.poll(() => ledger.acknowledged.size, { timeout: 120_000, interval: 50 }).toBeGreaterThanOrEqual(goal);
}

/**
 * What a tab sees is what was acknowledged, and of the rest at most what nobody was told of: the last transaction of each tab that went.
 */
export async function check(ledger: Ledger, tab: Page, tabsGone: number): Promise<void> {
  const { acknowledged, unknown, unexpected } = ledger;
  const { there, broken } = await tab.evaluate(() => page.check());
  expect(broken).toEqual([]);
  expect([...acknowledged].filter((name) => !there.includes(name))).toEqual([]);
  const untold = there.filter((name) => !acknowledged.has(name) && !unknown.has(name));
  expect(untold.length).toBeLessThanOrEqual(tabsGone);
  expect(unexpected).toEqual([]);
}

/** How tabs open the database. */
export interface TabOptions {
  readonly threads?: number;
  readonly durability?: Durability;
}

export async function openTab(server: PageServer, context: BrowserContext, options: TabOptions = {}): Promise<Page> {
  const tab = await context.newPage();
  await server.goto(tab, 'tabs.html');
  await tab.evaluate((given) => page.open(given), options);
  return tab;
}

/** Opens two tabs or more, of which the first leads. */
export async function openTabs(
  server: PageServer,
  context: BrowserContext,
  count: number,
  options: TabOptions = {},
): Promise<[Page, Page, ...Page[]]> {
  const tabs: [Page, Page, ...Page[]] = [await openTab(server, context, options), await openTab(server, context, options)];
  while (tabs.length < count) tabs.push(await openTab(server, context, options));
  expect(await Promise.all(tabs.map((tab) => tab.evaluate(() => page.role())))).toEqual(['leader', ...Array(count - 1).fill('follower')]);
  return tabs;
}

/** Waits until a tab leads. */
export async function untilLeads(tab: Page): Promise<void> {
  await expect.poll(() => tab.evaluate(() => page.role()), { timeout: 60_000 }).toBe('leader');
}
