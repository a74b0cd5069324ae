/**
 * Copying messages into and out of shared memory.
 *
 * JavaScript's memory model lets another thread look while shared bytes are copied, so V8's `set` copies them word by word. Those of a
 * message are one thread's alone by then, so any copy will do: Node's `Buffer.copy` takes a half of the time from 1 KiB on, and a third
 * from 64 KiB.
 */

/** Node's and Bun's `Buffer.prototype.copy`, which takes any array of bytes. */
type BufferCopy = (this: Uint8Array, target: Uint8Array, targetStart: number, sourceStart: number, sourceEnd: number) => number;

/** Shorter ones are copied faster by `set`. */
const NATIVE_LENGTH_MIN = 512;

const bufferCopy = findBufferCopy();

/** Not the one that a bundler brings for browsers: it is `set`. */
function findBufferCopy(): BufferCopy | undefined {
  const { Buffer, process } = globalThis as { Buffer?: { prototype: { copy: BufferCopy } }; process?: { versions?: { node?: string } } };
  return process?.versions?.node === undefined ? undefined : Buffer?.prototype.copy;
}

/** Copies `length` bytes from `sourceStart` on to `targetStart`; both arrays have them. */
export function copyBytes(source: Uint8Array, sourceStart: number, length: number, target: Uint8Array, targetStart: number): void {
  if (length < NATIVE_LENGTH_MIN || bufferCopy === undefined) {
    const bytes = length === source.length ? source : source.subarray(sourceStart, sourceStart + length);
    target.set(bytes, targetStart);
    return;
  }
  // All but the last byte: a whole array is what Node copies by `set`.
  const last = length - 1;
  bufferCopy.call(source, target, targetStart, sourceStart, sourceStart + last);
  target[targetStart + last] = source[sourceStart + last]!;
}

/** A new array of `length` bytes from `start` on. */
export function copyOf(source: Uint8Array, start: number, length: number): Uint8Array<ArrayBuffer> {
  // V8 doesn't fill with zeros first what it copies like this.
  if (bufferCopy === undefined) return new Uint8Array(source.subarray(start, start + length));
  const copy = new Uint8Array(length);
  copyBytes(source, start, length, copy, 0);
  return copy;
}

/** The bytes in an array of their own. Not by `slice`: that of a `Buffer` is another look at the same bytes. */
export function copied(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return copyOf(bytes, 0, bytes.length);
}
