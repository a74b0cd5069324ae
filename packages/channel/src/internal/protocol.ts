/**
 * The protocol of every channel: a ring between two locks. Rust's `heddle-channel` runs the same one on the same record.
 *
 * It promises: what is sent is received once, by one receiver; what one sender sends is received in its order; a closed
 * channel gives what it still holds and then says that it is closed; a thread that dies loses at most the message it was
 * just sending, and one it was just receiving goes to another receiver.
 *
 * ## State
 * Positions run freely modulo 2^32, in multiples of 8, so that three bits stay for flags; `position & (ringSize - 1)` is the
 * place in the ring. The ring holds what lies between `head` and `tail`.
 *
 * | word | written by | means |
 * | --- | --- | --- |
 * | `sendLock` | senders | who is sending |
 * | `tail` | the sender with the lock; a closer | the position behind the last message, + CLOSED; receivers sleep on it |
 * | `receiversWaiting` | receivers | how many of them sleep or are about to, at least |
 * | `receiveLock` | receivers | who is receiving |
 * | `head` | the receiver with the lock; a closer | the position of the oldest message, + CLOSED; senders sleep on it |
 * | `sendersWaiting` | senders | how many of them sleep or are about to, at least |
 * | `sent`, `received` | the owner of the lock | messages so far; their difference is the length |
 * | `headSeen`, `receivedSeen`, `tailSeen` | the owner of the lock | what was read last from the other side |
 *
 * ## Invariants
 * 1. Between `tail` and `head + ringSize` only the owner of `sendLock` writes; between `head` and `tail` only the owner of
 *    `receiveLock` reads. A message exists exactly from the write of `tail` behind it to the write of `head` behind it: an
 *    owner that dies between leaves the channel as it was, and the poison of its lock can be cleared.
 * 2. Nobody sleeps with a lock. Who is going to sleep counts itself and then looks once more; who changes a position looks at
 *    the other side's count afterwards. Either the first sees the change or the second the count.
 * 3. Each change of a position wakes one while anybody is counted. A sender who slept and found room wakes the next if there is
 *    more room, since what one receiver frees may do for several messages.
 * 4. `tail` is moved by compare-exchange: a message and a close exclude each other.
 * 5. `received` is written before `head`, `sent` after `tail`: dying between makes the channel look emptier by one, never
 *    fuller; when a sender finds the ring empty, the counts are made equal again.
 *
 * ## Fairness
 * That of the locks: none beyond the host's queue. A large message may wait while smaller ones pass.
 *
 * ## Memory orderings
 * Every `Atomics` call is SeqCst. The sender's compare-exchange of `tail` publishes the bytes of the message; the receiver's
 * add to `head` publishes that they have been read. What one lock guards is plain memory.
 *
 * ## Source
 * The two-lock queue of Michael and Scott (1996), on a ring; the sleeping of U. Drepper's mutex, with a flag a side.
 */
