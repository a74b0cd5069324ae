/**
 * What a receiver does: it takes `receiveLock`, finds the oldest frame, reads it and takes it out. The protocol is in Ring.ts.
 */
import { OWNER_MASK, deadlineAfter, remainingMs, spinForBatch } from '@heddle/atomics/internal';
import { InvalidRecordError, MayNotBlockError, mayBlock } from '@heddle/atomics';
import { InUseError } from '../errors.ts';
import { BRIEF_MS } from './brief.ts';
import { copyBytes } from './copy.ts';
import { FRAME_CONTINUED, FRAME_HEADER_SIZE, FRAME_LENGTH_MASK, POSITION_CLOSED } from './layout.ts';
import { type ChannelRecord } from './record.ts';
import { CLOSED, DONE, NOT_NOW, type Result, TIMED_OUT, TOO_LARGE } from './result.ts';
import type { Ring } from './Ring.ts';
import { copyOut } from './slab.ts';
import { FRAME_WRAP, HEAD, POSITION_MASK, RECEIVED, TAIL, TAIL_SEEN, frameSizeOf } from './words.ts';

/** What is waited for, in errors. */
const OPERATION = 'receiving from the channel';

/** The receiving side of a channel, for the ends of one thread. */
export class Receiving {
  readonly #ring: Ring;
  readonly #words: Int32Array;
  readonly #frames: Int32Array;
  readonly #size: number;

  // The message that this thread has claimed, with `receiveLock`.
  #isClaimed = false;
  #claimAdvance = 0;
  #hasSlept = false;
  /** A message longer than a frame, as far as it has come; `receiveLock` is kept for it. */
  #partial: Uint8Array<ArrayBuffer> | undefined;
  #partialLength = 0;

  /** Whether others who were receiving kept the last {@link Receiving.tryClaim} from looking. */
  isKept = false;
  /** Where in the ring the message that was claimed starts; see {@link Receiving.claimedLong}. */
  claimedPlace = 0;
  /** The bytes of the message that was claimed. */
  claimedLength = 0;
  /** The message that was claimed, if it was longer than a frame: it has left the ring already. */
  claimedLong: Uint8Array<ArrayBuffer> | undefined;

  constructor(ring: Ring, record: ChannelRecord) {
    this.#ring = ring;
    this.#words = record.words;
    this.#frames = record.frames;
    this.#size = record.bytes.length;
  }

  /** Whether this thread has `receiveLock` beyond a call. */
  get isActive(): boolean {
    return this.#isClaimed || this.#partial !== undefined;
  }

