/**
 * Who goes on: asked by the thread with the baton before each of its atomic operations, and when it can't go on itself.
 *
 * What may happen next is a list of options in a fixed order, the current thread's going on first. One of them is chosen –
 * by a list of choices (to repeat an execution, or to go through all of them), or at random – and the choice is written
 * down. So an execution is a list of small numbers, and the same numbers are the same execution.
 *
 * | option | when |
 * | --- | --- |
 * | RUN | a thread is READY |
 * | DELIVER | the event loop of an IDLE thread has something to do |
 * | EXPIRE | a wait has a limit; its time may run out at any moment |
 * | KILL | the model allows a death, and the thread is mortal: the current one, or one that waits |
 *
 * With a bound on preemptions a READY thread is left only so many times in an execution: most bugs need two (Musuvathi and
 * Qadeer, "Iterative Context Bounding", 2007). At random a third of the executions switch often, a third rarely, and a third
 * run threads by priorities that sink at random (after Burckhardt and others, "A Randomized Scheduler with Probabilistic
 * Guarantees", 2010).
 */
import type { Control } from './control.ts';
import {
  BEREFT,
  BLOCKED,
  CHOICES,
  CHOICES_MAX,
  CHOICE_COUNT,
  DEAD,
  DEATHS_LEFT,
  DELIVERY,
  DONE,
  IDLE,
  MORTAL,
  OVER,
  PREEMPTIONS,
  PREEMPTIONS_MAX,
  PREFIX_LENGTH,
  PRIORITY,
  RANDOM,
  READY,
  RUNNER,
  RUNNING,
  STATE,
  STATUS,
  STEP_COUNT,
  STRATEGY,
  STYLE,
  THREAD_COUNT,
  UNMOURNED,
  YIELDED,
} from './control.ts';

/** Choose the first option where no choice is given. */
export const FIRST = 0;
/** Choose at random there. */
export const AT_RANDOM = 1;

const RUN = 0;
const DELIVER = 1;
const EXPIRE = 2;
const KILL = 3;
const KIND_SHIFT = 8;
const OPERAND_MASK = (1 << KIND_SHIFT) - 1;

/** What stands for a dead thread where nobody can go on and so nobody will die. */
const NO_DEATH = 31;
/** No option is left. */
const NOBODY = -1;
/** Who chooses the first thread. */
const OUTSIDER = -1;

const STATE_NAMES = ['ready', 'blocked', 'idle', 'waiting for a death', 'done', 'dead'];

/** Thrown through the code of a thread that is to go no further; no code of a model may swallow it. */
export class StoppedError extends Error {
  override readonly name = 'StoppedError';

  constructor() {
    super('the execution is over');
  }
}

/** The scheduler, on one of the threads that it schedules. */
export class Scheduler {
  readonly #control: Control;
  readonly #words: Int32Array;
  readonly #self: number;
  readonly #options: number[] = [];

  constructor(control: Control, self: number = OUTSIDER) {
    this.#control = control;
    this.#words = control.words;
    this.#self = self;
  }

  /** Whether this thread is to go no further. */
  get isStopped(): boolean {
    return this.#words[STATUS] !== RUNNING || this.#words[STATE + this.#self] === DEAD;
  }

  /** Begins an execution: the first thread gets the baton. */
  start(): void {
    const words = this.#words;
    const count = words[THREAD_COUNT];
    words[STYLE] = words[STRATEGY] === AT_RANDOM ? this.#random(3) : 0;
    for (let thread = 0; thread < count; thread += 1) words[PRIORITY + thread] = words[STYLE] === 2 ? 1000 + this.#random(1000) : 0;
    this.#control.wake(this.#next());
  }

  /** Sleeps until this thread has the baton for the first time. */
  awaitStart(): void {
    this.#control.awaitTurn(this.#self);
    this.#checkStopped();
  }