import {
  type Agent,
  type AsyncWaitOptions,
  FAILED,
  RawMutex,
  type ResolvedLocation,
  TAKEN_POISONED,
  agentOf,
  block,
  deadlineAfter,
  remainingMs,
  resolveLocation,
  spinWhile,
  spinPause,
  type WaitResult,
  waitAsync,
} from '@heddle/atomics/internal';
import { InvalidArgumentError, InvalidRecordError, MayNotBlockError, type SharedLocation, mayBlock } from '@heddle/atomics';
import {
  CHANNEL_HEADER_ALIGN,
  CHANNEL_HEADER_CAPACITY_OFFSET,
  CHANNEL_HEADER_HEAD_OFFSET,
  CHANNEL_HEADER_HEAD_SEEN_OFFSET,
  CHANNEL_HEADER_MAGIC_OFFSET,
  CHANNEL_HEADER_RECEIVED_OFFSET,
  CHANNEL_HEADER_RECEIVED_SEEN_OFFSET,
  CHANNEL_HEADER_RECEIVERS_OFFSET,
  CHANNEL_HEADER_RECEIVERS_WAITING_OFFSET,
  CHANNEL_HEADER_RECEIVE_LOCK_OFFSET,
  CHANNEL_HEADER_RING_SIZE_OFFSET,
  CHANNEL_HEADER_SENDERS_OFFSET,
  CHANNEL_HEADER_SENDERS_WAITING_OFFSET,
  CHANNEL_HEADER_SEND_LOCK_OFFSET,
  CHANNEL_HEADER_SENT_OFFSET,
  CHANNEL_HEADER_SIZE,
  CHANNEL_HEADER_TAIL_OFFSET,
  CHANNEL_HEADER_TAIL_SEEN_OFFSET,
  CHANNEL_HEADER_VERSION_OFFSET,
  CHANNEL_MAGIC,
  CHANNEL_VERSION,
  FRAME_ALIGN,
  FRAME_HEADER_SIZE,
  FRAME_LENGTH_MASK,
  FRAME_WRAP as FRAME_WRAP_UNSIGNED,
  POSITION_CLOSED,
  POSITION_MASK as POSITION_MASK_UNSIGNED,
  RING_SIZE_MAX,
  RING_SIZE_MIN,
} from './layout.ts';

const wordOf = (byteOffset: number): number => byteOffset >> 2;
const MAGIC = wordOf(CHANNEL_HEADER_MAGIC_OFFSET);
const VERSION = wordOf(CHANNEL_HEADER_VERSION_OFFSET);
const RING_SIZE = wordOf(CHANNEL_HEADER_RING_SIZE_OFFSET);
const CAPACITY = wordOf(CHANNEL_HEADER_CAPACITY_OFFSET);
const SENDERS = wordOf(CHANNEL_HEADER_SENDERS_OFFSET);
const RECEIVERS = wordOf(CHANNEL_HEADER_RECEIVERS_OFFSET);
const SEND_LOCK = wordOf(CHANNEL_HEADER_SEND_LOCK_OFFSET);
const SENT = wordOf(CHANNEL_HEADER_SENT_OFFSET);
const HEAD_SEEN = wordOf(CHANNEL_HEADER_HEAD_SEEN_OFFSET);
const RECEIVED_SEEN = wordOf(CHANNEL_HEADER_RECEIVED_SEEN_OFFSET);
const TAIL = wordOf(CHANNEL_HEADER_TAIL_OFFSET);
const RECEIVERS_WAITING = wordOf(CHANNEL_HEADER_RECEIVERS_WAITING_OFFSET);
const RECEIVE_LOCK = wordOf(CHANNEL_HEADER_RECEIVE_LOCK_OFFSET);
const RECEIVED = wordOf(CHANNEL_HEADER_RECEIVED_OFFSET);
const TAIL_SEEN = wordOf(CHANNEL_HEADER_TAIL_SEEN_OFFSET);
const HEAD = wordOf(CHANNEL_HEADER_HEAD_OFFSET);
const SENDERS_WAITING = wordOf(CHANNEL_HEADER_SENDERS_WAITING_OFFSET);

// Int32Array elements are signed.
const POSITION_MASK = POSITION_MASK_UNSIGNED | 0;
const FRAME_WRAP = FRAME_WRAP_UNSIGNED | 0;

/** Below this many bytes a loop is faster than `set` and `slice`. */
const LOOP_BYTES_MAX = 48;

/** How long a thread that may not block spins for a lock that is held for the time of one copy. */
const BRIEF_SPIN_MS = 2;
const BRIEF_SPIN_ROUNDS = 64;

/** How an operation ended. */
export type Result = typeof DONE | typeof NOT_NOW | typeof TIMED_OUT | typeof CLOSED;
/** Sent, or received. */
export const DONE = 0;
/** Full, or empty. */
export const NOT_NOW = 1;
/** Full, or empty, until the time ran out. */
export const TIMED_OUT = 2;
/** Closed; for a receiver also empty. */
export const CLOSED = 3;

