/** The files of a WASI program, as its host has them. Handles are numbers that mean the same in every thread. */

/** Where something lies: below one of the roots, its parts divided by `/`, without `.` and `..`. */
export interface WasiPath {
  readonly root: number;
  readonly path: string;
}

/** What a file is. */
export interface WasiStat {
  readonly type: 'file' | 'directory' | 'other';
  readonly inode: bigint;
  readonly size: bigint;
  readonly links: bigint;
  /** Nanoseconds since 1970. */
  readonly accessed: bigint;
  readonly modified: bigint;
  readonly changed: bigint;
}

/** How to open a file. */
export interface WasiOpenFlags {
  readonly create: boolean;
  /** It must not be there yet. */
  readonly exclusive: boolean;
  readonly truncate: boolean;
  readonly read: boolean;
  readonly write: boolean;
}

/**
 * A host's files. All calls are synchronous and may come from any thread. They throw errors whose `code` is named as Node's are
 * (`ENOENT`), which the program gets as its number.
 */
export interface WasiFiles {
  /** What the program calls the directories that it is given: `/`. */
  readonly roots: readonly string[];
  open(path: WasiPath, flags: WasiOpenFlags): number;
  close(handle: number): void;
  /** Reads at a position; how many bytes there were. */
  read(handle: number, bytes: Uint8Array, position: bigint): number;
  /** Writes all bytes at a position. */
  write(handle: number, bytes: Uint8Array, position: bigint): void;
  sync(handle: number): void;
  resize(handle: number, size: bigint): void;
  stat(handle: number): WasiStat;
  statAt(path: WasiPath): WasiStat;
  list(path: WasiPath): { readonly name: string; readonly type: WasiStat['type'] }[];
  makeDirectory(path: WasiPath): void;
  removeFile(path: WasiPath): void;
  removeDirectory(path: WasiPath): void;
  rename(from: WasiPath, to: WasiPath): void;
}
