import { MemoryError } from '../MemoryError.ts';

const utf8 = new TextDecoder();

/** Reads the binary format's numbers and names, one after the other. */
export class Reader {
  readonly bytes: Uint8Array;
  position: number;
  readonly end: number;

  constructor(bytes: Uint8Array, position = 0, end: number = bytes.length) {
    this.bytes = bytes;
    this.position = position;
    this.end = end;
  }

  get isAtEnd(): boolean {
    return this.position >= this.end;
  }

  byte(): number {
    const byte = this.position < this.end ? this.bytes[this.position] : undefined;
    if (byte === undefined) throw new MemoryError('MALFORMED_MODULE', `the module ends early, at byte ${this.position}`);
    this.position += 1;
    return byte;
  }

  /** An unsigned LEB128 number; exact up to 2^53. */
  unsigned(): number {
    let result = 0;
    let scale = 1;
    for (let count = 0; count < 10; count += 1) {
      const byte = this.byte();
      result += (byte & 0x7f) * scale;
      if ((byte & 0x80) === 0) return result;
      scale *= 128;
    }
    throw new MemoryError('MALFORMED_MODULE', `a number without an end, at byte ${this.position}`);
  }

  /** A signed LEB128 number of 32 bits. */
  signed32(): number {
    let result = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.byte();
      result |= (byte & 0x7f) << shift;
      if ((byte & 0x80) === 0) return shift < 28 && (byte & 0x40) !== 0 ? result | (-1 << (shift + 7)) : result;
    }
    throw new MemoryError('MALFORMED_MODULE', `a number without an end, at byte ${this.position}`);
  }

  /** A reader of what lies between two positions. */
  within(start: number, end: number): Reader {
    return new Reader(this.bytes, start, end);
  }

  name(): string {
    return utf8.decode(this.take(this.unsigned()));
  }

  take(size: number): Uint8Array {
    if (size > this.end - this.position) {
      throw new MemoryError('MALFORMED_MODULE', `${size} bytes are missing at byte ${this.position}`);
    }
    // A copy: decoders refuse views of shared memory, where the bytes may lie.
    const taken = this.bytes.slice(this.position, this.position + size);
    this.position += size;
    return taken;
  }

  skip(size: number): void {
    if (size > this.end - this.position) {
      throw new MemoryError('MALFORMED_MODULE', `${size} bytes are missing at byte ${this.position}`);
    }
    this.position += size;
  }
}
