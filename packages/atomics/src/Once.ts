/**
 * Something that is done once, by one thread, while the others wait for it. Rust's `heddle_atomics::Once` is the same one on the
 * same record.
 *
 * It promises: of all initialisers one runs at a time, and after one has succeeded none does; who sees it complete sees what the
 * initialiser wrote; one that throws or whose thread dies leaves the once poisoned, and those who wait wake up.
 *
 * ## State
 * | word | means |
 * | --- | --- |
 * | 0 | nobody has begun |
 * | owner | an initialiser runs on that thread |
 * | POISONED | the last initialiser threw, or its thread died |
 * | owner + POISONED | another one runs, and was told |
 * | ONCE_COMPLETE | done, for ever |
 *
 * CONTENDED stands beside each but the last: somebody may be waiting. The word is that of a mutex whose last unlocking is for ever,
 * so a reaper frees it from a dead owner as it does a mutex.
 *
 * ## Invariants
 * 1. Only the owner takes itself out of the word, except when it is dead: then whoever finds that out does.
 * 2. Whoever sleeps has set CONTENDED or seen it set; beginning keeps it, and each end of an initialiser clears it and wakes
 *    everybody.
 * 3. Nothing leaves ONCE_COMPLETE.
 *
 * ## Fairness
 * After a failure anybody who asks for another try may be the next; each of the others waits for that one.
 *
 * Every `Atomics` call is SeqCst: the compare-exchange that ends an initialiser publishes what it wrote.
 *
 * ## Source
 * The futex once of Rust's std, with the owner in the word.
 */
import { InvalidArgumentError, NotOwnerError, OncePoisonedError, WouldDeadlockError } from './errors.ts';
import {
  CONTENDED as CONTENDED_UNSIGNED,
  ONCE_ALIGN,
  ONCE_COMPLETE,
  ONCE_SIZE,
  ONCE_WORD_OFFSET,
  OWNER_MASK,
  OWNER_SLOT_MASK,
  POISONED,
  SLOT_UNREGISTERED,
  WAITING_FOR_ONCE,
  WAITING_ON_OWNER,
} from './internal/layout.ts';
import { type Handle, type SharedLocation, checkKind } from './internal/location.ts';
import { OpenRecord, type RecordKind } from './internal/record.ts';
import {
  type Attempt,
  DONE,
  type WaitAsyncOptions,
  type WaitOptions,
  type WaitSite,
  waitUntil,
  waitUntilAsync,
} from './internal/waiting.ts';
import { openRegistryOf } from './Mutex.ts';

// Int32Array elements are signed.
const CONTENDED = CONTENDED_UNSIGNED | 0;

const KIND: RecordKind<'heddle.Once'> = { kind: 'heddle.Once', what: 'a once', size: ONCE_SIZE, align: ONCE_ALIGN };
const WORD = ONCE_WORD_OFFSET >> 2;
const NOT_BEGUN = 0;

/** What is posted of a once; reopen it with {@link Once.from}. */
export type OnceHandle = Handle<typeof KIND.kind>;

/** What an initialiser is told. */
export interface OnceState {
  /** Whether an initialiser before this one threw or died. */
  readonly isPoisoned: boolean;
}

/** What came of the wish to run the initialiser. */
type Begun = 'completed' | 'poisoned' | 'mine' | 'mine, poisoned';

/** The wish, and who had it: a thread may enter a registry while its initialiser runs. */
interface Begin {
  begun: Begun;
  owner: number;
}

/** Something that is done once. */
export class Once {
  readonly #record: OpenRecord<typeof KIND.kind>;
  readonly #site: WaitSite;

