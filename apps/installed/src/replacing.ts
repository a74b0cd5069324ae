/**
 * A module of an application that Vite's development server replaces in a page which stays (hot module replacement), and what becomes of
 * the workers that the module has started.
 */
import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import type { Page, Worker } from 'playwright';
import { pageOf } from './vite.ts';
import type { Project } from './project.ts';

/** The page, and the script that it replaces. */
const PAGE = 'replaced.html';
const SCRIPT = 'replaced.ts';
/** Where the server doesn't look for changes. */
const NEXT_SCRIPT = 'node_modules/.replaced.ts';

/** A busy machine takes its time; that is no failure. */
const TIMEOUT_MS = 90_000;

/** The supervisor of the runtime and its two workers, one of the pool. */
export const WORKER_COUNT = 4;

/** The line in a README that closes what a module has started, when it is replaced: the first code that speaks of `hot`. */
export function disposeLineOf(markdown: string): string {
  const line = /`(import\.meta\.hot[^`]*dispose\([^`]*)`/.exec(markdown)?.[1];
  if (line === undefined) throw new Error('the README has no line for a module that is replaced');
  return `${line};`;
}

/** A version of the module: its workers have run something, and go on to run something else, when the title has its number. */
function scriptOf(version: number, disposeLine: string): string {
  return `import { ThreadPool, WasmRuntime } from '@heddle/thread';

const runtime = await WasmRuntime.start({
  module: new URL('./pkg/program_bg.wasm', import.meta.url),
  glue: new URL('./pkg/program.js', import.meta.url),
  threads: 2,
});
const pool = await ThreadPool.start({ threads: 1 });
import.meta.hot?.accept();
${disposeLine}
const sums = await Promise.all([runtime.spawn('add', 2, 40).join(), pool.run(new URL('./sum.js', import.meta.url), 2, 41)]);
// What runs when the module is replaced, and would end in an hour.
runtime.spawn('spin_ms', 3_600_000).join().catch(() => {});
document.title = \`version ${version}: \${sums.join(' ')}\`;
`;
}

/** The page that the module runs in, opened. */
export class ReplacingPage {
  readonly #app: Project;
  readonly #page: Page;
  readonly #errors: string[] = [];
  #version = 0;

  constructor(app: Project, page: Page) {
    this.#app = app;
    this.#page = page;
    page.setDefaultTimeout(TIMEOUT_MS);
    page.on('pageerror', (error) => this.#errors.push(error.stack ?? error.message));
  }

  /** Writes the page, so that a server which starts finds it, with its first version. */
  static async write(app: Project, disposeLine: string): Promise<void> {
    await app.write(PAGE, pageOf(SCRIPT));
    await app.write(SCRIPT, scriptOf(0, disposeLine));
  }

  /** Opens the page; its title says what its first version's workers have added. */
  async open(serverUrl: string): Promise<string> {
    await this.#page.goto(new URL(PAGE, serverUrl).href);
    return this.#titleOf(0);
  }

  /** Writes the module's next version, which Vite replaces the last one by; resolves with the title that it has set. */
  async replace(disposeLine: string): Promise<string> {
    this.#version += 1;
    await this.#app.write(NEXT_SCRIPT, scriptOf(this.#version, disposeLine));
    // At once, as editors do it: of a file that is emptied and filled the server may see two changes.
    await rename(join(this.#app.folder, NEXT_SCRIPT), join(this.#app.folder, SCRIPT));
    return this.#titleOf(this.#version);
  }

  async #titleOf(version: number): Promise<string> {
    try {
      await this.#page.waitForFunction((start) => document.title.startsWith(start), `version ${version}:`);
    } catch (cause) {
      throw new Error(`version ${version} of the module did not run:\n${this.#errors.join('\n')}`, { cause });
    }
    return this.#page.title();
  }

  /**
   * The workers of the page, once there are as many as wanted: to end one in the midst of something may take a browser some seconds.
   */
  async workers(wantedCount: number): Promise<readonly Worker[]> {
    // oxlint-disable-next-line no-await-in-loop -- looks until it is so
    while (this.#page.workers().length !== wantedCount) await setTimeout(20);
    return this.#page.workers();
  }
}
