/**
 * Pages in real browsers, for tests that run in Node: built by Vite from `test/pages`, as an application is, served cross-origin isolated,
 * in persistent contexts, because others keep OPFS in memory.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type BrowserContext, type BrowserType, chromium, firefox, type Page } from 'playwright';
import { build, type InlineConfig, preview, type PreviewServer } from 'vite';
import { afterAll, beforeAll, onTestFinished, vi } from 'vitest';
import { findBrowser } from '@heddle/tools/browsers';

export type BrowserName = 'chromium' | 'firefox';

/** The browsers, for `describe.each`. */
export const BROWSERS: readonly (readonly [BrowserName])[] = [['chromium'], ['firefox']];

const TYPES: Readonly<Record<BrowserName, BrowserType>> = { chromium, firefox };

/** How a browser is started. */
export interface LaunchOptions {
  /** A profile to start with; an empty one unless told otherwise. */
  readonly profile?: string;
  /** Settings of Firefox. */
  readonly prefs?: Readonly<Record<string, number>>;
}

/** An empty profile, gone with the test. */
export async function emptyProfile(): Promise<string> {
  const profile = await mkdtemp(join(tmpdir(), 'heddle-profile-'));
  onTestFinished(() => rm(profile, { recursive: true, force: true, maxRetries: 5 }));
  return profile;
}

/** How long a browser, or a page, may take to come and to go: a busy machine takes its time. */
const START_MS_MAX = 120_000;

const CHROMIUM_ARGS = ['--no-sandbox', '--disable-gpu', '--disable-quic'];

/** Starts a browser, which ends with the test. */
export async function launch(name: BrowserName, { profile, prefs }: LaunchOptions = {}): Promise<BrowserContext> {
  const directory = profile ?? (await emptyProfile());
  const executablePath = findBrowser(name);
  const own = executablePath ? { channel: 'moz-firefox' } : {};
  const context = await TYPES[name].launchPersistentContext(directory, {
    timeout: START_MS_MAX,
    ...(name === 'firefox' ? { ...own, ...(prefs ? { firefoxUserPrefs: { ...prefs } } : {}) } : { args: CHROMIUM_ARGS }),
    ...(executablePath ? { executablePath } : {}),
  });
  context.setDefaultTimeout(START_MS_MAX);
  onTestFinished(() => context.close(), START_MS_MAX);
  return context;
}

/**
 * Starts a Chromium whose hidden pages are hidden. Playwright keeps the pages of those that it starts itself visible, and a visible page is
 * never frozen.
 */
export async function launchWithHiddenPages(): Promise<BrowserContext> {
  const profile = await emptyProfile();
  const args = [...CHROMIUM_ARGS, '--headless=new', '--no-first-run', '--remote-debugging-port=0', `--user-data-dir=${profile}`];
  const child = spawn(findBrowser('chromium') ?? chromium.executablePath(), args, { stdio: 'ignore' });
  const ended = once(child, 'exit');
  onTestFinished(async () => {
    child.kill();
    await ended;
  });
  const port = await vi.waitUntil(() => readDebuggingPort(profile), { timeout: START_MS_MAX });
  const browser = await chromium.connectOverCDP(`http://127.0.0.1:${port}`, { noDefaults: true, timeout: START_MS_MAX });
  onTestFinished(() => browser.close(), START_MS_MAX);
  const [context] = browser.contexts();
  if (!context) throw new Error('Chromium has no context');
  context.setDefaultTimeout(START_MS_MAX);
  return context;
}

/** Written by Chromium in two lines, maybe not yet. */
async function readDebuggingPort(profile: string): Promise<string | undefined> {
  const text = await readFile(join(profile, 'DevToolsActivePort'), 'utf8').catch(() => '');
  return text.includes('\n') ? text.split('\n')[0] : undefined;
}

/** What pages tell the test by `POST /tell`, awaited or not: it is heard even if the page is gone the next moment. */
export type Hear = (message: unknown) => void;

/** Where the pages are written. */
const PAGES = fileURLToPath(new URL('../pages/', import.meta.url));

/** Builds the pages, and serves them to a file's tests. */
export class PageServer {
  /** Called with what pages tell. */
  onTold: Hear = () => {};
  #server: PreviewServer | undefined;
  #folder = '';

  constructor() {
    beforeAll(() => this.#start(), START_MS_MAX);
    afterAll(() => this.#stop());
  }

  async #start(): Promise<void> {
    this.#folder = await mkdtemp(join(tmpdir(), 'heddle-pages-'));
    const common: InlineConfig = { configFile: false, root: PAGES, logLevel: 'error', build: { outDir: this.#folder } };
    await build({
      ...common,
      resolve: { conditions: ['@heddle/source', 'browser', 'module', 'import', 'default'] },
      worker: { format: 'es' },
      build: {
        ...common.build,
        target: 'es2024',
        minify: false,
        assetsInlineLimit: 0,
        rolldownOptions: { input: ['reload.html', 'tabs.html'].map((page) => join(PAGES, page)) },
      },
    });
    this.#server = await preview({
      ...common,
      plugins: [
        {
          name: 'tell-and-clear',
          configurePreviewServer: ({ middlewares }) => {
            middlewares.use('/tell', (request, response) => void this.#hear(request, response));
            middlewares.use('/clear', (_, response) => response.setHeader('Clear-Site-Data', '"storage"').end('cleared'));
          },
        },
      ],
      preview: {
        port: 0,
        headers: {
          'Cross-Origin-Opener-Policy': 'same-origin',
          'Cross-Origin-Embedder-Policy': 'require-corp',
          'Cross-Origin-Resource-Policy': 'same-origin',
        },
      },
    });
  }

  async #hear(request: AsyncIterable<Uint8Array>, response: { end: () => void }): Promise<void> {
    const chunks: Uint8Array[] = [];
    for await (const chunk of request) chunks.push(chunk);
    this.onTold(JSON.parse(Buffer.concat(chunks).toString()));
    response.end();
  }

  async #stop(): Promise<void> {
    await this.#server?.close();
    await rm(this.#folder, { recursive: true, force: true });
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
