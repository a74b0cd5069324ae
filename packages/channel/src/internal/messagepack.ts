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

/** The elements that are owed by the arrays and maps that the place lies in, by their depth. Of use within one call only. */
const open = new Float64Array(DEPTH_MAX + 1);

/**
 * Looks over a message.
 *
 * @returns whether it has integers of 64 bits, and whether one of them is no safe integer of JavaScript
 * @throws RangeError if it is not one whole value, claims more than it has, or is too deep
 * @throws TypeError if a text is not UTF-8
 */
export function inspect(bytes: Uint8Array): Wide {
  const { length } = bytes;
  let wide: Wide = 'none';
  let at = 0;
  let owed = 1;
  let depth = 0;
  open[0] = 1;
  while (owed > 0) {
    owed -= 1;
    while (open[depth] === 0) depth -= 1;
    open[depth]! -= 1;
    if (at >= length) throw tooShort(1);
    const head = bytes[at]!;
    at += 1;
    if (head < 0x80 || head >= 0xe0) continue;
    // What follows the first byte: so many bytes of a payload or of a length, and a count of bytes or of elements.
    const size = head < 0xc0 ? 0 : FIXED[head - 0xc0]!;
    if (size < 0) throw new RangeError('0xc1 begins no element');
    const start = at;
    at += size;
    if (at > length) throw tooShort(at - length);
    let byteCount = 0;
    let elementCount = 0;
    let isText = false;
    if (head < 0x90) elementCount = 2 * (head & 0x0f);
    else if (head < 0xa0) elementCount = head & 0x0f;
    else if (head < 0xc0) {
      byteCount = head & 0x1f;
      isText = true;
    } else if (head >= 0xde) elementCount = 2 * lengthAt(bytes, start, size);
    else if (head >= 0xdc) elementCount = lengthAt(bytes, start, size);
    else if (head >= 0xd9) {
      byteCount = lengthAt(bytes, start, size);
      isText = true;
    } else if (head >= 0xc4 && head <= 0xc6) byteCount = lengthAt(bytes, start, size);
    // An extension has its type before its bytes.
    else if (head >= 0xc7 && head <= 0xc9) byteCount = lengthAt(bytes, start, size) + 1;
    else if (wide !== 'beyond' && (head === 0xcf || head === 0xd3))
      wide = isSafe(integerAt(bytes, start, head === 0xd3)) ? 'safe' : 'beyond';

    if (byteCount > 0) {
      at += byteCount;
      if (at > length) throw tooShort(at - length);
      if (isText) checkText(bytes, at - byteCount, at);
    } else if (elementCount > 0) {
      owed += elementCount;
      if (owed > length - at) throw new RangeError(`the message claims ${owed} more elements and has ${length - at} more bytes`);
      depth += 1;
      if (depth > DEPTH_MAX) throw new RangeError(`the message is nested deeper than ${DEPTH_MAX}`);
      open[depth] = elementCount;
    }
  }
  if (at !== length) throw new RangeError(`the message has ${length - at} bytes behind its value`);
  return wide;
}

function tooShort(count: number): RangeError {
  return new RangeError(`the message ends ${count} bytes too early`);
}

/** A length of so many bytes, big-endian. */
function lengthAt(bytes: Uint8Array, start: number, size: number): number {
  let value = 0;
  for (let i = 0; i < size; i += 1) value = value * 256 + bytes[start + i]!;
  return value;
}

function integerAt(bytes: Uint8Array, start: number, isSigned: boolean): bigint {
  const view = new DataView(bytes.buffer, bytes.byteOffset + start, 8);
  return isSigned ? view.getBigInt64(0) : view.getBigUint64(0);
}

function checkText(bytes: Uint8Array, start: number, end: number): void {
  for (let i = start; i < end; i += 1) {
    if (bytes[i]! < 0x80) continue;
    utf8.decode(bytes.subarray(i, end));
    return;
  }
}

/** Whether a number of JavaScript has this integer exactly. */
export function isSafe(value: bigint): boolean {
  return value >= BigInt(Number.MIN_SAFE_INTEGER) && value <= BigInt(Number.MAX_SAFE_INTEGER);
}