/** A message, or why there is none. */
export type Received = Uint8Array<ArrayBuffer> | Exclude<Result, typeof DONE>;

/** The bytes of the frame of a message. */
const frameSizeOf = (length: number): number => (FRAME_HEADER_SIZE + length + FRAME_ALIGN - 1) & -FRAME_ALIGN;

/** What a new channel is like. */
export interface RingOptions {
  /** Messages. */
  readonly capacity: number;
  /** Bytes, a power of two. */
  readonly ringByteLength: number;
}

/** The bytes of a channel's record. */
export function recordByteLength(ringByteLength: number): number {
  return CHANNEL_HEADER_SIZE + ringByteLength;
}

/** The channel at one place, for the ends of one thread. */
export class Ring {
  readonly #words: Int32Array;
  readonly #bytes: Uint8Array;
  readonly #frames: Int32Array;
  readonly #agent: Agent;
  readonly #sendLock: RawMutex;
  readonly #receiveLock: RawMutex;
  readonly #size: number;
  readonly #mask: number;
  /** The position that was found not to allow anything, for the wait that follows at once. */
  #expected = 0;

  /** Where the channel is. */
  readonly location: ResolvedLocation;
  /** How many messages fit at most. */
  readonly capacity: number;
  /** The bytes of the longest message. */
  readonly messageByteLengthMax: number;

  private constructor(location: ResolvedLocation, size: number, capacity: number) {
    const { buffer, byteOffset } = location;
    this.location = location;
    this.capacity = capacity;
    this.messageByteLengthMax = size / 2 - FRAME_HEADER_SIZE;
    this.#size = size;
    this.#mask = size - 1;
    this.#words = new Int32Array(buffer, byteOffset, wordOf(CHANNEL_HEADER_SIZE));
    this.#bytes = new Uint8Array(buffer, byteOffset + CHANNEL_HEADER_SIZE, size);
    this.#frames = new Int32Array(buffer, byteOffset + CHANNEL_HEADER_SIZE, wordOf(size));
    this.#agent = agentOf(location.memory ?? buffer);
    this.#sendLock = new RawMutex(this.#words, SEND_LOCK, this.#agent);
    this.#receiveLock = new RawMutex(this.#words, RECEIVE_LOCK, this.#agent);
  }

  /**
   * Makes an open channel with one sending and one receiving end.
   *
   * @throws InvalidArgumentError, InvalidRecordError
   */
  static create({ capacity, ringByteLength }: RingOptions, place: SharedLocation | undefined): Ring {
    if (!Number.isInteger(capacity) || capacity < 1 || capacity > 0xffff_ffff) {
      throw new InvalidArgumentError(`a channel holds 1 to 2^32 - 1 messages, not ${String(capacity)}`);
    }
    checkRingByteLength(ringByteLength);
    const size = recordByteLength(ringByteLength);
    const location = resolveLocation(place ?? { buffer: new SharedArrayBuffer(size) }, 'a channel', size, CHANNEL_HEADER_ALIGN);
    const words = new Int32Array(location.buffer, location.byteOffset, wordOf(CHANNEL_HEADER_SIZE));
    for (let i = 0; i < words.length; i += 1) Atomics.store(words, i, 0);
    Atomics.store(words, VERSION, CHANNEL_VERSION);
    Atomics.store(words, RING_SIZE, ringByteLength);
    Atomics.store(words, CAPACITY, capacity | 0);
    Atomics.store(words, SENDERS, 1);
    Atomics.store(words, RECEIVERS, 1);
    // Last: who sees the magic sees the rest.
    Atomics.store(words, MAGIC, CHANNEL_MAGIC);
    return new Ring(location, ringByteLength, capacity);
  }

