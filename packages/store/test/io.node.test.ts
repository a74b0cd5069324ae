/** The I/O thread in Node: what only processes and a real file system show. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs, { existsSync, mkdirSync, mkdtempSync, readlinkSync, rmSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { HostError, OPEN_CREATE_NEW, OPEN_EXISTING, OPEN_OR_CREATE } from '../src/internal/io/HostFiles.ts';
import { openNodeFiles } from '../src/internal/io/NodeFiles.ts';
import { IO_ERROR_ALREADY_EXISTS, IO_ERROR_CLOSED, IO_ERROR_LOCKED, IO_ERROR_NOT_FOUND } from '../src/internal/layout.ts';

function temporaryDirectory(): string {
  const path = mkdtempSync(join(tmpdir(), 'heddle-io-'));
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

function codeOf(call: () => unknown): unknown {
  try {
    call();
    return undefined;
  } catch (error) {
    return error instanceof HostError ? error.code : error;
  }
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

test('files below a directory that is created with its parents', async () => {
  const root = join(temporaryDirectory(), 'a', 'b');
  const files = await openNodeFiles(root);
  onTestFinished(() => files.dispose());
  expect(codeOf(() => files.open('x/y', OPEN_EXISTING))).toBe(IO_ERROR_NOT_FOUND);
  const file = files.open('x/y', OPEN_CREATE_NEW) as number;
  expect(codeOf(() => files.open('x/y', OPEN_CREATE_NEW))).toBe(IO_ERROR_ALREADY_EXISTS);
  files.write(file, bytes('warp'), 2);
  void files.sync(file);
  const again = files.open('x/y', OPEN_OR_CREATE) as number;
  const target = new Uint8Array(8);
  expect(files.read(again, target, 0)).toBe(6);
  expect([...target.subarray(0, 6)]).toEqual([0, 0, ...bytes('warp')]);
  expect(files.list('')).toEqual([{ path: 'x/y', size: 6 }]);
  files.close(file);
  files.close(again);
  expect(codeOf(() => files.close(again))).toBe(IO_ERROR_CLOSED);
  await files.remove('x/y');
  expect(files.exists('x/y')).toBe(false);
  expect(files.list('')).toEqual([]);
});

test('a directory is held by one, under whatever path it is named', async () => {
  const root = temporaryDirectory();
  const files = await openNodeFiles(root);
  mkdirSync(join(root, 'below'));
  await expect(openNodeFiles(join(root, 'below', '..'))).rejects.toMatchObject({ code: IO_ERROR_LOCKED });
  const other = await openNodeFiles(join(root, 'below'));
  other.dispose();
  files.dispose();
  (await openNodeFiles(root)).dispose();
});

test('a killed process leaves no lock behind', async () => {
  const root = temporaryDirectory();
  const script = new URL('./processes/io-holder.ts', import.meta.url);
  const child = spawn(process.execPath, ['--conditions=@heddle/source', script.pathname, root], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(child, 'exit');
  await once(child.stdout, 'data');
  await expect(openNodeFiles(root)).rejects.toMatchObject({ code: IO_ERROR_LOCKED });
  child.kill('SIGKILL');
  await ended;
  (await openNodeFiles(root)).dispose();
  expect(existsSync(root)).toBe(true);
});

// Only Linux tells what a descriptor is of.
test(
  'the names of a new file are synced up to the root’s parent, once, behind its bytes',
  { skip: process.platform !== 'linux' },
  async () => {
    const root = temporaryDirectory();
    const files = await openNodeFiles(root);
    const synced: string[] = [];
    const { fdatasyncSync, fsyncSync } = fs;
    const note = (sync: (file: number) => void) => (file: number) => {
      sync(file);
      synced.push(readlinkSync(`/proc/self/fd/${file}`));
    };
    fs.fdatasyncSync = note(fdatasyncSync);
    fs.fsyncSync = note(fsyncSync);
    syncBuiltinESMExports();
    onTestFinished(() => {
      Object.assign(fs, { fdatasyncSync, fsyncSync });
      syncBuiltinESMExports();
    });
    const file = files.open('x/y', OPEN_OR_CREATE) as number;
    files.write(file, bytes('abc'), 0);
    await files.sync(file);
    expect(synced).toEqual([join(root, 'x/y'), join(root, 'x'), root, join(root, '..')]);
    await files.sync(file);
    expect(synced.slice(4)).toEqual([join(root, 'x/y')]);
    // Another name in the same directory, and one that goes.
    await files.sync(files.open('x/z', OPEN_OR_CREATE) as number);
    await files.remove('x/z');
    expect(synced.slice(5)).toEqual([join(root, 'x/z'), join(root, 'x'), join(root, 'x')]);
    files.dispose();
  },
);
