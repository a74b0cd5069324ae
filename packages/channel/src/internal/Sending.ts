/**
 * What a sender does: it takes `sendLock`, finds a place, writes a frame there and publishes it. The protocol is in Ring.ts.
 */
import { deadlineAfter, remainingMs, spinForBatch } from '@heddle/atomics/internal';
import { MayNotBlockError, mayBlock } from '@heddle/atomics';
import { InUseError } from '../errors.ts';
import { BRIEF_MS } from './brief.ts';
import { copyBytes } from './copy.ts';
import { COMPACT_PLACE_MIN, FRAME_CONTINUED, FRAME_HEADER_SIZE, POSITION_CLOSED } from './layout.ts';
import { type ChannelRecord } from './record.ts';
import { CLOSED, DONE, NOT_NOW, type Result, TIMED_OUT } from './result.ts';
import type { LockPatience, Ring } from './Ring.ts';
import { FRAME_WRAP, HEAD, HEAD_SEEN, POSITION_MASK, RECEIVED, RECEIVED_SEEN, SENT, TAIL, TAIL_SEEN, frameSizeOf } from './words.ts';

/** Up to this many bytes a loop is faster than `set`. */
const LOOP_BYTES_MAX = 16;

/** What is waited for, in errors. */
const OPERATION = 'sending to the channel';

/** In a rendezvous only who has the receiving side can tell whether the message was taken. */
const FOR_EVER: LockPatience = { hasSlept: false, timeoutMs: Infinity, signal: undefined, operation: OPERATION };

/** The sending side of a channel, for the ends of one thread. */
export class Sending {
  readonly #ring: Ring;
  readonly #words: Int32Array;
  readonly #frames: Int32Array;
  readonly #size: number;
  readonly #isCompact: boolean;

  // The place that this thread has reserved, with `sendLock`.
  #isReserved = false;
  #tail = 0;
  #advance = 0;
  #hasSlept = false;

  /** Whether others who were sending kept the last {@link Sending.tryReserve} from looking. */
  isKept = false;
  /** Where in the ring the place that was reserved starts. */
  reservedPlace = 0;

  constructor(ring: Ring, record: ChannelRecord) {
    this.#ring = ring;
    this.#words = record.words;
    this.#frames = record.frames;
    this.#size = record.bytes.length;
    this.#isCompact = record.isCompact;
  }

