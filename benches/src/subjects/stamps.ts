/**
 * Every message carries a stamp, and consumers add stamps up: what they come to proves, as far as a sum can, that each
 * message arrived once and whole.
 */

/** Writes a stamp into the first four bytes. */
export function putStamp(bytes: Uint8Array, stamp: number): void {
  bytes[0] = stamp;
  bytes[1] = stamp >>> 8;
  bytes[2] = stamp >>> 16;
  bytes[3] = stamp >>> 24;
}

/** Reads the stamp of a message. */
export function stampOf(bytes: Uint8Array): number {
  return ((bytes[0] ?? 0) | ((bytes[1] ?? 0) << 8) | ((bytes[2] ?? 0) << 16) | ((bytes[3] ?? 0) << 24)) >>> 0;
}

/**
 * Compares the sums with what `pairs` producers sent, each the stamps from 0 to `share - 1`.
 *
 * @throws Error if they differ
 */
export function checkSums(sums: readonly number[], pairs: number, share: number): void {
  const received = sums.reduce((total, sum) => total + sum, 0);
  const sent = (pairs * (share * (share - 1))) / 2;
  if (received !== sent) throw new Error(`messages were lost or doubled: their stamps come to ${received} rather than ${sent}`);
}
