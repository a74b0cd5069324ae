/**
 * The desk of a worker (`Desk` in docs/layout.md): where its creator lays a call, and where it lays what came out of it. What the cells
 * can't hold goes by message, in either direction; that a call has ended is always seen on the desk.
 *
 * # State
 * Calls are numbered from 1. `call` is the number of the last one that began, `result` that of the last one that has ended.
 *
 * # Invariants
 * 1. A worker has one call at a time. From its end to the next call the desk is the creator's, in between it is the worker's.
 * 2. Only the creator writes `call`, only the worker writes `result`. Every call changes `result`, also one that came by message.
 * 3. The worker reads function, thread and arguments of a call only before its end: then the creator writes those of the next one, while `call` still
 *    has the number of the one before. A call that came by message may have ended before the worker looks at the desk, so it notes which.
 *
 * Both words are written last, and read first: the store of `call` publishes function, thread and arguments to the worker, that of
 * `result` outcome and value to the creator.
 */
import {
  noted,
  type OwnWaits,
  PARKER_EMPTY,
  PARKER_NOTIFIED,
  PARKER_PARKED,
  spinWhile,
  WAITING_FOR_PARKER,
} from '@heddle/atomics/internal';
import { isolationProblem } from '#platform';
import { Cells } from './cells.ts';
import {
  DESK_BY_MESSAGE,
  DESK_CALL_OFFSET,
  DESK_CELLS_OFFSET,
  type DESK_DIED,
  DESK_FUNCTION_OFFSET,
  DESK_IS_ENDING_OFFSET,
  DESK_IS_LINGERING_OFFSET,
  DESK_IS_READY_OFFSET,
  DESK_OUTCOME_OFFSET,
  DESK_PARKER_OFFSET,
  type DESK_POSTED,
  DESK_RESULT_OFFSET,
  DESK_RETURNED,
  DESK_SIZE,
  DESK_THREW,
  DESK_THREAD_OFFSET,
  DESK_WAITS_FOR_OFFSET,
  WAIT_JOIN,
  WAIT_PARK,
  WAIT_WORD,
} from './layout.ts';
import { waitWhile } from './wait.ts';
import { type ModuleWaitKind, waitOnDesk } from './waits.ts';

/** What came out of a call, as far as the desk has it. */
export type DeskOutcome = typeof DESK_RETURNED | typeof DESK_THREW | typeof DESK_POSTED | typeof DESK_DIED;

export class Desk {
  /** What is posted of it. */
  readonly buffer: SharedArrayBuffer;
  readonly #words: Int32Array;
  readonly #cells: Cells;
  /** The number of the last call that came to this worker by message. */
  #heard = 0;

  constructor(buffer: SharedArrayBuffer) {
    this.buffer = buffer;
    this.#words = new Int32Array(buffer, 0, DESK_CELLS_OFFSET / 4);
    this.#cells = new Cells(buffer, DESK_CELLS_OFFSET, DESK_SIZE - DESK_CELLS_OFFSET);
  }

  /** A new desk; undefined where this agent can't share memory. */
  static create(): Desk | undefined {
    return isolationProblem() === undefined ? new Desk(new SharedArrayBuffer(DESK_SIZE)) : undefined;
  }

  /** Whether the worker is to end rather than to go on where it was parked. */
  get isEnding(): boolean {
    return this.#load(DESK_IS_ENDING_OFFSET) === 1;
  }

