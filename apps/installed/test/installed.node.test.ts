/**
 * Each package as its users get it: packed, and installed from its tarball into empty projects outside of the workspace, where the
 * examples of its README run as they stand and print what their comments say: in Node, Deno and Bun, in an application that Vite
 * serves or builds, there also under a strict Content-Security-Policy, and in one that another bundler builds.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser } from 'playwright';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bundlers } from '../src/bundlers.ts';
import { launch, openPage } from '../src/page.ts';
import { installInto, packAll, workspace, type Project } from '../src/project.ts';
import { argumentsFor, hasHost, program, type Host } from '../src/programs.ts';
import { parseReadme, type Readme } from '../src/readme.ts';
import { disposeLineOf, ReplacingPage, WORKER_COUNT } from '../src/replacing.ts';
import { run } from '../src/run.ts';
import { buildApplication, serve, writeApplication } from '../src/vite.ts';

/** A package and what its README takes for granted. */
interface Subject {
  readonly name: string;
  /** Files beside the examples, and where the workspace has them. */
  readonly files?: Readonly<Record<string, string>>;
  /** A README, from the workspace's root, besides the package's own. */
  readonly otherReadme?: string;
  /** Its commands with arguments, and the last line that each prints. */
  readonly commands?: readonly { readonly line: string; readonly lastLine: string }[];
  /** Hosts besides Node that it promises to run in. */
  readonly hosts: readonly Host[];
  /** The strictest Content-Security-Policy that it promises to run under. */
  readonly policies: readonly string[];
  /** One that forbids what it needs. */
  readonly forbiddingPolicies: readonly string[];
  /** Other bundlers than Vite that it is tried with: worth it where there are workers and files to find. */
  readonly bundlers: readonly (keyof typeof bundlers)[];
  /** Browsers in which a module that Vite replaces is seen to leave nothing behind: where there are workers. */
  readonly replacedIn?: readonly ('chromium' | 'firefox')[];
}

const STRICT = "script-src 'self'; worker-src 'self'";
/** No page compiles Wasm under a policy that doesn't say so. */
const STRICT_WITH_WASM = "script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'";

const BUILT = 'target/wasm/bindgen';

const SUBJECTS: readonly Subject[] = [
  { name: 'atomics', hosts: ['deno', 'bun'], policies: [STRICT], forbiddingPolicies: [], bundlers: ['nothing'] },
  { name: 'channel', hosts: ['deno', 'bun'], policies: [STRICT], forbiddingPolicies: [], bundlers: [] },
  {
    name: 'memory',
    hosts: ['deno', 'bun'],
    policies: [STRICT_WITH_WASM],
    forbiddingPolicies: [STRICT],
    bundlers: ['webpack', 'esbuild', 'rollup', 'nothing'],
    commands: [{ line: 'heddle-inspect program.wasm', lastLine: 'This module can have threads.' }],
    files: { 'program.wasm': `${BUILT}/memory-testing/memory_testing_bg.wasm` },
  },
  {
    name: 'thread',
    hosts: ['deno', 'bun'],
    policies: [STRICT_WITH_WASM],
    forbiddingPolicies: [STRICT],
    bundlers: ['webpack', 'esbuild', 'rollup'],
    replacedIn: ['chromium', 'firefox'],
    files: {
      'program.wasm': `${BUILT}/memory-testing/memory_testing_bg.wasm`,
      'pkg/program.js': `${BUILT}/thread-testing/thread_testing.js`,
      'pkg/program_bg.wasm': `${BUILT}/thread-testing/thread_testing_bg.wasm`,
    },
  },
  { name: 'store', hosts: [], policies: [], forbiddingPolicies: [], bundlers: [], otherReadme: 'README.md' },
];

let folder: string;
const browsers = {} as Record<'chromium' | 'firefox', Browser>;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'heddle-installed-'));
  await packAll(join(folder, 'tarballs'));
  [browsers.chromium, browsers.firefox] = await Promise.all([launch('chromium'), launch('firefox')]);
});

