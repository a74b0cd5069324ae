/** Folders of Node, Deno or Bun as the files of a WASI program. */
import type { BigIntStats } from 'node:fs';
import type { WasiFiles, WasiOpenFlags, WasiPath, WasiStat } from './WasiFiles.ts';
import { WasiError } from './errno.ts';

/**
 * Gives a program folders. What lies outside of them it can't reach, also not through symbolic links that lead there.
 *
 * @param folders by what the program calls them: `{ '/': '/srv/data' }`
 * @throws Error where the host has no `node:fs`, or a folder is not there
 */
export function nodeFiles(folders: Readonly<Record<string, string>>): WasiFiles {
  const { process } = globalThis as { process?: NodeJS.Process };
  const fs = process?.getBuiltinModule('node:fs');
  const paths = process?.getBuiltinModule('node:path');
  if (!fs || !paths) throw new Error('this host has no node:fs');
  const bases = Object.values(folders).map((folder) => fs.realpathSync(folder));

  /** The host's path. Its folder has to lie in the root, links resolved; so has it itself, if it is there. */
  function resolve({ root, path }: WasiPath): string {
    const base = bases[root];
    if (base === undefined) throw new WasiError('BADF');
    const whole = paths!.join(base, path);
    if (path !== '') mustBeInside(base, fs!.realpathSync(paths!.dirname(whole)));
    try {
      mustBeInside(base, fs!.realpathSync(whole));
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
      // It is to be made; a link that leads nowhere would be made where it leads to.
      if (fs!.lstatSync(whole, { throwIfNoEntry: false })) throw new WasiError('NOTCAPABLE');
    }
    return whole;
  }

  function mustBeInside(base: string, real: string): void {
    const relative = paths!.relative(base, real);
    if (relative === '..' || relative.startsWith(`..${paths!.sep}`) || paths!.isAbsolute(relative)) throw new WasiError('NOTCAPABLE');
  }

  return {
    roots: Object.keys(folders),
    open: (path, flags) => fs.openSync(resolve(path), openFlags(fs.constants, flags), 0o666),
    close: (handle) => fs.closeSync(handle),
    read: (handle, bytes, position) => fs.readSync(handle, bytes, 0, bytes.length, position),
    write(handle, bytes, position) {
      for (let done = 0; done < bytes.length;) {
        done += fs.writeSync(handle, bytes, done, bytes.length - done, Number(position) + done);
      }
    },
    sync: (handle) => fs.fsyncSync(handle),
    resize: (handle, size) => fs.ftruncateSync(handle, Number(size)),
    stat: (handle) => statOf(fs.fstatSync(handle, { bigint: true })),
    statAt: (path) => statOf(fs.statSync(resolve(path), { bigint: true })),
    list: (path) =>
      fs.readdirSync(resolve(path), { withFileTypes: true }).map((entry) => ({
        name: entry.name,
        type: entry.isFile() ? 'file' : entry.isDirectory() ? 'directory' : 'other',
      })),
    makeDirectory: (path) => fs.mkdirSync(resolve(path)),
    removeFile: (path) => fs.unlinkSync(resolve(path)),
    removeDirectory: (path) => fs.rmdirSync(resolve(path)),
    rename: (from, to) => fs.renameSync(resolve(from), resolve(to)),
  };
}

function openFlags(constants: typeof import('node:fs').constants, { create, exclusive, truncate, read, write }: WasiOpenFlags): number {
  const access = write ? (read ? constants.O_RDWR : constants.O_WRONLY) : constants.O_RDONLY;
  return access | (create ? constants.O_CREAT : 0) | (exclusive ? constants.O_EXCL : 0) | (truncate ? constants.O_TRUNC : 0);
}

const statOf = (stats: BigIntStats): WasiStat => ({
  type: stats.isFile() ? 'file' : stats.isDirectory() ? 'directory' : 'other',
  inode: BigInt.asUintN(64, stats.ino),
  size: stats.size,
  links: stats.nlink,
  accessed: stats.atimeNs,
  modified: stats.mtimeNs,
  changed: stats.ctimeNs,
});
