/**
 * The protocol of every channel: a ring between two locks. Rust's `heddle-channel` runs the same one on the same record.
 *
 * It promises: what is sent is received once, by one receiver; what one sender sends is received in its order; a closed
 * channel gives what it still holds and then says that it is closed; a thread that dies loses at most the message it was
 * just sending, and one it was just receiving goes to another receiver (if it is longer than a frame, it is lost with it).
 *
 * ## State
 * Positions run freely modulo 2^32, in multiples of 8, so that three bits stay for flags; `position & (ringSize - 1)` is the
 * place in the ring. The ring holds what lies between `head` and `tail`.
 *
 * | word | written by | means |
 * | --- | --- | --- |
 * | `sendLock` | senders | who is sending |
 * | `tail` | the sender with the lock; a closer | the position behind the last message, + CLOSED |
 * | `receiveLock` | receivers | who is receiving |
 * | `head` | the receiver with the lock; a closer | the position of the oldest message, + CLOSED |
 * | `sent`, `received` | the owner of the lock | messages so far; their difference is the length |
 * | `headSeen`, `receivedSeen`, `tailSeen` | the owner of the lock | what was read last from the other side |
 * | `senders…`, `receivers…` | everybody | who waits (Waiters.ts) |
 *
 * ## Messages longer than a frame
 * A frame is at most half the ring, so a longer message goes in several, one behind the other: its sender keeps `sendLock`
 * until the last one, and its receiver `receiveLock`. Each says how much is still to come, and each but the first that it
 * goes on with the one before. So a receiver that has begun a message and finds a frame which doesn't go on with it, or
 * nothing more and nobody alive in `sendLock`, knows that the sender died or gave up, and drops it; and one that finds a
 * frame whose beginning somebody else took with him drops that. Nobody ever sees a part.
 *
 * ## Invariants
 * 1. Between `tail` and `head + ringSize` only the owner of `sendLock` writes; between `head` and `tail` only the owner of
 *    `receiveLock` reads. A frame exists exactly from the write of `tail` behind it to the write of `head` behind it: an
 *    owner that dies between leaves the channel as it was, and the poison of its lock can be cleared.
 * 2. Nobody sleeps with a lock, except in the middle of a long message. Who changes a position tells the other side's
 *    waiters afterwards (invariant 1 of Waiters.ts).
 * 3. Each change of a position wakes one while anybody is counted. A sender who slept and found room wakes the next if there is
 *    more room, since what one receiver frees may do for several messages.
 * 4. `tail` is moved by compare-exchange: a message and a close exclude each other.
 * 5. `received` is written before `head`, `sent` after `tail`: dying between makes the channel look emptier by one, never
 *    fuller; when a sender finds the ring empty, the counts are made equal again.
 * 6. In a rendezvous at most one message is in the ring, and its sender waits until `head` is behind it, or takes it back
 *    with `receiveLock`.
 *
 * ## Fairness
 * That of the locks: none beyond the host's queue. A large message may wait while smaller ones pass.
 *
 * ## Memory orderings
 * Every `Atomics` call is SeqCst. The sender's compare-exchange of `tail` publishes the bytes of the message; the receiver's
 * add to `head` publishes that they have been read. What one lock guards is plain memory.
 *
 * ## Source
 * The two-lock queue of Michael and Scott (1996), on a ring.
 */
import {
  FAILED,
  OWNER_MASK,
  RawMutex,
  type ResolvedLocation,
  TAKEN_POISONED,
  deadlineAfter,
  remainingMs,
  spinPause,
  spinWhile,
} from '@heddle/atomics/internal';
import { InvalidRecordError, MayNotBlockError, type SharedLocation, mayBlock } from '@heddle/atomics';
import { InUseError } from '../errors.ts';
import { type Counted, Ends, type Side } from './Ends.ts';
import {
  CHANNEL_HEADER_HEAD_OFFSET,
  CHANNEL_HEADER_HEAD_SEEN_OFFSET,
  CHANNEL_HEADER_RECEIVED_OFFSET,
  CHANNEL_HEADER_RECEIVED_SEEN_OFFSET,
  CHANNEL_HEADER_RECEIVERS_WAITING_OFFSET,
  CHANNEL_HEADER_RECEIVER_EVENTS_OFFSET,
  CHANNEL_HEADER_RECEIVER_WATCHERS_OFFSET,
  CHANNEL_HEADER_RECEIVE_LOCK_OFFSET,
  CHANNEL_HEADER_SENDERS_WAITING_OFFSET,
  CHANNEL_HEADER_SENDER_EVENTS_OFFSET,
  CHANNEL_HEADER_SENDER_WATCHERS_OFFSET,
  CHANNEL_HEADER_SEND_LOCK_OFFSET,
  CHANNEL_HEADER_SENT_OFFSET,
  CHANNEL_HEADER_TAIL_OFFSET,
  CHANNEL_HEADER_TAIL_SEEN_OFFSET,
  COMPACT_PLACE_MIN,
  FRAME_ALIGN,
  FRAME_CONTINUED,
  FRAME_HEADER_SIZE,
  FRAME_LENGTH_MASK,
  FRAME_WRAP as FRAME_WRAP_UNSIGNED,
  POSITION_CLOSED,
  POSITION_MASK as POSITION_MASK_UNSIGNED,
} from './layout.ts';
import { type ChannelRecord, type RingOptions, createRecord, openRecord, wordOf } from './record.ts';
import { copyOut } from './slab.ts';
import { Waiters } from './Waiters.ts';