  /**
   * Claims the oldest message, without waiting except for others who are receiving, at most `lockTimeoutMs`: DONE, and it is to be read and
   * then released, or kept.
   *
   * @param lengthMax a longer message is left: TOO_LARGE, and {@link Receiving.claimedLength} tells how long it is
   */
  tryClaim(lengthMax: number, lockTimeoutMs?: number): Result {
    this.isKept = false;
    if (this.#isClaimed) return NOT_NOW;
    this.isKept = !this.#lockReceivingBriefly(lockTimeoutMs);
    return this.isKept ? NOT_NOW : this.#claim(lengthMax, false);
  }

  /**
   * {@link Receiving.tryClaim}, blocking for at most `timeoutMs`.
   *
   * @throws MayNotBlockError `MAY_NOT_BLOCK` if it would have to wait where that isn't possible
   * @throws InUseError `IN_USE` if this end has borrowed a message and not released it
   */
  claim(timeoutMs: number, lengthMax: number): Result {
    if (this.#isClaimed) throw new InUseError('receiving while a message is borrowed');
    const deadline = deadlineAfter(timeoutMs);
    let result = this.tryClaim(lengthMax, timeoutMs);
    if (result !== NOT_NOW) return result;
    if (!mayBlock()) throw new MayNotBlockError('the channel is empty; use the asynchronous form or the one that tries here');
    if (spinForBatch(this.#words, TAIL, this.#words[TAIL_SEEN]!)) {
      result = this.tryClaim(lengthMax, remainingMs(deadline));
      if (result !== NOT_NOW) return result;
    }
    for (let hasSlept = false; ; hasSlept = true) {
      if (this.#partial === undefined) {
        const options = { hasSlept, timeoutMs: remainingMs(deadline) };
        if (!this.#ring.lockAgain(this.#ring.receiveLock, this.#ring.receivers, options)) return TIMED_OUT;
      }
      const ticket = this.#ring.receivers.announce();
      result = this.#claim(lengthMax, hasSlept);
      if (result !== NOT_NOW || this.#ring.closeIfDeserted()) {
        this.#ring.receivers.retire();
        if (result !== NOT_NOW) return result;
        continue;
      }
      this.#tellOfReceiver();
      // Only now: the dead one may have committed a frame before.
      if (this.#ring.receivers.block(ticket, remainingMs(deadline), () => this.#shouldWait()) === 'timed-out')
        return this.#lastClaim(lengthMax);
    }
  }

  /**
   * {@link Receiving.tryClaim}, waiting without blocking the thread.
   *
   * @throws AbortedError `ABORTED` if the signal gives the wait up
   */
  async claimAsync(timeoutMs: number, signal: AbortSignal | undefined, lengthMax: number): Promise<Result> {
    const deadline = deadlineAfter(timeoutMs);
    // Before the first look, so that no death falls between.
    const stopWatching = this.#ring.receivers.watchDeaths();
    try {
      for (let hasSlept = false; ; hasSlept = true) {
        if (hasSlept && this.#partial === undefined && this.#ring.receiveLock.isLocked) this.#ring.receivers.signal();
        if (this.#isClaimed || !this.#lockReceivingBriefly(BRIEF_MS)) {
          const options = { hasSlept, timeoutMs: remainingMs(deadline), signal, operation: OPERATION };
          if (!(await this.#ring.lockAsync(this.#ring.receiveLock, this.#ring.receivers, options))) return TIMED_OUT;
        }
        const ticket = this.#ring.receivers.announce();
        const result = this.#claim(lengthMax, hasSlept);
        if (result !== NOT_NOW || this.#ring.closeIfDeserted()) {
          this.#ring.receivers.retire();
          if (result !== NOT_NOW) return result;
          continue;
        }
        this.#tellOfReceiver();
        const options = { timeoutMs: remainingMs(deadline), signal, operation: OPERATION };
        try {
          if ((await this.#ring.receivers.wait(ticket, options)) === 'timed-out') return this.#lastClaim(lengthMax);
        } catch (error) {
          // In a rendezvous a sender may have counted on us.
          if (this.#ring.capacity === 0 && this.#lastClaim(lengthMax) === DONE) return DONE;
          throw error;
        }
      }
    } finally {
      stopWatching();
    }
  }

  /** Tells the selects that wait to send, once this is counted: in a rendezvous that is what they wait for. */
  #tellOfReceiver(): void {
    if (this.#ring.capacity === 0) this.#ring.senders.signalSelects();
  }

  /** A copy of the claimed message. */
  copyClaimed(): Uint8Array<ArrayBuffer> {
    return this.claimedLong ?? copyOut(this.#ring.bytes, this.#frames, this.claimedPlace, this.claimedLength);
  }

  /** Takes a copy of the claimed message, and of those behind it that are there, `countMax` together. */
  takeMany(countMax: number): Uint8Array<ArrayBuffer>[] {
    const messages = [this.copyClaimed()];
    while (messages.length < countMax && this.claimedLong === undefined) {
      this.#words[RECEIVED] = this.#words[RECEIVED]! + 1;
      Atomics.add(this.#words, HEAD, this.#claimAdvance);
      // The lock is ours still. What is not to be had at once, or is long, is left to the next call.
      const result = this.#ring.hasMessages() ? this.#findMessage(this.#ring.frameByteLengthMax) : NOT_NOW;
      if (result !== DONE) {
        this.#isClaimed = false;
        this.#ring.receiveLock.unlock(this.#ring.token);
        this.#ring.senders.signalAll();
        if (result !== NOT_NOW) this.#ring.receivers.signal();
        return messages;
      }
      messages.push(this.copyClaimed());
    }
    this.release();
    if (messages.length > 1) this.#ring.senders.signalAll();
    return messages;
  }

  /** Takes the claimed message out of the channel. */
  release(): void {
    const words = this.#words;
    this.#isClaimed = false;
    if (this.claimedLong === undefined) {
      words[RECEIVED] = words[RECEIVED]! + 1;
      // Tells a sender's look that the place is free; invariant 2.
      Atomics.add(words, HEAD, this.#claimAdvance);
    } else {
      this.claimedLong = undefined;
    }
    this.#ring.receiveLock.unlock(this.#ring.token);
    this.#ring.senders.signal();
    // Invariant 3.
    if (this.#hasSlept && this.#ring.hasMessages()) this.#ring.receivers.signal();
  }

  /** Leaves the claimed message where it is. */
  keep(): void {
    this.#isClaimed = false;
    this.#ring.receiveLock.unlock(this.#ring.token);
    // It may have been this receiver that was woken for it, or found by a select.
    this.#ring.receivers.signal();
  }

  /** Claims with the lock; lets go of it unless there is a message, whole or in part. */
  #claim(lengthMax: number, hasSlept: boolean): Result {
    let result: Result = NOT_NOW;
    try {
      result = this.#findMessage(lengthMax);
    } catch (error) {
      this.#dropPartial();
      throw error;
    }
    if (result === DONE) {
      this.#isClaimed = true;
      this.#hasSlept = hasSlept;
    } else if (this.#partial === undefined) {
      this.#ring.receiveLock.unlock(this.#ring.token);
      // A select or a sleeper may have been told of the message that stays.
      if (result === TOO_LARGE) this.#ring.receivers.signal();
    }
    return result;
  }

  #findMessage(lengthMax: number): Result {
    const words = this.#words;
    const frames = this.#frames;
    for (;;) {
      // Only the owner of the lock moves it.
      const head = words[HEAD]! & POSITION_MASK;
      let tail = words[TAIL_SEEN]! & POSITION_MASK;
      if (tail === head) {
        const seen = this.#look();
        tail = seen & POSITION_MASK;
        if (tail === head) return this.#findNothing(head, (seen & POSITION_CLOSED) !== 0);
      }
      let place = head & (this.#size - 1);
      let length = frames[place >> 2]!;
      let advance = 0;
      if ((length & FRAME_WRAP) !== 0) {
        advance = this.#size - place;
        if (advance === (tail - head) >>> 0) {
          // A sender died while it moved an empty ring to its start.
          Atomics.add(words, HEAD, advance);
          continue;
        }
        place = 0;
        length = frames[0]!;
      }
      const rest = frames[(place >> 2) + 1]! >>> 0;
      const isContinued = (length & FRAME_CONTINUED) !== 0;
      length &= FRAME_LENGTH_MASK;
      advance += frameSizeOf(length);
      const used = (tail - head) >>> 0;
      if (advance > used) throw this.#broken(`a message of ${length} bytes where ${used} are`);
      this.claimedPlace = place + FRAME_HEADER_SIZE;
      this.claimedLength = length;
      this.#claimAdvance = advance;
      if (!isContinued) {
        // What came before it of another long message was given up by its sender.
        this.#partial = undefined;
        this.claimedLength += rest;
        if (this.claimedLength > lengthMax) return TOO_LARGE;
        if (rest === 0) return DONE;
        this.#partial = this.#allocate(length + rest);
        this.#partialLength = 0;
      }
      const partial = this.#partial;
      if (partial !== undefined) {
        const end = this.#partialLength + length;
        if (end + rest !== partial.length) throw this.#broken(`${end} bytes and ${rest} more of a message of ${partial.length}`);
        copyBytes(this.#ring.bytes, this.claimedPlace, length, partial, this.#partialLength);
        this.#partialLength = end;
      }
      // Without a beginning, it was taken by a receiver that died.
      if (rest === 0) words[RECEIVED] = words[RECEIVED]! + 1;
      Atomics.add(words, HEAD, advance);
      this.#ring.senders.signal();
      if (rest === 0 && partial !== undefined) {
        this.claimedLong = partial;
        this.claimedLength = partial.length;
        this.#partial = undefined;
        return DONE;
      }
    }
  }

  /** What it means that no frame is there. */
  #findNothing(head: number, isClosed: boolean): Result {
    if (this.#partial !== undefined && (isClosed || this.#isSenderGone()) && (this.#look() & POSITION_MASK) === head) {
      // Its sender died or gave up.
      this.#partial = undefined;
    }
    return isClosed ? CLOSED : NOT_NOW;
  }

  #shouldWait(): boolean {
    const isPartGone = this.#partial !== undefined && this.#isSenderGone();
    return !isPartGone && !this.#ring.hasMessages() && !this.#ring.isClosed && !this.#ring.closeIfDeserted();
  }

  #isSenderGone(): boolean {
    const owner = this.#ring.sendLock.word & OWNER_MASK;
    if (owner === 0) return true;
    // A task of Rust's may have taken the side along to another thread before its thread ended.
    return !this.#ring.isLive(owner) && (this.#ring.sendLock.word & OWNER_MASK) === owner;
  }

  #allocate(length: number): Uint8Array<ArrayBuffer> {
    try {
      return new Uint8Array(length);
    } catch (error) {
      throw this.#broken(`a message of ${length} bytes`, error);
    }
  }

  #broken(what: string, cause?: unknown): InvalidRecordError {
    return new InvalidRecordError(`the channel at ${this.#ring.location.byteOffset} is broken: ${what}`, { cause });
  }

  /** The end of the messages by a fresh look, with its flag. */
  #look(): number {
    const tail = Atomics.load(this.#words, TAIL);
    this.#words[TAIL_SEEN] = tail;
    return tail;
  }

  /** Gives up a long message that has come in part, because the end that was receiving it goes. */
  giveUpPartial(): void {
    if (this.#partial !== undefined) this.#dropPartial();
  }

  /** The last look of a receiver that gives up: in a rendezvous a sender may have counted on it. */
  #lastClaim(lengthMax: number): Result {
    if (this.#ring.capacity !== 0 || this.tryClaim(lengthMax, Infinity) !== DONE) return TIMED_OUT;
    return DONE;
  }

  /** Lets go of the receiving side in the middle of a long message, whose rest nobody will get. */
  #dropPartial(): void {
    this.#partial = undefined;
    this.#ring.receiveLock.unlock(this.#ring.token);
    this.#ring.receivers.signal();
  }

  #lockReceivingBriefly(lockTimeoutMs?: number): boolean {
    return this.#partial !== undefined || this.#ring.lockBriefly(this.#ring.receiveLock, lockTimeoutMs);
  }
}
