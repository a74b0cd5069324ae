/**
 * Data survive a reload, and a page that was left in the middle of its work lets go of its files.
 *
 * Runs in Node and drives browsers: in a persistent context, because others keep OPFS in memory.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type BrowserContext, type BrowserType, chromium, firefox, type Page } from 'playwright';
import { createServer, type ViteDevServer } from 'vite';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { findBrowser } from '@heddle/tools/browsers';
import type { ReloadPage } from './pages/reload.ts';

declare const page: ReloadPage;

let server: ViteDevServer;

beforeAll(async () => {
  server = await createServer({
    configFile: false,
    root: fileURLToPath(new URL('pages/', import.meta.url)),
    cacheDir: await mkdtemp(join(tmpdir(), 'heddle-vite-')),
    logLevel: 'error',
    resolve: { conditions: ['@heddle/source', 'browser', 'module', 'import', 'default'] },
    worker: { format: 'es' },
    server: {
      port: 0,
      fs: { allow: [fileURLToPath(new URL('../../../', import.meta.url))] },
      headers: {
        'Cross-Origin-Opener-Policy': 'same-origin',
        'Cross-Origin-Embedder-Policy': 'require-corp',
        'Cross-Origin-Resource-Policy': 'same-origin',
      },
    },
  });
  await server.listen();
});

afterAll(async () => {
  const { cacheDir } = server.config;
  await server.close();
  await rm(cacheDir, { recursive: true, force: true });
});

const BROWSERS: [string, BrowserType, object][] = [
  ['chromium', chromium, { args: ['--no-sandbox', '--disable-gpu', '--disable-quic'] }],
  ['firefox', firefox, findBrowser('firefox') ? { channel: 'moz-firefox' } : {}],
];

describe.each(BROWSERS)(
  'in %s',
  (name, type, options) => {
    async function launch(): Promise<BrowserContext> {
      const profile = await mkdtemp(join(tmpdir(), 'heddle-profile-'));
      const executablePath = findBrowser(name as 'chromium' | 'firefox');
      const context = await type.launchPersistentContext(profile, { ...options, ...(executablePath ? { executablePath } : {}) });
      onTestFinished(async () => {
        await context.close();
        await rm(profile, { recursive: true, force: true });
      });
      return context;
    }

    async function goto(target: Page): Promise<void> {
      await target.goto(`${server.resolvedUrls?.local[0]}reload.html`);
      await target.waitForFunction(() => 'page' in globalThis);
    }

    test('what was written is there after each reload, though nothing was closed', async () => {
      const tab = await (await launch()).newPage();
      for (let visit = 1; visit <= 3; visit++) {
        await goto(tab);
        expect(await tab.evaluate(() => page.visit())).toEqual(Array.from({ length: visit }, (_, index) => index + 1));
      }
    });

    test('a page that is left while it writes loses nothing that it was told is safe', async () => {
      const tab = await (await launch()).newPage();
      let first = 1;
      for (let round = 0; round < 3; round++) {
        await goto(tab);
        await tab.evaluate((from) => void page.write(from), first);
        await tab.waitForFunction((from) => Number(localStorage.getItem('acknowledged')) > from, first + 3 * round);
        await goto(tab);
        const { acknowledged, batches, broken } = await tab.evaluate(() => page.check());
        expect(broken).toEqual([]);
        expect(batches.length).toBe(batches.at(-1));
        expect(batches.at(-1)).toBeGreaterThanOrEqual(acknowledged);
        first = (batches.at(-1) ?? 0) + 1;
      }
    });

    test('a second page is told that the first has the database, and gets it when the first is closed', async () => {
      const context = await launch();
      const [one, other] = [await context.newPage(), await context.newPage()];
      await goto(one);
      await one.evaluate(() => page.visit());
      await goto(other);
      const code = await other.evaluate(() =>
        page.visit().then(
          () => 'opened',
          (error: { code: string }) => error.code,
        ),
      );
      expect(code).toBe('LOCKED');
      await one.close();
      await goto(other);
      expect(await other.evaluate(() => page.visit())).toEqual([1, 2]);
    });
  },
  120_000,
);