const SEND_LOCK = wordOf(CHANNEL_HEADER_SEND_LOCK_OFFSET);
const SENT = wordOf(CHANNEL_HEADER_SENT_OFFSET);
const HEAD_SEEN = wordOf(CHANNEL_HEADER_HEAD_SEEN_OFFSET);
const RECEIVED_SEEN = wordOf(CHANNEL_HEADER_RECEIVED_SEEN_OFFSET);
const TAIL = wordOf(CHANNEL_HEADER_TAIL_OFFSET);
const RECEIVE_LOCK = wordOf(CHANNEL_HEADER_RECEIVE_LOCK_OFFSET);
const RECEIVED = wordOf(CHANNEL_HEADER_RECEIVED_OFFSET);
const TAIL_SEEN = wordOf(CHANNEL_HEADER_TAIL_SEEN_OFFSET);
const HEAD = wordOf(CHANNEL_HEADER_HEAD_OFFSET);

const SENDER_WORDS = {
  waiting: wordOf(CHANNEL_HEADER_SENDERS_WAITING_OFFSET),
  events: wordOf(CHANNEL_HEADER_SENDER_EVENTS_OFFSET),
  watchers: wordOf(CHANNEL_HEADER_SENDER_WATCHERS_OFFSET),
};
const RECEIVER_WORDS = {
  waiting: wordOf(CHANNEL_HEADER_RECEIVERS_WAITING_OFFSET),
  events: wordOf(CHANNEL_HEADER_RECEIVER_EVENTS_OFFSET),
  watchers: wordOf(CHANNEL_HEADER_RECEIVER_WATCHERS_OFFSET),
};

// Int32Array elements are signed.
const POSITION_MASK = POSITION_MASK_UNSIGNED | 0;
const FRAME_WRAP = FRAME_WRAP_UNSIGNED | 0;

/** Below this many bytes a loop is faster than `set`. */
const LOOP_BYTES_MAX = 16;

/** How long a thread that may not block spins for a lock that is held for the time of one copy. */
const BRIEF_SPIN_MS = 2;
const BRIEF_SPIN_ROUNDS = 64;

/** How an operation ended. */
export type Result = typeof DONE | typeof NOT_NOW | typeof TIMED_OUT | typeof CLOSED | typeof TOO_LARGE;
/** Sent, or received; a place, or a message. */
export const DONE = 0;
/** Full, or empty. */
export const NOT_NOW = 1;
/** Full, or empty, until the time ran out. */
export const TIMED_OUT = 2;
/** Closed; for a receiver also empty. */
export const CLOSED = 3;
/** The message is longer than the receiver takes; it stays. */
export const TOO_LARGE = 4;

/** The bytes of the frame of a message. */
const frameSizeOf = (length: number): number => (FRAME_HEADER_SIZE + length + FRAME_ALIGN - 1) & -FRAME_ALIGN;

/** What is waited for, in errors. */
const SENDING = 'sending to the channel';
const RECEIVING = 'receiving from the channel';

/** The channel at one place, for the ends of one thread. */
export class Ring {
  readonly #record: ChannelRecord;
  readonly #words: Int32Array;
  readonly #frames: Int32Array;
  readonly #sendLock: RawMutex;
  readonly #receiveLock: RawMutex;
  readonly #ends: Ends;
  readonly #size: number;
  /** Messages that fit. */
  readonly #limit: number;

  // The place that this thread has reserved, with `sendLock`.
  #isReserved = false;
  #tail = 0;
  #advance = 0;
  #hasSleptSending = false;

  // The message that this thread has claimed, with `receiveLock`.
  #isClaimed = false;
  #claimAdvance = 0;
  #hasSleptReceiving = false;
  /** A message longer than a frame, as far as it has come; `receiveLock` is kept for it. */
  #partial: Uint8Array<ArrayBuffer> | undefined;
  #partialLength = 0;

