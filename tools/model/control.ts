/**
 * The state of one exploration in shared memory, and how threads pass the baton.
 *
 * Only the thread with the baton touches anything here, so everything but the baton itself is plain memory. The baton is a
 * word a thread (`TURN`): who has it stores 1 into that of the next and sleeps on its own. That store publishes all that
 * was written before it to the load by which the next wakes.
 *
 * ## State of a thread
 * | state | means | goes on by |
 * | --- | --- | --- |
 * | READY | it has something to do | being chosen |
 * | BLOCKED | in `Atomics.wait` | a notification, or its time running out |
 * | IDLE | its event loop has nothing to do, and its body isn't over | one of its waits or turns being delivered |
 * | BEREFT | it asks who died | a death, or everybody else's end |
 * | DONE | its body is over | – |
 * | DEAD | it was killed where it stood | – |
 */

// Before anybody replaces them.
const { load, store, notify, wait } = Atomics;

/** States of a thread. */
export const READY = 0;
export const BLOCKED = 1;
export const IDLE = 2;
export const BEREFT = 3;
export const DONE = 4;
export const DEAD = 5;

/** How an execution stands. */
export const RUNNING = 0;
export const OVER = 1;
export const FAILED = 2;

/** States of a wait. */
export const NO_WAIT = 0;
export const WAITING = 1;
export const NOTIFIED = 2;
export const EXPIRED = 3;
/** A turn of the event loop that the body asked for. */
export const TURN_DUE = 4;

export const THREADS_MAX = 6;
const WAITS_MAX = 24;
/** The decisions of one execution; more count as never ending. */
export const CHOICES_MAX = 16_384;
const STEPS_KEPT = 4096;
const MESSAGE_BYTES = 4096;

// Single words.
export const EPOCH = 0;
export const FINISHED = 1;
export const STATUS = 2;
export const THREAD_COUNT = 3;
export const STEP_COUNT = 4;
export const CHOICE_COUNT = 5;
export const PREFIX_LENGTH = 6;
export const STRATEGY = 7;
export const RANDOM = 8;
export const STYLE = 9;
export const PREEMPTIONS_MAX = 10;
export const PREEMPTIONS = 11;
export const DEATHS_LEFT = 12;
/** The killed threads that nobody was told of yet, a bit each. */
export const UNMOURNED = 13;
export const WAIT_ORDER = 14;
export const MESSAGE_LENGTH = 15;
export const FAULT = 16;
export const STOP = 17;
export const RUNNER = 18;
const HEADER_WORDS = 32;

// Words a thread.
export const TURN = HEADER_WORDS;
export const STATE = TURN + THREADS_MAX;
/** Milliseconds on the thread's clock. */
export const CLOCK = STATE + THREADS_MAX;
export const MORTAL = CLOCK + THREADS_MAX;
export const PRIORITY = MORTAL + THREADS_MAX;
/** The thread has nothing to do before another has made a step. */
export const YIELDED = PRIORITY + THREADS_MAX;
/** The wait that the thread is to deliver, + 1. */
export const DELIVERY = YIELDED + THREADS_MAX;

// Waits, WAIT_WORDS words each.
const WAITS = DELIVERY + THREADS_MAX;
const WAIT_WORDS = 6;
const WAIT_STATE = 0;
const WAIT_THREAD = 1;
const WAIT_ADDRESS = 2;
const WAIT_IS_ASYNC = 3;
const WAIT_ORDER_OF = 4;
/** On the clock of the thread; 0 for none. */
const WAIT_DEADLINE = 5;

/** Two words a decision: what was chosen, of how many. */
export const CHOICES = WAITS + WAITS_MAX * WAIT_WORDS;
const STEPS = CHOICES + 2 * CHOICES_MAX;
const STEP_WORDS = 4;
const WORDS = STEPS + STEPS_KEPT * STEP_WORDS;

/** One atomic operation of the execution. */
export interface Step {
  readonly thread: number;
  readonly operation: number;
  readonly byteOffset: number;
  readonly value: number;
}

/** The shared state, as every thread of an exploration sees it. */
export class Control {
  readonly buffer: SharedArrayBuffer;
  readonly words: Int32Array;
  readonly #message: Uint8Array;

  constructor(buffer: SharedArrayBuffer = new SharedArrayBuffer(WORDS * 4 + MESSAGE_BYTES)) {
    this.buffer = buffer;
    this.words = new Int32Array(buffer, 0, WORDS);
    this.#message = new Uint8Array(buffer, WORDS * 4, MESSAGE_BYTES);
  }

