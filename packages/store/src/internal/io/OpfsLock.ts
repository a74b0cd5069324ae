/**
 * The lock of a directory that nobody can take away: an access handle of a file in it.
 *
 * The Web Lock of the directory (`webLock.ts`) is what others wait for, and ends at once with its holder. But any page of the origin can
 * steal that, and its holder, which blocks most of the time, isn't even told. A browser gives one access handle for a file, whoever asks:
 * who has both locks has the directory, and goes on if the first is stolen. The file also shows whether the directory is still there: users
 * clear a site's data while it is open, and Chromium then lets handles write on into files that have no name any more.
 */

import { IO_ERROR_LOCKED } from '../layout.ts';
import { HostError } from './HostFiles.ts';
import { createAccessHandle, hostError, isNamed, type OpfsFileHandle, type SyncAccessHandle } from './opfs.ts';

/** The file, at the top of the directory. The engine knows its name, too, and lets no database have it: `BROWSER_LOCK` in `crates/store/src/io/mod.rs`. */
export const LOCK_FILE = 'lock';

/** A held lock. */
export class OpfsLock {
  readonly #directory: FileSystemDirectoryHandle;
  readonly #handle: SyncAccessHandle;

  private constructor(directory: FileSystemDirectoryHandle, handle: SyncAccessHandle) {
    this.#directory = directory;
    this.#handle = handle;
  }

  /** Takes the lock of a directory, or throws with `IO_ERROR_LOCKED`. */
  static async take(directory: FileSystemDirectoryHandle): Promise<OpfsLock> {
    try {
      const file = (await directory.getFileHandle(LOCK_FILE, { create: true })) as OpfsFileHandle;
      return new OpfsLock(directory, await createAccessHandle(file));
    } catch (error) {
      if (!isNamed(error, 'NoModificationAllowedError')) throw hostError(error);
      throw new HostError(IO_ERROR_LOCKED, `another page has the directory "${directory.name}" open`, { cause: error });
    }
  }

  /** Whether the directory is still there. A browser that can't tell is believed to have it. */
  async isThere(): Promise<boolean> {
    try {
      await this.#directory.getFileHandle(LOCK_FILE);
      return true;
    } catch (error) {
      return !isNamed(error, 'NotFoundError', 'InvalidStateError');
    }
  }

  release(): void {
    this.#handle.close();
  }
}
