/**
 * Files of the origin private file system, by synchronous access handles.
 *
 * # Invariants
 * 1. A browser gives one access handle for a file. All openings of a path share it, and it stays open for a while when the last
 *    is closed: opening costs about a millisecond, a read a few microseconds.
 * 2. What changes a path's handle – opening, closing for good, removing – goes through {@link OpfsFiles.#inTurn}, one after the
 *    other for each path.
 * 3. A removed file that is still open is in `#limbo`: it has no name any more, and the browser's file goes with the last closing.
 *
 * A handle that a dying page still holds is waited for. Where the browser takes the files away while they are open, because the user clears
 * the site's data, Firefox closes the handles, which every call shows. Chromium says nothing, so syncing looks whether the directory is
 * still there: a commit after more than {@link THERE_AGE_MS_MAX} without a look is not acknowledged before.
 */

import { IO_ERROR_ALREADY_EXISTS, IO_ERROR_CLOSED, IO_ERROR_NO_SPACE, IO_ERROR_NOT_FOUND } from '../layout.ts';
import { type FileEntry, HostError, type HostFiles, OPEN_CREATE_NEW, OPEN_EXISTING, type SharedBytes, type Soon } from './HostFiles.ts';
import { createAccessHandle, hostError, isNamed, type OpfsFileHandle, type SyncAccessHandle } from './opfs.ts';
import { LOCK_FILE, OpfsLock } from './OpfsLock.ts';

/** Handles that stay open without a user. */
const IDLE_COUNT_MAX = 48;

/** How old the certainty that the directory is still there may be when a file is synced. */
const THERE_AGE_MS_MAX = 1000;

interface OpenFile {
  readonly path: string;
  readonly handle: SyncAccessHandle;
  /** Openings that are not closed yet. */
  useCount: number;
  isRemoved: boolean;
}

/** Opens a directory, creating it where it is absent. `release` lets go of its Web Lock. */
export async function openOpfsFiles(directory: string, release: () => void): Promise<HostFiles> {
  try {
    let handle = await navigator.storage.getDirectory();
    for (const part of directory.split('/')) handle = await handle.getDirectoryHandle(part, { create: true });
    return new OpfsFiles(handle, await OpfsLock.take(handle), release);
  } catch (error) {
    release();
    throw hostError(error);
  }
}

class OpfsFiles implements HostFiles {
  readonly sharesDescriptors = false;
  readonly isSynchronous = false;
  lost: HostError | undefined;
  readonly #root: FileSystemDirectoryHandle;
  readonly #lock: OpfsLock;
  readonly #release: () => void;
  readonly #directories = new Map<string, FileSystemDirectoryHandle>();
  /** Files with a handle and a name. Those without a user are in the order in which they lost it. */
  readonly #byPath = new Map<string, OpenFile>();
  /** By number; a closed number is used again. */
  readonly #byNumber: (OpenFile | undefined)[] = [];
  readonly #free: number[] = [];
  readonly #limbo = new Set<string>();
  readonly #turns = new Map<string, Promise<unknown>>();
  #isDisposed = false;
  /** When the directory was last known to be there. */
  #thereMs = performance.now();
  #looking: Promise<void> | undefined;

  constructor(root: FileSystemDirectoryHandle, lock: OpfsLock, release: () => void) {
    this.#root = root;
    this.#lock = lock;
    this.#release = release;
  }

  open(path: string, mode: number): Soon<number> {
    const isQuiet = this.#byPath.has(path) && !this.#turns.has(path);
    return isQuiet ? this.#openShared(path, mode) : this.#inTurn(path, () => this.#openShared(path, mode));
  }