  /**
   * Opens the channel at a place.
   *
   * @throws InvalidRecordError `INVALID_RECORD` if there is none that this version understands
   */
  static open(place: SharedLocation): Ring {
    const header = resolveLocation(place, 'a channel', CHANNEL_HEADER_SIZE, CHANNEL_HEADER_ALIGN);
    const words = new Int32Array(header.buffer, header.byteOffset, wordOf(CHANNEL_HEADER_SIZE));
    if (Atomics.load(words, MAGIC) !== CHANNEL_MAGIC) throw new InvalidRecordError(`there is no channel at ${header.byteOffset}`);
    const version = Atomics.load(words, VERSION);
    if (version !== CHANNEL_VERSION) {
      throw new InvalidRecordError(`the channel at ${header.byteOffset} has layout ${version}, this is ${CHANNEL_VERSION}`);
    }
    const size = Atomics.load(words, RING_SIZE) >>> 0;
    try {
      checkRingByteLength(size);
    } catch (error) {
      throw new InvalidRecordError(`the channel at ${header.byteOffset} is broken`, { cause: error });
    }
    const location = resolveLocation(place, 'a channel', recordByteLength(size), CHANNEL_HEADER_ALIGN);
    return new Ring(location, size, Atomics.load(words, CAPACITY) >>> 0);
  }

  /** Where the memory's thread registry starts, in bytes, if this thread knows one. */
  get registryByteOffset(): number | undefined {
    return this.#agent.registry?.byteOffset;
  }

