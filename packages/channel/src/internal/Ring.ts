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
 * What a sender does is in Sending.ts, what a receiver does in Receiving.ts.
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
  RawMutex,
  type ResolvedLocation,
  TAKEN_POISONED,
  WAITING_FOR_CHANNEL,
  deadlineAfter,
  remainingMs,
  spinPause,
} from '@heddle/atomics/internal';
import { AbortedError, type SharedLocation, TimeoutError, mayBlock } from '@heddle/atomics';
import { BRIEF_MS, BRIEF_SPIN_ROUNDS, trying } from './brief.ts';
import { type Counted, Ends, type Side } from './Ends.ts';
import { FRAME_HEADER_SIZE, POSITION_CLOSED } from './layout.ts';
import { Receiving } from './Receiving.ts';
import { type ChannelRecord, type RingOptions, createRecord, openRecord } from './record.ts';
import { Sending } from './Sending.ts';
import { Waiters } from './Waiters.ts';
import { HEAD, POSITION_MASK, RECEIVED, RECEIVER_WORDS, RECEIVE_LOCK, SENDER_WORDS, SEND_LOCK, SENT, TAIL } from './words.ts';

/** How long a side is waited for, and by whom. */
export interface LockPatience {
  /** Whether this is a waiter that was woken. */
  readonly hasSlept: boolean;
  readonly timeoutMs: number;
  readonly signal: AbortSignal | undefined;
  /** What is waited for, in errors. */
  readonly operation: string;
}

/** The channel at one place, for the ends of one thread. */
export class Ring {
  readonly #record: ChannelRecord;
  readonly #words: Int32Array;
  readonly #ends: Ends;
  readonly #size: number;

  /** Where the channel is. */
  readonly location: ResolvedLocation;
  /** The ring. */
  readonly bytes: Uint8Array<SharedArrayBuffer>;
  /** How many messages fit at most; 0 for a rendezvous. */
  readonly capacity: number;
  /** How many messages may be in the ring. */
  readonly limit: number;
  /** The bytes of the longest message that lies in the ring in one piece. */
  readonly frameByteLengthMax: number;
  /** Those who wait for room. */
  readonly senders: Waiters;
  /** Those who wait for a message. */
  readonly receivers: Waiters;
  /** Who is sending. */
  readonly sendLock: RawMutex;
  /** Who is receiving. */
  readonly receiveLock: RawMutex;
  /** What the senders of this thread do. */
  readonly sending: Sending;
  /** What the receivers of this thread do. */
  readonly receiving: Receiving;

  private constructor(record: ChannelRecord) {
    const { words, agent, location, capacity, bytes } = record;
    this.#record = record;
    this.#words = words;
    this.#size = bytes.length;
    this.#ends = new Ends(record);
    this.location = location;
    this.bytes = bytes;
    this.capacity = capacity;
    this.limit = Math.max(1, capacity);
    this.frameByteLengthMax = this.#size / 2 - FRAME_HEADER_SIZE;
    this.sendLock = new RawMutex(words, SEND_LOCK, agent, { name: 'the sending side of the channel', purpose: WAITING_FOR_CHANNEL });
    this.receiveLock = new RawMutex(words, RECEIVE_LOCK, agent, {
      name: 'the receiving side of the channel',
      purpose: WAITING_FOR_CHANNEL,
    });
    // In a rendezvous those who wait for room and those who wait to be received sleep together.
    this.senders = new Waiters(record, SENDER_WORDS, capacity === 0 ? Infinity : 1);
    this.receivers = new Waiters(record, RECEIVER_WORDS, 1);
    this.sending = new Sending(this, record);
    this.receiving = new Receiving(this, record);
  }

  /** This thread's token, as it is now. */
  get token(): number {
    return this.#record.agent.token;
  }

