/** A place in a channel for a message that is written where it will be read, and a message that is read where it was written. */
import { defineDisposeSymbol } from '@heddle/atomics/internal';
import { InvalidArgumentError } from '@heddle/atomics';
import { ClosedError } from './errors.ts';
import { copyBytes } from './internal/copy.ts';
import { CLOSED } from './internal/result.ts';
import type { Ring } from './internal/Ring.ts';

defineDisposeSymbol();

/**
 * A place for a message, got by `Sender.reserve`: write {@link Reservation.bytes} or {@link Reservation.set} them, then commit. Until then other senders wait.
 *
 * With `using`, a place that wasn't committed is abandoned at the end of the block.
 */
export class Reservation {
  readonly #ring: Ring;
  #bytes: Uint8Array<SharedArrayBuffer> | undefined;

  /** @param ring whose place was reserved; `Sender.reserve` calls it */
  constructor(ring: Ring, length: number) {
    this.#ring = ring;
    this.#bytes = ring.bytes.subarray(ring.sending.reservedPlace, ring.sending.reservedPlace + length);
  }

  /**
   * The bytes of the message in shared memory; what they hold first is of the past.
   *
   * @throws ClosedError `CLOSED` after it was committed or abandoned
   */
  get bytes(): Uint8Array<SharedArrayBuffer> {
    if (this.#bytes === undefined) throw new ClosedError('this reservation is over');
    return this.#bytes;
  }

  /**
   * Copies `source` to the message's bytes from `offset` on: as `bytes.set` does, in less time where the host can.
   *
   * @throws ClosedError `CLOSED` after it was committed or abandoned
   * @throws InvalidArgumentError `INVALID_ARGUMENT` where it would not lie within what was reserved
   */
  set(source: Uint8Array, offset = 0): void {
    const { bytes } = this;
    if (!Number.isInteger(offset) || offset < 0 || offset + source.length > bytes.length) {
      throw new InvalidArgumentError(`${source.length} bytes from ${offset} on where ${bytes.length} were reserved`);
    }
    copyBytes(source, 0, source.length, bytes, offset);
  }

  /**
   * Sends the message.
   *
   * @param length its bytes, if they are fewer than were reserved
   * @throws ClosedError `CLOSED` if the channel was closed meanwhile, or after it was committed or abandoned
   * @throws InvalidArgumentError `INVALID_ARGUMENT` for more bytes than were reserved
   */
  commit(length: number = this.bytes.length): void {
    const { bytes } = this;
    if (!Number.isInteger(length) || length < 0 || length > bytes.length) {
      throw new InvalidArgumentError(`a message of ${length} bytes where ${bytes.length} were reserved`);
    }
    if (length < bytes.length) this.#ring.sending.shorten(length);
    this.#bytes = undefined;
    if (this.#ring.sending.commit() === CLOSED) throw new ClosedError('the channel is closed');
  }

  /** Lets go of the place; nothing is sent. A second call is harmless. */
  abandon(): void {
    if (this.#bytes === undefined) return;
    this.#bytes = undefined;
    this.#ring.sending.abandon();
  }

  /** Abandons the place at the end of a `using` block, unless it was committed. */
  [Symbol.dispose](): void {
    this.abandon();
  }
}

/**
 * The oldest message where it lies, got by `Receiver.borrow`: read {@link Borrow.bytes}, then release it. Until then other
 * receivers wait.
 *
 * With `using`, it is released at the end of the block.
 */
export class Borrow {
  readonly #ring: Ring;
  #bytes: Uint8Array | undefined;

  /** @param ring whose message was claimed; `Receiver.borrow` calls it */
  constructor(ring: Ring) {
    this.#ring = ring;
    const { claimedLong, claimedPlace, claimedLength } = ring.receiving;
    this.#bytes = claimedLong ?? ring.bytes.subarray(claimedPlace, claimedPlace + claimedLength);
  }

  /**
   * The bytes of the message, in shared memory; a message too long to lie there in one piece is a copy.
   *
   * @throws ClosedError `CLOSED` after it was released
   */
  get bytes(): Uint8Array {
    if (this.#bytes === undefined) throw new ClosedError('this message was released');
    return this.#bytes;
  }

  /** Takes the message out of the channel: its bytes are to be read no more. A second call is harmless. */
  release(): void {
    if (this.#bytes === undefined) return;
    this.#bytes = undefined;
    this.#ring.receiving.release();
  }

  /** Releases the message at the end of a `using` block. */
  [Symbol.dispose](): void {
    this.release();
  }
}