  /**
   * A once at `location`, or in a SharedArrayBuffer of its own. Zeroed bytes are one that nobody has begun, and constructing
   * doesn't write.
   *
   * @throws InvalidRecordError `INVALID_RECORD` for a place where it can't be
   */
  constructor(location?: SharedLocation) {
    this.#record = new OpenRecord(KIND, location);
    this.#site = {
      words: this.#record.words,
      index: WORD,
      agent: this.#record.agent,
      operation: 'waiting for the once',
      advice: 'the initialiser runs elsewhere; use an asynchronous or a try form here',
      kind: WAITING_ON_OWNER | WAITING_FOR_ONCE,
      ownerLives: (word) => !this.#isAbandoned(word),
    };
  }

  /** The bytes that a once takes; it is aligned to 4. */
  static readonly byteLength: number = ONCE_SIZE;

  /**
   * Reopens a once that another thread posted.
   *
   * @throws InvalidRecordError `INVALID_RECORD` if the handle is no once's
   */
  static from(handle: OnceHandle): Once {
    checkKind(handle, KIND.kind);
    openRegistryOf(handle);
    return new Once(handle as SharedLocation);
  }

  /** What to post to another thread. */
  handle(): OnceHandle {
    return this.#record.handle();
  }

  /** Whether an initialiser has succeeded. If so, what it wrote can be seen. */
  get isCompleted(): boolean {
    return this.#word === ONCE_COMPLETE;
  }

  /** Whether the last initialiser threw or died; of the past as soon as it is known. */
  get isPoisoned(): boolean {
    const word = this.#word;
    return word !== ONCE_COMPLETE && ((word & POISONED) !== 0 || this.#isAbandoned(word));
  }

  /**
   * Runs `initialise` unless an initialiser has succeeded already; waits for one that is running, blocking.
   *
   * @returns whether this call ran it
   * @throws MayNotBlockError `MAY_NOT_BLOCK` if one runs elsewhere and this thread may not block; use `callAsync` there
   * @throws OncePoisonedError `ONCE_POISONED` if one has thrown or died; `callForce` tries again
   * @throws WouldDeadlockError `WOULD_DEADLOCK` if this thread, being registered, runs it already
   * @throws TimeoutError `TIMEOUT` if the time ran out
   * @throws InvalidArgumentError `INVALID_ARGUMENT` if `initialise` returns a promise; the once is poisoned then
   * @throws what `initialise` throws; the once is poisoned then
   */
  call(initialise: (state: OnceState) => void, options?: WaitOptions): boolean {
    return this.#call(initialise, false, options);
  }

  /** As {@link Once.call}, also if the once is poisoned; `initialise` is told. */
  callForce(initialise: (state: OnceState) => void, options?: WaitOptions): boolean {
    return this.#call(initialise, true, options);
  }

  /**
   * As {@link Once.call}, without blocking the thread; `initialise` may be asynchronous.
   *
   * @throws AbortedError `ABORTED` if the signal gave the wait up; its reason is the `cause`. A running initialiser goes on
   * @throws OncePoisonedError, TimeoutError as {@link Once.call}
   */
  async callAsync(initialise: (state: OnceState) => void | Promise<void>, options: WaitAsyncOptions = {}): Promise<boolean> {
    return this.#callAsync(initialise, false, options);
  }

  /** As {@link Once.callAsync}, also if the once is poisoned; `initialise` is told. */
  async callForceAsync(initialise: (state: OnceState) => void | Promise<void>, options: WaitAsyncOptions = {}): Promise<boolean> {
    return this.#callAsync(initialise, true, options);
  }

  /**
   * Runs `initialise` if that is possible without waiting.
   *
   * @returns whether the once is complete now; `false` if an initialiser runs elsewhere
   * @throws OncePoisonedError `ONCE_POISONED` if one has thrown or died
   * @throws what `initialise` throws; the once is poisoned then
   */
  tryCall(initialise: (state: OnceState) => void): boolean {
    return this.#tryCall(initialise, false);
  }

  /** As {@link Once.tryCall}, also if the once is poisoned; `initialise` is told. */
  tryCallForce(initialise: (state: OnceState) => void): boolean {
    return this.#tryCall(initialise, true);
  }

  /**
   * Waits until an initialiser has succeeded, blocking.
   *
   * @throws MayNotBlockError `MAY_NOT_BLOCK` if none has and this thread may not block; use `waitAsync` there
   * @throws OncePoisonedError `ONCE_POISONED` if one throws or dies
   * @throws TimeoutError `TIMEOUT` if the time ran out
   */
  wait(options?: WaitOptions): void {
    waitUntil(this.#site, this.#completeAttempt(), options?.timeoutMs);
    this.#checkPoison();
  }

  /**
   * Waits until an initialiser has succeeded, without blocking the thread.
   *
   * @throws AbortedError `ABORTED` if the signal gave the wait up; its reason is the `cause`
   * @throws OncePoisonedError, TimeoutError as {@link Once.wait}
   */
  async waitAsync(options: WaitAsyncOptions = {}): Promise<void> {
    await this.#watching(() => waitUntilAsync(this.#site, this.#completeAttempt(), options));
    this.#checkPoison();
  }

  get #word(): number {
    return Atomics.load(this.#record.words, WORD);
  }

  #call(initialise: (state: OnceState) => void, acceptPoison: boolean, options: WaitOptions | undefined): boolean {
    if (this.isCompleted) return false;
    const begin: Begin = { begun: 'completed', owner: 0 };
    waitUntil(this.#site, this.#beginAttempt(acceptPoison, true, begin), options?.timeoutMs);
    return this.#run(begin, initialise);
  }

  #tryCall(initialise: (state: OnceState) => void, acceptPoison: boolean): boolean {
    const owner = this.#record.agent.token;
    const begun = this.#tryBegin(acceptPoison);
    if (typeof begun === 'number') return false;
    this.#run({ begun, owner }, initialise);
    return true;
  }

  async #callAsync(
    initialise: (state: OnceState) => void | Promise<void>,
    acceptPoison: boolean,
    options: WaitAsyncOptions,
  ): Promise<boolean> {
    if (this.isCompleted) return false;
    // A task that waits for another one of its own thread is no deadlock.
    const begin: Begin = { begun: 'completed', owner: 0 };
    const attempt = this.#beginAttempt(acceptPoison, false, begin);
    await this.#watching(() => waitUntilAsync(this.#site, attempt, options));
    const state = this.#stateOf(begin.begun);
    if (state === undefined) return false;
    const { owner } = begin;
    try {
      await initialise(state);
    } catch (error) {
      this.#finish(owner, POISONED);
      throw error;
    }
    this.#complete(owner);
    return true;
  }

  #run({ begun, owner }: Begin, initialise: (state: OnceState) => unknown): boolean {
    const state = this.#stateOf(begun);
    if (state === undefined) return false;
    try {
      // It would be taken for complete before it is.
      if (initialise(state) instanceof Promise) throw new InvalidArgumentError('an asynchronous initialiser is for callAsync');
    } catch (error) {
      this.#finish(owner, POISONED);
      throw error;
    }
    this.#complete(owner);
    return true;
  }

  /** What the initialiser that is to run is told; `undefined` if none is to. */
  #stateOf(begun: Begun): OnceState | undefined {
    if (begun === 'poisoned') throw new OncePoisonedError(this);
    return begun === 'completed' ? undefined : { isPoisoned: begun === 'mine, poisoned' };
  }

  #beginAttempt(acceptPoison: boolean, blocks: boolean, begin: Begin): Attempt {
    const { agent } = this.#record;
    return () => {
      const begun = this.#tryBegin(acceptPoison);
      if (typeof begun === 'string') {
        begin.begun = begun;
        begin.owner = agent.token;
        return DONE;
      }
      const isOwn = (begun & OWNER_MASK) === agent.token && (agent.token & OWNER_SLOT_MASK) !== SLOT_UNREGISTERED;
      if (blocks && isOwn) throw new WouldDeadlockError('runs the initialiser');
      return this.#announce(begun);
    };
  }

  /** Begins if nobody who lives has begun; else the word of the initialiser that runs. */
  #tryBegin(acceptPoison: boolean): Begun | number {
    const { words, agent } = this.#record;
    let word = this.#word;
    for (;;) {
      if (word === ONCE_COMPLETE) return 'completed';
      const isAbandoned = this.#isAbandoned(word);
      if ((word & OWNER_MASK) !== 0 && !isAbandoned) {
        const now = this.#word;
        if (now === word) return word;
        word = now;
        continue;
      }
      const poison = isAbandoned ? POISONED : word & POISONED;
      if (poison !== 0 && !acceptPoison) return 'poisoned';
      const seen = Atomics.compareExchange(words, WORD, word, agent.token | poison | (word & CONTENDED));
      if (seen === word) return poison === 0 ? 'mine' : 'mine, poisoned';
      word = seen;
    }
  }

  /** Over when it is complete or poisoned. */
  #completeAttempt(): Attempt {
    return () => {
      const word = this.#word;
      if (word === ONCE_COMPLETE) return DONE;
      const isOver = this.#isAbandoned(word) || ((word & POISONED) !== 0 && (word & OWNER_MASK) === 0);
      return isOver ? DONE : this.#announce(word);
    };
  }

  #checkPoison(): void {
    if (!this.isCompleted) throw new OncePoisonedError(this);
  }

  /** Says that somebody waits (invariant 2): the word to sleep on. If it changed meanwhile, the sleep ends at once. */
  #announce(word: number): number {
    if ((word & CONTENDED) === 0) Atomics.compareExchange(this.#record.words, WORD, word, word | CONTENDED);
    return word | CONTENDED;
  }

  #isAbandoned(word: number): boolean {
    if (word === ONCE_COMPLETE || (word & OWNER_MASK) === 0) return false;
    // The word once more: an owner that has made it and left the registry since looks like a dead one.
    return this.#record.agent.registry?.isLiveToken(word & OWNER_MASK) === false && this.#word === word;
  }

  /** Runs an asynchronous wait; a reaper doesn't know of those, so they look after each death themselves. */
  async #watching(wait: () => Promise<void>): Promise<void> {
    const stopWatching = this.#record.agent.registry?.watchDeaths(() => {
      if (this.#isAbandoned(this.#word)) Atomics.notify(this.#record.words, WORD);
    });
    try {
      await wait();
    } finally {
      stopWatching?.();
    }
  }

  #complete(owner: number): void {
    // Somebody else may have run since: what this initialiser made doesn't count.
    if (!this.#finish(owner, ONCE_COMPLETE)) throw new NotOwnerError('completing a once whose thread was declared dead');
  }

  /** Ends the run of `owner`; `false` if it isn't running any more. */
  #finish(owner: number, end: typeof ONCE_COMPLETE | typeof POISONED | typeof NOT_BEGUN): boolean {
    const { words } = this.#record;
    let word = this.#word;
    while (word !== ONCE_COMPLETE && (word & OWNER_MASK) === owner) {
      const seen = Atomics.compareExchange(words, WORD, word, end);
      if (seen === word) {
        if ((word & CONTENDED) !== 0) Atomics.notify(words, WORD);
        return true;
      }
      word = seen;
    }
    return false;
  }
}
