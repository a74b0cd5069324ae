/** WASI's calls about files and streams. Each returns nothing, or throws what its number is made of. */
import { WASI_DIRECTORY, WASI_FILE, WASI_STREAM } from '../internal/layout.ts';
import type { MemoryViews } from '../MemoryViews.ts';
import type { DescriptorTable } from './DescriptorTable.ts';
import { WasiError } from './errno.ts';
import type { WasiFiles, WasiPath, WasiStat } from './WasiFiles.ts';

/** What a program's streams are at its host. */
export interface WasiStreams {
  /** The next bytes of standard input, at most so many; none at its end. */
  readonly stdin: (count: number) => Uint8Array;
  readonly stdout: (bytes: Uint8Array) => void;
  readonly stderr: (bytes: Uint8Array) => void;
}

/** What the calls need. */
export interface FileCallsOptions {
  readonly views: MemoryViews;
  readonly table: DescriptorTable;
  readonly files: WasiFiles | undefined;
  readonly streams: WasiStreams;
}

/** A call: numbers and, for 64 bits, bigints. */
export type Call = (...args: never[]) => void;

/** WASI's types of files. */
const FILE_TYPE = { other: 0, stream: 2, directory: 3, file: 4 } as const;
const OPEN = { create: 1, directory: 2, exclusive: 4, truncate: 8 } as const;
const RIGHT = { read: 1n << 1n, write: 1n << 6n } as const;
const FLAG_APPEND = 1;
/** Every right there is: what a program may do its host says when it does it. */
const ALL_RIGHTS = 0x1fff_ffffn;
/** Bytes of an entry of a directory, without its name. */
const ENTRY_SIZE = 24;