  /** The ring. */
  readonly bytes: Uint8Array<SharedArrayBuffer>;
  /** Where in the ring the place that was reserved starts. */
  reservedPlace = 0;
  /** Where in the ring the message that was claimed starts; see {@link Ring.claimedLong}. */
  claimedPlace = 0;
  /** The bytes of the message that was claimed. */
  claimedLength = 0;
  /** The message that was claimed, if it was longer than a frame: it has left the ring already. */
  claimedLong: Uint8Array<ArrayBuffer> | undefined;

  /** Where the channel is. */
  readonly location: ResolvedLocation;
  /** How many messages fit at most; 0 for a rendezvous. */
  readonly capacity: number;
  /** The bytes of the longest message that lies in the ring in one piece. */
  readonly frameByteLengthMax: number;
  /** Those who wait for room. */
  readonly senders: Waiters;
  /** Those who wait for a message. */
  readonly receivers: Waiters;

  private constructor(record: ChannelRecord) {
    const { words, agent, location, capacity } = record;
    this.#record = record;
    this.location = location;
    this.capacity = capacity;
    this.bytes = record.bytes;
    this.#words = words;
    this.#frames = record.frames;
    this.#size = record.bytes.length;
    this.#limit = Math.max(1, capacity);
    this.frameByteLengthMax = this.#size / 2 - FRAME_HEADER_SIZE;
    this.#sendLock = new RawMutex(words, SEND_LOCK, agent);
    this.#receiveLock = new RawMutex(words, RECEIVE_LOCK, agent);
    this.#ends = new Ends(record);
    // In a rendezvous those who wait for room and those who wait to be received sleep together.
    this.senders = new Waiters(record, SENDER_WORDS, capacity === 0 ? Infinity : 1);
    this.receivers = new Waiters(record, RECEIVER_WORDS, 1);
  }

  /**
   * Makes an open channel with one sending and one receiving end.
   *
   * @throws InvalidArgumentError, InvalidRecordError
   */
  static create(options: RingOptions, place: SharedLocation | undefined): Ring {
    return new Ring(createRecord(options, place));
  }

  /**
   * Opens the channel at a place.
   *
   * @throws InvalidRecordError `INVALID_RECORD` if there is none that this version understands
   */
  static open(place: SharedLocation): Ring {
    return new Ring(openRecord(place));
  }

  /** Where the memory's thread registry starts, in bytes, if this thread knows one. */
  get registryByteOffset(): number | undefined {
    return this.#record.agent.registry?.byteOffset;
  }

