import { mkdir, mkdtemp, readFile, realpath, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { createMemory, MemoryViews } from '../src/index.ts';
import { nodeFiles, Wasi } from '../src/wasi/index.ts';

const EBADF = 8;
const EEXIST = 20;
const EISDIR = 31;
const ENOENT = 44;
const ENOTCAPABLE = 76;
const CREATE = 1;
const DIRECTORY = 2;
const EXCLUSIVE = 4;
const APPEND = 1;
const RIGHTS = (1n << 1n) | (1n << 6n);
/** The first root's descriptor, behind the three streams. */
const ROOT = 3;

type Call = (...args: (number | bigint)[]) => number;

/** A program with a folder, and what it does there. */
class Program {
  readonly call: Record<string, Call>;
  readonly views: MemoryViews;
  readonly wasi: Wasi;

  constructor(folder: string, descriptors?: SharedArrayBuffer) {
    const memory = createMemory({ initialPages: 1, maximumPages: 1 });
    this.views = new MemoryViews(memory);
    this.wasi = new Wasi({ memory, files: nodeFiles({ '/data': folder }), descriptors });
    this.call = this.wasi.imports['wasi_snapshot_preview1'] as unknown as Record<string, Call>;
  }

  /** Calls with a path behind the descriptor. */
  at(name: string, path: string, ...rest: (number | bigint)[]): number {
    return this.call[name](ROOT, ...this.#path(path, 1000), ...rest);
  }

  open(path: string, how = 0, flags = 0): { errno: number; fd: number } {
    const [at, length] = this.#path(path, 1000);
    const errno = this.call['path_open'](ROOT, 1, at, length, how, how === DIRECTORY ? 0n : RIGHTS, RIGHTS, flags, 200);
    return { errno, fd: this.views.words[50] ?? -1 };
  }

  rename(from: string, to: string): number {
    return this.call['path_rename'](ROOT, ...this.#path(from, 1000), ROOT, ...this.#path(to, 2000));
  }

  write(fd: number, text: string): number {
    this.views.words.set(this.#path(text, 3000), 0);
    return this.call['fd_write'](fd, 0, 1, 200);
  }

  read(fd: number, size = 100): string {
    this.views.words.set([3000, size], 0);
    const errno = this.call['fd_read'](fd, 0, 1, 200);
    if (errno !== 0) throw new Error(`fd_read: ${errno}`);
    return new TextDecoder().decode(this.views.bytes.slice(3000, 3000 + (this.views.words[50] ?? 0)));
  }

  #path(path: string, at: number): [number, number] {
    const bytes = new TextEncoder().encode(path);
    this.views.bytes.set(bytes, at);
    return [at, bytes.length];
  }
}

async function folder(): Promise<string> {
  const path = await realpath(await mkdtemp(join(tmpdir(), 'heddle-wasi-')));
  onTestFinished(() => rm(path, { recursive: true }));
  return path;
}

test('a program finds its roots by name', async () => {
  const { call, views } = new Program(await folder());
  expect(call['fd_prestat_get'](ROOT, 200)).toBe(0);
  expect(views.words[51]).toBe(5);
  expect(call['fd_prestat_dir_name'](ROOT, 1000, 5)).toBe(0);
  expect(new TextDecoder().decode(views.bytes.slice(1000, 1005))).toBe('/data');
  expect(call['fd_prestat_get'](ROOT + 1, 200)).toBe(EBADF);
});

test('files are made, written, read again, appended to, and closed', async () => {
  const path = await folder();
  const program = new Program(path);
  const { errno, fd } = program.open('a.txt', CREATE | EXCLUSIVE);
  expect(errno).toBe(0);
  expect(program.open('a.txt', CREATE | EXCLUSIVE).errno).toBe(EEXIST);
  expect([program.write(fd, 'one '), program.write(fd, 'two')]).toEqual([0, 0]);
  expect(program.call['fd_seek'](fd, -3n, 2, 200)).toBe(0);
  expect(program.views.longs[25]).toBe(4n);
  expect([program.read(fd, 2), program.read(fd), program.read(fd)]).toEqual(['tw', 'o', '']);
  expect(program.call['fd_close'](fd)).toBe(0);
  expect(program.write(fd, 'x')).toBe(EBADF);
  const appended = program.open('a.txt', 0, APPEND).fd;
  // The lowest one that is free.
  expect(appended).toBe(fd);
  expect(program.write(appended, ' three')).toBe(0);
  expect(await readFile(join(path, 'a.txt'), 'utf8')).toBe('one two three');
  expect(program.call['fd_filestat_get'](appended, 400)).toBe(0);
  expect([program.views.bytes[416], program.views.longs[54]]).toEqual([4, 13n]);
  program.call['fd_close'](appended);
});

test('what one thread opened another reads on', async () => {
  const path = await folder();
  await writeFile(join(path, 'a.txt'), 'one two');
  const first = new Program(path);
  const { fd } = first.open('a.txt');
  const second = new Program(path, first.wasi.descriptors);
  expect([first.read(fd, 3), second.read(fd, 100)]).toEqual(['one', ' two']);
  expect(second.call['fd_close'](fd)).toBe(0);
  expect(first.write(fd, 'x')).toBe(EBADF);
});

test('folders are made, listed in pieces, renamed and removed', async () => {
  const path = await folder();
  const program = new Program(path);
  expect(program.at('path_create_directory', 'sub')).toBe(0);
  for (const name of ['b', 'c', 'ä']) await writeFile(join(path, 'sub', name), name);
  const { errno, fd } = program.open('sub/../sub', DIRECTORY);
  expect(errno).toBe(0);
  const names: string[] = [];
  for (let cookie = 0n, isFull = true; isFull;) {
    // Room for one entry and a part of the next.
    expect(program.call['fd_readdir'](fd, 4000, 40, cookie, 200)).toBe(0);
    const used = program.views.words[50] ?? 0;
    isFull = used === 40;
    for (let at = 4000; at + 24 <= 4000 + used;) {
      const length = program.views.data.getUint32(at + 16, true);
      if (at + 24 + length > 4000 + used) break;
      names.push(new TextDecoder().decode(program.views.bytes.slice(at + 24, at + 24 + length)));
      cookie = program.views.data.getBigUint64(at, true);
      at += 24 + length;
    }
  }
  expect(names.toSorted()).toEqual(['b', 'c', 'ä']);
  expect(program.rename('sub/b', 'sub/d')).toBe(0);
  expect(await readFile(join(path, 'sub', 'd'), 'utf8')).toBe('b');
  expect(program.at('path_unlink_file', 'sub/d')).toBe(0);
  expect(program.at('path_unlink_file', 'sub/d')).toBe(ENOENT);
  for (const name of ['c', 'ä']) program.at('path_unlink_file', `sub/${name}`);
  expect(program.at('path_remove_directory', 'sub')).toBe(0);
  expect(program.open('sub', DIRECTORY).errno).not.toBe(0);
});

test('nothing outside of the roots is within reach, by dots or by links', async () => {
  const outside = await folder();
  await writeFile(join(outside, 'secret'), 'secret');
  const path = await folder();
  await mkdir(join(path, 'sub'));
  await symlink(outside, join(path, 'sub', 'link'));
  await symlink(join(outside, 'made'), join(path, 'nowhere'));
  const program = new Program(path);
  for (const name of ['../secret', '/etc/passwd', 'sub/../../secret', 'sub/link/secret', 'sub/link', 'nowhere']) {
    expect([name, program.open(name, CREATE).errno]).toEqual([name, ENOTCAPABLE]);
  }
  expect(program.open('sub', CREATE).errno).toBe(EISDIR);
});