/** The calls, by name. */
export function fileCalls({ views, table, files, streams }: FileCallsOptions): Record<string, Call> {
  const host = (): WasiFiles => {
    if (!files) throw new WasiError('BADF');
    return files;
  };
  const handleOf = (fd: number): number => {
    const { kind, handle } = table.get(fd);
    if (kind === WASI_FILE) return handle;
    throw new WasiError(kind === WASI_DIRECTORY ? 'ISDIR' : 'SPIPE');
  };
  /** A path of the program's, below a directory that it has. */
  const pathAt = (fd: number, pointer: number, length: number): WasiPath => {
    const base = table.pathOf(fd);
    const text = new TextDecoder().decode(views.bytes.slice(pointer, pointer + length));
    return { root: base.root, path: normalise(base.path, text) };
  };
  const buffersOf = (pointer: number, count: number): { at: number; size: number }[] =>
    Array.from({ length: count }, (_, index) => {
      const { data } = views;
      return { at: data.getUint32(pointer + 8 * index, true), size: data.getUint32(pointer + 8 * index + 4, true) };
    });
  /** What lies in several buffers, copied: hosts refuse views of shared memory, and other threads write it. */
  const gather = (pointer: number, count: number): Uint8Array => {
    const buffers = buffersOf(pointer, count);
    const whole = new Uint8Array(buffers.reduce((sum, { size }) => sum + checked(views, size), 0));
    let done = 0;
    for (const { at, size } of buffers) {
      whole.set(views.bytes.subarray(at, checkedEnd(views, at, size)), done);
      done += size;
    }
    return whole;
  };
  const scatter = (bytes: Uint8Array, pointer: number, count: number): void => {
    let done = 0;
    for (const { at, size } of buffersOf(pointer, count)) {
      const part = bytes.subarray(done, done + size);
      views.bytes.set(part, at);
      done += part.length;
    }
  };
  const sizeOf = (pointer: number, count: number): number =>
    buffersOf(pointer, count).reduce((sum, { at, size }) => sum + checkedEnd(views, at, size) - at, 0);
  const putSize = (at: number, size: number): void => views.data.setUint32(at, size, true);
  const putStat = (at: number, stat: WasiStat): void => {
    const { data } = views;
    const type = FILE_TYPE[stat.type];
    const words = [0n, stat.inode, BigInt(type), stat.links, stat.size, stat.accessed, stat.modified, stat.changed];
    for (const [index, word] of words.entries()) data.setBigUint64(at + 8 * index, BigInt.asUintN(64, word), true);
  };
  /** How many bytes of a file follow a position, at most so many. */
  const following = (handle: number, size: number) => (position: bigint) => {
    const rest = host().stat(handle).size - position;
    return rest <= 0n ? 0n : rest < BigInt(size) ? rest : BigInt(size);
  };

  return {
    fd_write(fd: number, iovs: number, count: number, written: number) {
      const { kind, handle, flags } = table.get(fd);
      const bytes = gather(iovs, count);
      if (kind === WASI_STREAM) {
        if (handle === 0) throw new WasiError('BADF');
        (handle === 1 ? streams.stdout : streams.stderr)(bytes);
      } else {
        const file = handleOf(fd);
        if ((flags & FLAG_APPEND) !== 0) table.seekAtLeast(fd, host().stat(file).size);
        host().write(
          file,
          bytes,
          table.advance(fd, () => BigInt(bytes.length)),
        );
      }
      putSize(written, bytes.length);
    },
    fd_pwrite(fd: number, iovs: number, count: number, offset: bigint, written: number) {
      const bytes = gather(iovs, count);
      host().write(handleOf(fd), bytes, offset);
      putSize(written, bytes.length);
    },
    fd_read(fd: number, iovs: number, count: number, read: number) {
      const { kind, handle } = table.get(fd);
      const size = sizeOf(iovs, count);
      if (kind === WASI_STREAM) {
        if (handle !== 0) throw new WasiError('BADF');
        const bytes = streams.stdin(size);
        scatter(bytes, iovs, count);
        putSize(read, bytes.length);
        return;
      }
      const file = handleOf(fd);
      let taken = 0n;
      const position = table.advance(fd, (from) => (taken = following(file, size)(from)));
      const bytes = new Uint8Array(Number(taken));
      const length = host().read(file, bytes, position);
      scatter(bytes.subarray(0, length), iovs, count);
      putSize(read, length);
    },
    fd_pread(fd: number, iovs: number, count: number, offset: bigint, read: number) {
      const bytes = new Uint8Array(sizeOf(iovs, count));
      const length = host().read(handleOf(fd), bytes, offset);
      scatter(bytes.subarray(0, length), iovs, count);
      putSize(read, length);
    },
    fd_seek(fd: number, offset: bigint, whence: number, result: number) {
      const file = handleOf(fd);
      const base = whence === 0 ? 0n : whence === 1 ? table.position(fd) : host().stat(file).size;
      if (whence > 2 || base + offset < 0n) throw new WasiError('INVAL');
      table.seek(fd, base + offset);
      views.data.setBigUint64(result, base + offset, true);
    },
    fd_tell(fd: number, result: number) {
      handleOf(fd);
      views.data.setBigUint64(result, table.position(fd), true);
    },
    fd_close(fd: number) {
      const { kind, handle } = table.get(fd);
      table.close(fd);
      if (kind === WASI_FILE) host().close(handle);
    },
    fd_sync: (fd: number) => host().sync(handleOf(fd)),
    fd_datasync: (fd: number) => host().sync(handleOf(fd)),
    fd_filestat_set_size: (fd: number, size: bigint) => host().resize(handleOf(fd), size),
    fd_fdstat_get(fd: number, result: number) {
      const { kind, flags } = table.get(fd);
      const { data } = views;
      data.setUint32(result, 0, true);
      data.setUint8(result, kind === WASI_FILE ? FILE_TYPE.file : kind === WASI_DIRECTORY ? FILE_TYPE.directory : FILE_TYPE.stream);
      data.setUint16(result + 2, flags, true);
      // Streams can't seek (2) or tell (5): a C library takes one that can for a file, and buffers what is for people.
      const rights = kind === WASI_STREAM ? ALL_RIGHTS & ~0b10_0100n : ALL_RIGHTS;
      data.setBigUint64(result + 8, rights, true);
      data.setBigUint64(result + 16, ALL_RIGHTS, true);
    },
    fd_fdstat_set_flags(fd: number, flags: number) {
      table.get(fd);
      table.setFlags(fd, flags);
    },
    fd_filestat_get(fd: number, result: number) {
      const { kind, handle } = table.get(fd);
      if (kind === WASI_FILE) putStat(result, host().stat(handle));
      else if (kind === WASI_DIRECTORY) putStat(result, host().statAt(table.pathOf(fd)));
      else {
        putStat(result, { type: 'other', inode: 0n, size: 0n, links: 1n, accessed: 0n, modified: 0n, changed: 0n });
        views.data.setUint8(result + 16, FILE_TYPE.stream);
      }
    },
    fd_prestat_get(fd: number, result: number) {
      const name = rootName(table, files, fd);
      views.data.setUint32(result, 0, true);
      views.data.setUint32(result + 4, name.length, true);
    },
    fd_prestat_dir_name(fd: number, at: number, size: number) {
      const name = rootName(table, files, fd);
      if (name.length > size) throw new WasiError('NAMETOOLONG');
      views.bytes.set(name, at);
    },
    fd_readdir(fd: number, at: number, size: number, cookie: bigint, used: number) {
      const entries = host().list(table.pathOf(fd)).slice(Number(cookie));
      let done = 0;
      for (const [index, { name, type }] of entries.entries()) {
        const bytes = new TextEncoder().encode(name);
        const entry = new Uint8Array(ENTRY_SIZE + bytes.length);
        const data = new DataView(entry.buffer);
        data.setBigUint64(0, cookie + BigInt(index) + 1n, true);
        data.setUint32(16, bytes.length, true);
        data.setUint8(20, FILE_TYPE[type]);
        entry.set(bytes, ENTRY_SIZE);
        // The last one may be cut: a full buffer says that there is more.
        const part = entry.subarray(0, size - done);
        views.bytes.set(part, at + done);
        done += part.length;
        if (done === size) break;
      }
      putSize(used, done);
    },
    path_open(
      fd: number,
      _lookup: number,
      pointer: number,
      length: number,
      how: number,
      rights: bigint,
      _inherited: bigint,
      flags: number,
      result: number,
    ) {
      const at = pathAt(fd, pointer, length);
      const isDirectory = (how & OPEN.directory) !== 0 || isDirectoryAt(host(), at);
      if (isDirectory) {
        if (!isDirectoryAt(host(), at)) throw new WasiError('NOTDIR');
        if ((rights & RIGHT.write) !== 0n && (how & OPEN.directory) === 0) throw new WasiError('ISDIR');
        putSize(result, table.open({ kind: WASI_DIRECTORY, handle: 0, flags, isRoot: false }, at));
        return;
      }
      const handle = host().open(at, {
        create: (how & OPEN.create) !== 0,
        exclusive: (how & OPEN.exclusive) !== 0,
        truncate: (how & OPEN.truncate) !== 0,
        read: (rights & RIGHT.read) !== 0n,
        write: (rights & RIGHT.write) !== 0n,
      });
      try {
        putSize(result, table.open({ kind: WASI_FILE, handle, flags, isRoot: false }));
      } catch (error) {
        host().close(handle);
        throw error;
      }
    },
    path_filestat_get(fd: number, _lookup: number, pointer: number, length: number, result: number) {
      putStat(result, host().statAt(pathAt(fd, pointer, length)));
    },
    path_create_directory: (fd: number, pointer: number, length: number) => host().makeDirectory(pathAt(fd, pointer, length)),
    path_unlink_file: (fd: number, pointer: number, length: number) => host().removeFile(pathAt(fd, pointer, length)),
    path_remove_directory: (fd: number, pointer: number, length: number) => host().removeDirectory(pathAt(fd, pointer, length)),
    path_rename(fd: number, pointer: number, length: number, toFd: number, toPointer: number, toLength: number) {
      host().rename(pathAt(fd, pointer, length), pathAt(toFd, toPointer, toLength));
    },
    // Advice, and room set aside, are the host's own affair.
    fd_advise: (fd: number) => void table.get(fd),
  };
}

