/** Writes the binary format's numbers, names and sections: what `Reader` reads. */

/** Bytes under construction: numbers one by one, and runs that are copied as they are. */
export class Writer {
  readonly #parts: Uint8Array[] = [];
  #tail: number[] = [];

  byte(...bytes: readonly number[]): this {
    this.#tail.push(...bytes);
    return this;
  }

  /** An unsigned LEB128 number, up to 2^53. */
  unsigned(value: number): this {
    let rest = value;
    while (rest >= 0x80) {
      this.#tail.push((rest % 0x80) | 0x80);
      rest = Math.floor(rest / 0x80);
    }
    this.#tail.push(rest);
    return this;
  }

  /** A signed LEB128 number of 32 bits. */
  signed32(value: number): this {
    let rest = value | 0;
    for (;;) {
      const low = rest & 0x7f;
      rest >>= 7;
      const isLast = (rest === 0 && (low & 0x40) === 0) || (rest === -1 && (low & 0x40) !== 0);
      this.#tail.push(isLast ? low : low | 0x80);
      if (isLast) return this;
    }
  }

  /** A run of bytes as they are. */
  bytes(run: Uint8Array): this {
    this.#flush();
    this.#parts.push(run);
    return this;
  }

  /** Bytes with their count before them. */
  sized(run: Uint8Array): this {
    return this.unsigned(run.length).bytes(run);
  }

  name(text: string): this {
    return this.sized(new TextEncoder().encode(text));
  }

  /** All that was written, in bytes of its own. */
  finish(): Uint8Array<ArrayBuffer> {
    this.#flush();
    const whole = new Uint8Array(this.#parts.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of this.#parts) {
      whole.set(part, at);
      at += part.length;
    }
    return whole;
  }

  #flush(): void {
    if (this.#tail.length === 0) return;
    this.#parts.push(Uint8Array.from(this.#tail));
    this.#tail = [];
  }
}