  /** Tells the worker that it is to end, and wakes it if it is parked: whether it was. */
  wakeToEnd(): boolean {
    this.#store(DESK_IS_ENDING_OFFSET, 1);
    // As the parker has it: a token, and a wake-up where somebody waits for it.
    const wasParked = Atomics.exchange(this.#words, DESK_PARKER_OFFSET >>> 2, PARKER_NOTIFIED) === PARKER_PARKED;
    if (wasParked) Atomics.notify(this.#words, DESK_PARKER_OFFSET >>> 2);
    return wasParked;
  }

  /** Takes a token from the parker that the next thread here isn't meant by. */
  clearParker(): void {
    this.#store(DESK_PARKER_OFFSET, PARKER_EMPTY);
  }

  /** Where the worker's thread parks. */
  get parker(): { readonly buffer: SharedArrayBuffer; readonly byteOffset: number } {
    return { buffer: this.buffer, byteOffset: DESK_PARKER_OFFSET };
  }

  /** What the thread waits for; it may have what it waited for when this is read, and may be the next one. */
  get waitsFor(): ModuleWaitKind | undefined {
    return waitOnDesk(this.#load(DESK_WAITS_FOR_OFFSET));
  }

  /** Says what the thread waits for from now on: WAIT_NONE and so on. */
  noteWait(number: number): void {
    this.#store(DESK_WAITS_FOR_OFFSET, number);
  }

  /** What hears of the waits that block this worker: they are noted here, and afterwards what it waited for before. */
  listenToWaits(): OwnWaits {
    let before = 0;
    return {
      begin: (purpose, buffer) => {
        before = this.#load(DESK_WAITS_FOR_OFFSET);
        const isParking = purpose === WAITING_FOR_PARKER && buffer === this.buffer;
        this.noteWait(isParking ? WAIT_PARK : purpose || WAIT_WORD);
      },
      end: () => this.noteWait(before),
    };
  }

  #load(offset: number): number {
    return Atomics.load(this.#words, offset >>> 2);
  }

  #store(offset: number, value: number): void {
    Atomics.store(this.#words, offset >>> 2, value);
  }

  /** Whether the worker has begun to wait for calls. */
  get isReady(): boolean {
    return this.#load(DESK_IS_READY_OFFSET) === 1;
  }

  /** Says that the worker waits for calls. */
  setReady(): void {
    this.#store(DESK_IS_READY_OFFSET, 1);
  }

  /** Lays a call and wakes the worker; `false` if the arguments have to be posted. */
  layCall(call: {
    readonly number: number;
    readonly function: number;
    readonly thread: number;
    readonly args: readonly unknown[];
  }): boolean {
    if (!this.#cells.write(call.args)) return false;
    this.#store(DESK_FUNCTION_OFFSET, call.function);
    this.#store(DESK_THREAD_OFFSET, call.thread);
    this.#store(DESK_CALL_OFFSET, call.number);
    Atomics.notify(this.#words, DESK_CALL_OFFSET >>> 2);
    return true;
  }

  /** Tells a worker that blocks for calls of one that was posted. */
  tellPosted(number: number): void {
    this.#store(DESK_FUNCTION_OFFSET, DESK_BY_MESSAGE | 0);
    this.#store(DESK_CALL_OFFSET, number);
    if (this.#load(DESK_IS_LINGERING_OFFSET) === 1) Atomics.notify(this.#words, DESK_CALL_OFFSET >>> 2);
  }

  /** The number of the last call. */
  get call(): number {
    return this.#load(DESK_CALL_OFFSET);
  }

  /** Resolves when another call than `number` may have been laid. */
  waitForCall(number: number): Promise<void> {
    return waitWhile(this.#words, DESK_CALL_OFFSET >>> 2, number);
  }

  /** Blocks until another call than `number` may have been laid, or posted, but not for long. */
  lingerForCall(number: number, timeoutMs: number): void {
    // Before the wait compares, as `tellPosted` writes the number before it looks here: one of the two sees the other.
    this.#store(DESK_IS_LINGERING_OFFSET, 1);
    Atomics.wait(this.#words, DESK_CALL_OFFSET >>> 2, number, timeoutMs);
    this.#store(DESK_IS_LINGERING_OFFSET, 0);
  }

  /** Notes, in the worker, that a call has come by message (invariant 3). */
  hear(number: number): void {
    this.#heard = number;
  }

  /** The call that lies here, with the number that {@link call} had; undefined if it comes as a message. */
  takeCall(number: number): { readonly function: number; readonly thread: number; readonly args: unknown[] } | undefined {
    if (number === this.#heard) return undefined;
    const index = this.#load(DESK_FUNCTION_OFFSET);
    if (index === (DESK_BY_MESSAGE | 0)) return undefined;
    return {
      function: index,
      thread: this.#load(DESK_THREAD_OFFSET),
      args: this.#cells.read() as unknown[],
    };
  }

  /** Ends a call with a value; `false` if the value has to be posted. */
  layOutcome(number: number, outcome: DeskOutcome, value: unknown): boolean {
    if (!this.#cells.write(value)) return false;
    this.#end(number, outcome);
    return true;
  }

  /** Ends a call of which the desk has nothing: what came out was posted, or nothing came out. */
  layEnd(number: number, outcome: typeof DESK_POSTED | typeof DESK_DIED): void {
    this.#end(number, outcome);
  }

  #end(number: number, outcome: DeskOutcome): void {
    this.#store(DESK_OUTCOME_OFFSET, outcome);
    this.#store(DESK_RESULT_OFFSET, number);
    Atomics.notify(this.#words, DESK_RESULT_OFFSET >>> 2);
  }

  /** The number of the last call that has ended. */
  get result(): number {
    return this.#load(DESK_RESULT_OFFSET);
  }

  /** Looks a few times whether another call than `number` has ended, if that has been worth it lately. */
  spinForResult(number: number): void {
    spinWhile(this.#words, DESK_RESULT_OFFSET >>> 2, number);
  }

  /** Resolves when the call with this number has ended, or `isGone` after {@link wakeCreator}: whether it has ended. */
  async waitForEnd(number: number, isGone: () => boolean): Promise<boolean> {
    for (;;) {
      const last = this.result;
      if (last === number) return true;
      if (isGone()) return false;
      // oxlint-disable-next-line no-await-in-loop -- woken or not, look again
      await waitWhile(this.#words, DESK_RESULT_OFFSET >>> 2, last);
    }
  }

  /** Lets a creator go that waits for a result: none will come. */
  wakeCreator(): void {
    Atomics.notify(this.#words, DESK_RESULT_OFFSET >>> 2);
  }

  /** As {@link waitForEnd}, blocking for so long at most: `false` if the time ran out. */
  waitForEndBlocking(number: number, timeoutMs: number): boolean {
    return noted(WAIT_JOIN, this.buffer, () => this.#waitForEndBlocking(number, timeoutMs));
  }

  #waitForEndBlocking(number: number, timeoutMs: number): boolean {
    const deadlineMs = performance.now() + timeoutMs;
    for (;;) {
      const last = this.result;
      if (last === number) return true;
      const leftMs = deadlineMs - performance.now();
      if (leftMs <= 0) return false;
      Atomics.wait(this.#words, DESK_RESULT_OFFSET >>> 2, last, leftMs);
    }
  }

  /** What came out of the call that ended last: see {@link result} before. */
  takeOutcome(): { readonly outcome: DeskOutcome; readonly value: unknown } {
    const outcome = this.#load(DESK_OUTCOME_OFFSET) as DeskOutcome;
    const hasValue = outcome === DESK_RETURNED || outcome === DESK_THREW;
    return { outcome, value: hasValue ? this.#cells.read() : undefined };
  }
}
