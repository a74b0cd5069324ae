/**
 * A look over a message before it is believed: that it is one MessagePack value, whole and no more.
 *
 * A decoder makes an array of the length that a message claims. Five bytes can claim 2^32 elements, and nested claims multiply, so
 * here the claims are added up: each element takes a byte at least, and no more of them may be owed than bytes are left. What passes
 * costs its reader memory in proportion to the message.
 */

/** The deepest nesting of arrays and maps; Rust's `heddle_channel::msgpack` has the same. */
export const DEPTH_MAX = 256;

/** What integers of 64 bits a message has. */
export type Wide = 'none' | 'safe' | 'beyond';

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** The bytes of an element's payload or length that follow its first byte, for 0xc0 to 0xdf. */
const FIXED: readonly number[] = [0, -1, 0, 0, 1, 2, 4, 1, 2, 4, 4, 8, 1, 2, 4, 8, 1, 2, 4, 8, 2, 3, 5, 9, 17, 1, 2, 4, 2, 4, 2, 4];

/**
 * Looks over a message.
 *
 * @returns whether it has integers of 64 bits, and whether one of them is no safe integer of JavaScript
 * @throws RangeError if it is not one whole value, claims more than it has, or is too deep
 * @throws TypeError if a text is not UTF-8
 */
export function inspect(bytes: Uint8Array): Wide {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const { length } = bytes;
  let wide: Wide = 'none';
  let at = 0;
  /** The elements that are owed in all, and by the arrays and maps that the place lies in. */
  let owed = 1;
  const open: number[] = [1];
  const skip = (count: number): number => {
    const start = at;
    if (count > length - at) throw new RangeError(`the message ends ${count - (length - at)} bytes too early`);
    at += count;
    return start;
  };
  const enter = (count: number): void => {
    owed += count;
    if (owed > length - at) throw new RangeError(`the message claims ${owed} more elements and has ${length - at} more bytes`);
    if (count > 0 && open.push(count) > DEPTH_MAX + 1) throw new RangeError(`the message is nested deeper than ${DEPTH_MAX}`);
  };
  const text = (count: number): void => {
    const start = skip(count);
    for (let i = start; i < at; i += 1) {
      if (bytes[i]! < 0x80) continue;
      utf8.decode(bytes.subarray(i, at));
      return;
    }
  };

  while (owed > 0) {
    owed -= 1;
    while (open.at(-1) === 0) open.pop();
    open[open.length - 1]! -= 1;
    const head = bytes[skip(1)]!;
    if (head < 0x80 || head >= 0xe0) continue;
    if (head < 0x90) enter(2 * (head & 0x0f));
    else if (head < 0xa0) enter(head & 0x0f);
    else if (head < 0xc0) text(head & 0x1f);
    else {
      const size = FIXED[head - 0xc0]!;
      if (size < 0) throw new RangeError('0xc1 begins no element');
      const start = skip(size);
      // A length where one follows; of no use elsewhere.
      const count = size === 1 ? view.getUint8(start) : size === 2 ? view.getUint16(start) : size === 4 ? view.getUint32(start) : 0;
      if (head >= 0xde) enter(2 * count);
      else if (head >= 0xdc) enter(count);
      else if (head >= 0xd9) text(count);
      else if (head >= 0xc7 && head <= 0xc9) skip(count + 1);
      else if (head >= 0xc4 && head <= 0xc6) skip(count);
      else if (wide !== 'beyond' && (head === 0xcf || head === 0xd3)) {
        const value = head === 0xcf ? view.getBigUint64(start) : view.getBigInt64(start);
        wide = isSafe(value) ? 'safe' : 'beyond';
      }
    }
  }
  if (at !== length) throw new RangeError(`the message has ${length - at} bytes behind its value`);
  return wide;
}

/** Whether a number of JavaScript has this integer exactly. */
export function isSafe(value: bigint): boolean {
  return value >= BigInt(Number.MIN_SAFE_INTEGER) && value <= BigInt(Number.MAX_SAFE_INTEGER);
}
