/**
 * Bytes for received messages.
 *
 * To allocate a buffer for each message costs more than to copy it, so short messages share one: each has a piece of its
 * own, which is never used for anything else. As with Node's Buffers, `message.buffer` may be larger than the message.
 */
import { copyBytes, copyOf } from './copy.ts';

/** The bytes of a shared buffer. */
const SLAB_BYTE_LENGTH = 65_536;
/** Longer messages have a buffer of their own. */
const SHARED_BYTES_MAX = 8192;
/** Shorter ones, too: the engine keeps those in its own heap. */
const OWN_BYTES_MAX = 16;
/** Up to here a loop is faster than `subarray` and `set`. */
const LOOP_BYTES_MAX = 512;

let slab = new ArrayBuffer(0);
let slabWords = new Int32Array(slab);
let slabUsed = 0;

/**
 * A copy of a message in the ring.
 *
 * @param bytes the ring
 * @param words the same ring
 * @param place where the message starts, a multiple of 8
 * @param length its bytes
 */
export function copyOut(bytes: Uint8Array, words: Int32Array, place: number, length: number): Uint8Array<ArrayBuffer> {
  if (length <= OWN_BYTES_MAX) {
    const message = new Uint8Array(length);
    for (let i = 0; i < length; i += 1) message[i] = bytes[place + i]!;
    return message;
  }
  if (length > SHARED_BYTES_MAX) return copyOf(bytes, place, length);
  // Somebody may have transferred the buffer of a message: it has no bytes then.
  if (slabUsed + length > slab.byteLength) {
    slab = new ArrayBuffer(SLAB_BYTE_LENGTH);
    slabWords = new Int32Array(slab);
    slabUsed = 0;
  }
  const message = new Uint8Array(slab, slabUsed, length);
  if (length > LOOP_BYTES_MAX) {
    copyBytes(bytes, place, length, message, 0);
  } else {
    const source = place >> 2;
    const target = slabUsed >> 2;
    // A frame is padded, so that the last word lies in it.
    for (let i = (length - 1) >> 2; i >= 0; i -= 1) slabWords[target + i] = words[source + i]!;
  }
  slabUsed = (slabUsed + length + 7) & -8;
  return message;
}
