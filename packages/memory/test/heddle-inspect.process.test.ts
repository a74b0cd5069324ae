import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import { activeModule, bareModule, moduleOf, modules } from './modules.ts';

const script = fileURLToPath(new URL('../src/heddle-inspect.ts', import.meta.url));

interface Ended {
  readonly code: number;
  readonly out: string;
  readonly error: string;
}

/** Runs the command in a process of this host. */
async function run(...args: readonly string[]): Promise<Ended> {
  const host = process.versions['deno'] === undefined ? [] : ['run', '--allow-all', '--no-lock'];
  const child = spawn(process.execPath, [...host, '--conditions=@heddle/source', script, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  const [out, error, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close') as Promise<[number]>]);
  return { code, out, error };
}

/** A folder that goes with the test, and a module in it. */
async function fileOf(bytes: Uint8Array): Promise<{ folder: string; file: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'heddle-inspect-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const file = join(folder, 'program.wasm');
  await writeFile(file, bytes);
  return { folder, file };
}

test('a module that can have threads ends it with 0', async () => {
  const { code, out, error } = await run(fileURLToPath(modules.threadTesting.module));
  expect([code, error]).toEqual([0, '']);
  expect(out).toContain('This module can have threads.');
  expect(out).toMatch(/^abi +wasm-bindgen$/mu);
});

test('one that was not linked for threads ends it with 1, and is told the flags of each toolchain', async () => {
  const { code, out } = await run((await fileOf(moduleOf([[5, [1, 0, 1]]]))).file);
  expect(code).toBe(1);
  for (const part of ['MEMORY_NOT_IMPORTED', 'With rustc:', 'With clang:', 'With zig:', '--export=__wasm_init_tls'])
    expect(out).toContain(part);
});

test('--json prints the report', async () => {
  const { code, out } = await run((await fileOf(bareModule())).file, '--json');
  expect(code).toBe(0);
  expect(JSON.parse(out)).toMatchObject({ abi: 'bare', memory: { maximumPages: 16 }, problems: [], advice: [] });
});

test('what is no module, is not there, or was not named ends it with 2 and a line on stderr', async () => {
  const { folder, file } = await fileOf(new TextEncoder().encode('no module'));
  const refused = await run(file);
  expect(refused).toMatchObject({ code: 2, out: '', error: expect.stringContaining('not a WebAssembly module') as string });
  // Of many files that a script goes through, it was this one.
  expect(refused.error).toContain(file);
  expect(await run(join(folder, 'none.wasm'))).toMatchObject({ code: 2, error: expect.stringContaining('none.wasm') as string });
  expect(await run()).toMatchObject({ code: 2, error: expect.stringContaining('name one file') as string });
  expect(await run(file, '--jsn')).toMatchObject({ code: 2, error: expect.stringContaining('--jsn') as string });
});

test('--rewrite writes a module whose segments are copied once, or says why there is none', async () => {
  const { folder, file } = await fileOf(activeModule({ isShared: false }));
  const out = join(folder, 'out.wasm');
  const refused = await run(file, '--rewrite', out);
  expect(refused).toMatchObject({ code: 2, error: expect.stringContaining('MEMORY_NOT_SHARED') as string });
  expect(refused.error).toContain('(here: --share-memory)');
  const written = await run(file, '--rewrite', out, '--share-memory', '--flag-address', '64', '--json');
  // It has no stack to export: that is left to be told.
  expect(JSON.parse(written.out)).toMatchObject({ segments: { active: 0, passive: 2 }, memory: { isShared: true, initialPages: 1 } });
  expect(WebAssembly.validate(await readFile(out))).toBe(true);
  expect(await run(file, '--rewrite', out, '--start', 'never')).toMatchObject({ code: 2 });
});

test('options of rewriting that can mean nothing are refused, not passed over', async () => {
  const { folder, file } = await fileOf(activeModule({ isShared: true }));
  for (const option of [['--share-memory'], ['--flag-address', '64'], ['--start', 'once']]) {
    expect(await run(file, ...option)).toMatchObject({ code: 2, out: '', error: expect.stringContaining('--rewrite') as string });
  }
  // An empty text was taken for address 0.
  for (const address of ['', 'a page', '1e3', '99999999999999999999']) {
    const { code, error } = await run(file, '--rewrite', join(folder, 'out.wasm'), `--flag-address=${address}`);
    expect([code, error]).toEqual([2, `heddle-inspect: --flag-address is a number of bytes, not "${address}"\n`]);
  }
});

test('--help tells of the exit codes', async () => {
  const { code, out } = await run('--help');
  expect(code).toBe(0);
  expect(out).toContain('Ends with 0');
});