  /** The value of a single word. */
  get(word: number): number {
    return this.words[word];
  }

  /** Forgets the last execution. */
  reset(threadCount: number): void {
    const { words } = this;
    words.fill(0, STATE, CHOICES);
    for (const word of [FINISHED, STATUS, STEP_COUNT, CHOICE_COUNT, PREEMPTIONS, WAIT_ORDER, MESSAGE_LENGTH, RUNNER, UNMOURNED])
      words[word] = 0;
    words.fill(0, TURN, TURN + THREADS_MAX);
    words[THREAD_COUNT] = threadCount;
  }

  /** Gives the baton to a thread. */
  wake(thread: number): void {
    store(this.words, TURN + thread, 1);
    notify(this.words, TURN + thread, 1);
  }

  /** Sleeps until this thread has the baton. */
  awaitTurn(thread: number): void {
    while (load(this.words, TURN + thread) === 0) wait(this.words, TURN + thread, 0);
    store(this.words, TURN + thread, 0);
  }

  /** Begins the next execution, or tells the threads to go when `isLast`. */
  begin(isLast: boolean): void {
    this.words[STOP] = isLast ? 1 : 0;
    store(this.words, EPOCH, load(this.words, EPOCH) + 1);
    notify(this.words, EPOCH);
  }

  /** Sleeps until there is another execution than `epoch`; its number. */
  awaitEpoch(epoch: number): number {
    while (load(this.words, EPOCH) === epoch) wait(this.words, EPOCH, epoch);
    return load(this.words, EPOCH);
  }

  /** Says that a thread has cleared up after an execution. */
  finish(): void {
    Atomics.add(this.words, FINISHED, 1);
    notify(this.words, FINISHED);
  }

  /** Sleeps until all have; `false` if that takes longer than `timeoutMs`. */
  awaitFinish(threadCount: number, timeoutMs: number): boolean {
    for (;;) {
      const finished = load(this.words, FINISHED);
      if (finished === threadCount) return true;
      if (wait(this.words, FINISHED, finished, timeoutMs) === 'timed-out') return false;
    }
  }

  /** Ends the execution with what is wrong; the first to say so is heard. */
  fail(message: string): void {
    if (this.words[STATUS] !== RUNNING) return;
    // Encoded apart: it can't be done into shared memory.
    const bytes = new TextEncoder().encode(message).subarray(0, MESSAGE_BYTES);
    this.#message.set(bytes);
    this.words[MESSAGE_LENGTH] = bytes.length;
    this.words[STATUS] = FAILED;
  }

