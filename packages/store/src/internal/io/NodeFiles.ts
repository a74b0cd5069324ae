/**
 * Files of Node, by its synchronous calls: the I/O thread has nothing else to do.
 *
 * # What makes a file durable
 * Its bytes need `fdatasync` on the file, its name `fsync` on every directory from its own up to the root's parent. Directories
 * that are known to be synced are remembered until an entry in them changes. `crates/store/src/io/native.rs` does the same.
 */

import {
  closeSync,
  constants,
  fdatasyncSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  statSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { dirname, join, parse } from 'node:path';
import {
  IO_ERROR_ALREADY_EXISTS,
  IO_ERROR_CLOSED,
  IO_ERROR_NO_SPACE,
  IO_ERROR_NOT_FOUND,
  IO_ERROR_OTHER,
  IO_ERROR_PERMISSION_DENIED,
} from '../layout.ts';
import {
  type FileEntry,
  HostError,
  type HostErrorCode,
  type HostFiles,
  OPEN_CREATE_NEW,
  OPEN_EXISTING,
  type SharedBytes,
} from './HostFiles.ts';
import { type DirectoryLock, lockDirectory } from './nodeLock.ts';

const { O_CREAT, O_EXCL, O_RDWR } = constants;

const ERROR_CODES: Readonly<Record<string, HostErrorCode>> = {
  ENOENT: IO_ERROR_NOT_FOUND,
  ENOTDIR: IO_ERROR_NOT_FOUND,
  EEXIST: IO_ERROR_ALREADY_EXISTS,
  EACCES: IO_ERROR_PERMISSION_DENIED,
  EPERM: IO_ERROR_PERMISSION_DENIED,
  EROFS: IO_ERROR_PERMISSION_DENIED,
  ENOSPC: IO_ERROR_NO_SPACE,
  EDQUOT: IO_ERROR_NO_SPACE,
  EFBIG: IO_ERROR_NO_SPACE,
  EBADF: IO_ERROR_CLOSED,
};

/** Opens a directory, creating it where it is absent, and holds it for this process. */
export async function openNodeFiles(root: string): Promise<HostFiles> {
  hosted(() => makeDirectories(root));
  // A file that is created and removed tells more than permission bits do.
  const probe = join(root, `heddle-${process.pid}-${Date.now()}.probe`);
  hosted(() => {
    closeSync(openSync(probe, O_RDWR | O_CREAT | O_EXCL));
    unlinkSync(probe);
  });
  return new NodeFiles(root, await lockDirectory(root));
}

/** Makes the directory and those above it; returns the topmost that was made. */
function makeDirectories(path: string): string | undefined {
  try {
    return mkdirSync(path, { recursive: true });
  } catch (error) {
    // Node reports ENOENT for what the system refused to make; asked for that directory alone, it tells the system's reason.
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    mkdirSync(path);
    return path;
  }
}

class NodeFiles implements HostFiles {
  readonly sharesDescriptors = true;
  readonly isSynchronous = true;
  readonly #root: string;
  readonly #lock: DirectoryLock;
  /** Host paths of the open files, by descriptor. */
  readonly #open = new Map<number, string>();
  /** Directories whose entries are all durable. */
  readonly #synced = new Set<string>();

  constructor(root: string, lock: DirectoryLock) {
    this.#root = root;
    this.#lock = lock;
  }

  open(path: string, mode: number): number {
    const host = this.#host(path);
    return hosted(() => {
      const existing = mode === OPEN_CREATE_NEW ? undefined : openExisting(host, mode === OPEN_EXISTING);
      const file = existing ?? this.#create(host, mode);
      this.#open.set(file, host);
      return file;
    });
  }

  #create(host: string, mode: number): number {
    const parent = dirname(host);
    const made = makeDirectories(parent);
    if (made !== undefined) for (const directory of upwards(parent, dirname(made))) this.#synced.delete(directory);
    const file = openSync(host, O_RDWR | O_CREAT | (mode === OPEN_CREATE_NEW ? O_EXCL : 0));
    this.#synced.delete(parent);
    return file;
  }

  close(file: number): void {
    this.#path(file);
    this.#open.delete(file);
    hosted(() => closeSync(file));
  }

  read(file: number, target: SharedBytes, offset: number): number {
    return hosted(() => {
      let count = 0;
      while (count < target.length) {
        const more = readSync(file, target, count, target.length - count, offset + count);
        if (more === 0) break;
        count += more;
      }
      return count;
    });
  }

  write(file: number, source: SharedBytes, offset: number): void {
    hosted(() => {
      let count = 0;
      while (count < source.length) count += writeSync(file, source, count, source.length - count, offset + count);
    });
  }

  truncate(file: number, size: number): void {
    hosted(() => ftruncateSync(file, size));
  }

  size(file: number): number {
    return hosted(() => fstatSync(file).size);
  }

  sync(file: number): void {
    const host = this.#path(file);
    hosted(() => {
      fdatasyncSync(file);
      this.#syncNames(host);
    });
  }

  remove(path: string): void {
    const host = this.#host(path);
    hosted(() => {
      unlinkSync(host);
      this.#synced.delete(dirname(host));
      this.#syncNames(host);
    });
  }

  exists(path: string): boolean {
    const host = this.#host(path);
    return hosted(() => isFile(host));
  }

  list(directory: string): FileEntry[] {
    const found: FileEntry[] = [];
    hosted(() => this.#list(directory, found));
    return found;
  }

  #list(directory: string, found: FileEntry[]): void {
    for (const entry of readDirectory(join(this.#root, directory))) {
      const path = directory === '' ? entry.name : `${directory}/${entry.name}`;
      if (entry.isDirectory()) this.#list(path, found);
      else if (entry.isFile()) {
        const size = sizeOf(join(this.#root, path));
        if (size !== undefined) found.push({ path, size });
      }
    }
  }

  closeAll(): void {
    const files = [...this.#open.keys()];
    this.#open.clear();
    hosted(() => {
      for (const file of files) closeSync(file);
    });
  }

  dispose({ keepsOpen } = { keepsOpen: false }): void {
    if (!keepsOpen) for (const file of this.#open.keys()) closeSync(file);
    this.#open.clear();
    this.#lock.release();
  }

  #syncNames(host: string): void {
    for (const directory of upwards(dirname(host), dirname(this.#root))) {
      if (this.#synced.has(directory)) continue;
      syncDirectory(directory);
      this.#synced.add(directory);
    }
  }

  #host(path: string): string {
    return join(this.#root, path);
  }

  #path(file: number): string {
    const host = this.#open.get(file);
    if (host === undefined) throw new HostError(IO_ERROR_CLOSED, `handle ${file} is not open`);
    return host;
  }
}

/** Runs a call of the host; its errors come out as {@link HostError}. */
function hosted<T>(call: () => T): T {
  try {
    return call();
  } catch (cause) {
    if (cause instanceof HostError) throw cause;
    const { code = '', message } = cause as NodeJS.ErrnoException;
    throw new HostError(ERROR_CODES[code] ?? IO_ERROR_OTHER, message, { cause });
  }
}

function hasCode(error: unknown, ...codes: string[]): boolean {
  return codes.includes((error as NodeJS.ErrnoException).code ?? '');
}

/** Opens a file that exists; undefined where it doesn't and need not. */
function openExisting(host: string, must: boolean): number | undefined {
  try {
    return openSync(host, O_RDWR);
  } catch (error) {
    if (must || !hasCode(error, 'ENOENT')) throw error;
    return undefined;
  }
}

function isFile(host: string): boolean {
  try {
    return statSync(host).isFile();
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR')) return false;
    throw error;
  }
}

/** A file's size; undefined where it was removed since its directory was read. */
function sizeOf(host: string): number | undefined {
  try {
    return statSync(host).size;
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined;
    throw error;
  }
}

function readDirectory(host: string): import('node:fs').Dirent[] {
  try {
    return readdirSync(host, { withFileTypes: true });
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR')) return [];
    throw error;
  }
}

/** The directories from one up to another above it, both included. */
function* upwards(from: string, to: string): Generator<string> {
  const { root } = parse(from);
  for (let directory = from; ; directory = dirname(directory)) {
    yield directory;
    if (directory === to || directory === root) return;
  }
}

function syncDirectory(directory: string): void {
  // Windows opens no directories; its file system journals their entries.
  if (process.platform === 'win32') return;
  let file: number;
  try {
    file = openSync(directory, 'r');
  } catch (error) {
    // A directory above the root that this user may enter but not read: its owner answers for it.
    if (hasCode(error, 'EACCES', 'EPERM')) return;
    throw error;
  }
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}