  /**
   * Sends without waiting, except for others who are sending, at most `lockTimeoutMs`.
   *
   * A rendezvous succeeds if a receiver sleeps in the channel.
   */
  trySend(message: Uint8Array, lockTimeoutMs?: number): Result {
    if (this.#ring.capacity === 0) return this.#tryMeet(message, lockTimeoutMs);
    const result = this.tryReserve(message.length, lockTimeoutMs);
    if (result !== DONE) return result;
    this.#write(message);
    return this.commit();
  }

  /**
   * Sends, blocking for at most `timeoutMs`.
   *
   * @throws MayNotBlockError `MAY_NOT_BLOCK` if it would have to wait where that isn't possible
   */
  send(message: Uint8Array, timeoutMs: number): Result {
    const isLong = message.length > this.#ring.frameByteLengthMax;
    const deadline = deadlineAfter(timeoutMs);
    if (!isLong && this.#ring.capacity !== 0) {
      const result = this.trySend(message, timeoutMs);
      if (result !== NOT_NOW) return result;
    }
    if (!mayBlock() && (isLong || this.#ring.capacity === 0)) throw new MayNotBlockError('sending would have to wait; use sendAsync here');
    let result = this.reserve(isLong ? this.#chunkLength : message.length, remainingMs(deadline));
    if (result !== DONE) return result;
    if (!isLong) {
      this.#write(message);
      result = this.commit();
      return result === DONE && this.#ring.capacity === 0 ? this.#awaitTaken(deadline) : result;
    }
    for (let sent = 0; ;) {
      sent = this.#writeChunk(message, sent);
      result = this.#commitChunk(sent === message.length);
      if (result !== DONE || sent === message.length) break;
      result = this.#findNextRoom(message, sent, deadline);
      if (result !== DONE) break;
    }
    return result === DONE && this.#ring.capacity === 0 ? this.#awaitTaken(deadline) : result;
  }

  /**
   * Sends, waiting without blocking the thread.
   *
   * @throws AbortedError `ABORTED` if the signal gives the wait up
   */
  async sendAsync(message: Uint8Array, timeoutMs: number, signal: AbortSignal | undefined): Promise<Result> {
    const deadline = deadlineAfter(timeoutMs);
    // Before the first look, so that no death falls between.
    const stopWatching = this.#ring.senders.watchDeaths();
    try {
      const isLong = message.length > this.#ring.frameByteLengthMax;
      let result = await this.reserveAsync(isLong ? this.#chunkLength : message.length, timeoutMs, signal);
      if (result !== DONE) return result;
      if (!isLong) {
        this.#write(message);
        result = this.commit();
      } else {
        for (let sent = 0; ;) {
          sent = this.#writeChunk(message, sent);
          result = this.#commitChunk(sent === message.length);
          if (result !== DONE || sent === message.length) break;
          result = await this.#findNextRoomAsync(message, sent, deadline, signal);
          if (result !== DONE) break;
        }
      }
      return result === DONE && this.#ring.capacity === 0 ? await this.#awaitTakenAsync(deadline, signal) : result;
    } finally {
      stopWatching();
    }
  }

  /**
   * Sends as many of `messages` as there is room for, from the one at `start` on, under one lock and with one wake-up.
   *
   * @returns how many
   */
  trySendMany(messages: readonly Uint8Array[], start: number, lockTimeoutMs?: number): number {
    if (this.#ring.capacity === 0 || this.#isReserved || !this.#ring.lockBriefly(this.#ring.sendLock, lockTimeoutMs)) return 0;
    const words = this.#words;
    let next = start;
    for (; next < messages.length; next += 1) {
      const message = messages[next]!;
      if (message.length > this.#ring.frameByteLengthMax || this.#findRoom(message.length, true) !== DONE) break;
      this.#write(message);
      if (Atomics.compareExchange(words, TAIL, this.#tail, (this.#tail + this.#advance) | 0) !== this.#tail) break;
      words[SENT] = words[SENT]! + 1;
    }
    this.#unlockSending();
    if (next > start + 1) this.#ring.receivers.signalAll();
    else if (next > start) this.#ring.receivers.signal();
    return next - start;
  }

  /**
   * Reserves a place for a message of `length` bytes, without waiting except for others who are sending, at most `lockTimeoutMs`: DONE,
   * and {@link Sending.reservedPlace} is to be written and committed, or abandoned.
   */
  tryReserve(length: number, lockTimeoutMs?: number): Result {
    this.isKept = false;
    if (this.#isReserved) return NOT_NOW;
    this.isKept = !this.#ring.lockBriefly(this.#ring.sendLock, lockTimeoutMs);
    if (this.isKept) return NOT_NOW;
    const result = this.#findRoom(length, true);
    if (result === DONE) return this.#reserved(false);
    this.#unlockSending();
    return result;
  }

  /**
   * {@link Sending.tryReserve}, blocking for at most `timeoutMs`.
   *
   * @throws MayNotBlockError `MAY_NOT_BLOCK` if it would have to wait where that isn't possible
   * @throws InUseError `IN_USE` if this end has a reservation that is neither committed nor abandoned
   */
  reserve(length: number, timeoutMs: number): Result {
    if (this.#isReserved) throw new InUseError('sending while a reservation of this end is open');
    const deadline = deadlineAfter(timeoutMs);
    let result = this.tryReserve(length, timeoutMs);
    if (result !== NOT_NOW) return result;
    if (!mayBlock()) throw new MayNotBlockError('the channel is full; use the asynchronous form or the one that tries here');
    if (spinForBatch(this.#words, HEAD, this.#words[HEAD_SEEN]!)) {
      result = this.tryReserve(length, remainingMs(deadline));
      if (result !== NOT_NOW) return result;
    }
    for (let hasSlept = false; ; hasSlept = true) {
      if (!this.#ring.lockAgain(this.#ring.sendLock, this.#ring.senders, { hasSlept, timeoutMs: remainingMs(deadline) })) return TIMED_OUT;
      const ticket = this.#ring.senders.announce();
      result = this.#findRoom(length, true);
      if (result === DONE) {
        this.#ring.senders.retire();
        return this.#reserved(hasSlept);
      }
      const head = this.#words[HEAD_SEEN]!;
      this.#unlockSending();
      if (result === CLOSED || this.#ring.closeIfDeserted()) {
        this.#ring.senders.retire();
        return CLOSED;
      }
      if (this.#ring.senders.block(ticket, remainingMs(deadline), () => this.#isStillAt(head)) === 'timed-out') return TIMED_OUT;
    }
  }

  /**
   * {@link Sending.tryReserve}, waiting without blocking the thread.
   *
   * @throws AbortedError `ABORTED` if the signal gives the wait up
   */
  async reserveAsync(length: number, timeoutMs: number, signal: AbortSignal | undefined): Promise<Result> {
    const deadline = deadlineAfter(timeoutMs);
    // Before the first look, so that no death falls between.
    const stopWatching = this.#ring.senders.watchDeaths();
    try {
      for (let hasSlept = false; ; hasSlept = true) {
        if (hasSlept && this.#ring.sendLock.isLocked) this.#ring.senders.signal();
        if (this.#isReserved || !this.#ring.lockBriefly(this.#ring.sendLock, BRIEF_MS)) {
          const options = { hasSlept, timeoutMs: remainingMs(deadline), signal, operation: OPERATION };
          if (!(await this.#ring.lockAsync(this.#ring.sendLock, this.#ring.senders, options))) return TIMED_OUT;
        }
        const ticket = this.#ring.senders.announce();
        const result = this.#findRoom(length, true);
        if (result === DONE) {
          this.#ring.senders.retire();
          return this.#reserved(hasSlept);
        }
        this.#unlockSending();
        if (result === CLOSED || this.#ring.closeIfDeserted()) {
          this.#ring.senders.retire();
          return CLOSED;
        }
        const options = { timeoutMs: remainingMs(deadline), signal, operation: OPERATION };
        if ((await this.#ring.senders.wait(ticket, options)) === 'timed-out') return TIMED_OUT;
      }
    } finally {
      stopWatching();
    }
  }

  /** Makes what was written at the reserved place a message: DONE, or CLOSED if the channel was closed meanwhile. */
  commit(): Result {
    const words = this.#words;
    this.#isReserved = false;
    // Publishes the bytes to the look of a receiver; invariants 2 and 4.
    const isSent = Atomics.compareExchange(words, TAIL, this.#tail, (this.#tail + this.#advance) | 0) === this.#tail;
    if (isSent) words[SENT] = words[SENT]! + 1;
    this.#ring.sendLock.unlock(this.#ring.token);
    if (!isSent) return CLOSED;
    this.#ring.receivers.signal();
    // Invariant 3.
    if (this.#hasSlept && this.#ring.hasRoom()) this.#ring.senders.signal();
    return DONE;
  }

  /** Makes the reserved place a shorter message than was asked for; then {@link Sending.commit}. */
  shorten(length: number): void {
    const frame = frameSizeOf(this.#frames[(this.reservedPlace - FRAME_HEADER_SIZE) >> 2]!);
    this.#frames[(this.reservedPlace - FRAME_HEADER_SIZE) >> 2] = length;
    this.#advance -= frame - frameSizeOf(length);
  }

  /** Lets go of the reserved place. */
  abandon(): void {
    this.#isReserved = false;
    this.#unlockSending();
    // A select may have found the lock taken, and the receiver of a long message may wait for its rest.
    this.#ring.senders.signal();
    this.#ring.receivers.signalAll();
  }

  #reserved(hasSlept: boolean): Result {
    this.#isReserved = true;
    this.#hasSlept = hasSlept;
    return DONE;
  }

  #unlockSending(): void {
    this.#ring.sendLock.unlock(this.#ring.token);
  }

  /** Looks for a place with `sendLock`, and writes the head of the frame there. */
  #findRoom(length: number, isFirst: boolean): Result {
    const words = this.#words;
    const frame = frameSizeOf(length);
    // Only the owner of the lock moves it, and the commit settles whether it is closed.
    let tail = words[TAIL]!;
    if ((tail & POSITION_CLOSED) !== 0) return CLOSED;
    if (this.#isCompact && (tail & (this.#size - 1)) >= COMPACT_PLACE_MIN) tail = this.#startAgain(tail);
    let place = tail & (this.#size - 1);
    const rest = this.#size - place;
    const advance = frame <= rest ? frame : rest + frame;
    const limit = isFirst ? this.#ring.limit : Infinity;
    if (!this.#fits(tail, advance, limit, words[HEAD_SEEN]!, words[RECEIVED_SEEN]!) && !this.#fitsNow(tail, advance, limit)) return NOT_NOW;
    const frames = this.#frames;
    if (advance > frame) {
      frames[place >> 2] = FRAME_WRAP;
      place = 0;
    }
    frames[place >> 2] = length;
    frames[(place >> 2) + 1] = 0;
    this.reservedPlace = place + FRAME_HEADER_SIZE;
    this.#tail = tail;
    this.#advance = advance;
    return DONE;
  }

  /**
   * Moves both positions to the start of the ring if it is empty and nobody receives: the tail as it is then.
   *
   * The tail first, over a mark: if this thread dies between, a receiver finds the mark and nothing behind it, and moves on.
   */
  #startAgain(tail: number): number {
    const { token } = this.#ring;
    if (!this.#ring.isEmptyAt(tail) || !this.#ring.receiveLock.takeFree(token)) return tail;
    const words = this.#words;
    const place = tail & (this.#size - 1);
    const start = (tail + this.#size - place) | 0;
    this.#frames[place >> 2] = FRAME_WRAP;
    const isMoved = this.#ring.isEmptyAt(tail) && Atomics.compareExchange(words, TAIL, tail, start) === tail;
    if (isMoved) {
      Atomics.add(words, HEAD, this.#size - place);
      words[TAIL_SEEN] = start;
    }
    this.#ring.receiveLock.unlock(token);
    return isMoved ? start : tail;
  }

  #write(message: Uint8Array): void {
    const { bytes } = this.#ring;
    const place = this.reservedPlace;
    const { length } = message;
    if (length > LOOP_BYTES_MAX) copyBytes(message, 0, length, bytes, place);
    else for (let i = 0; i < length; i += 1) bytes[place + i] = message[i]!;
  }

  #fits(tail: number, advance: number, limit: number, head: number, received: number): boolean {
    const used = (tail - (head & POSITION_MASK)) >>> 0;
    const length = (this.#words[SENT]! - received) | 0;
    return used + advance <= this.#size && length < limit;
  }

  #fitsNow(tail: number, advance: number, limit: number): boolean {
    const words = this.#words;
    // Sees that a receiver has left the place; invariant 2.
    const head = Atomics.load(words, HEAD);
    const received = words[RECEIVED]!;
    words[HEAD_SEEN] = head;
    words[RECEIVED_SEEN] = received;
    // Empty, so nobody is receiving: the counts must agree (invariant 5).
    if ((head & POSITION_MASK) === tail) words[SENT] = received;
    return this.#fits(tail, advance, limit, head, received);
  }

  /** The bytes of a frame of a message that takes several. */
  get #chunkLength(): number {
    return this.#size / 4 - FRAME_HEADER_SIZE;
  }

  /** Writes as much of a long message as was reserved, from `sent` on: how much of it is written then. */
  #writeChunk(message: Uint8Array, sent: number): number {
    const index = (this.reservedPlace - FRAME_HEADER_SIZE) >> 2;
    const end = sent + this.#frames[index]!;
    copyBytes(message, sent, end - sent, this.#ring.bytes, this.reservedPlace);
    if (sent > 0) this.#frames[index] = this.#frames[index]! | FRAME_CONTINUED;
    this.#frames[index + 1] = message.length - end;
    return end;
  }

  /** {@link Sending.commit} for a frame of a long message: `sendLock` is kept until the last one. */
  #commitChunk(isLast: boolean): Result {
    if (isLast) return this.commit();
    const next = (this.#tail + this.#advance) | 0;
    if (Atomics.compareExchange(this.#words, TAIL, this.#tail, next) !== this.#tail) {
      this.abandon();
      return CLOSED;
    }
    this.#ring.receivers.signal();
    return DONE;
  }

  /** Waits for a place for the next frame of a long message, with `sendLock`. */
  #findNextRoom(message: Uint8Array, sent: number, deadline: number): Result {
    for (;;) {
      const ticket = this.#ring.senders.announce();
      const result = this.#lookForNextRoom(message, sent);
      if (result !== NOT_NOW) return result;
      const head = this.#words[HEAD_SEEN]!;
      if (this.#ring.senders.block(ticket, remainingMs(deadline), () => this.#isStillAt(head)) === 'timed-out') {
        this.abandon();
        return TIMED_OUT;
      }
    }
  }

  async #findNextRoomAsync(message: Uint8Array, sent: number, deadline: number, signal: AbortSignal | undefined): Promise<Result> {
    for (;;) {
      const ticket = this.#ring.senders.announce();
      const result = this.#lookForNextRoom(message, sent);
      if (result !== NOT_NOW) return result;
      try {
        const options = { timeoutMs: remainingMs(deadline), signal, operation: OPERATION };
        if ((await this.#ring.senders.wait(ticket, options)) !== 'timed-out') continue;
      } catch (error) {
        this.abandon();
        throw error;
      }
      this.abandon();
      return TIMED_OUT;
    }
  }

  #lookForNextRoom(message: Uint8Array, sent: number): Result {
    let result = this.#findRoom(Math.min(message.length - sent, this.#chunkLength), false);
    if (result === NOT_NOW && this.#ring.closeIfDeserted()) result = CLOSED;
    if (result !== NOT_NOW) this.#ring.senders.retire();
    if (result === CLOSED) this.abandon();
    return result;
  }

  /** Sends in a rendezvous if a receiver sleeps in it. */
  #tryMeet(message: Uint8Array, lockTimeoutMs?: number): Result {
    this.isKept = false;
    if (this.#isReserved || this.#ring.receiving.isActive) return NOT_NOW;
    this.isKept = !this.#ring.lockBriefly(this.#ring.sendLock, lockTimeoutMs);
    if (this.isKept) return NOT_NOW;
    this.isKept = !this.#ring.lockBriefly(this.#ring.receiveLock, lockTimeoutMs);
    if (this.isKept) {
      this.#unlockSending();
      return NOT_NOW;
    }
    let result = this.#findRoom(message.length, true);
    // With both locks: a receiver that gives up looks once more, with its lock, after it is no longer counted.
    if (result === DONE && this.#ring.receivers.count === 0) result = NOT_NOW;
    if (result === DONE) {
      this.#write(message);
      this.#hasSlept = false;
      result = this.commit();
    } else {
      this.#unlockSending();
    }
    this.#ring.receiveLock.unlock(this.#ring.token);
    return result;
  }

  /** Waits until the message just sent into a rendezvous is taken, or takes it back (invariant 6). */
  #awaitTaken(deadline: number): Result {
    const end = (this.#tail + this.#advance) | 0;
    for (;;) {
      const ticket = this.#ring.senders.announce();
      const isOver = this.#isTaken(end) || this.#ring.isClosed || this.#ring.closeIfDeserted();
      if (isOver) this.#ring.senders.retire();
      const shouldWait = (): boolean => !this.#isTaken(end) && !this.#ring.isClosed && !this.#ring.closeIfDeserted();
      if (!isOver && this.#ring.senders.block(ticket, remainingMs(deadline), shouldWait) !== 'timed-out') continue;
      if (this.#isTaken(end)) return DONE;
      this.#ring.lock(this.#ring.receiveLock);
      return this.#takeBack(end) ? (isOver ? CLOSED : TIMED_OUT) : DONE;
    }
  }

  async #awaitTakenAsync(deadline: number, signal: AbortSignal | undefined): Promise<Result> {
    const end = (this.#tail + this.#advance) | 0;
    for (;;) {
      const ticket = this.#ring.senders.announce();
      const isOver = this.#isTaken(end) || this.#ring.isClosed || this.#ring.closeIfDeserted();
      if (isOver) this.#ring.senders.retire();
      let reason: unknown;
      try {
        const options = { timeoutMs: remainingMs(deadline), signal, operation: OPERATION };
        if (!isOver && (await this.#ring.senders.wait(ticket, options)) !== 'timed-out') continue;
      } catch (error) {
        reason = error;
      }
      if (this.#isTaken(end)) return DONE;
      if (!this.#ring.lockBriefly(this.#ring.receiveLock)) await this.#ring.lockAsync(this.#ring.receiveLock, this.#ring.senders, FOR_EVER);
      if (!this.#takeBack(end)) return DONE;
      if (reason !== undefined) throw reason;
      return isOver ? CLOSED : TIMED_OUT;
    }
  }

  /** Whether the head is where it was seen, and somebody is left who could move it. */
  #isStillAt(head: number): boolean {
    return Atomics.load(this.#words, HEAD) === head && !this.#ring.closeIfDeserted();
  }

  #isTaken(end: number): boolean {
    return (((Atomics.load(this.#words, HEAD) & POSITION_MASK) - end) | 0) >= 0;
  }

  /** Takes a message of a rendezvous back, with `receiveLock`, and lets go of that: whether nobody was faster. */
  #takeBack(end: number): boolean {
    const words = this.#words;
    const isOurs = !this.#isTaken(end);
    if (isOurs) {
      // What was seen of the tail must not be behind the head.
      words[TAIL_SEEN] = Atomics.load(words, TAIL);
      words[RECEIVED] = words[RECEIVED]! + 1;
      Atomics.add(words, HEAD, (end - (Atomics.load(words, HEAD) & POSITION_MASK)) | 0);
    }
    this.#ring.receiveLock.unlock(this.#ring.token);
    this.#ring.senders.signal();
    return isOurs;
  }
}