  /** How many messages are in the channel; of the past as soon as it is known. */
  get length(): number {
    if (this.capacity === 0) return 0;
    const received = Atomics.load(this.#words, RECEIVED);
    // A thread that died may have left the difference below zero (invariant 5).
    return Math.max(0, (Atomics.load(this.#words, SENT) - received) | 0);
  }

  /** Whether there is no room for another message, however short; of the past as soon as it is known. */
  get isFull(): boolean {
    return this.capacity === 0 || !this.#hasRoom();
  }

  /** Whether the channel is closed; it may still hold messages. */
  get isClosed(): boolean {
    return (Atomics.load(this.#words, TAIL) & POSITION_CLOSED) !== 0;
  }

  /** Closes the channel: nothing more is sent, what was sent is still received. */
  close(): void {
    const words = this.#words;
    Atomics.or(words, TAIL, POSITION_CLOSED);
    Atomics.or(words, HEAD, POSITION_CLOSED);
    this.receivers.signalAll();
    this.senders.signalAll();
  }

  /** Counts one more end. */
  addEnd(side: Side): Counted {
    return this.#ends.add(side);
  }

  /** Makes an end that is counted already this thread's. */
  ownEnd(side: Side): Counted {
    return this.#ends.own(side);
  }

  /** Gives up an end; the last one of a side closes the channel. */
  removeEnd(side: Side, counted: Counted): void {
    if (side === 'receiver' && this.#partial !== undefined) this.#dropPartial();
    if (this.#ends.remove(side, counted)) this.close();
  }

  /**
   * Sends without waiting.
   *
   * A rendezvous succeeds if a receiver sleeps in the channel.
   */
  trySend(message: Uint8Array): Result {
    if (this.capacity === 0) return this.#tryMeet(message);
    const result = this.tryReserve(message.length);
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
    const isLong = message.length > this.frameByteLengthMax;
    if (!isLong && this.capacity !== 0) {
      const result = this.trySend(message);
      if (result !== NOT_NOW) return result;
    }
    if (!mayBlock() && (isLong || this.capacity === 0)) throw new MayNotBlockError('sending would have to wait; use sendAsync here');
    const deadline = deadlineAfter(timeoutMs);
    let result = this.reserve(isLong ? this.#chunkLength : message.length, timeoutMs);
    if (result !== DONE) return result;
    if (!isLong) {
      this.#write(message);
      result = this.commit();
      return result === DONE && this.capacity === 0 ? this.#awaitTaken(deadline) : result;
    }
    for (let sent = 0; ;) {
      sent = this.#writeChunk(message, sent);
      result = this.#commitChunk(sent === message.length);
      if (result !== DONE || sent === message.length) break;
      result = this.#findNextRoom(message, sent, deadline);
      if (result !== DONE) break;
    }
    return result === DONE && this.capacity === 0 ? this.#awaitTaken(deadline) : result;
  }

  /**
   * Sends, waiting without blocking the thread.
   *
   * @throws AbortedError `ABORTED` if the signal gives the wait up
   */
  async sendAsync(message: Uint8Array, timeoutMs: number, signal: AbortSignal | undefined): Promise<Result> {
    const deadline = deadlineAfter(timeoutMs);
    const isLong = message.length > this.frameByteLengthMax;
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
    return result === DONE && this.capacity === 0 ? this.#awaitTakenAsync(deadline, signal) : result;
  }

  /**
   * Sends as many of `messages` as there is room for, from the one at `start` on, under one lock and with one wake-up.
   *
   * @returns how many
   */
  trySendMany(messages: readonly Uint8Array[], start: number): number {
    if (this.capacity === 0 || this.#isReserved || !this.#lockBriefly(this.#sendLock)) return 0;
    const words = this.#words;
    let next = start;
    for (; next < messages.length; next += 1) {
      const message = messages[next]!;
      if (message.length > this.frameByteLengthMax || this.#findRoom(message.length, true) !== DONE) break;
      this.#write(message);
      if (Atomics.compareExchange(words, TAIL, this.#tail, (this.#tail + this.#advance) | 0) !== this.#tail) break;
      words[SENT] = words[SENT]! + 1;
    }
    this.#unlockSending();
    if (next > start + 1) this.receivers.signalAll();
    else if (next > start) this.receivers.signal();
    return next - start;
  }

  /**
   * Reserves a place for a message of `length` bytes, without waiting: DONE, and {@link Ring.reservedPlace} is to be written and
   * committed, or abandoned.
   */
  tryReserve(length: number): Result {
    if (this.#isReserved || !this.#lockBriefly(this.#sendLock)) return NOT_NOW;
    const result = this.#findRoom(length, true);
    if (result === DONE) return this.#reserved(false);
    this.#unlockSending();
    return result;
  }

  /**
   * {@link Ring.tryReserve}, blocking for at most `timeoutMs`.
   *
   * @throws MayNotBlockError `MAY_NOT_BLOCK` if it would have to wait where that isn't possible
   * @throws InUseError `IN_USE` if this end has a reservation that is neither committed nor abandoned
   */
  reserve(length: number, timeoutMs: number): Result {
    if (this.#isReserved) throw new InUseError('sending while a reservation of this end is open');
    let result = this.tryReserve(length);
    if (result !== NOT_NOW) return result;
    if (!mayBlock()) throw new MayNotBlockError('the channel is full; use the asynchronous form or the one that tries here');
    if (spinWhile(this.#words, HEAD, this.#words[HEAD_SEEN]!)) {
      result = this.tryReserve(length);
      if (result !== NOT_NOW) return result;
    }
    const deadline = deadlineAfter(timeoutMs);
    for (let hasSlept = false; ; hasSlept = true) {
      this.#lockAgain(this.#sendLock, this.senders, hasSlept);
      const ticket = this.senders.announce();
      result = this.#findRoom(length, true);
      if (result === DONE) {
        this.senders.retire();
        return this.#reserved(hasSlept);
      }
      this.#unlockSending();
      if (result === CLOSED || this.#closeIfDeserted()) {
        this.senders.retire();
        return CLOSED;
      }
      if (this.senders.block(ticket, remainingMs(deadline)) === 'timed-out') return TIMED_OUT;
    }
  }

  /**
   * {@link Ring.tryReserve}, waiting without blocking the thread.
   *
   * @throws AbortedError `ABORTED` if the signal gives the wait up
   */
  async reserveAsync(length: number, timeoutMs: number, signal: AbortSignal | undefined): Promise<Result> {
    const deadline = deadlineAfter(timeoutMs);
    for (let hasSlept = false; ; hasSlept = true) {
      if (hasSlept && this.#sendLock.isLocked) this.senders.signal();
      if (this.#isReserved || !this.#lockBriefly(this.#sendLock)) await this.#lockAsync(this.#sendLock);
      const ticket = this.senders.announce();
      const result = this.#findRoom(length, true);
      if (result === DONE) {
        this.senders.retire();
        return this.#reserved(hasSlept);
      }
      this.#unlockSending();
      if (result === CLOSED || this.#closeIfDeserted()) {
        this.senders.retire();
        return CLOSED;
      }
      const options = { timeoutMs: remainingMs(deadline), signal, operation: SENDING };
      if ((await this.senders.wait(ticket, options)) === 'timed-out') return TIMED_OUT;
    }
  }

  /** Makes what was written at the reserved place a message: DONE, or CLOSED if the channel was closed meanwhile. */
  commit(): Result {
    const words = this.#words;
    this.#isReserved = false;
    // Publishes the bytes to the look of a receiver; invariants 2 and 4.
    const isSent = Atomics.compareExchange(words, TAIL, this.#tail, (this.#tail + this.#advance) | 0) === this.#tail;
    if (isSent) words[SENT] = words[SENT]! + 1;
    this.#sendLock.unlock(this.#record.agent.token);
    if (!isSent) return CLOSED;
    this.receivers.signal();
    // Invariant 3.
    if (this.#hasSleptSending && this.#hasRoom()) this.senders.signal();
    return DONE;
  }

  /** Makes the reserved place a shorter message than was asked for; then {@link Ring.commit}. */
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
    this.senders.signal();
    this.receivers.signalAll();
  }

  /**
   * Claims the oldest message, without waiting: DONE, and it is to be read and then released, or kept.
   *
   * @param lengthMax a longer message is left: TOO_LARGE, and {@link Ring.claimedLength} tells how long it is
   */
  tryClaim(lengthMax: number): Result {
    if (this.#isClaimed || !this.#lockReceivingBriefly()) return NOT_NOW;
    return this.#claim(lengthMax, false);
  }

  /**
   * {@link Ring.tryClaim}, blocking for at most `timeoutMs`.
   *
   * @throws MayNotBlockError `MAY_NOT_BLOCK` if it would have to wait where that isn't possible
   * @throws InUseError `IN_USE` if this end has borrowed a message and not released it
   */
  claim(timeoutMs: number, lengthMax: number): Result {
    if (this.#isClaimed) throw new InUseError('receiving while a message is borrowed');
    let result = this.tryClaim(lengthMax);
    if (result !== NOT_NOW) return result;
    if (!mayBlock()) throw new MayNotBlockError('the channel is empty; use the asynchronous form or the one that tries here');
    if (spinWhile(this.#words, TAIL, this.#words[TAIL_SEEN]!)) {
      result = this.tryClaim(lengthMax);
      if (result !== NOT_NOW) return result;
    }
    const deadline = deadlineAfter(timeoutMs);
    for (let hasSlept = false; ; hasSlept = true) {
      const ticket = this.receivers.announce();
      if (this.#partial === undefined) this.#lockAgain(this.#receiveLock, this.receivers, hasSlept);
      result = this.#claim(lengthMax, hasSlept);
      if (result !== NOT_NOW || this.#closeIfDeserted()) {
        this.receivers.retire();
        if (result !== NOT_NOW) return result;
        continue;
      }
      // Only now: the dead one may have committed a frame before.
      if (this.receivers.block(ticket, remainingMs(deadline)) === 'timed-out') return this.#lastClaim(lengthMax);
    }
  }

  /**
   * {@link Ring.tryClaim}, waiting without blocking the thread.
   *
   * @throws AbortedError `ABORTED` if the signal gives the wait up
   */
  async claimAsync(timeoutMs: number, signal: AbortSignal | undefined, lengthMax: number): Promise<Result> {
    const deadline = deadlineAfter(timeoutMs);
    for (let hasSlept = false; ; hasSlept = true) {
      if (hasSlept && this.#partial === undefined && this.#receiveLock.isLocked) this.receivers.signal();
      if (this.#isClaimed || !this.#lockReceivingBriefly()) await this.#lockAsync(this.#receiveLock);
      const ticket = this.receivers.announce();
      const result = this.#claim(lengthMax, hasSlept);
      if (result !== NOT_NOW || this.#closeIfDeserted()) {
        this.receivers.retire();
        if (result !== NOT_NOW) return result;
        continue;
      }
      const options = { timeoutMs: remainingMs(deadline), signal, operation: RECEIVING };
      try {
        if ((await this.receivers.wait(ticket, options)) === 'timed-out') return this.#lastClaim(lengthMax);
      } catch (error) {
        // In a rendezvous a sender may have counted on us.
        if (this.capacity === 0 && this.#lastClaim(lengthMax) === DONE) return DONE;
        throw error;
      }
    }
  }

  /** A copy of the claimed message. */
  copyClaimed(): Uint8Array<ArrayBuffer> {
    return this.claimedLong ?? copyOut(this.bytes, this.#frames, this.claimedPlace, this.claimedLength);
  }

  /** Takes a copy of the claimed message, and of those behind it that are there, `countMax` together. */
  takeMany(countMax: number): Uint8Array<ArrayBuffer>[] {
    const messages = [this.copyClaimed()];
    while (messages.length < countMax && this.claimedLong === undefined) {
      this.#words[RECEIVED] = this.#words[RECEIVED]! + 1;
      Atomics.add(this.#words, HEAD, this.#claimAdvance);
      // The lock is ours still. What is not to be had at once, or is long, is left to the next call.
      const result = this.#hasMessages() ? this.#findMessage(this.frameByteLengthMax) : NOT_NOW;
      if (result !== DONE) {
        this.#isClaimed = false;
        this.#receiveLock.unlock(this.#record.agent.token);
        this.senders.signalAll();
        if (result !== NOT_NOW) this.receivers.signal();
        return messages;
      }
      messages.push(this.copyClaimed());
    }
    this.release();
    if (messages.length > 1) this.senders.signalAll();
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
    this.#receiveLock.unlock(this.#record.agent.token);
    this.senders.signal();
    // Invariant 3.
    if (this.#hasSleptReceiving && this.#hasMessages()) this.receivers.signal();
  }

  /** Leaves the claimed message where it is. */
  keep(): void {
    this.#isClaimed = false;
    this.#receiveLock.unlock(this.#record.agent.token);
    // It may have been this receiver that was woken for it, or found by a select.
    this.receivers.signal();
  }

  #reserved(hasSlept: boolean): Result {
    this.#isReserved = true;
    this.#hasSleptSending = hasSlept;
    return DONE;
  }

  #unlockSending(): void {
    this.#sendLock.unlock(this.#record.agent.token);
  }

  /** Looks for a place with `sendLock`, and writes the head of the frame there. */
  #findRoom(length: number, isFirst: boolean): Result {
    const words = this.#words;
    const frame = frameSizeOf(length);
    let tail = Atomics.load(words, TAIL);
    if ((tail & POSITION_CLOSED) !== 0) return CLOSED;
    if (this.#record.isCompact && (tail & (this.#size - 1)) >= COMPACT_PLACE_MIN) tail = this.#startAgain(tail);
    let place = tail & (this.#size - 1);
    const rest = this.#size - place;
    const advance = frame <= rest ? frame : rest + frame;
    const limit = isFirst ? this.#limit : Infinity;
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
    const { token } = this.#record.agent;
    if (!this.#isEmptyAt(tail) || !this.#receiveLock.takeFree(token)) return tail;
    const words = this.#words;
    const place = tail & (this.#size - 1);
    const start = (tail + this.#size - place) | 0;
    this.#frames[place >> 2] = FRAME_WRAP;
    const isMoved = this.#isEmptyAt(tail) && Atomics.compareExchange(words, TAIL, tail, start) === tail;
    if (isMoved) {
      Atomics.add(words, HEAD, this.#size - place);
      words[TAIL_SEEN] = start;
    }
    this.#receiveLock.unlock(token);
    return isMoved ? start : tail;
  }

  #write(message: Uint8Array): void {
    const { bytes, reservedPlace: place } = this;
    const { length } = message;
    if (length > LOOP_BYTES_MAX) bytes.set(message, place);
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

  #isEmptyAt(tail: number): boolean {
    return (Atomics.load(this.#words, HEAD) & POSITION_MASK) === tail;
  }

  /** Whether another message might fit. */
  #hasRoom(): boolean {
    const words = this.#words;
    const head = Atomics.load(words, HEAD) & POSITION_MASK;
    const used = ((Atomics.load(words, TAIL) & POSITION_MASK) - head) >>> 0;
    const length = (words[SENT]! - Atomics.load(words, RECEIVED)) | 0;
    return used < this.#size && length < this.#limit;
  }

  #hasMessages(): boolean {
    const head = Atomics.load(this.#words, HEAD) & POSITION_MASK;
    return (Atomics.load(this.#words, TAIL) & POSITION_MASK) !== head;
  }

  /** The bytes of a frame of a message that takes several. */
  get #chunkLength(): number {
    return this.#size / 4 - FRAME_HEADER_SIZE;
  }

  /** Writes as much of a long message as was reserved, from `sent` on: how much of it is written then. */
  #writeChunk(message: Uint8Array, sent: number): number {
    const index = (this.reservedPlace - FRAME_HEADER_SIZE) >> 2;
    const end = sent + this.#frames[index]!;
    this.bytes.set(message.subarray(sent, end), this.reservedPlace);
    if (sent > 0) this.#frames[index] = this.#frames[index]! | FRAME_CONTINUED;
    this.#frames[index + 1] = message.length - end;
    return end;
  }

  /** {@link Ring.commit} for a frame of a long message: `sendLock` is kept until the last one. */
  #commitChunk(isLast: boolean): Result {
    if (isLast) return this.commit();
    const next = (this.#tail + this.#advance) | 0;
    if (Atomics.compareExchange(this.#words, TAIL, this.#tail, next) !== this.#tail) {
      this.abandon();
      return CLOSED;
    }
    this.receivers.signal();
    return DONE;
  }

  /** Waits for a place for the next frame of a long message, with `sendLock`. */
  #findNextRoom(message: Uint8Array, sent: number, deadline: number): Result {
    for (;;) {
      const ticket = this.senders.announce();
      const result = this.#lookForNextRoom(message, sent);
      if (result !== NOT_NOW) return result;
      if (this.senders.block(ticket, remainingMs(deadline)) === 'timed-out') {
        this.abandon();
        return TIMED_OUT;
      }
    }
  }

  async #findNextRoomAsync(message: Uint8Array, sent: number, deadline: number, signal: AbortSignal | undefined): Promise<Result> {
    for (;;) {
      const ticket = this.senders.announce();
      const result = this.#lookForNextRoom(message, sent);
      if (result !== NOT_NOW) return result;
      try {
        const options = { timeoutMs: remainingMs(deadline), signal, operation: SENDING };
        if ((await this.senders.wait(ticket, options)) !== 'timed-out') continue;
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
    if (result === NOT_NOW && this.#closeIfDeserted()) result = CLOSED;
    if (result !== NOT_NOW) this.senders.retire();
    if (result === CLOSED) this.abandon();
    return result;
  }

  /** Sends in a rendezvous if a receiver sleeps in it. */
  #tryMeet(message: Uint8Array): Result {
    if (this.#isReserved || this.#isClaimed || this.#partial !== undefined || !this.#lockBriefly(this.#sendLock)) return NOT_NOW;
    if (!this.#lockBriefly(this.#receiveLock)) {
      this.#unlockSending();
      return NOT_NOW;
    }
    let result = this.#findRoom(message.length, true);
    // With both locks: a receiver that gives up looks once more, with its lock, after it is no longer counted.
    if (result === DONE && this.receivers.count === 0) result = NOT_NOW;
    if (result === DONE) {
      this.#write(message);
      this.#hasSleptSending = false;
      result = this.commit();
    } else {
      this.#unlockSending();
    }
    this.#receiveLock.unlock(this.#record.agent.token);
    return result;
  }

  /** Waits until the message just sent into a rendezvous is taken, or takes it back (invariant 6). */
  #awaitTaken(deadline: number): Result {
    const end = (this.#tail + this.#advance) | 0;
    for (;;) {
      const ticket = this.senders.announce();
      const isOver = this.#isTaken(end) || this.isClosed || this.#closeIfDeserted();
      if (isOver) this.senders.retire();
      if (!isOver && this.senders.block(ticket, remainingMs(deadline)) !== 'timed-out') continue;
      if (this.#isTaken(end)) return DONE;
      this.#lock(this.#receiveLock);
      return this.#takeBack(end) ? (isOver ? CLOSED : TIMED_OUT) : DONE;
    }
  }

  async #awaitTakenAsync(deadline: number, signal: AbortSignal | undefined): Promise<Result> {
    const end = (this.#tail + this.#advance) | 0;
    for (;;) {
      const ticket = this.senders.announce();
      const isOver = this.#isTaken(end) || this.isClosed || this.#closeIfDeserted();
      if (isOver) this.senders.retire();
      let reason: unknown;
      try {
        const options = { timeoutMs: remainingMs(deadline), signal, operation: SENDING };
        if (!isOver && (await this.senders.wait(ticket, options)) !== 'timed-out') continue;
      } catch (error) {
        reason = error;
      }
      if (this.#isTaken(end)) return DONE;
      if (!this.#lockBriefly(this.#receiveLock)) await this.#lockAsync(this.#receiveLock);
      if (!this.#takeBack(end)) return DONE;
      if (reason !== undefined) throw reason;
      return isOver ? CLOSED : TIMED_OUT;
    }
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
      this.#look();
      words[RECEIVED] = words[RECEIVED]! + 1;
      Atomics.add(words, HEAD, (end - (Atomics.load(words, HEAD) & POSITION_MASK)) | 0);
    }
    this.#receiveLock.unlock(this.#record.agent.token);
    this.senders.signal();
    return isOurs;
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
      this.#hasSleptReceiving = hasSlept;
    } else if (this.#partial === undefined) {
      this.#receiveLock.unlock(this.#record.agent.token);
      // A select or a sleeper may have been told of the message that stays.
      if (result === TOO_LARGE) this.receivers.signal();
    }
    return result;
  }

  #findMessage(lengthMax: number): Result {
    const words = this.#words;
    const frames = this.#frames;
    for (;;) {
      const head = Atomics.load(words, HEAD) & POSITION_MASK;
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
        partial.set(this.bytes.subarray(place + FRAME_HEADER_SIZE, place + FRAME_HEADER_SIZE + length), this.#partialLength);
        this.#partialLength = end;
      }
      // Without a beginning, it was taken by a receiver that died.
      if (rest === 0) words[RECEIVED] = words[RECEIVED]! + 1;
      Atomics.add(words, HEAD, advance);
      this.senders.signal();
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

  #isSenderGone(): boolean {
    const owner = this.#sendLock.word & OWNER_MASK;
    return owner === 0 || !(this.#record.agent.registry?.isLiveToken(owner) ?? true);
  }

  #allocate(length: number): Uint8Array<ArrayBuffer> {
    try {
      return new Uint8Array(length);
    } catch (error) {
      throw this.#broken(`a message of ${length} bytes`, error);
    }
  }

  #broken(what: string, cause?: unknown): InvalidRecordError {
    return new InvalidRecordError(`the channel at ${this.location.byteOffset} is broken: ${what}`, { cause });
  }

  /** The end of the messages by a fresh look, with its flag. */
  #look(): number {
    const tail = Atomics.load(this.#words, TAIL);
    this.#words[TAIL_SEEN] = tail;
    return tail;
  }

  /** The last look of a receiver that gives up: in a rendezvous a sender may have counted on it. */
  #lastClaim(lengthMax: number): Result {
    if (this.capacity !== 0 || this.tryClaim(lengthMax) !== DONE) return TIMED_OUT;
    return DONE;
  }

  /** Lets go of the receiving side in the middle of a long message, whose rest nobody will get. */
  #dropPartial(): void {
    this.#partial = undefined;
    this.#receiveLock.unlock(this.#record.agent.token);
    this.receivers.signal();
  }

  /** Closes the channel if all who have ends of one side are dead. */
  #closeIfDeserted(): boolean {
    if (!this.#ends.sweep()) return false;
    this.close();
    return true;
  }

  /** Takes the lock of a side, blocking. A dead owner has left nothing half-done (invariant 1). */
  #lock(lock: RawMutex): void {
    if (!lock.takeFree(this.#record.agent.token) && lock.take(Infinity) === TAKEN_POISONED) lock.clearPoison();
  }

  /** {@link Ring.#lock} after a sleep: if it is taken for a long message, its owner may be who should have been woken. */
  #lockAgain(lock: RawMutex, waiters: Waiters, hasSlept: boolean): void {
    if (hasSlept && lock.isLocked) waiters.signal();
    this.#lock(lock);
  }

  async #lockAsync(lock: RawMutex): Promise<void> {
    if ((await lock.takeAsync(Infinity, undefined)) === TAKEN_POISONED) lock.clearPoison();
  }

  #lockReceivingBriefly(): boolean {
    return this.#partial !== undefined || this.#lockBriefly(this.#receiveLock);
  }

  /**
   * Takes the lock of a side, which is held for the time of one copy. Where this thread may not block it spins, and `false` means
   * that it was in vain.
   */
  #lockBriefly(lock: RawMutex): boolean {
    if (lock.takeFree(this.#record.agent.token)) return true;
    if (mayBlock()) {
      this.#lock(lock);
      return true;
    }
    const deadline = deadlineAfter(BRIEF_SPIN_MS);
    do {
      const outcome = lock.takeUnowned();
      if (outcome === TAKEN_POISONED) lock.clearPoison();
      if (outcome !== FAILED) return true;
      for (let round = 0; round < BRIEF_SPIN_ROUNDS; round += 1) spinPause();
    } while (remainingMs(deadline) > 0);
    return false;
  }
}
