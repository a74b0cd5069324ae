/** Processes of Node that tests start and kill. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';

/** How a process is started. */
export interface ProcessOptions {
  /** Node's options, beside the usual ones. */
  readonly options?: readonly string[];
  /** Variables of the environment, beside this process's. */
  readonly env?: Readonly<Record<string, string>>;
}

/** A process that runs one of the modules in `test/processes`. */
export class TestProcess {
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown>;
  readonly #lines: string[] = [];
  readonly #stderr: string[] = [];
  #onLine: () => void = () => {};

  constructor(module: string, args: readonly string[], { options: own = [], env = {} }: ProcessOptions = {}) {
    const path = fileURLToPath(new URL(`../processes/${module}`, import.meta.url));
    // With one of V8's own options, which Node lets no worker name.
    const options = ['--conditions=@heddle/source', '--disable-warning=ExperimentalWarning', '--max-old-space-size=2000', ...own];
    const child = spawn(process.execPath, [...options, path, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...env },
    });
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

  /** What it has written to its standard error. */
  get errorText(): string {
    return this.#stderr.join('');
  }

  /** Waits until it has written so many lines. */
  async written(count: number): Promise<void> {
    while (this.#lines.length < count) {
      if (this.#child.exitCode !== null) throw new Error(`the process ended with code ${this.#child.exitCode}: ${this.#stderr.join('')}`);
      await new Promise<void>((resolve) => (this.#onLine = resolve));
    }
  }

  /** Waits until it has ended by itself, without an error. */
  async ended(): Promise<void> {
    await this.#ended;
    const { exitCode } = this.#child;
    if (exitCode !== 0) throw new Error(`the process ended with code ${exitCode}: ${this.#stderr.join('')}`);
  }

  /** Kills it with SIGKILL, and returns when all that it had written has been read. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#ended;
  }
}
