/** Each example in a page, which never blocks: its program runs on threads. */
import { expect, inject, test } from 'vitest';
import { run as runC } from '../c-threads/run.ts';
import { run as runBindgen } from '../rust-bindgen/run.ts';
import { run as runRust } from '../rust-threads/run.ts';
import type { Print } from '../src/Print.ts';
import { run as runWasi } from '../wasi-threads/run.ts';
import { run as runZig } from '../zig-threads/run.ts';
import { expected } from './expected.ts';

const modules = inject('modules');
const at = (path: string): URL => new URL(path, location.origin);

/** What a program ended with, and what it printed. */
async function outcomeOf(run: (print: Print) => Promise<number>): Promise<{ exitCode: number; lines: readonly string[] }> {
  const lines: string[] = [];
  const exitCode = await run((line) => void lines.push(line));
  return { exitCode, lines };
}

test('C without a C library', async () => {
  const outcome = await outcomeOf((print) => runC(at(modules['c-threads']), print));
  expect(outcome).toEqual({ exitCode: 0, lines: expected['c-threads'] });
});

// Set-up installs Zig by Python's package manager; a machine without either has none.
test.skipIf(modules['zig-threads'] === '')('Zig without an operating system', async () => {
  const outcome = await outcomeOf((print) => runZig(at(modules['zig-threads']), print));
  expect(outcome).toEqual({ exitCode: 0, lines: expected['zig-threads'] });
});

test('Rust with std alone', async () => {
  const outcome = await outcomeOf((print) => runRust(at(modules['rust-threads']), print));
  expect(outcome).toEqual({ exitCode: 0, lines: expected['rust-threads'] });
});

test('wasi-threads, from the text format', async () => {
  const outcome = await outcomeOf((print) => runWasi(at(modules['wasi-threads']), print));
  expect(outcome).toEqual({ exitCode: 7, lines: expected['wasi-threads'] });
});

test('Rust with heddle-thread and wasm-bindgen', async () => {
  const outcome = await outcomeOf((print) => runBindgen(at(modules['rust-bindgen']), print, at(modules.glue)));
  expect(outcome).toEqual({ exitCode: 0, lines: expected['rust-bindgen'] });
});