  /** Whether the thread of that token lives. */
  isLive(token: number): boolean {
    return this.#record.agent.registry?.isLiveToken(token) ?? true;
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
    return this.capacity === 0 || !this.hasRoom();
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
    if (side === 'receiver') this.receiving.giveUpPartial();
    if (this.#ends.remove(side, counted)) this.close();
  }

  /** Whether another message might fit. */
  hasRoom(): boolean {
    const words = this.#words;
    const head = Atomics.load(words, HEAD) & POSITION_MASK;
    const used = ((Atomics.load(words, TAIL) & POSITION_MASK) - head) >>> 0;
    const length = (words[SENT]! - Atomics.load(words, RECEIVED)) | 0;
    return used < this.#size && length < this.limit;
  }

  /** Whether there is a frame. */
  hasMessages(): boolean {
    const head = Atomics.load(this.#words, HEAD) & POSITION_MASK;
    return (Atomics.load(this.#words, TAIL) & POSITION_MASK) !== head;
  }

  /** Closes the channel if a side has lost its last end: whoever had one may be dead. */
  closeIfDeserted(): boolean {
    if (!this.#ends.isDeserted()) return false;
    this.close();
    return true;
  }

  /**
   * Takes the lock of a side, blocking for at most `timeoutMs`: it is held for the time of one copy, and as long as a place is reserved, a
   * message borrowed, or a long one under way. A dead owner has left nothing half-done (invariant 1).
   *
   * @returns whether it was to be had in time
   */
  lock(lock: RawMutex, timeoutMs: number = Infinity): boolean {
    if (lock.takeFree(this.token)) return true;
    const outcome = lock.take(timeoutMs);
    if (outcome === TAKEN_POISONED) lock.clearPoison();
    return outcome !== FAILED;
  }

  /**
   * {@link Ring.lock} for who may have slept: if it is taken for a long message, its owner may be who should have been woken, and who gives
   * up may have been told of something that the next one can have.
   */
  lockAgain(lock: RawMutex, waiters: Waiters, { hasSlept, timeoutMs }: Pick<LockPatience, 'hasSlept' | 'timeoutMs'>): boolean {
    if (hasSlept && lock.isLocked) waiters.signal();
    const isLocked = this.lock(lock, timeoutMs);
    if (!isLocked && hasSlept) waiters.signal();
    return isLocked;
  }

  /**
   * {@link Ring.lockAgain} without blocking the thread.
   *
   * @throws AbortedError `ABORTED` if the signal gives the wait up
   */
  async lockAsync(lock: RawMutex, waiters: Waiters, { hasSlept, timeoutMs, signal, operation }: LockPatience): Promise<boolean> {
    try {
      if ((await lock.takeAsync(timeoutMs, signal)) === TAKEN_POISONED) lock.clearPoison();
      return true;
    } catch (error) {
      if (hasSlept) waiters.signal();
      if (error instanceof TimeoutError) return false;
      throw error instanceof AbortedError ? new AbortedError(operation, error.cause) : error;
    }
  }

  /**
   * Takes the lock of a side: blocking for at most `timeoutMs`, and where this thread may not block, it spins for the time of one copy. So long
   * waits who doesn't want to wait: others may have it for as long as they reserve a place or borrow a message.
   *
   * @returns whether it was to be had
   */
  lockBriefly(lock: RawMutex, timeoutMs: number = trying.patienceMs): boolean {
    if (lock.takeFree(this.token)) return true;
    if (mayBlock()) return this.lock(lock, timeoutMs);
    const deadline = deadlineAfter(BRIEF_MS);
    do {
      const outcome = lock.takeUnowned();
      if (outcome === TAKEN_POISONED) lock.clearPoison();
      if (outcome !== FAILED) return true;
      for (let round = 0; round < BRIEF_SPIN_ROUNDS; round += 1) spinPause();
    } while (remainingMs(deadline) > 0);
    return false;
  }

  /** Whether the ring is empty, seen by the owner of `sendLock`. */
  isEmptyAt(tail: number): boolean {
    return (Atomics.load(this.#words, HEAD) & POSITION_MASK) === tail;
  }
}