  /** What is wrong. */
  get message(): string {
    return new TextDecoder().decode(this.#message.slice(0, this.words[MESSAGE_LENGTH]));
  }

  /** Notes an atomic operation. */
  note(thread: number, operation: number, byteOffset: number, value: number): void {
    const { words } = this;
    const count = words[STEP_COUNT];
    words[STEP_COUNT] = count + 1;
    const at = STEPS + (count % STEPS_KEPT) * STEP_WORDS;
    words[at] = thread;
    words[at + 1] = operation;
    words[at + 2] = byteOffset;
    words[at + 3] = value;
  }

  /** The last operations, oldest first. */
  steps(countMax: number = STEPS_KEPT): Step[] {
    const { words } = this;
    const count = words[STEP_COUNT];
    const steps: Step[] = [];
    for (let i = Math.max(0, count - Math.min(countMax, STEPS_KEPT)); i < count; i += 1) {
      const at = STEPS + (i % STEPS_KEPT) * STEP_WORDS;
      steps.push({ thread: words[at], operation: words[at + 1], byteOffset: words[at + 2], value: words[at + 3] });
    }
    return steps;
  }

  /** Puts a thread into the queue of an address; its number there. */
  enqueue(thread: number, byteOffset: number, isAsync: boolean, timeoutMs: number, state: number = WAITING): number {
    const { words } = this;
    for (let id = 0; id < WAITS_MAX; id += 1) {
      const at = WAITS + id * WAIT_WORDS;
      if (words[at + WAIT_STATE] !== NO_WAIT) continue;
      words[at + WAIT_STATE] = state;
      words[at + WAIT_THREAD] = thread;
      words[at + WAIT_ADDRESS] = byteOffset;
      words[at + WAIT_IS_ASYNC] = isAsync ? 1 : 0;
      words[at + WAIT_ORDER_OF] = words[WAIT_ORDER]!;
      words[WAIT_ORDER] = words[WAIT_ORDER] + 1;
      words[at + WAIT_DEADLINE] = timeoutMs === Infinity ? 0 : words[CLOCK + thread] + Math.max(1, Math.ceil(timeoutMs));
      return id;
    }
    throw new Error('more waits at once than the model has room for');
  }

  /** Takes a wait out: its state, NOTIFIED or EXPIRED or TURN_DUE. */
  dequeue(id: number): number {
    const at = WAITS + id * WAIT_WORDS + WAIT_STATE;
    const state = this.words[at];
    this.words[at] = NO_WAIT;
    return state;
  }

  /** Takes all waits of a thread out. */
  dequeueAll(thread: number): void {
    for (let id = 0; id < WAITS_MAX; id += 1) if (this.waitThread(id) === thread) this.dequeue(id);
  }

  /** Wakes up to `count` who wait at an address, the longest waiting first; how many it were. */
  notifyQueue(byteOffset: number, count: number): number {
    const { words } = this;
    let woken = 0;
    while (woken < count) {
      const id = this.#oldest((at) => words[at + WAIT_STATE] === WAITING && words[at + WAIT_ADDRESS] === byteOffset);
      if (id === -1) break;
      const at = WAITS + id * WAIT_WORDS;
      words[at + WAIT_STATE] = NOTIFIED;
      // In the order of being woken: so an event loop delivers them.
      words[at + WAIT_ORDER_OF] = words[WAIT_ORDER]!;
      words[WAIT_ORDER] = words[WAIT_ORDER] + 1;
      if (words[at + WAIT_IS_ASYNC] === 0) words[STATE + words[at + WAIT_THREAD]] = READY;
      woken += 1;
    }
    return woken;
  }

  /** The wait of a thread that was notified first, -1 for none. */
  notifiedWait(thread: number): number {
    return this.#oldest((at) => this.words[at + WAIT_STATE] === NOTIFIED && this.#isAsyncOf(at, thread));
  }

  /** A turn that a thread's body asked for, -1 for none. */
  turnDue(thread: number): number {
    return this.#oldest((at) => this.words[at + WAIT_STATE] === TURN_DUE && this.#isAsyncOf(at, thread));
  }

  /** The wait of a thread whose time runs out first, blocking or asynchronous, -1 for none. */
  expirableWait(thread: number, isAsync: boolean): number {
    const { words } = this;
    let first = -1;
    let deadlineFirst = Infinity;
    for (let id = 0; id < WAITS_MAX; id += 1) {
      const at = WAITS + id * WAIT_WORDS;
      const deadline = words[at + WAIT_DEADLINE];
      if (words[at + WAIT_STATE] !== WAITING || words[at + WAIT_THREAD] !== thread) continue;
      if ((words[at + WAIT_IS_ASYNC] === 1) !== isAsync || deadline === 0 || deadline >= deadlineFirst) continue;
      first = id;
      deadlineFirst = deadline;
    }
    return first;
  }

  /** Lets the time of a wait run out. */
  expire(id: number): void {
    const { words } = this;
    const at = WAITS + id * WAIT_WORDS;
    const thread = words[at + WAIT_THREAD];
    words[at + WAIT_STATE] = EXPIRED;
    words[CLOCK + thread] = Math.max(words[CLOCK + thread], words[at + WAIT_DEADLINE]);
  }

  /** Whose wait it is; -1 if there is none. */
  waitThread(id: number): number {
    const at = WAITS + id * WAIT_WORDS;
    return this.words[at + WAIT_STATE] === NO_WAIT ? -1 : this.words[at + WAIT_THREAD];
  }

  /** Where a wait is, and since when, for reports. */
  describeWait(thread: number): string {
    const id = this.#oldest((at) => this.words[at + WAIT_STATE] === WAITING && this.words[at + WAIT_THREAD] === thread);
    return id === -1 ? 'nothing' : `byte ${this.words[WAITS + id * WAIT_WORDS + WAIT_ADDRESS]}`;
  }

  #isAsyncOf(at: number, thread: number): boolean {
    return this.words[at + WAIT_IS_ASYNC] === 1 && this.words[at + WAIT_THREAD] === thread;
  }

  #oldest(matches: (at: number) => boolean): number {
    let oldest = -1;
    let order = Infinity;
    for (let id = 0; id < WAITS_MAX; id += 1) {
      const at = WAITS + id * WAIT_WORDS;
      if (this.words[at + WAIT_STATE] === NO_WAIT || this.words[at + WAIT_ORDER_OF] >= order || !matches(at)) continue;
      oldest = id;
      order = this.words[at + WAIT_ORDER_OF]!;
    }
    return oldest;
  }
}