/** A path below a directory, without `.` and `..`. */
function normalise(base: string, path: string): string {
  if (path.startsWith('/') || path.includes('\0')) throw new WasiError('NOTCAPABLE');
  const parts = base === '' ? [] : base.split('/');
  for (const part of path.split('/')) {
    if (part === '' || part === '.') continue;
    if (part !== '..') parts.push(part);
    else if (parts.pop() === undefined) throw new WasiError('NOTCAPABLE');
  }
  return parts.join('/');
}

function isDirectoryAt(files: WasiFiles, at: WasiPath): boolean {
  try {
    return files.statAt(at).type === 'directory';
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return false;
    throw error;
  }
}

/** What the program calls a root that it was given. */
function rootName(table: DescriptorTable, files: WasiFiles | undefined, fd: number): Uint8Array {
  const { kind, isRoot } = table.get(fd);
  const name = kind === WASI_DIRECTORY && isRoot ? files?.roots[table.pathOf(fd).root] : undefined;
  if (name === undefined) throw new WasiError('BADF');
  return new TextEncoder().encode(name);
}

/** The end of a run of bytes; an error where it lies outside of the memory. */
function checkedEnd(views: MemoryViews, at: number, size: number): number {
  if (at + size > views.bytes.length) throw new WasiError('FAULT');
  return at + size;
}

const checked = (views: MemoryViews, size: number): number => checkedEnd(views, 0, size);
