/** Takes the README's picture of the built playground: `pnpm run picture`, on a machine that does nothing else. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { findBrowser } from '@heddle/tools/browsers';
import { chromium } from '@playwright/test';
import { preview } from 'vite';

const PICTURE = fileURLToPath(new URL('../../docs/playground.png', import.meta.url));
const ROWS = 1_000_000;
const VIEWPORT = { width: 1280, height: 1470 };
/** Millions of rows on a slow machine take their time. */
const TIMEOUT_MS = 400_000;

const server = await preview({ root: fileURLToPath(new URL('.', import.meta.url)), preview: { port: 0 } });
const profile = await mkdtemp(join(tmpdir(), 'heddle-picture-'));
const executablePath = findBrowser('chromium');
const browser = await chromium.launchPersistentContext(profile, {
  ...(executablePath === undefined ? {} : { executablePath }),
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic'],
  viewport: VIEWPORT,
  colorScheme: 'light',
});
try {
  const page = await browser.newPage();
  page.setDefaultTimeout(TIMEOUT_MS);
  await page.goto(server.resolvedUrls?.local[0] ?? '');
  await page.locator('#import:enabled').waitFor();
  await page.locator(`input[name="rows"][value="${ROWS}"]`).check({ force: true });
  await page.getByRole('button', { name: 'Import flights' }).click();
  await page.locator('body[data-state="ready"]').waitFor();
  for (const name of ['point', 'key-range', 'filter', 'full-scan', 'group-by', 'join', 'group-by-hour']) {
    await page.locator(`[data-query="${name}"]`).click();
    await page.locator('#race:enabled').waitFor();
  }
  await page.locator('#run-own').click();
  await page.locator('#own-result[data-state="done"]').waitFor();
  await page.locator('#run-all').click();
  await page.locator('#race:enabled').waitFor();
  await page.locator('[data-query="top-n"]').click();
  await page.locator('#race:enabled').waitFor();
  await page.getByRole('button', { name: 'Reset' }).click();
  await page.locator('#race').click();
  await page.locator('#race:enabled').waitFor();
  await page.screenshot({ path: PICTURE });
  console.log(`${PICTURE} is taken.`);
} finally {
  await browser.close();
  await server.close();
  await rm(profile, { recursive: true, force: true, maxRetries: 5 });
}
