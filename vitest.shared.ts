/**
 * How every package's tests run: test/*.test.ts on every host, *.node.test.ts in Node only, *.process.test.ts in
 * Node, Deno and Bun, *.browser.test.ts in browsers only.
 * *.pages.test.ts run in Node and drive whole browsers, whose tabs they close, reload and kill: a project of their own, because they
 * take long and can run beside others.
 * Projects are named <package>:<host>; the hosts are node, pages, deno, bun, chromium and firefox. Those of Deno and Bun are there when
 * that program runs Vitest, as `tools/suites/vitest.mjs` has it do.
 */
import { fileURLToPath } from 'node:url';
import { playwright } from '@vitest/browser-playwright';
import type { TestProjectInlineConfiguration } from 'vitest/config';
import { findBrowser } from '@heddle/tools/browsers';
import { workerBundles } from '@heddle/tools/worker-bundles';

/** Imports find the packages' TypeScript sources rather than what was built last. */
const SOURCE_CONDITION = '@heddle/source';

/** What makes a page cross-origin isolated; without isolation there is no SharedArrayBuffer. */
const ISOLATION_HEADERS = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
  'Cross-Origin-Resource-Policy': 'same-origin',
};

/** Differences that a package asks for. */
export interface ProjectOptions {
  /** How long one test may take, in milliseconds. */
  readonly timeoutMs?: number;
}

/**
 * The projects of one package.
 * @param name the package's folder below packages/
 */
export function vitestProjects(name: string, options: ProjectOptions = {}): TestProjectInlineConfiguration[] {
  const root = fileURLToPath(new URL(`./packages/${name}/`, import.meta.url));
  const testTimeout = options.timeoutMs ?? 30_000;
  const host = process.versions['deno'] ? 'deno' : process.versions['bun'] ? 'bun' : 'node';
  const project = programProject({ name, root, testTimeout, host });
  if (host !== 'node') return [project];
  return [
    project,
    programProject({ name, root, testTimeout, host: 'pages' }),
    browserProject({ name, root, testTimeout, browser: 'chromium' }),
    browserProject({ name, root, testTimeout, browser: 'firefox' }),
  ];
}

interface ProgramProjectOptions {
  readonly name: string;
  readonly root: string;
  readonly testTimeout: number;
  readonly host: 'node' | 'pages' | 'deno' | 'bun';
}

function programProject({ name, root, testTimeout, host }: ProgramProjectOptions): TestProjectInlineConfiguration {
  // Deno and Bun take what is for Node where a package has nothing for them.
  const program = host === 'pages' ? 'node' : host;
  const conditions = [SOURCE_CONDITION, ...new Set([program, 'node']), 'module', 'import', 'default'];
  return {
    root,
    resolve: { conditions },
    ssr: { resolve: { conditions } },
    test: {
      name: `${name}:${host}`,
      include: [host === 'pages' ? 'test/**/*.pages.test.ts' : 'test/**/*.test.ts'],
      exclude: host === 'pages' ? [] : ['test/**/*.{browser,pages}.test.ts', ...(host === 'node' ? [] : ['test/**/*.node.test.ts'])],
      environment: 'node',
      env: longTestEnvironment(),
      pool: 'forks',
      // Real worker threads load TypeScript by the host itself: they need the condition too.
      execArgv: [`--conditions=${SOURCE_CONDITION}`],
      testTimeout,
      // A hook starts workers and compiles, as a test does.
      hookTimeout: testTimeout,
      // Bun loses a worker's last message or its end now and then, 1 of 360 in a case with nothing of ours: see CONTRIBUTING.md.
      retry: host === 'bun' ? 1 : 0,
    },
  };
}

/** What long tests are told by: `import.meta.env` has nothing else of the environment. */
function longTestEnvironment(): Record<string, string> {
  const names = ['HEDDLE_LONG_MINUTES', 'HEDDLE_SEED'];
  return Object.fromEntries(names.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]])));
}

interface BrowserProjectOptions {
  readonly name: string;
  readonly root: string;
  readonly testTimeout: number;
  readonly browser: 'chromium' | 'firefox';
}

function browserProject({ name, root, testTimeout, browser }: BrowserProjectOptions): TestProjectInlineConfiguration {
  return {
    root,
    plugins: [workerBundles(isBundled)],
    resolve: { conditions: [SOURCE_CONDITION, 'browser', 'module', 'import', 'default'] },
    server: { headers: ISOLATION_HEADERS, fs: { allow: [fileURLToPath(new URL('.', import.meta.url))] } },
    worker: { format: 'es' },
    test: {
      name: `${name}:${browser}`,
      env: longTestEnvironment(),
      include: ['test/**/*.test.ts'],
      exclude: ['test/**/*.{node,process,pages}.test.ts'],
      testTimeout,
      hookTimeout: testTimeout,
      browser: {
        enabled: true,
        headless: true,
        screenshotFailures: false,
        // A busy machine takes its time to start a browser; that is no failure.
        connectTimeout: 120_000,
        provider: playwright({ launchOptions: launchOptions(browser) }),
        instances: [{ browser, name: `${name}:${browser}` }],
      },
    },
  };
}

/** A thread in TypeScript imports its module at run time, and both import the package: they must get the same one. */
const isBundled = (script: string): boolean => !script.endsWith('/thread/src/internal/module-worker.ts');

function launchOptions(browser: 'chromium' | 'firefox') {
  const executablePath = findBrowser(browser);
  if (browser === 'chromium')
    return { ...(executablePath ? { executablePath } : {}), args: ['--no-sandbox', '--disable-gpu', '--disable-quic'] };
  // A stock Firefox is driven over WebDriver BiDi; Playwright's own build over its own protocol.
  return executablePath ? { executablePath, channel: 'moz-firefox' } : {};
}