  /** Before an atomic operation: others may go first. */
  step(): void {
    if (this.isStopped) throw new StoppedError();
    const words = this.#words;
    if (words[RUNNER] !== this.#self) {
      words[RUNNER] = this.#self;
      // Who spins has something to see now.
      for (let thread = 0; thread < words[THREAD_COUNT]; thread += 1) if (thread !== this.#self) words[YIELDED + thread] = 0;
    }
    if (words[CHOICE_COUNT] >= CHOICES_MAX || words[STEP_COUNT] >= CHOICES_MAX) {
      this.fail(`it doesn't end: ${words[STEP_COUNT]} atomic operations so far\n${this.#describe()}`);
    }
    this.#goOn();
  }

  /** Lets the others go first until one of them has made a step. */
  yield(): void {
    if (this.isStopped) throw new StoppedError();
    this.#words[YIELDED + this.#self] = 1;
    this.#goOn();
  }

  /** Sleeps in the wait with the number `id`; its state then. */
  block(id: number): number {
    this.#words[STATE + this.#self] = BLOCKED;
    this.#goOn();
    return this.#control.dequeue(id);
  }

  /** Has the event loop wait for something to do: the number of the wait to deliver. */
  idle(): number {
    if (this.isStopped) throw new StoppedError();
    this.#words[STATE + this.#self] = IDLE;
    this.#goOn();
    return this.#words[DELIVERY + this.#self] - 1;
  }

  /** Waits until a thread has been killed: which one, or -1 when nobody else can go on. */
  awaitDeath(): number {
    const words = this.#words;
    // Again if another one that asks was faster.
    while (words[UNMOURNED] === 0) {
      words[STATE + this.#self] = BEREFT;
      this.#goOn();
    }
    const dead = 31 - Math.clz32(words[UNMOURNED]);
    words[UNMOURNED] &= ~(1 << dead);
    return dead === NO_DEATH ? -1 : dead;
  }

  /** A choice of the model's own: 0 to `count` - 1. */
  choose(count: number): number {
    if (this.isStopped) throw new StoppedError();
    return this.#decide(count, () => this.#random(count));
  }

  /** The body of this thread is over. Returns when the execution is. */
  done(): void {
    if (this.isStopped) throw new StoppedError();
    this.#words[STATE + this.#self] = DONE;
    this.#handOver();
  }

  /** The execution is wrong: ends it. */
  fail(message: string): never {
    this.#control.fail(message);
    this.#end();
    throw new StoppedError();
  }

  #checkStopped(): void {
    if (this.isStopped) throw new StoppedError();
  }

  /** Gives the baton to whose turn it is, and sleeps until it is this thread's. */
  #goOn(): void {
    if (this.#handOver()) this.#checkStopped();
  }

  #handOver(): boolean {
    const words = this.#words;
    const next = this.#next();
    if (next === this.#self && words[STATUS] === RUNNING) return false;
    if (next === NOBODY || words[STATUS] !== RUNNING) this.#end();
    else {
      this.#control.wake(next);
      this.#control.awaitTurn(this.#self);
    }
    return true;
  }

  /** Lets every thread see that the execution is over. */
  #end(): void {
    const words = this.#words;
    if (words[STATUS] === RUNNING) words[STATUS] = OVER;
    for (let thread = 0; thread < words[THREAD_COUNT]; thread += 1) if (thread !== this.#self) this.#control.wake(thread);
  }

  /** Chooses who goes on, and lets happen what has to for that. */
  #next(): number {
    const words = this.#words;
    const control = this.#control;
    for (;;) {
      this.#listOptions();
      const option = this.#options.length === 0 ? this.#lastResort() : this.#options[this.#choose()];
      if (option === NOBODY) return NOBODY;
      const operand = option & OPERAND_MASK;
      switch (option >> KIND_SHIFT) {
        case RUN:
          return this.#run(operand);
        case DELIVER:
        case EXPIRE: {
          const thread = control.waitThread(operand);
          if (option >> KIND_SHIFT === EXPIRE) control.expire(operand);
          words[DELIVERY + thread] = operand + 1;
          return this.#run(thread);
        }
        default:
          this.#kill(operand);
      }
    }
  }

