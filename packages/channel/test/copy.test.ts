/** Copies into and out of shared memory are right on every host, whichever way it has. */
import { expect, test } from 'vitest';
import { copyBytes, copyOf } from '../src/internal/copy.ts';

const ARRAY_LENGTH = 70_000;

/** Bytes of which neighbours, and those a power of two apart, differ. */
const filled = (buffer: ArrayBuffer | SharedArrayBuffer, seed: number): Uint8Array =>
  new Uint8Array(buffer).map((_, index) => (index * 31 + (index >> 8) * 7 + seed) & 0xff);

/** Where two arrays differ. */
function firstDifference(actual: Uint8Array, expected: Uint8Array): number | undefined {
  if (actual.length !== expected.length) return Math.min(actual.length, expected.length);
  const index = actual.findIndex((byte, at) => byte !== expected[at]);
  return index < 0 ? undefined : index;
}

const MEMORIES = {
  'not shared': () => new ArrayBuffer(ARRAY_LENGTH),
  shared: () => new SharedArrayBuffer(ARRAY_LENGTH),
};

/** On both sides of where a host's own copy takes over, and whole arrays. */
const PLACES = [0, 1, 511, 512, 513, 4096, 65_535, ARRAY_LENGTH].flatMap((length) =>
  [0, 3, ARRAY_LENGTH - length].filter((start) => start >= 0 && start + length <= ARRAY_LENGTH).map((start) => ({ length, start })),
);

const kinds = Object.entries(MEMORIES);

test.each(kinds.flatMap(([from, newSource]) => kinds.map(([to, newTarget]) => ({ from, to, newSource, newTarget }))))(
  'what is $from comes into what is $to, and nothing beside it changes',
  ({ newSource, newTarget }) => {
    const source = filled(newSource(), 1);
    for (const { length, start } of PLACES) {
      const targetStart = ARRAY_LENGTH - length - start;
      const target = new Uint8Array(newTarget());
      target.set(filled(new ArrayBuffer(ARRAY_LENGTH), 2));
      const expected = target.map((byte, index) => {
        const from = index - targetStart;
        return from >= 0 && from < length ? source[start + from] : byte;
      });
      copyBytes(source, start, length, target, targetStart);
      expect(firstDifference(target, expected)).toBeUndefined();
    }
  },
);

test('a copy has a memory of its own', () => {
  const source = filled(new SharedArrayBuffer(ARRAY_LENGTH), 3);
  for (const { length, start } of PLACES) {
    const copy = copyOf(source, start, length);
    expect(firstDifference(copy, source.subarray(start, start + length))).toBeUndefined();
    expect(copy.buffer).toBeInstanceOf(ArrayBuffer);
    expect(copy.buffer.byteLength).toBe(length);
  }
});
