/** Each example in a page: its program in a worker, where it may block; the one with heddle-thread in the page itself. */
import { expect, inject, test } from 'vitest';
import { run } from '../rust-bindgen/run.ts';
import type { Ended, PageStart } from '../src/page-worker.ts';
import { expected } from './expected.ts';

const modules = inject('modules');
const at = (path: string): URL => new URL(path, location.origin);

/** Runs a program in a worker; what it printed, and what it ended with. */
function runInWorker(name: PageStart['name']): Promise<Ended> {
  const worker = new Worker(new URL('../src/page-worker.ts', import.meta.url), { type: 'module' });
  const ended = new Promise<Ended>((resolve, reject) => {
    worker.addEventListener('message', ({ data }: MessageEvent<Ended>) => resolve(data));
    worker.addEventListener('error', ({ message }) => reject(new Error(message)));
  });
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker's has no origin
  worker.postMessage({ name, module: at(modules[name]).href } satisfies PageStart);
  return ended.finally(() => worker.terminate());
}

test('C without a C library', async () => {
  expect(await runInWorker('c-threads')).toEqual({ exitCode: 0, lines: expected['c-threads'] });
});

// Set-up installs Zig by Python's package manager; a machine without either has none.
test.skipIf(modules['zig-threads'] === '')('Zig without an operating system', async () => {
  expect(await runInWorker('zig-threads')).toEqual({ exitCode: 0, lines: expected['zig-threads'] });
});

test('Rust with std alone', async () => {
  expect(await runInWorker('rust-threads')).toEqual({ exitCode: 0, lines: expected['rust-threads'] });
});

test('wasi-threads, from the text format', async () => {
  expect(await runInWorker('wasi-threads')).toEqual({ exitCode: 7, lines: expected['wasi-threads'] });
});

test('Rust with heddle-thread and wasm-bindgen: the page itself never blocks', async () => {
  const lines: string[] = [];
  expect(await run(at(modules['rust-bindgen']), (line) => void lines.push(line), at(modules.glue))).toBe(0);
  expect(lines).toEqual(expected['rust-bindgen']);
});
