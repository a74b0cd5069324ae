/** Typed arrays over a memory that grows. */

/**
 * A memory's bytes and words, as far as the memory reaches now.
 *
 * When a shared memory grows, whoever grew it, its old buffer stays valid at its old length. So a view that is kept reaches too
 * short one day, without an error that says so. These are made anew when the memory has grown: take them from here each time.
 */
export class MemoryViews {
  readonly memory: WebAssembly.Memory;
  #buffer: ArrayBufferLike | undefined;
  #bytes!: Uint8Array;
  #words!: Int32Array;
  #longs!: BigUint64Array;
  #data!: DataView;

  constructor(memory: WebAssembly.Memory) {
    this.memory = memory;
  }

  get bytes(): Uint8Array {
    this.#refresh();
    return this.#bytes;
  }

  /** Words of 32 bits, for `Atomics`. */
  get words(): Int32Array {
    this.#refresh();
    return this.#words;
  }

  /** Words of 64 bits, for `Atomics`. */
  get longs(): BigUint64Array {
    this.#refresh();
    return this.#longs;
  }

  /** For numbers that may lie anywhere; Wasm's are little-endian. */
  get data(): DataView {
    this.#refresh();
    return this.#data;
  }

  #refresh(): void {
    const { buffer } = this.memory;
    if (buffer === this.#buffer) return;
    this.#buffer = buffer;
    this.#bytes = new Uint8Array(buffer);
    this.#words = new Int32Array(buffer);
    this.#longs = new BigUint64Array(buffer);
    this.#data = new DataView(buffer);
  }
}
