/**
 * Browsers as a visitor has them. Playwright's usual contexts are off the record, where the private file system lives in memory and
 * a reload tells nothing about files; so each test gets a browser with a profile directory of its own.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test as base, chromium, expect, firefox, type BrowserContext, type Page } from '@playwright/test';
import { findBrowser } from '@heddle/tools/browsers';

type LaunchOptions = NonNullable<Parameters<typeof chromium.launchPersistentContext>[1]>;

function launchOptions(browser: 'chromium' | 'firefox'): LaunchOptions {
  const executablePath = findBrowser(browser);
  if (browser === 'chromium')
    return { ...(executablePath === undefined ? {} : { executablePath }), args: ['--no-sandbox', '--disable-gpu', '--disable-quic'] };
  // A stock Firefox is driven over WebDriver BiDi; Playwright's own build over its own protocol.
  return executablePath === undefined ? {} : { executablePath, channel: 'moz-firefox' };
}

export const test = base.extend<{ context: BrowserContext; page: Page }>({
  context: async ({ browserName, baseURL, viewport }, use) => {
    const profile = await mkdtemp(join(tmpdir(), 'heddle-playground-'));
    const name = browserName === 'firefox' ? 'firefox' : 'chromium';
    const context = await { chromium, firefox }[name].launchPersistentContext(profile, {
      ...launchOptions(name),
      ...(baseURL === undefined ? {} : { baseURL }),
      viewport: viewport ?? null,
    });
    await use(context);
    await context.close();
    await rm(profile, { recursive: true, force: true, maxRetries: 5 });
  },
  page: async ({ context }, use) => {
    const page = context.pages()[0] ?? (await context.newPage());
    const errors: string[] = [];
    page.on('pageerror', (error) => errors.push(error.message));
    await use(page);
    expect(errors, 'uncaught errors in the page').toEqual([]);
  },
});

export { expect };

/** Opens the page and waits until its database is open. */
export async function openPlayground(page: Page): Promise<void> {
  await page.goto('/');
  await expect(page.locator('body')).toHaveAttribute('data-state', /^(empty|ready)$/);
}

/** Imports so many flights with the page's own controls. */
export async function importFlights(page: Page, rows: 200_000 | 3_000_000): Promise<void> {
  await page.locator(`input[name="rows"][value="${rows}"]`).check({ force: true });
  await page.getByRole('button', { name: 'Import flights' }).click();
  await expect(page.getByRole('progressbar', { name: 'Import' })).toBeVisible();
  await expect(page.locator('body')).toHaveAttribute('data-state', 'ready', { timeout: rows > 200_000 ? 600_000 : 110_000 });
  await expect(page.locator('#rows-present')).toHaveText(rows.toLocaleString('en'));
}

/** Chooses a demo query, which runs it, and waits for its answer. */
export async function runQuery(page: Page, name: string): Promise<void> {
  await page.locator('#demo-result').evaluate((result) => delete (result as HTMLElement).dataset['state']);
  await page.locator(`[data-query="${name}"]`).click();
  await expect(page.locator('#demo-result')).toHaveAttribute('data-state', 'done', { timeout: 60_000 });
}

/** Runs SQL in the editor, and waits for its answer or error. */
export async function runOwnSql(page: Page, sql: string): Promise<void> {
  await page.locator('#own-result').evaluate((result) => delete (result as HTMLElement).dataset['state']);
  await page.getByRole('textbox', { name: 'Your SQL' }).fill(sql);
  await page.locator('#run-own').click();
  await expect(page.locator('#own-result')).toHaveAttribute('data-state', /^(done|failed)$/, { timeout: 60_000 });
}

/** The cells of a result's rows, as text. */
export async function resultRows(page: Page, id: 'demo-result' | 'own-result'): Promise<string[][]> {
  const rowsTab = page.locator(`#${id} input[value="rows"]`);
  if ((await rowsTab.count()) > 0) await rowsTab.check({ force: true });
  return page.locator(`#${id} tbody tr`).evaluateAll((rows) => rows.map((row) => [...row.children].map((cell) => cell.textContent ?? '')));
}
