/**
 * Words and texts at addresses of a shared memory that grows.
 *
 * A view keeps the length that the memory had when it was made, so each access looks whether the memory has grown. Words go
 * through `Atomics`, which is sequentially consistent; texts are bytes that are written before the word that announces them
 * and read after it.
 */
const encoder = new TextEncoder();
const decoder = new TextDecoder();

export class SharedRecords {
  readonly memory: WebAssembly.Memory;
  #words: Int32Array<ArrayBufferLike>;

  constructor(memory: WebAssembly.Memory) {
    this.memory = memory;
    this.#words = new Int32Array(memory.buffer);
  }

  /** All words of the memory; the word at `address` has the index `address / 4`. */
  words(address: number): Int32Array<ArrayBufferLike> {
    if (address >= this.#words.byteLength) this.#words = new Int32Array(this.memory.buffer);
    return this.#words;
  }

  load(address: number): number {
    return Atomics.load(this.words(address), address >>> 2) >>> 0;
  }

  store(address: number, value: number): void {
    Atomics.store(this.words(address), address >>> 2, value);
  }

  add(address: number, value: number): number {
    return Atomics.add(this.words(address), address >>> 2, value) >>> 0;
  }

  or(address: number, bits: number): number {
    return Atomics.or(this.words(address), address >>> 2, bits) >>> 0;
  }

  /** Stores `next` where the word is `expected`; whether it was. */
  exchange(address: number, expected: number, next: number): boolean {
    return Atomics.compareExchange(this.words(address), address >>> 2, expected | 0, next | 0) === (expected | 0);
  }

  notify(address: number, count?: number): void {
    Atomics.notify(this.words(address), address >>> 2, count);
  }

  /** Blocks while the word is `expected`, for at most `timeoutMs`. */
  wait(address: number, expected: number, timeoutMs?: number): void {
    Atomics.wait(this.words(address), address >>> 2, expected | 0, timeoutMs);
  }

  view(address: number, size: number): DataView {
    return new DataView(this.memory.buffer, address, size);
  }

  /** The text of `size` bytes at `address`, as far as it is whole. */
  text(address: number, size: number, sizeMax: number): string {
    // A copy: decoders refuse views of shared memory.
    return decoder.decode(new Uint8Array(this.memory.buffer, address, Math.min(size, sizeMax)).slice());
  }

  /** Writes as much of a text as fits; returns its bytes. */
  writeText(address: number, text: string, sizeMax: number): number {
    let bytes = encoder.encode(text);
    if (bytes.length > sizeMax) {
      // Not inside a character: those bytes begin with the bits 10.
      let size = sizeMax;
      while (size > 0 && (bytes[size]! & 0xc0) === 0x80) size -= 1;
      bytes = bytes.subarray(0, size);
    }
    new Uint8Array(this.memory.buffer, address, bytes.length).set(bytes);
    return bytes.length;
  }
}
