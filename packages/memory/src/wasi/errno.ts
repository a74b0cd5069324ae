/** WASI's error numbers, as programs get them. */

/** Those of `wasi_snapshot_preview1` that a host here gives. */
export const ERRNO = {
  SUCCESS: 0,
  ACCES: 2,
  AGAIN: 6,
  BADF: 8,
  EXIST: 20,
  FAULT: 21,
  INVAL: 28,
  IO: 29,
  ISDIR: 31,
  LOOP: 32,
  MFILE: 33,
  NAMETOOLONG: 37,
  NOENT: 44,
  NOSPC: 51,
  NOSYS: 52,
  NOTDIR: 54,
  NOTEMPTY: 55,
  NOTSUP: 58,
  PERM: 63,
  ROFS: 69,
  SPIPE: 70,
  NOTCAPABLE: 76,
} as const;

/** Why a call fails: its number is the call's result. */
export class WasiError extends Error {
  readonly errno: number;

  constructor(name: keyof typeof ERRNO) {
    super(name);
    this.name = 'WasiError';
    this.errno = ERRNO[name];
  }
}

/** The number for what a host threw: Node's errors are named as WASI's (`ENOENT`); undefined for what is no error of files. */
export function errnoOf(error: unknown): number | undefined {
  if (error instanceof WasiError) return error.errno;
  // A program's pointer that leads out of the memory.
  if (error instanceof RangeError) return ERRNO.FAULT;
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  if (!/^E[A-Z]+$/u.test(code)) return undefined;
  return (ERRNO as Readonly<Record<string, number>>)[code.slice(1)] ?? ERRNO.IO;
}
