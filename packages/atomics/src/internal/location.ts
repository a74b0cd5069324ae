/**
 * Where a record is: in a SharedArrayBuffer or in the memory of a Wasm module.
 *
 * Views of a record stay valid when a memory grows, at the length they had; the buffer of a memory is read anew each
 * time a record is opened, since an address may lie in what was added.
 */
import { InvalidRecordError } from '../errors.ts';

/** A place in shared memory. */
export type SharedLocation =
  | { readonly buffer: SharedArrayBuffer; readonly byteOffset?: number }
  | { readonly memory: WebAssembly.Memory; readonly byteOffset?: number };

/** What is posted to another thread, plain data: reopen it with the `from` of its kind. */
export interface Handle<Kind extends string> {
  /** What the record is. */
  readonly kind: Kind;
  /** The buffer that the record lies in, unless it is in a memory. */
  readonly buffer?: SharedArrayBuffer;
  /** The memory that the record lies in, unless it is in a buffer. */
  readonly memory?: WebAssembly.Memory;
  /** Where the record starts, in bytes. */
  readonly byteOffset: number;
  /** Where the memory's thread registry starts, in bytes, if the sender knew one. */
  readonly registryByteOffset?: number;
  /** The signature of the data behind the record, if there are some. */
  readonly type?: string;
}

/** A location that was checked. */
export interface ResolvedLocation {
  /** The buffer as it is now. */
  readonly buffer: SharedArrayBuffer;
  /** The memory that the buffer is of. */
  readonly memory: WebAssembly.Memory | undefined;
  /** Where the record starts, in bytes. */
  readonly byteOffset: number;
}

/** What stands where something else should, for errors. */
function textOf(value: unknown): string {
  if (typeof value === 'string') return `'${value}'`;
  return typeof value === 'number' ? String(value) : typeof value;
}

function isShared(buffer: unknown): buffer is SharedArrayBuffer {
  // Not instanceof: a buffer may come from another realm.
  return Object.prototype.toString.call(buffer) === '[object SharedArrayBuffer]';
}

/**
 * Checks that a record of `size` bytes can be at `location`.
 *
 * @throws InvalidRecordError `INVALID_RECORD` if it can't
 */
export function resolveLocation(location: SharedLocation | Handle<string>, what: string, size: number, align: number): ResolvedLocation {
  if (typeof location !== 'object' || location === null) {
    throw new InvalidRecordError(`${what}: a place is { buffer, byteOffset } or { memory, byteOffset }`);
  }
  const memory = 'memory' in location ? location.memory : undefined;
  // What is posted may be anything: a memory that is `null`, too.
  const buffer: unknown = memory === undefined ? (location as { buffer?: unknown }).buffer : (memory as WebAssembly.Memory | null)?.buffer;
  if (!isShared(buffer)) {
    throw new InvalidRecordError(`${what}: the memory is not shared (a SharedArrayBuffer or a shared WebAssembly.Memory is needed)`);
  }
  const byteOffset = location.byteOffset ?? 0;
  if (!Number.isSafeInteger(byteOffset) || byteOffset < 0 || byteOffset + size > buffer.byteLength) {
    throw new InvalidRecordError(`${what}: ${size} bytes at ${textOf(byteOffset)} are not inside the memory's ${buffer.byteLength}`);
  }
  if (byteOffset % align !== 0) {
    throw new InvalidRecordError(`${what}: ${byteOffset} is not a multiple of ${align}`);
  }
  return { buffer, memory, byteOffset };
}

/**
 * Checks that `handle` is one of `kind`.
 *
 * @throws InvalidRecordError `INVALID_RECORD` if it isn't
 */
export function checkKind<Kind extends string>(handle: Handle<Kind>, kind: Kind): void {
  if (typeof handle !== 'object' || handle === null || handle.kind !== kind) {
    const found = typeof handle === 'object' && handle !== null ? textOf(handle.kind) : typeof handle;
    throw new InvalidRecordError(`a handle of kind '${kind}' is needed, not ${found}`);
  }
}

/** The handle of a record. */
export function handleOf<Kind extends string>(
  kind: Kind,
  location: ResolvedLocation,
  registryByteOffset: number | undefined,
): Handle<Kind> {
  const { buffer, memory, byteOffset } = location;
  return {
    kind,
    ...(memory === undefined ? { buffer } : { memory }),
    byteOffset,
    ...(registryByteOffset === undefined ? {} : { registryByteOffset }),
  };
}
