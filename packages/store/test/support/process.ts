/** Processes of Node that tests start and kill. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';

/** A process that runs one of the modules in `test/processes`. */
export class TestProcess {
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown>;
  readonly #lines: string[] = [];
  readonly #stderr: string[] = [];
  #onLine: () => void = () => {};

  constructor(module: string, args: readonly string[]) {
    const path = fileURLToPath(new URL(`../processes/${module}`, import.meta.url));
    // With one of V8's own options, which Node lets no worker name.
    const options = ['--conditions=@heddle/source', '--disable-warning=ExperimentalWarning', '--max-old-space-size=2000'];
    const child = spawn(process.execPath, [...options, path, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
    this.#child = child;
    this.#ended = once(child, 'close').then(() => this.#onLine());
    createInterface({ input: child.stdout }).on('line', (line) => {
      this.#lines.push(line);
      this.#onLine();
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => this.#stderr.push(text));
    onTestFinished(() => this.kill());
  }

  /** The lines that it has written. */
  get lines(): readonly string[] {
    return this.#lines;
  }

  /** Waits until it has written so many lines. */
  async written(count: number): Promise<void> {
    while (this.#lines.length < count) {
      if (this.#child.exitCode !== null) throw new Error(`the process ended with code ${this.#child.exitCode}: ${this.#stderr.join('')}`);
      await new Promise<void>((resolve) => (this.#onLine = resolve));
    }
  }

  /** Kills it with SIGKILL, and returns when all that it had written has been read. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#ended;
  }
}
