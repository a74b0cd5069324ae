/**
 * Each package as its users get it: packed, installed from its tarball into an empty Node project and an empty Vite application
 * outside of the workspace, where the examples of its README run as they stand and print what their comments say.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser } from 'playwright';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { launch, openPage } from '../src/page.ts';
import { installInto, packAll, workspace, type Project } from '../src/project.ts';
import { parseReadme, type Readme } from '../src/readme.ts';
import { run } from '../src/run.ts';
import { buildApplication, serve, writeApplication } from '../src/vite.ts';

/** A package and what its README takes for granted. */
interface Subject {
  readonly name: string;
  /** Files beside the examples, and where the workspace has them. */
  readonly files?: Readonly<Record<string, string>>;
  /** A README, from the workspace's root, besides the package's own. */
  readonly otherReadme?: string;
}

const BUILT = 'target/wasm/bindgen';

const SUBJECTS: readonly Subject[] = [
  { name: 'atomics' },
  { name: 'channel' },
  { name: 'memory', files: { 'program.wasm': `${BUILT}/memory-testing/memory_testing_bg.wasm` } },
  {
    name: 'thread',
    files: {
      'pkg/program.js': `${BUILT}/thread-testing/thread_testing.js`,
      'pkg/program_bg.wasm': `${BUILT}/thread-testing/thread_testing_bg.wasm`,
    },
  },
  { name: 'store', otherReadme: 'README.md' },
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

describe.each(SUBJECTS)('@heddle/$name', ({ name, files = {}, otherReadme }) => {
  let project: Project;
  let app: Project;
  let readme: Readme;

  beforeAll(async () => {
    const packages = { name, tarballs: join(folder, 'tarballs') };
    [project, app] = await Promise.all([
      installInto(join(folder, name, 'node'), packages),
      installInto(join(folder, name, 'vite'), packages),
    ]);
    readme = parseReadme(await readFile(join(project.folder, 'node_modules/@heddle', name, 'README.md'), 'utf8'));
    if (otherReadme !== undefined) {
      const other = parseReadme(await readFile(join(workspace, otherReadme), 'utf8'));
      readme = { examples: [...readme.examples, ...other.examples], files: { ...readme.files, ...other.files } };
    }
    for (const place of [project, app]) {
      for (const [index, { code }] of readme.examples.entries()) await place.write(`example-${index + 1}.ts`, code);
      for (const [file, content] of Object.entries(readme.files)) await place.write(file, content);
      for (const [file, source] of Object.entries(files)) await place.copy(file, source);
    }
    await writeApplication(app, readme.examples.length);
  });

  test('has types that the examples pass', async () => {
    const examples = readme.examples.map((_, index) => `example-${index + 1}.ts`);
    const options = ['--noEmit', '--strict', '--target', 'esnext', '--module', 'nodenext', '--types', ''];
    const checked = await run(join(workspace, 'node_modules/.bin/tsc'), [...options, ...examples], project.folder);
    expect(checked).toEqual({ exitCode: 0, stdout: '', stderr: '' });
  });

  test('runs its README in Node', async () => {
    for (const [index, { expected }] of readme.examples.entries()) {
      const { exitCode, stdout, stderr } = await run(process.execPath, [`example-${index + 1}.ts`], project.folder);
      expect({ exitCode, printed: stdout.trimEnd().split('\n'), stderr }).toEqual({ exitCode: 0, printed: expected, stderr: '' });
    }
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
