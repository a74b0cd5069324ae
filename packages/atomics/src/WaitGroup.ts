/**
 * A wait group: members who come and go, and threads that wait until no member is left. Rust's `heddle_atomics::WaitGroup` is
 * the same one on the same record.
 *
 * It promises: whoever waits goes on once nobody is left, however many come right after, and sees what each member did before it
 * was done. The group can be used again and again.
 *
 * ## State
 * | bits of the word | means |
 * | --- | --- |
 * | 0–19 | how many members are not done |
 * | 20–31 | the round: one more each time nobody is left |
 *
 * ## Invariants
 * 1. Count and round change in one step: a round ends exactly when its last member is done, and whoever that is wakes everybody.
 * 2. A waiter goes on when the count is 0 or the round isn't the one it came in. It compares the whole word as it falls asleep,
 *    so it either sees the end of its round or is woken by it. (One that sleeps through exactly 4096 rounds takes the next for its
 *    own, and goes on at the end of that.)
 *
 * ## Threads that die
 * The group knows how many its members are, not who. A member in a `using` block is done also when something is thrown; one whose
 * thread traps or is terminated stays in, until somebody calls `done` in its place: whoever reaps the thread.
 *
 * Every `Atomics` call is SeqCst: the compare-exchange of each `done` publishes what the member did.
 *
 * ## Source
 * `sync.WaitGroup` of Go and of crossbeam; the round instead of a second word.
 */
import { CountError, InvalidArgumentError } from './errors.ts';
import { defineDisposeSymbol } from './internal/dispose.ts';
import {
  GROUP_COUNT_MASK,
  GROUP_ROUND_SHIFT,
  WAIT_GROUP_ALIGN,
  WAIT_GROUP_SIZE,
  WAIT_GROUP_WORD_OFFSET,
  WAITING_FOR_WAIT_GROUP,
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

defineDisposeSymbol();

const KIND: RecordKind<'heddle.WaitGroup'> = {
  kind: 'heddle.WaitGroup',
  what: 'a wait group',
  size: WAIT_GROUP_SIZE,
  align: WAIT_GROUP_ALIGN,
};
const WORD = WAIT_GROUP_WORD_OFFSET >> 2;
const ROUND = 1 << GROUP_ROUND_SHIFT;

/** What is posted of a wait group; reopen it with {@link WaitGroup.from}. */
export type WaitGroupHandle = Handle<typeof KIND.kind>;

/** A member of a {@link WaitGroup}: done by `done` or at the end of a `using` block. */
export class Member {
  #group: WaitGroup | undefined;

  /** @param group where the member was added */
  constructor(group: WaitGroup) {
    this.#group = group;
  }

  /** The member is done; a second call is harmless. */
  done(): void {
    const group = this.#group;
    this.#group = undefined;
    group?.done();
  }

  /** The member is done at the end of a `using` block. */
  [Symbol.dispose](): void {
    this.done();
  }
}

/** Members that come and go, and who waits for them. */
export class WaitGroup {
  readonly #record: OpenRecord<typeof KIND.kind>;
  readonly #site: WaitSite;

  /**
   * A wait group at `location`, or in a SharedArrayBuffer of its own. Zeroed bytes are a group without members, and constructing
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
      operation: 'waiting for the group',
      advice: 'members of the group are not done; use waitAsync or tryWait here',
      kind: WAITING_FOR_WAIT_GROUP,
    };
  }

  /** The bytes that a wait group takes; it is aligned to 4. */
  static readonly byteLength: number = WAIT_GROUP_SIZE;
  /** The most members that a group can have at once. */
  static readonly countMax: number = GROUP_COUNT_MASK;

  /**
   * Reopens a wait group that another thread posted.
   *
   * @throws InvalidRecordError `INVALID_RECORD` if the handle is no wait group's
   */
  static from(handle: WaitGroupHandle): WaitGroup {
    checkKind(handle, KIND.kind);
    openRegistryOf(handle);
    return new WaitGroup(handle as SharedLocation);
  }

  /** What to post to another thread. */
  handle(): WaitGroupHandle {
    return this.#record.handle();
  }

  /** How many members are not done; of the past as soon as it is known. */
  get count(): number {
    return Atomics.load(this.#record.words, WORD) & GROUP_COUNT_MASK;
  }

  /**
   * Adds `n` members. Do so before anybody could see them done: before they are spawned.
   *
   * @throws CountError `COUNT_OUT_OF_RANGE` if there would be more than {@link WaitGroup.countMax}; none is added
   * @throws InvalidArgumentError `INVALID_ARGUMENT` if n isn't a whole number, 0 or more
   */
  add(n: number = 1): void {
    if (!Number.isSafeInteger(n) || n < 0) throw new InvalidArgumentError(`0 or more members can be added, not ${String(n)}`);
    const { words } = this.#record;
    let word = Atomics.load(words, WORD);
    for (;;) {
      const count = word & GROUP_COUNT_MASK;
      if (count + n > GROUP_COUNT_MASK) throw new CountError(count, n, GROUP_COUNT_MASK);
      const seen = Atomics.compareExchange(words, WORD, word, (word + n) | 0);
      if (seen === word) return;
      word = seen;
    }
  }

  /**
   * A member is done. The last one wakes everybody who waits.
   *
   * @throws CountError `COUNT_OUT_OF_RANGE` if there is no member
   */
  done(): void {
    const { words } = this.#record;
    let word = Atomics.load(words, WORD);
    for (;;) {
      const count = word & GROUP_COUNT_MASK;
      if (count === 0) throw new CountError(0, -1, GROUP_COUNT_MASK);
      const fewer = count === 1 ? (word - 1 + ROUND) | 0 : word - 1;
      const seen = Atomics.compareExchange(words, WORD, word, fewer);
      if (seen === word) {
        if (count === 1) Atomics.notify(words, WORD);
        return;
      }
      word = seen;
    }
  }

  /**
   * Adds a member for a `using` block.
   *
   * @throws CountError `COUNT_OUT_OF_RANGE` if there are {@link WaitGroup.countMax} already
   */
  member(): Member {
    this.add(1);
    return new Member(this);
  }

  /** Whether no member is left. */
  tryWait(): boolean {
    return this.count === 0;
  }

  /**
   * Waits until no member is left, blocking.
   *
   * @throws MayNotBlockError `MAY_NOT_BLOCK` if members are left and this thread may not block; use `waitAsync` there
   * @throws TimeoutError `TIMEOUT` if the time ran out
   */
  wait(options?: WaitOptions): void {
    waitUntil(this.#site, this.#attempt(), options?.timeoutMs);
  }

  /**
   * Waits until no member is left, without blocking the thread.
   *
   * @throws TimeoutError `TIMEOUT` if the time ran out
   * @throws AbortedError `ABORTED` if the signal gave the wait up; its reason is the `cause`
   */
  waitAsync(options: WaitAsyncOptions = {}): Promise<void> {
    return waitUntilAsync(this.#site, this.#attempt(), options);
  }

  #attempt(): Attempt {
    const { words } = this.#record;
    const round = Atomics.load(words, WORD) >>> GROUP_ROUND_SHIFT;
    return () => {
      const word = Atomics.load(words, WORD);
      return (word & GROUP_COUNT_MASK) === 0 || word >>> GROUP_ROUND_SHIFT !== round ? DONE : word;
    };
  }
}