  #openShared(path: string, mode: number): Soon<number> {
    const file = this.#byPath.get(path);
    if (!file) return this.#openHandle(path, mode);
    if (mode === OPEN_CREATE_NEW) throw new HostError(IO_ERROR_ALREADY_EXISTS, `${path} exists`);
    return this.#use(file);
  }

  #use(file: OpenFile): number {
    file.useCount += 1;
    const number = this.#free.pop() ?? this.#byNumber.length;
    this.#byNumber[number] = file;
    return number;
  }

  async #openHandle(path: string, mode: number): Promise<number> {
    const handle = await this.#fileHandle(path, mode);
    const file = { path, handle: await createAccessHandle(handle), useCount: 0, isRemoved: false };
    if (this.#isDisposed) {
      file.handle.close();
      throw new HostError(IO_ERROR_CLOSED, 'the files are closed');
    }
    this.#byPath.set(path, file);
    this.#closeIdle(IDLE_COUNT_MAX);
    return this.#use(file);
  }

  async #fileHandle(path: string, mode: number): Promise<OpfsFileHandle> {
    const [directory, name] = await this.#parent(path, mode !== OPEN_EXISTING);
    if (mode === OPEN_CREATE_NEW && (await this.#fileExists(directory, name))) {
      throw new HostError(IO_ERROR_ALREADY_EXISTS, `${path} exists`);
    }
    return (await directory.getFileHandle(name, { create: mode !== OPEN_EXISTING })) as OpfsFileHandle;
  }

  close(number: number): void {
    const file = this.#file(number);
    this.#byNumber[number] = undefined;
    this.#free.push(number);
    file.useCount -= 1;
    if (file.useCount > 0) return;
    if (file.isRemoved) {
      file.handle.close();
      void this.#inTurn(file.path, () => this.#removeEntry(file.path)).then(
        () => this.#limbo.delete(file.path),
        // It stays hidden for as long as this store is open, and is found again by the next.
        () => undefined,
      );
      return;
    }
    // The end of the map is where the idle files are, oldest first.
    this.#byPath.delete(file.path);
    this.#byPath.set(file.path, file);
    this.#closeIdle(IDLE_COUNT_MAX);
  }

  #closeIdle(countMax: number): void {
    const idle = [...this.#byPath.values()].filter(({ useCount }) => useCount === 0);
    for (const file of idle.slice(0, Math.max(0, idle.length - countMax))) {
      this.#byPath.delete(file.path);
      file.handle.close();
    }
  }

  read(number: number, target: SharedBytes, offset: number): number {
    return this.#hosted(() => this.#file(number).handle.read(target, { at: offset }));
  }

  write(number: number, source: SharedBytes, offset: number): void {
    const count = this.#hosted(() => this.#file(number).handle.write(source, { at: offset }));
    if (count < source.length) {
      throw new HostError(IO_ERROR_NO_SPACE, `the browser took ${count} of ${source.length} bytes`);
    }
  }

  truncate(number: number, size: number): void {
    this.#hosted(() => this.#file(number).handle.truncate(size));
  }

  size(number: number): number {
    return this.#hosted(() => this.#file(number).handle.getSize());
  }

  sync(number: number): Soon<void> {
    this.#hosted(() => this.#file(number).handle.flush());
    if (performance.now() - this.#thereMs <= THERE_AGE_MS_MAX) return undefined;
    this.#looking ??= this.#look().finally(() => (this.#looking = undefined));
    return this.#looking;
  }

  /** Throws where the directory is gone. */
  async #look(): Promise<void> {
    const startMs = performance.now();
    if (!(await this.#lock.isThere())) {
      this.lost ??= removed();
      throw this.lost;
    }
    this.#thereMs = startMs;
  }

  #hosted<T>(call: () => T): T {
    try {
      return call();
    } catch (error) {
      // Nobody closes a handle that is in use here but the browser, before it removes the file: that may be there for a moment yet.
      if (isNamed(error, 'InvalidStateError')) this.lost ??= removed();
      throw hostError(error);
    }
  }

  remove(path: string): Promise<void> {
    return this.#inTurn(path, async () => {
      const file = this.#byPath.get(path);
      if (file === undefined && this.#limbo.has(path)) throw new HostError(IO_ERROR_NOT_FOUND, `${path} was removed`);
      this.#byPath.delete(path);
      if (file && file.useCount > 0) {
        file.isRemoved = true;
        this.#limbo.add(path);
        return;
      }
      file?.handle.close();
      await this.#removeEntry(path);
    });
  }

  async #removeEntry(path: string): Promise<void> {
    const [directory, name] = await this.#parent(path, false);
    await directory.removeEntry(name);
  }

  exists(path: string): Soon<boolean> {
    if (this.#byPath.has(path)) return true;
    return this.#inTurn(path, async () => {
      if (this.#byPath.has(path)) return true;
      if (this.#limbo.has(path)) return false;
      try {
        const [directory, name] = await this.#parent(path, false);
        return await this.#fileExists(directory, name);
      } catch (error) {
        if (isNamed(error, 'NotFoundError', 'TypeMismatchError')) return false;
        throw error;
      }
    });
  }

  async #fileExists(directory: FileSystemDirectoryHandle, name: string): Promise<boolean> {
    try {
      await directory.getFileHandle(name);
      return true;
    } catch (error) {
      if (isNamed(error, 'NotFoundError', 'TypeMismatchError')) return false;
      throw hostError(error);
    }
  }

  async list(directory: string): Promise<FileEntry[]> {
    const found: FileEntry[] = [];
    try {
      await this.#list(await this.#directory(directory, false), directory, found);
    } catch (error) {
      if (!isNamed(error, 'NotFoundError', 'TypeMismatchError')) throw hostError(error);
    }
    return found;
  }

  async #list(handle: FileSystemDirectoryHandle, directory: string, found: FileEntry[]): Promise<void> {
    for await (const [name, entry] of handle.entries()) {
      const path = directory === '' ? name : `${directory}/${name}`;
      if (entry.kind === 'directory') await this.#list(entry, path, found);
      else if (!this.#limbo.has(path) && path !== LOCK_FILE) {
        const open = this.#byPath.get(path);
        found.push({ path, size: open ? open.handle.getSize() : (await entry.getFile()).size });
      }
    }
  }

  async closeAll(): Promise<void> {
    for (const [number, file] of this.#byNumber.entries()) if (file) this.close(number);
    // Files that had been removed go now. One that doesn't is found again by whoever comes next.
    await Promise.allSettled(this.#turns.values());
    this.#limbo.clear();
  }

  dispose(): void {
    this.#isDisposed = true;
    const inLimbo = this.#byNumber.filter((file) => file !== undefined);
    for (const { handle } of new Set([...this.#byPath.values(), ...inLimbo])) handle.close();
    this.#byPath.clear();
    this.#byNumber.length = 0;
    this.#lock.release();
    this.#release();
  }

  #file(number: number): OpenFile {
    const file = this.#byNumber[number];
    if (!file) throw new HostError(IO_ERROR_CLOSED, `handle ${number} is not open`);
    return file;
  }

  /** Runs what changes a path's handle after what was begun before. Errors come out as {@link HostError}. */
  async #inTurn<T>(path: string, work: () => Soon<T>): Promise<T> {
    const before = this.#turns.get(path);
    const turn = (async () => {
      // Its own caller is told how it ended.
      await before?.catch(() => undefined);
      try {
        return await work();
      } catch (error) {
        throw hostError(error);
      }
    })();
    this.#turns.set(path, turn);
    try {
      return await turn;
    } finally {
      if (this.#turns.get(path) === turn) this.#turns.delete(path);
    }
  }

  async #parent(path: string, create: boolean): Promise<[FileSystemDirectoryHandle, string]> {
    const end = path.lastIndexOf('/');
    return [await this.#directory(path.slice(0, Math.max(0, end)), create), path.slice(end + 1)];
  }

  async #directory(path: string, create: boolean): Promise<FileSystemDirectoryHandle> {
    if (path === '') return this.#root;
    const known = this.#directories.get(path);
    if (known) return known;
    const [parent, name] = await this.#parent(path, create);
    const handle = await parent.getDirectoryHandle(name, { create });
    this.#directories.set(path, handle);
    return handle;
  }
}

function removed(): HostError {
  return new HostError(IO_ERROR_NOT_FOUND, 'the files were removed while they were open, as when the user clears the data of the site');
}
