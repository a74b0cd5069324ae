/** The files of one host, as the I/O thread uses them. Numbers in errors and modes are those of `layout/store.json`. */

import type {
  IO_ERROR_ALREADY_EXISTS,
  IO_ERROR_CLOSED,
  IO_ERROR_LOCKED,
  IO_ERROR_NO_SPACE,
  IO_ERROR_NOT_FOUND,
  IO_ERROR_OTHER,
  IO_ERROR_PERMISSION_DENIED,
} from '../layout.ts';

/** What an opening expects: the numbers of `io::OpenMode`. */
export const OPEN_EXISTING = 0;
export const OPEN_OR_CREATE = 1;
export const OPEN_CREATE_NEW = 2;

/** What went wrong with a file: one of `IO_ERROR_…`. */
export type HostErrorCode =
  | typeof IO_ERROR_NOT_FOUND
  | typeof IO_ERROR_ALREADY_EXISTS
  | typeof IO_ERROR_PERMISSION_DENIED
  | typeof IO_ERROR_NO_SPACE
  | typeof IO_ERROR_LOCKED
  | typeof IO_ERROR_CLOSED
  | typeof IO_ERROR_OTHER;

/** A failed file operation. */
export class HostError extends Error {
  override readonly name = 'HostError';
  readonly code: HostErrorCode;

  constructor(code: HostErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** A result now or later. Where `isSynchronous`, it is never later. */
export type Soon<T> = T | Promise<T>;

/**
 * The files below one directory, which is held for this process or page until {@link HostFiles.dispose}. Paths are relative to
 * it, `/` between their parts. Every method throws {@link HostError}.
 */
export interface HostFiles {
  /** Whether a file's number is a descriptor that all threads of the process can use. */
  readonly sharesDescriptors: boolean;
  /** Whether no method returns a promise. */
  readonly isSynchronous: boolean;
  /** Set where the host has taken the files away: why. Nothing is read or written any more. */
  readonly lost?: HostError | undefined;
  /** Opens a file and returns its number. */
  open(path: string, mode: number): Soon<number>;
  /** Closes a file; its bytes need not be durable. */
  close(file: number): void;
  /** Reads into shared memory; returns the count of bytes, fewer only at the file's end. */
  read(file: number, target: SharedBytes, offset: number): number;
  /** Writes all bytes. */
  write(file: number, source: SharedBytes, offset: number): void;
  /** Sets the size in bytes. */
  truncate(file: number, size: number): void;
  /** The size in bytes. */
  size(file: number): number;
  /** Makes bytes, size and name durable. */
  sync(file: number): Soon<void>;
  /** Removes a file. Its open handles keep working. */
  remove(path: string): Soon<void>;
  /** Whether there is a file of that name. */
  exists(path: string): Soon<boolean>;
  /** The files below a directory, at any depth; `''` is the root. */
  list(directory: string): Soon<FileEntry[]>;
  /** Closes all files and keeps the directory, for who comes next. Nobody uses a file or its number any more. */
  closeAll(): Soon<void>;
  /** Closes all files and lets go of the directory, at once; `keepsOpen`: lets go of the directory only. */
  dispose(options?: { readonly keepsOpen: boolean }): void;
}

/** A file in a list. */
export interface FileEntry {
  readonly path: string;
  /** In bytes. */
  readonly size: number;
}

/** Bytes of the shared memory. */
export type SharedBytes = Uint8Array<ArrayBufferLike>;
