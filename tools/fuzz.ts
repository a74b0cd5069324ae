/**
 * Fuzzing from bytes: a case is a short string of bytes, and everything that is random in it is read from them. So a case that made
 * something fail is a line of hexadecimal digits, to be kept in a corpus, where every run tries it first.
 */

/** The bytes of a case that is made at random. */
const CASE_BYTES = 48;

/** What is random in a case. */
export class Choices {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** The next byte; 0 when there are no more. */
  byte(): number {
    const byte = this.#bytes[this.#at] ?? 0;
    this.#at += 1;
    return byte;
  }

  /** 0 to `count` - 1, for a count up to 2^16. */
  below(count: number): number {
    return (this.byte() | (count > 256 ? this.byte() << 8 : 0)) % count;
  }

  /** An unsigned number of 32 bits: often a small one, a bit, or one at the end of a range. */
  word(): number {
    switch (this.below(5)) {
      case 0:
        return this.below(16);
      case 1:
        return (1 << this.below(32)) >>> 0;
      case 2:
        return (((1 << this.below(32)) >>> 0) - 1) >>> 0;
      case 3:
        return (-1 - this.below(16)) >>> 0;
      default:
        return (this.byte() | (this.byte() << 8) | (this.byte() << 16) | (this.byte() << 24)) >>> 0;
    }
  }

  /** One of several. */
  of<T>(values: readonly T[]): T {
    return values[this.below(values.length)];
  }

  /** Whether something that happens once in `count` times does. */
  once(count: number): boolean {
    return this.below(count) === 0;
  }
}

/** What is fuzzed. */
export interface FuzzOptions {
  /** Where chance begins. */
  readonly seed: number;
  /** How many cases there are besides those of the corpus. */
  readonly count: number;
  /** Cases that made something fail once, in hexadecimal digits. */
  readonly corpus: readonly string[];
  /** Throws if something is wrong; `true` if the case was accepted rather than refused. */
  readonly run: (choices: Choices) => boolean;
}

/**
 * Runs the corpus and then random cases; throws what was wrong with the case that made it so.
 *
 * @returns how many random cases were accepted: if it were all or none, nothing would be tried
 */
export function fuzz({ seed, count, corpus, run }: FuzzOptions): number {
  for (const line of corpus) runCase(bytesOf(line), run);
  let acceptedCount = 0;
  // G. Marsaglia's xorshift.
  let state = seed | 0 || 1;
  for (let i = 0; i < count; i += 1) {
    const bytes = new Uint8Array(CASE_BYTES);
    for (let at = 0; at < CASE_BYTES; at += 1) {
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
      bytes[at] = state >>> 11;
    }
    if (runCase(bytes, run)) acceptedCount += 1;
  }
  return acceptedCount;
}

function runCase(bytes: Uint8Array, run: (choices: Choices) => boolean): boolean {
  try {
    return run(new Choices(bytes));
  } catch (error) {
    throw new Error(`case ${hexOf(bytes)}: ${String(error)}`, { cause: error });
  }
}

const hexOf = (bytes: Uint8Array): string => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
const bytesOf = (hex: string): Uint8Array => Uint8Array.from(hex.match(/../gu) ?? [], (pair) => Number.parseInt(pair, 16));