afterAll(async () => {
  await Promise.all(Object.values(browsers).map((browser) => browser.close()));
  await rm(folder, { recursive: true, force: true, maxRetries: 5 });
});

describe.each(SUBJECTS)('@heddle/$name', ({ name, files = {}, commands = [], replacedIn = [], otherReadme, hosts, ...subject }) => {
  const projects = {} as Record<Host, Project>;
  let app: Project;
  let readme: Readme;

  beforeAll(async () => {
    const tarballs = join(folder, 'tarballs');
    [projects.node, app] = await Promise.all([
      installInto(join(folder, name, 'node'), { name, tarballs, manager: 'npm' }),
      installInto(join(folder, name, 'vite'), { name, tarballs, manager: 'npm' }),
    ]);
    projects.deno = projects.node;
    const hasBun = hosts.includes('bun') && hasHost('bun');
    projects.bun = hasBun ? await installInto(join(folder, name, 'bun'), { name, tarballs, manager: 'bun' }) : projects.node;
    readme = parseReadme(await readFile(join(projects.node.folder, 'node_modules/@heddle', name, 'README.md'), 'utf8'));
    if (otherReadme !== undefined) {
      const other = parseReadme(await readFile(join(workspace, otherReadme), 'utf8'));
      readme = { examples: [...readme.examples, ...other.examples], files: { ...readme.files, ...other.files } };
    }
    for (const place of new Set([...Object.values(projects), app])) {
      for (const [index, { code }] of readme.examples.entries()) await place.write(`example-${index + 1}.ts`, code);
      for (const [file, content] of Object.entries(readme.files)) await place.write(file, content);
      for (const [file, source] of Object.entries(files)) await place.copy(file, source);
    }
    await writeApplication(app, readme.examples.length);
  });

  test('has types that the examples pass', async () => {
    const examples = readme.examples.map((_, index) => `example-${index + 1}.ts`);
    const options = ['--noEmit', '--strict', '--target', 'esnext', '--module', 'nodenext', '--types', ''];
    const checked = await run(join(workspace, 'node_modules/.bin/tsc'), [...options, ...examples], projects.node.folder);
    expect(checked).toEqual({ exitCode: 0, stdout: '', stderr: '' });
  });

  for (const host of ['node', ...hosts] as const) {
    // Skipped where this kind of machine has no such host.
    test.skipIf(!hasHost(host))(`runs its README in ${host}`, async () => {
      for (const [index, { expected }] of readme.examples.entries()) {
        const args = argumentsFor(host, `example-${index + 1}.ts`);
        const { exitCode, stdout, stderr } = await run(program(host), args, projects[host].folder);
        expect({ exitCode, printed: stdout.trimEnd().split('\n'), stderr }).toEqual({ exitCode: 0, printed: expected, stderr: '' });
      }
    });
  }

  test.each(commands)('has the command $line', async ({ line, lastLine }) => {
    const { exitCode, stdout, stderr } = await run('npx', ['--no-install', ...line.split(' ')], projects.node.folder);
    expect({ exitCode, lastLine: stdout.trimEnd().split('\n').at(-1), stderr }).toEqual({ exitCode: 0, lastLine, stderr: '' });
  });

  async function expectPages(browser: Browser, url: string): Promise<void> {
    for (const [index, { expected }] of readme.examples.entries()) {
      const shown = await openPage(browser, `${url}#${index + 1}`);
      expect(shown).toEqual({ printed: expected, errors: [] });
    }
  }

  // In one browser: the server gives all of them the same modules, and what differs between browsers the built pages show.
  test("runs its README from Vite's development server in chromium", async () => {
    await using server = await serve(app, 'dev');
    await expectPages(browsers.chromium, server.url);
    expect(server.complaints).toBe('');
  });

  test.each(replacedIn)('has a module that Vite replaces leave no worker behind, by the line in its README, in %s', async (browser) => {
    const markdown = await readFile(join(projects.node.folder, 'node_modules/@heddle', name, 'README.md'), 'utf8');
    const line = disposeLineOf(markdown);
    await ReplacingPage.write(app, line);
    await using server = await serve(app, 'dev');
    await using context = await browsers[browser].newContext();
    const page = await context.newPage();
    const replacing = new ReplacingPage(app, page);
    expect(await replacing.open(server.url)).toBe('version 0: 42 43');
    const first = await replacing.workers(WORKER_COUNT);
    await page.evaluate(() => document.body.setAttribute('data-page', 'first'));

    // The next version has no such line: it is the last one's that counts.
    expect(await replacing.replace('')).toBe('version 1: 42 43');
    const second = await replacing.workers(WORKER_COUNT);
    expect(first.filter((worker) => second.includes(worker))).toEqual([]);

    // And this is what becomes of workers that nobody closes.
    expect(await replacing.replace(line)).toBe('version 2: 42 43');
    const third = await replacing.workers(2 * WORKER_COUNT);
    expect(second.filter((worker) => !third.includes(worker))).toEqual([]);
    // Otherwise the page was loaded anew, which ends all workers.
    expect(await page.evaluate(() => document.body.getAttribute('data-page'))).toBe('first');
    expect(server.complaints).toBe('');
  });

  describe('built by Vite', () => {
    beforeAll(async () => {
      await buildApplication(app);
    });

    test.each(['chromium', 'firefox'] as const)('runs its README in %s', async (browser) => {
      await using server = await serve(app, 'preview');
      await expectPages(browsers[browser], server.url);
      expect(server.complaints).toBe('');
    });
  });

  test.each(subject.policies)('runs its README under %s', async (policy) => {
    // A file that became a data: URL would be refused.
    await buildApplication(app, 'dist-strict', ['--assetsInlineLimit', '0']);
    await using server = await serve(app, 'preview', { folder: 'dist-strict', policy });
    await expectPages(browsers.chromium, server.url);
  });

  test.each(subject.forbiddingPolicies)('says so under %s', async (policy) => {
    await buildApplication(app, 'dist-strict', ['--assetsInlineLimit', '0']);
    await using server = await serve(app, 'preview', { folder: 'dist-strict', policy });
    const { printed, errors } = await openPage(browsers.chromium, `${server.url}#${readme.examples.length}`);
    expect({ printed, errors: errors.join('\n') }).toEqual({ printed: [], errors: expect.stringContaining('Content Security Policy') });
  });

  test.each(subject.bundlers)('runs its README in chromium, built by %s', async (bundler) => {
    const output = `dist-${bundler}`;
    await bundlers[bundler]({ app, files: [...Object.keys(readme.files), ...Object.keys(files)] }, output);
    await using server = await serve(app, 'preview', { folder: output });
    await expectPages(browsers.chromium, server.url);
  });
});

describe('a page that fails is noticed', () => {
  const pageOf = (script: string): string => `data:text/html,${encodeURIComponent(`<script type="module">${script}</script>`)}`;

  test.each(['chromium', 'firefox'] as const)('in %s', async (browser) => {
    const shown = await openPage(
      browsers[browser],
      pageOf("console.log({ id: 1 }, undefined); console.error('frayed'); throw new Error('torn');"),
    );
    expect(shown).toEqual({ printed: ['{ id: 1 } undefined'], errors: ['frayed', expect.stringContaining('torn')] });
    const rejected = await openPage(browsers[browser], pageOf("await Promise.reject(new Error('torn'));"));
    expect(rejected).toEqual({ printed: [], errors: [expect.stringContaining('torn')] });
  });
});

test('the Rust in the README of @heddle/thread is what its example runs', async () => {
  const markdown = await readFile(join(workspace, 'packages/thread/README.md'), 'utf8');
  const source = await readFile(join(workspace, 'crates/thread/examples/thread-testing.rs'), 'utf8');
  expect(source).toContain(/^```rust\n(.*?)^```$/ms.exec(markdown)?.[1]);
});