  #run(thread: number): number {
    const words = this.#words;
    if (thread !== this.#self && this.#self !== OUTSIDER && words[STATE + this.#self] === READY && words[YIELDED + this.#self] === 0) {
      words[PREEMPTIONS] = words[PREEMPTIONS] + 1;
    }
    words[STATE + thread] = READY;
    return thread;
  }

  #kill(thread: number): void {
    const words = this.#words;
    words[STATE + thread] = DEAD;
    words[DEATHS_LEFT] = words[DEATHS_LEFT] - 1;
    words[UNMOURNED] |= 1 << thread;
    this.#control.dequeueAll(thread);
    for (let other = 0; other < words[THREAD_COUNT]; other += 1) if (words[STATE + other] === BEREFT) words[STATE + other] = READY;
  }

  #listOptions(): void {
    const words = this.#words;
    const control = this.#control;
    const self = this.#self;
    const options = this.#options;
    const count = words[THREAD_COUNT];
    options.length = 0;
    const canGoOn = self !== OUTSIDER && words[STATE + self] === READY && words[YIELDED + self] === 0;
    if (canGoOn) options.push((RUN << KIND_SHIFT) | self);
    const isBound = canGoOn && words[PREEMPTIONS] >= words[PREEMPTIONS_MAX];
    if (!isBound) {
      for (let thread = 0; thread < count; thread += 1) {
        const state = words[STATE + thread];
        if (state === READY && thread !== self && words[YIELDED + thread] === 0) options.push((RUN << KIND_SHIFT) | thread);
        if (state !== IDLE) continue;
        const notified = control.notifiedWait(thread);
        if (notified !== -1) options.push((DELIVER << KIND_SHIFT) | notified);
        const turn = control.turnDue(thread);
        if (turn !== -1) options.push((DELIVER << KIND_SHIFT) | turn);
      }
      if (options.length === 0) {
        for (let thread = 0; thread < count; thread += 1) if (words[STATE + thread] === READY) options.push((RUN << KIND_SHIFT) | thread);
      }
      for (let thread = 0; thread < count; thread += 1) {
        const state = words[STATE + thread];
        if (state !== BLOCKED && state !== IDLE) continue;
        const id = control.expirableWait(thread, state === IDLE);
        if (id !== -1) options.push((EXPIRE << KIND_SHIFT) | id);
      }
    }
    // A death is no way out of a deadlock.
    if (options.length === 0 || words[DEATHS_LEFT] === 0) return;
    for (let thread = 0; thread < count; thread += 1) {
      const state = words[STATE + thread];
      const isHere = thread === self && state === READY;
      if (words[MORTAL + thread] === 1 && (isHere || (!isBound && (state === BLOCKED || state === IDLE)))) {
        options.push((KILL << KIND_SHIFT) | thread);
      }
    }
  }

  /** Nobody can go on: that is the end, or a deadlock, unless somebody waits for a death that will not come. */
  #lastResort(): number {
    const words = this.#words;
    let isOver = true;
    for (let thread = 0; thread < words[THREAD_COUNT]; thread += 1) {
      const state = words[STATE + thread];
      if (state === BEREFT) {
        words[UNMOURNED] = 1 << NO_DEATH;
        return (RUN << KIND_SHIFT) | thread;
      }
      if (state !== DONE && state !== DEAD) isOver = false;
    }
    if (!isOver) this.#control.fail(`deadlock\n${this.#describe()}`);
    return NOBODY;
  }

  #choose(): number {
    return this.#decide(this.#options.length, () => this.#chooseAtRandom());
  }

  #decide(count: number, atRandom: () => number): number {
    if (count === 1) return 0;
    const words = this.#words;
    const number = words[CHOICE_COUNT];
    words[CHOICE_COUNT] = number + 1;
    const at = CHOICES + 2 * number;
    let choice;
    if (number < words[PREFIX_LENGTH]) choice = words[at]!;
    else choice = words[STRATEGY] === AT_RANDOM ? atRandom() : 0;
    // Choices of another execution: the model did something that wasn't chosen.
    if (choice >= count) {
      this.#control.fail(`choice ${number} is ${choice}, but there are ${count} options: the model is not deterministic`);
      choice = 0;
    }
    words[at] = choice;
    words[at + 1] = count;
    return choice;
  }

  #chooseAtRandom(): number {
    const words = this.#words;
    const options = this.#options;
    let regularCount = 0;
    while (regularCount < options.length && options[regularCount] >> KIND_SHIFT < EXPIRE) regularCount += 1;
    const specialCount = options.length - regularCount;
    if (regularCount === 0) {
      let expireCount = 0;
      while (expireCount < specialCount && options[expireCount] >> KIND_SHIFT === EXPIRE) expireCount += 1;
      return this.#random(expireCount);
    }
    if (specialCount > 0 && this.#random(12) === 0) return regularCount + this.#random(specialCount);
    if (words[STYLE] === 2) return this.#chooseByPriority(regularCount);
    // Going on is the first option; rarely or often something else.
    if (this.#random(words[STYLE] === 0 ? 8 : 2) !== 0) return 0;
    return this.#random(regularCount);
  }

  #chooseByPriority(regularCount: number): number {
    const words = this.#words;
    if (this.#self !== OUTSIDER && this.#random(24) === 0) words[PRIORITY + this.#self] = -words[STEP_COUNT];
    let best = 0;
    let priorityBest = -Infinity;
    for (let i = 0; i < regularCount; i += 1) {
      const option = this.#options[i];
      const operand = option & OPERAND_MASK;
      const priority = words[PRIORITY + (option >> KIND_SHIFT === RUN ? operand : this.#control.waitThread(operand))];
      if (priority <= priorityBest) continue;
      best = i;
      priorityBest = priority;
    }
    return best;
  }

  /** 0 to count - 1. G. Marsaglia's xorshift, whose state is shared. */
  #random(count: number): number {
    let state = this.#words[RANDOM];
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    this.#words[RANDOM] = state;
    return (state >>> 0) % count;
  }

  #describe(): string {
    const lines = [];
    for (let thread = 0; thread < this.#words[THREAD_COUNT]; thread += 1) {
      const state = this.#words[STATE + thread];
      const waits = state === BLOCKED || state === IDLE ? ` on ${this.#control.describeWait(thread)}` : '';
      lines.push(`thread ${thread} is ${STATE_NAMES[state]}${waits}`);
    }
    return lines.join('\n');
  }
}