  /** How many messages are in the channel; of the past as soon as it is known. */
  get length(): number {
    const received = Atomics.load(this.#words, RECEIVED);
    // A thread that died may have left the difference below zero (invariant 5).
    return Math.max(0, (Atomics.load(this.#words, SENT) - received) | 0);
  }

  /** Whether the channel is closed; it may still hold messages. */
  get isClosed(): boolean {
    return (Atomics.load(this.#words, TAIL) & POSITION_CLOSED) !== 0;
  }

  /** Closes the channel: nothing more is sent, what was sent is still received. */
  close(): void {
    const words = this.#words;
    // Sleepers compare these words, so either they see the flag or they are woken.
    Atomics.or(words, TAIL, POSITION_CLOSED);
    Atomics.or(words, HEAD, POSITION_CLOSED);
    Atomics.notify(words, TAIL);
    Atomics.notify(words, HEAD);
  }

  /** Counts one more sending end. */
  addSender(): void {
    Atomics.add(this.#words, SENDERS, 1);
  }

  /** Counts one more receiving end. */
  addReceiver(): void {
    Atomics.add(this.#words, RECEIVERS, 1);
  }

  /** Gives up a sending end; the last one closes the channel. */
  removeSender(): void {
    if (Atomics.sub(this.#words, SENDERS, 1) === 1) this.close();
  }

  /** Gives up a receiving end; the last one closes the channel. */
  removeReceiver(): void {
    if (Atomics.sub(this.#words, RECEIVERS, 1) === 1) this.close();
  }

  /** Sends without waiting. */
  trySend(message: Uint8Array): Result {
    return this.#lockBriefly(this.#sendLock) ? this.#sendLocked(message, false, false) : NOT_NOW;
  }

  /**
   * Sends, blocking for at most `timeoutMs`.
   *
   * @throws MayNotBlockError `MAY_NOT_BLOCK` if it would have to wait where that isn't possible
   */
  send(message: Uint8Array, timeoutMs: number): Result {
    let result = this.trySend(message);
    if (result !== NOT_NOW) return result;
    if (!mayBlock()) throw new MayNotBlockError('the channel is full; use sendAsync or trySend here');
    if (spinWhile(this.#words, HEAD, this.#words[HEAD_SEEN]!)) {
      result = this.trySend(message);
      if (result !== NOT_NOW) return result;
    }
    const deadline = deadlineAfter(timeoutMs);
    for (let hasSlept = false; ; hasSlept = true) {
      this.#lock(this.#sendLock);
      result = this.#sendLocked(message, true, hasSlept);
      if (result !== NOT_NOW) return result;
      if (this.#block(HEAD, SENDERS_WAITING, remainingMs(deadline)) === 'timed-out') return TIMED_OUT;
    }
  }

  /**
   * Sends, waiting without blocking the thread.
   *
   * @throws AbortedError `ABORTED` if the signal gives the wait up
   */
  async sendAsync(message: Uint8Array, timeoutMs: number, signal: AbortSignal | undefined): Promise<Result> {
    const deadline = deadlineAfter(timeoutMs);
    for (let hasSlept = false; ; hasSlept = true) {
      if (!this.#lockBriefly(this.#sendLock)) await this.#lockAsync(this.#sendLock);
      const result = this.#sendLocked(message, true, hasSlept);
      if (result !== NOT_NOW) return result;
      const options = { timeoutMs: remainingMs(deadline), signal, operation: 'sending to the channel' };
      if ((await this.#waitAsync(HEAD, SENDERS_WAITING, options)) === 'timed-out') return TIMED_OUT;
    }
  }

  /** Receives without waiting: the message, or why there is none. */
  tryReceive(): Received {
    return this.#lockBriefly(this.#receiveLock) ? this.#receiveLocked(false, false) : NOT_NOW;
  }

  /**
   * Receives, blocking for at most `timeoutMs`: the message, or why there is none.
   *
   * @throws MayNotBlockError `MAY_NOT_BLOCK` if it would have to wait where that isn't possible
   */
  receive(timeoutMs: number): Received {
    let result = this.tryReceive();
    if (result !== NOT_NOW) return result;
    if (!mayBlock()) throw new MayNotBlockError('the channel is empty; use recvAsync or tryRecv here');
    if (spinWhile(this.#words, TAIL, this.#words[TAIL_SEEN]!)) {
      result = this.tryReceive();
      if (result !== NOT_NOW) return result;
    }
    const deadline = deadlineAfter(timeoutMs);
    for (let hasSlept = false; ; hasSlept = true) {
      this.#lock(this.#receiveLock);
      result = this.#receiveLocked(true, hasSlept);
      if (result !== NOT_NOW) return result;
      if (this.#block(TAIL, RECEIVERS_WAITING, remainingMs(deadline)) === 'timed-out') return TIMED_OUT;
    }
  }

  /**
   * Receives, waiting without blocking the thread: the message, or why there is none.
   *
   * @throws AbortedError `ABORTED` if the signal gives the wait up
   */
  async receiveAsync(timeoutMs: number, signal: AbortSignal | undefined): Promise<Received> {
    const deadline = deadlineAfter(timeoutMs);
    for (let hasSlept = false; ; hasSlept = true) {
      if (!this.#lockBriefly(this.#receiveLock)) await this.#lockAsync(this.#receiveLock);
      const result = this.#receiveLocked(true, hasSlept);
      if (result !== NOT_NOW) return result;
      const options = { timeoutMs: remainingMs(deadline), signal, operation: 'receiving from the channel' };
      if ((await this.#waitAsync(TAIL, RECEIVERS_WAITING, options)) === 'timed-out') return TIMED_OUT;
    }
  }

  /** Sleeps on a position that was just found not to allow anything, and is no longer counted then. */
  #block(position: number, waiting: number, timeoutMs: number): WaitResult {
    try {
      return block(this.#words, position, this.#expected, timeoutMs, this.#agent, 0, 'the channel would have to wait');
    } finally {
      Atomics.sub(this.#words, waiting, 1);
    }
  }

  /** The same without blocking. */
  async #waitAsync(position: number, waiting: number, options: AsyncWaitOptions): Promise<WaitResult> {
    try {
      return await waitAsync(this.#words, position, this.#expected, { ...options, agent: this.#agent });
    } finally {
      Atomics.sub(this.#words, waiting, 1);
    }
  }

  /** Takes the lock of a side, blocking. A dead owner has left nothing half-done (invariant 1). */
  #lock(lock: RawMutex): void {
    if (!lock.takeFree(this.#agent.token) && lock.take(Infinity) === TAKEN_POISONED) lock.clearPoison();
  }

  async #lockAsync(lock: RawMutex): Promise<void> {
    if ((await lock.takeAsync(Infinity, undefined)) === TAKEN_POISONED) lock.clearPoison();
  }

  /**
   * Takes the lock of a side, which is held for the time of one copy. Where this thread may not block it spins, and `false` means
   * that it was in vain.
   */
  #lockBriefly(lock: RawMutex): boolean {
    if (lock.takeFree(this.#agent.token)) return true;
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

  /** Sends with the lock, and lets go of it. */
  #sendLocked(message: Uint8Array, willWait: boolean, hasSlept: boolean): Result {
    const words = this.#words;
    let result: Result;
    try {
      result = this.#put(message, willWait);
    } finally {
      this.#sendLock.unlock(this.#agent.token);
    }
    if (result === DONE) {
      if (Atomics.load(words, RECEIVERS_WAITING) !== 0) Atomics.notify(words, TAIL, 1);
      // Invariant 3.
      if (hasSlept && this.#hasRoom() && Atomics.load(words, SENDERS_WAITING) !== 0) Atomics.notify(words, HEAD, 1);
    }
    return result;
  }

  #put(message: Uint8Array, willWait: boolean): Result {
    const words = this.#words;
    const tail = Atomics.load(words, TAIL);
    if ((tail & POSITION_CLOSED) !== 0) return CLOSED;
    const { length } = message;
    const frame = frameSizeOf(length);
    let place = tail & this.#mask;
    const rest = this.#size - place;
    const advance = frame <= rest ? frame : rest + frame;
    if (!this.#fits(tail, advance, words[HEAD_SEEN]!, words[RECEIVED_SEEN]!) && !this.#fitsNow(tail, advance)) {
      if (!willWait) return NOT_NOW;
      // Invariant 2.
      Atomics.add(words, SENDERS_WAITING, 1);
      if (!this.#fitsNow(tail, advance)) {
        this.#expected = words[HEAD_SEEN]!;
        if ((this.#expected & POSITION_CLOSED) === 0) return NOT_NOW;
        // Closed since the look at the tail: nobody would wake us from here.
        Atomics.sub(words, SENDERS_WAITING, 1);
        return CLOSED;
      }
      Atomics.sub(words, SENDERS_WAITING, 1);
    }
    const frames = this.#frames;
    if (frame > rest) {
      frames[place >> 2] = FRAME_WRAP;
      place = 0;
    }
    frames[place >> 2] = length;
    frames[(place >> 2) + 1] = 0;
    this.#write(message, place + FRAME_HEADER_SIZE);
    // Publishes the bytes to the look of a receiver; invariants 2 and 4.
    if (Atomics.compareExchange(words, TAIL, tail, (tail + advance) | 0) !== tail) return CLOSED;
    words[SENT] = words[SENT]! + 1;
    return DONE;
  }

  #write(message: Uint8Array, place: number): void {
    const bytes = this.#bytes;
    const { length } = message;
    if (length > LOOP_BYTES_MAX) bytes.set(message, place);
    else for (let i = 0; i < length; i += 1) bytes[place + i] = message[i]!;
  }

  #fits(tail: number, advance: number, head: number, received: number): boolean {
    const used = (tail - (head & POSITION_MASK)) >>> 0;
    const length = (this.#words[SENT]! - received) | 0;
    return used + advance <= this.#size && length < this.capacity;
  }

  #fitsNow(tail: number, advance: number): boolean {
    const words = this.#words;
    // Sees that a receiver has left the place; invariant 2.
    const head = Atomics.load(words, HEAD);
    const received = words[RECEIVED]!;
    words[HEAD_SEEN] = head;
    words[RECEIVED_SEEN] = received;
    // Empty, so nobody is receiving: the counts must agree (invariant 5).
    if ((head & POSITION_MASK) === tail) words[SENT] = received;
    return this.#fits(tail, advance, head, received);
  }

  /** Whether another message might fit. */
  #hasRoom(): boolean {
    const words = this.#words;
    const head = Atomics.load(words, HEAD) & POSITION_MASK;
    const used = ((Atomics.load(words, TAIL) & POSITION_MASK) - head) >>> 0;
    return used < this.#size && this.length < this.capacity;
  }

  /** Receives with the lock, and lets go of it. */
  #receiveLocked(willWait: boolean, hasSlept: boolean): Received {
    const words = this.#words;
    let result: Received;
    try {
      result = this.#get(willWait);
    } finally {
      this.#receiveLock.unlock(this.#agent.token);
    }
    if (typeof result !== 'number') {
      if (Atomics.load(words, SENDERS_WAITING) !== 0) Atomics.notify(words, HEAD, 1);
      // Invariant 3.
      if (hasSlept && this.#hasMessages() && Atomics.load(words, RECEIVERS_WAITING) !== 0) {
        Atomics.notify(words, TAIL, 1);
      }
    }
    return result;
  }

  #get(willWait: boolean): Received {
    const words = this.#words;
    const head = Atomics.load(words, HEAD) & POSITION_MASK;
    let tail = words[TAIL_SEEN]! & POSITION_MASK;
    if (tail === head) {
      tail = this.#look();
      if (tail === head && willWait) {
        // Invariant 2.
        Atomics.add(words, RECEIVERS_WAITING, 1);
        tail = this.#look();
        if (tail !== head) Atomics.sub(words, RECEIVERS_WAITING, 1);
      }
      // Closed, with nothing before the end.
      if ((tail & POSITION_CLOSED) !== 0 && (tail & POSITION_MASK) === head) return CLOSED;
      if (tail === head) {
        this.#expected = tail;
        return NOT_NOW;
      }
      tail &= POSITION_MASK;
    }
    const frames = this.#frames;
    let place = head & this.#mask;
    let length = frames[place >> 2]!;
    let advance = 0;
    if ((length & FRAME_WRAP) !== 0) {
      advance = this.#size - place;
      place = 0;
      length = frames[0]!;
    }
    length &= FRAME_LENGTH_MASK;
    advance += frameSizeOf(length);
    const used = (tail - head) >>> 0;
    if (advance > used) {
      throw new InvalidRecordError(`the channel at ${this.location.byteOffset} is broken: a message of ${length} bytes where ${used} are`);
    }
    const message = this.#read(place + FRAME_HEADER_SIZE, length);
    words[RECEIVED] = words[RECEIVED]! + 1;
    // Tells a sender's look that the place is free; invariant 2.
    Atomics.add(words, HEAD, advance);
    return message;
  }

  #read(place: number, length: number): Uint8Array<ArrayBuffer> {
    const bytes = this.#bytes;
    // Its species is the plain Uint8Array, so the copy is not shared.
    if (length > LOOP_BYTES_MAX) return bytes.slice(place, place + length);
    const message = new Uint8Array(length);
    for (let i = 0; i < length; i += 1) message[i] = bytes[place + i]!;
    return message;
  }

  /** The end of the messages by a fresh look, with its flag. */
  #look(): number {
    const tail = Atomics.load(this.#words, TAIL);
    this.#words[TAIL_SEEN] = tail;
    return tail;
  }

  #hasMessages(): boolean {
    const head = Atomics.load(this.#words, HEAD) & POSITION_MASK;
    return (Atomics.load(this.#words, TAIL) & POSITION_MASK) !== head;
  }
}

function checkRingByteLength(ringByteLength: number): void {
  const isPowerOfTwo = Number.isInteger(ringByteLength) && Math.log2(ringByteLength) % 1 === 0;
  if (!isPowerOfTwo || ringByteLength < RING_SIZE_MIN || ringByteLength > RING_SIZE_MAX) {
    throw new InvalidArgumentError(
      `the ring of a channel is a power of two from ${RING_SIZE_MIN} to ${RING_SIZE_MAX} bytes, not ${String(ringByteLength)}`,
    );
  }
}
