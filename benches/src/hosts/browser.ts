/** A browser's page, served by Vite from the sources and cross-origin isolated; it has the same subjects as Node. */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { findBrowser } from '@heddle/tools/browsers';
import { chromium, firefox, type Browser, type LaunchOptions, type Page } from 'playwright';
import { createServer, type ViteDevServer } from 'vite';
import type { Host, Measurement, Subject } from '../measurement.ts';
import { scriptHost } from '../subjects/index.ts';
import type { BenchesInPage } from '../page.ts';

const workspace = fileURLToPath(new URL('../../..', import.meta.url));

const ISOLATION_HEADERS = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
  'Cross-Origin-Resource-Policy': 'same-origin',
};

declare global {
  // oxlint-disable-next-line no-var -- a property of the global object
  var heddleBenches: BenchesInPage | undefined;
}

function serve(): Promise<ViteDevServer> {
  return createServer({
    root: workspace,
    configFile: false,
    cacheDir: fileURLToPath(new URL('../../../target/benches/vite', import.meta.url)),
    logLevel: 'error',
    resolve: { conditions: ['@heddle/source', 'browser', 'module', 'import', 'default'] },
    server: { host: '127.0.0.1', port: 0, hmr: false, watch: null, headers: ISOLATION_HEADERS, fs: { allow: [workspace] } },
    worker: { format: 'es' },
    // What is found only when it is asked for would make Vite reload the page. `multithreading` starts a script beside its own.
    optimizeDeps: {
      noDiscovery: true,
      include: ['@heddle/benches > comlink', '@heddle/benches > ringbuf.js'],
      exclude: ['multithreading'],
    },
  });
}

function launch(name: 'chromium' | 'firefox'): Promise<Browser> {
  const executablePath = findBrowser(name);
  const options: LaunchOptions = executablePath ? { executablePath } : {};
  if (name === 'chromium') return chromium.launch({ ...options, args: ['--no-sandbox', '--disable-gpu', '--disable-quic'] });
  // A stock Firefox is driven over WebDriver BiDi; Playwright's own build over its own protocol.
  return firefox.launch(executablePath ? { ...options, channel: 'moz-firefox' } : options);
}

/** Opens the page in a browser, and waits until it is ready. */
export async function browserHost(name: 'chromium' | 'firefox'): Promise<Host> {
  const server = await serve();
  await server.listen();
  const browser = await launch(name);
  const close = async (): Promise<void> => {
    await browser.close();
    await server.close();
  };
  try {
    const page = await browser.newPage();
    const problems: string[] = [];
    page.on('pageerror', (error) => problems.push(error.message));
    await page.goto(`${server.resolvedUrls?.local[0] ?? ''}benches/index.html`);
    await page
      .waitForFunction(() => globalThis.heddleBenches !== undefined)
      .catch((error: unknown) => {
        throw new Error(`the page of the benchmarks did not start: ${problems.join('; ') || String(error)}`);
      });
    const all = subjectsIn(page, name);
    const isLeftOut = ({ module }: Subject): boolean => module !== undefined && !existsSync(module);
    return { name, subjects: all.filter((subject) => !isLeftOut(subject)), leftOut: all.filter(isLeftOut), close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** The subjects of Node, as the page runs them. */
function subjectsIn(page: Page, name: 'chromium' | 'firefox'): Subject[] {
  return scriptHost(name).subjects.map(({ bench, name: subject, ...other }): Subject => ({
    bench,
    name: subject,
    ...(other.module ? { module: other.module } : {}),
    supports: (caseName) => other.supports(caseName),
    async open(caseName) {
      const id = await page.evaluate(([bench, subject, caseName]) => globalThis.heddleBenches?.open(bench, subject, caseName), [
        bench,
        subject,
        caseName,
      ] as const);
      if (id === undefined) throw new Error('the page is gone');
      return {
        async round(count): Promise<Measurement> {
          const measurement = await page.evaluate(([id, count]) => globalThis.heddleBenches?.round(id, count), [id, count] as const);
          if (!measurement) throw new Error('the page is gone');
          return measurement;
        },
        close: () => page.evaluate((id) => globalThis.heddleBenches?.close(id), id),
      };
    },
  }));
}
