/** Each example is built from source and run as a program of its own. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { findZig } from '@heddle/tools/wasm-toolchain';
import { buildC, buildWat, buildZig, builtRust, sourceOf } from '../src/build.ts';
import { expected } from './expected.ts';

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'heddle-examples-'));
});

afterAll(() => rm(folder, { recursive: true }));

/** Runs a program of an example; what it printed, and what it ended with. */
function run(program: string, ...args: readonly string[]): Promise<{ exitCode: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    const child = execFile(process.execPath, ['--conditions=@heddle/source', sourceOf(program), ...args], (_error, stdout, stderr) => {
      resolve({ exitCode: child.exitCode ?? -1, stdout, stderr });
    });
  });
}

const printed = (name: keyof typeof expected): string => expected[name].map((line) => `${line}\n`).join('');

test('C without a C library: a mutex, joins, thread-local storage and stacks', async () => {
  const program = join(folder, 'c-threads.wasm');
  await buildC(sourceOf('c-threads/program.c'), program);
  expect(await run('c-threads/main.ts', program)).toEqual({ exitCode: 0, stdout: printed('c-threads'), stderr: '' });
});

const zig = findZig();

// Set-up installs Zig by Python's package manager; a machine without either has none.
test.skipIf(zig === undefined)('Zig without an operating system: a mutex, joins, thread-local storage', async () => {
  const program = join(folder, 'zig-threads.wasm');
  await buildZig(zig ?? '', sourceOf('zig-threads/program.zig'), program);
  expect(await run('zig-threads/main.ts', program)).toEqual({ exitCode: 0, stdout: printed('zig-threads'), stderr: '' });
});

test('Rust with std alone: locks, channels, thread-local values', async () => {
  const { module } = builtRust('rust-threads');
  expect(await run('rust-threads/main.ts', module)).toEqual({ exitCode: 0, stdout: printed('rust-threads'), stderr: '' });
});

test('Rust with heddle-thread and wasm-bindgen: a scope, calls of JavaScript, a panic', async () => {
  const { module, glue } = builtRust('rust-bindgen');
  const { exitCode, stdout, stderr } = await run('rust-bindgen/main.ts', module, glue);
  expect({ exitCode, stdout }).toEqual({ exitCode: 0, stdout: printed('rust-bindgen') });
  // The panic's own words, with the place in the source.
  expect(stderr).toMatch(/panicked at .*program\.rs:\d+/);
});

test('wasi-threads, from the text format', async () => {
  const program = join(folder, 'wasi-threads.wasm');
  await buildWat(sourceOf('wasi-threads/program.wat'), program);
  expect(await run('wasi-threads/main.ts', program)).toEqual({ exitCode: 7, stdout: printed('wasi-threads'), stderr: '' });
});
