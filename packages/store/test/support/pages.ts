/**
 * Pages in real browsers, for tests that run in Node: served by Vite from `test/pages`, cross-origin isolated, in persistent contexts,
 * because others keep OPFS in memory.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type BrowserContext, type BrowserType, chromium, firefox, type Page } from 'playwright';
import { createServer, type ViteDevServer } from 'vite';
import { afterAll, beforeAll, onTestFinished } from 'vitest';
import { findBrowser } from '@heddle/tools/browsers';

export type BrowserName = 'chromium' | 'firefox';

/** The browsers, for `describe.each`. */
export const BROWSERS: readonly (readonly [BrowserName])[] = [['chromium'], ['firefox']];

const TYPES: Readonly<Record<BrowserName, BrowserType>> = { chromium, firefox };

/** Starts a browser with an empty profile, gone with the test. */
export async function launch(name: BrowserName): Promise<BrowserContext> {
  const profile = await mkdtemp(join(tmpdir(), 'heddle-profile-'));
  const executablePath = findBrowser(name);
  const own = executablePath ? { channel: 'moz-firefox' } : {};
  const context = await TYPES[name].launchPersistentContext(profile, {
    ...(name === 'firefox' ? own : { args: ['--no-sandbox', '--disable-gpu', '--disable-quic'] }),
    ...(executablePath ? { executablePath } : {}),
  });
  onTestFinished(async () => {
    await context.close();
    await rm(profile, { recursive: true, force: true, maxRetries: 5 });
  });
  return context;
}

/** What pages tell the test by `POST /tell`, awaited or not: it is heard even if the page is gone the next moment. */
export type Hear = (message: unknown) => void;

/** Serves the pages to a file's tests. */
export class PageServer {
  /** Called with what pages tell. */
  onTold: Hear = () => {};
  #server: ViteDevServer | undefined;

  constructor() {
    beforeAll(() => this.#start());
    afterAll(() => this.#stop());
  }

  async #start(): Promise<void> {
    this.#server = await createServer({
      configFile: false,
      root: fileURLToPath(new URL('../pages/', import.meta.url)),
      cacheDir: await mkdtemp(join(tmpdir(), 'heddle-vite-')),
      logLevel: 'error',
      resolve: { conditions: ['@heddle/source', 'browser', 'module', 'import', 'default'] },
      worker: { format: 'es' },
      plugins: [
        {
          name: 'tell',
          configureServer: (server) => void server.middlewares.use('/tell', (request, response) => void this.#hear(request, response)),
        },
      ],
      server: {
        port: 0,
        // A file that is touched meanwhile reloads no page in the middle of its work.
        hmr: false,
        watch: null,
        fs: { allow: [fileURLToPath(new URL('../../../../', import.meta.url))] },
        headers: {
          'Cross-Origin-Opener-Policy': 'same-origin',
          'Cross-Origin-Embedder-Policy': 'require-corp',
          'Cross-Origin-Resource-Policy': 'same-origin',
        },
      },
    });
    await this.#server.listen();
  }

  async #hear(request: AsyncIterable<Uint8Array>, response: { end: () => void }): Promise<void> {
    const chunks: Uint8Array[] = [];
    for await (const chunk of request) chunks.push(chunk);
    this.onTold(JSON.parse(Buffer.concat(chunks).toString()));
    response.end();
  }

  async #stop(): Promise<void> {
    const server = this.#server;
    if (!server) return;
    await server.close();
    await rm(server.config.cacheDir, { recursive: true, force: true });
  }

  /** Where a page is. */
  url(path: string): string {
    return `${this.#server?.resolvedUrls?.local[0]}${path}`;
  }

  /** Has a tab show a page, and waits until its functions can be called. */
  async goto(tab: Page, path: string): Promise<void> {
    await tab.goto(this.url(path));
    await tab.waitForFunction(() => 'page' in globalThis);
  }
}
