/**
 * The file descriptors of a WASI program, in shared memory: what one thread opens another reads.
 *
 * Orderings: all accesses to `kind` are sequentially consistent. Who claims a free record fills it in and then stores its kind, which
 * publishes the rest to whoever loads that. What another thread does with a descriptor while it is closed is, as everywhere, the
 * program's mistake.
 */
import {
  WASI_CLAIMED,
  WASI_DESCRIPTOR_FLAGS_OFFSET,
  WASI_DESCRIPTOR_HANDLE_OFFSET,
  WASI_DESCRIPTOR_IS_ROOT_OFFSET,
  WASI_DESCRIPTOR_KIND_OFFSET,
  WASI_DESCRIPTOR_PATH_LENGTH_OFFSET,
  WASI_DESCRIPTOR_PATH_OFFSET,
  WASI_DESCRIPTOR_POSITION_OFFSET,
  WASI_DESCRIPTOR_ROOT_OFFSET,
  WASI_DESCRIPTOR_SIZE,
  WASI_DESCRIPTORS_MAX,
  WASI_DIRECTORY,
  WASI_FREE,
  WASI_STREAM,
} from '../internal/layout.ts';
import { WasiError } from './errno.ts';
import type { WasiPath } from './WasiFiles.ts';

/** What a descriptor is of. */
export interface Descriptor {
  readonly kind: number;
  readonly handle: number;
  readonly flags: number;
  readonly isRoot: boolean;
}

/** A program's descriptors. */
export class DescriptorTable {
  /** To be posted to the program's other threads. */
  readonly buffer: SharedArrayBuffer;
  readonly #words: Int32Array;
  readonly #longs: BigInt64Array;
  readonly #bytes: Uint8Array;

  private constructor(buffer: SharedArrayBuffer) {
    this.buffer = buffer;
    this.#words = new Int32Array(buffer);
    this.#longs = new BigInt64Array(buffer);
    this.#bytes = new Uint8Array(buffer);
  }

  /** The three streams, and so many roots behind them. */
  static create(rootCount: number): DescriptorTable {
    const table = new DescriptorTable(new SharedArrayBuffer(WASI_DESCRIPTORS_MAX * WASI_DESCRIPTOR_SIZE));
    for (let stream = 0; stream < 3; stream += 1) table.open({ kind: WASI_STREAM, handle: stream, flags: 0, isRoot: false });
    for (let root = 0; root < rootCount; root += 1) {
      table.open({ kind: WASI_DIRECTORY, handle: 0, flags: 0, isRoot: true }, { root, path: '' });
    }
    return table;
  }

  /** The table that another thread created. */
  static from(buffer: SharedArrayBuffer): DescriptorTable {
    return new DescriptorTable(buffer);
  }

  /** Takes the lowest free descriptor. */
  open({ kind, handle, flags, isRoot }: Descriptor, at: WasiPath = { root: 0, path: '' }): number {
    const path = new TextEncoder().encode(at.path);
    if (path.length > WASI_DESCRIPTOR_SIZE - WASI_DESCRIPTOR_PATH_OFFSET) throw new WasiError('NAMETOOLONG');
    for (let fd = 0; fd < WASI_DESCRIPTORS_MAX; fd += 1) {
      const index = this.#word(fd, WASI_DESCRIPTOR_KIND_OFFSET);
      if (Atomics.compareExchange(this.#words, index, WASI_FREE, WASI_CLAIMED) !== WASI_FREE) continue;
      this.#words[this.#word(fd, WASI_DESCRIPTOR_HANDLE_OFFSET)] = handle;
      this.#words[this.#word(fd, WASI_DESCRIPTOR_FLAGS_OFFSET)] = flags;
      this.#words[this.#word(fd, WASI_DESCRIPTOR_IS_ROOT_OFFSET)] = Number(isRoot);
      this.#words[this.#word(fd, WASI_DESCRIPTOR_ROOT_OFFSET)] = at.root;
      this.#words[this.#word(fd, WASI_DESCRIPTOR_PATH_LENGTH_OFFSET)] = path.length;
      this.#bytes.set(path, fd * WASI_DESCRIPTOR_SIZE + WASI_DESCRIPTOR_PATH_OFFSET);
      Atomics.store(this.#longs, this.#long(fd), 0n);
      Atomics.store(this.#words, index, kind);
      return fd;
    }
    throw new WasiError('MFILE');
  }

  /** What a descriptor is of; an error where it is nobody's. */
  get(fd: number): Descriptor {
    const kind = fd >= 0 && fd < WASI_DESCRIPTORS_MAX ? Atomics.load(this.#words, this.#word(fd, WASI_DESCRIPTOR_KIND_OFFSET)) : WASI_FREE;
    if (kind === WASI_FREE || kind === WASI_CLAIMED) throw new WasiError('BADF');
    return {
      kind,
      handle: this.#words[this.#word(fd, WASI_DESCRIPTOR_HANDLE_OFFSET)] ?? 0,
      flags: this.#words[this.#word(fd, WASI_DESCRIPTOR_FLAGS_OFFSET)] ?? 0,
      isRoot: this.#words[this.#word(fd, WASI_DESCRIPTOR_IS_ROOT_OFFSET)] === 1,
    };
  }

  /** Where a directory lies. */
  pathOf(fd: number): WasiPath {
    if (this.get(fd).kind !== WASI_DIRECTORY) throw new WasiError('NOTDIR');
    const at = fd * WASI_DESCRIPTOR_SIZE + WASI_DESCRIPTOR_PATH_OFFSET;
    const length = this.#words[this.#word(fd, WASI_DESCRIPTOR_PATH_LENGTH_OFFSET)] ?? 0;
    // A copy: decoders refuse views of shared memory.
    const path = new TextDecoder().decode(this.#bytes.slice(at, at + length));
    return { root: this.#words[this.#word(fd, WASI_DESCRIPTOR_ROOT_OFFSET)] ?? 0, path };
  }

  close(fd: number): void {
    Atomics.store(this.#words, this.#word(fd, WASI_DESCRIPTOR_KIND_OFFSET), WASI_FREE);
  }

  setFlags(fd: number, flags: number): void {
    Atomics.store(this.#words, this.#word(fd, WASI_DESCRIPTOR_FLAGS_OFFSET), flags);
  }

  position(fd: number): bigint {
    return Atomics.load(this.#longs, this.#long(fd));
  }

  seek(fd: number, position: bigint): void {
    Atomics.store(this.#longs, this.#long(fd), position);
  }

  /** Moves on to a position, unless another thread is beyond it already. */
  seekAtLeast(fd: number, position: bigint): void {
    for (let now = this.position(fd); now < position; now = this.position(fd)) {
      if (Atomics.compareExchange(this.#longs, this.#long(fd), now, position) === now) return;
    }
  }

  /**
   * Takes the next bytes of a file for one thread: others that read or write it go on behind them.
   *
   * @param count how many there are to take from a position on
   * @returns where they begin
   */
  advance(fd: number, count: (position: bigint) => bigint): bigint {
    for (;;) {
      const position = this.position(fd);
      const next = position + count(position);
      if (Atomics.compareExchange(this.#longs, this.#long(fd), position, next) === position) return position;
    }
  }

  #word(fd: number, offset: number): number {
    return (fd * WASI_DESCRIPTOR_SIZE + offset) / 4;
  }

  #long(fd: number): number {
    return (fd * WASI_DESCRIPTOR_SIZE + WASI_DESCRIPTOR_POSITION_OFFSET) / 8;
  }
}
