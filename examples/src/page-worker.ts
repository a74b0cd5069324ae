/** Runs an example's program where it may block: in a worker of the page. */
import { run as runC } from '../c-threads/run.ts';
import { run as runRust } from '../rust-threads/run.ts';
import { run as runWasi } from '../wasi-threads/run.ts';
import { run as runZig } from '../zig-threads/run.ts';
import { ownStart } from './workers.browser.ts';

const PROGRAMS = { 'c-threads': runC, 'rust-threads': runRust, 'wasi-threads': runWasi, 'zig-threads': runZig };

/** Which program, and where its module is. */
export interface PageStart {
  readonly name: keyof typeof PROGRAMS;
  readonly module: string;
}

/** What a program has printed, and what it ended with. */
export interface Ended {
  readonly lines: readonly string[];
  readonly exitCode: number;
}

const { name, module } = await ownStart<PageStart>();
const lines: string[] = [];
const exitCode = await PROGRAMS[name](new URL(module), (line) => void lines.push(line));
// oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker's has no origin
(globalThis as unknown as { postMessage(ended: Ended): void }).postMessage({ lines, exitCode });
