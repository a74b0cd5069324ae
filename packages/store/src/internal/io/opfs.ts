/** The origin private file system's types, as far as they are used here: the DOM's types have only the page's. */

import {
  IO_ERROR_CLOSED,
  IO_ERROR_LOCKED,
  IO_ERROR_NO_SPACE,
  IO_ERROR_NOT_FOUND,
  IO_ERROR_OTHER,
  IO_ERROR_PERMISSION_DENIED,
} from '../layout.ts';
import { HostError, type HostErrorCode, type SharedBytes } from './HostFiles.ts';

/** Synchronous access to one file; while it is open, nobody else opens the file. */
export interface SyncAccessHandle {
  read(target: SharedBytes, options: { at: number }): number;
  write(source: SharedBytes, options: { at: number }): number;
  truncate(size: number): void;
  getSize(): number;
  flush(): void;
  close(): void;
}

/** A file's handle, in a worker. */
export interface OpfsFileHandle extends FileSystemFileHandle {
  createSyncAccessHandle(): Promise<SyncAccessHandle>;
}

const ERROR_CODES: Readonly<Record<string, HostErrorCode>> = {
  NotFoundError: IO_ERROR_NOT_FOUND,
  QuotaExceededError: IO_ERROR_NO_SPACE,
  NoModificationAllowedError: IO_ERROR_LOCKED,
  InvalidStateError: IO_ERROR_CLOSED,
  NotAllowedError: IO_ERROR_PERMISSION_DENIED,
  SecurityError: IO_ERROR_PERMISSION_DENIED,
};

/** An error of the browser as {@link HostError}. */
export function hostError(cause: unknown): HostError {
  if (cause instanceof HostError) return cause;
  const { name, message } = cause instanceof Error ? cause : { name: '', message: String(cause) };
  return new HostError(ERROR_CODES[name] ?? IO_ERROR_OTHER, `${name}: ${message}`, { cause });
}

/** Whether an error of the browser has this name. */
export function isNamed(error: unknown, ...names: string[]): boolean {
  return error instanceof Error && names.includes(error.name);
}

/** How long a handle that somebody else holds is waited for. */
const HANDLE_RETRY_MS = 5000;
const HANDLE_RETRY_PAUSE_MS = 20;

/** Waits while somebody else has the file: a page that was left lets go of its handles in its own time. */
export async function createAccessHandle(handle: OpfsFileHandle): Promise<SyncAccessHandle> {
  const deadline = performance.now() + HANDLE_RETRY_MS;
  for (;;) {
    try {
      return await handle.createSyncAccessHandle();
    } catch (error) {
      if (!isNamed(error, 'NoModificationAllowedError') || performance.now() > deadline) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, HANDLE_RETRY_PAUSE_MS));
  }
}
