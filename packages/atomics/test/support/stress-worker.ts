/**
 * What the workers of the stress test do: random operations on one record, until all workers together have done enough.
 *
 * A worker may be terminated anywhere. What it left half-done the next owner of the lock sees and mends, as programs do.
 */
import {
  AbortedError,
  Condition,
  Mutex,
  PoisonedError,
  type ReadToken,
  RwLock,
  Semaphore,
  ThreadRegistry,
  type ThreadRegistryHandle,
  type ThreadToken,
  TimeoutError,
  type UnlockToken,
  type WriteToken,
} from '../../src/index.ts';
import { type Jobs, browserPort, isBrowser, nodePort, serve } from './rpc.ts';
import { DONE, FIRST, INSIDE, ITEMS, LEFT, PERMITS, PUT, SECOND, type StressShare, TAKEN, WRONG } from './stress.ts';

const ITEMS_MAX = 3;

/** G. Marsaglia's xorshift. */
function randomOf(seed: number): (count: number) => number {
  let state = seed | 1;
  return (count) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % count;
  };
}

const isGivenUp = (error: unknown): boolean => error instanceof TimeoutError || error instanceof AbortedError;

/** Tries something that may be given up; `undefined` then. */
async function unlessGivenUp<T>(action: () => Promise<T> | T): Promise<T | undefined> {
  try {
    return await action();
  } catch (error) {
    if (isGivenUp(error)) return undefined;
    throw error;
  }
}

/** A signal that is aborted now, soon, or when the worker's event loop comes to it. */
function signalFor(random: (count: number) => number): AbortSignal {
  const controller = new AbortController();
  const abort = (): void => controller.abort();
  if (random(2) === 0) queueMicrotask(abort);
  else setTimeout(abort, 0);
  return controller.signal;
}

class Stress {
  readonly #words: Int32Array;
  readonly #index: number;
  readonly #random: (count: number) => number;
  readonly #mutex: Mutex;
  readonly #condition: Condition;
  readonly #semaphore: Semaphore;
  readonly #rwLock: RwLock;

  constructor(share: StressShare, index: number, seed: number) {
    this.#words = share.words;
    this.#index = index;
    this.#random = randomOf(seed);
    this.#mutex = Mutex.from(share.mutex);
    this.#condition = Condition.from(share.condition);
    this.#semaphore = Semaphore.from(share.semaphore);
    this.#rwLock = RwLock.from(share.rwLock);
  }

  /** Does operations until there are enough. */
  async run(operation: () => Promise<void> | void): Promise<void> {
    while (Atomics.sub(this.#words, LEFT, 1) > 0) {
      const doing = operation();
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      if (doing !== undefined) await doing;
    }
  }

  /** One way of locking. */
  lockSomehow(): Promise<void> | void {
    const mutex = this.#mutex;
    const acceptPoisoned = true;
    switch (this.#random(24)) {
      case 0:
        return this.#lockSoon();
      case 1: {
        const token = mutex.tryLock({ acceptPoisoned });
        return token === undefined ? undefined : this.#inside(token);
      }
      case 2:
        return mutex.lockAsync({ acceptPoisoned }).then((token) => this.#inside(token));
      case 3:
        return this.#lockAsyncUntil({ signal: signalFor(this.#random) });
      case 4:
        return this.#lockAsyncUntil({ timeoutMs: this.#random(2) });
      case 5: {
        const both = [this.#lockAsyncUntil({}), this.#lockAsyncUntil({ signal: signalFor(this.#random) })];
        return Promise.all(both).then(() => {});
      }
      default:
        return this.#inside(mutex.lock({ acceptPoisoned }));
    }
  }

  #lockSoon(): void {
    try {
      this.#inside(this.#mutex.lock({ acceptPoisoned: true, timeoutMs: this.#random(2) }));
    } catch (error) {
      if (!isGivenUp(error)) throw error;
    }
  }

  async #lockAsyncUntil(options: { readonly signal?: AbortSignal; readonly timeoutMs?: number }): Promise<void> {
    const token = await unlessGivenUp(() => this.#mutex.lockAsync({ acceptPoisoned: true, ...options }));
    if (token !== undefined) this.#inside(token);
  }

  /** Changes what the lock guards, in steps. */
  #inside(token: UnlockToken): void {
    const words = this.#words;
    this.#mend(token);
    if (words[FIRST] !== words[SECOND]) this.#complain();
    words[FIRST] = words[FIRST] + 1;
    words[DONE + this.#index] = words[DONE + this.#index] + 1;
    words[SECOND] = words[SECOND] + 1;
    token.unlock();
  }

  /** Makes good what an owner left that died. */
  #mend(token: UnlockToken): void {
    if (!token.poisoned) return;
    this.#words[SECOND] = this.#words[FIRST]!;
    this.#mutex.clearPoison();
  }

  #complain(): void {
    Atomics.add(this.#words, WRONG, 1);
  }

  /** One way of reading or writing. */
  readOrWriteSomehow(): Promise<void> | void {
    const lock = this.#rwLock;
    const acceptPoisoned = true;
    switch (this.#random(24)) {
      case 0: {
        const token = lock.tryRead({ acceptPoisoned });
        return token === undefined ? undefined : this.#look(token);
      }
      case 1: {
        const token = lock.tryWrite({ acceptPoisoned });
        if (token !== undefined) this.#change(token).unlock();
        return undefined;
      }
      case 2:
        return lock.readAsync({ acceptPoisoned }).then((token) => this.#look(token));
      case 3:
        return lock.writeAsync({ acceptPoisoned }).then((token) => void this.#change(token).unlock());
      case 4:
        return this.#readUntil({ signal: signalFor(this.#random) });
      case 5:
        return this.#writeUntil({ timeoutMs: this.#random(2) });
      case 6:
        return this.#look(this.#change(lock.write({ acceptPoisoned })).downgrade());
      case 7:
      case 8:
      case 9:
      case 10:
      case 11:
      case 12:
        return void this.#change(lock.write({ acceptPoisoned })).unlock();
      default:
        return this.#look(lock.read({ acceptPoisoned }));
    }
  }

  async #readUntil(options: { readonly signal: AbortSignal }): Promise<void> {
    const token = await unlessGivenUp(() => this.#rwLock.readAsync({ acceptPoisoned: true, ...options }));
    if (token !== undefined) this.#look(token);
  }

  async #writeUntil(options: { readonly timeoutMs: number }): Promise<void> {
    const token = await unlessGivenUp(() => this.#rwLock.writeAsync({ acceptPoisoned: true, ...options }));
    if (token !== undefined) this.#change(token).unlock();
  }

  /** Looks at what the lock guards; only a writer that died may have left it half-changed. */
  #look(token: ReadToken): void {
    const words = this.#words;
    if (words[FIRST] !== words[SECOND] && !token.poisoned) this.#complain();
    token.unlock();
  }

  #change(token: WriteToken): WriteToken {
    const words = this.#words;
    if (token.poisoned) {
      words[SECOND] = words[FIRST]!;
      this.#rwLock.clearPoison();
    }
    if (words[FIRST] !== words[SECOND]) this.#complain();
    words[FIRST] = words[FIRST] + 1;
    words[DONE + this.#index] = words[DONE + this.#index] + 1;
    words[SECOND] = words[SECOND] + 1;
    return token;
  }

  /** One way of passing the semaphore. */
  passSomehow(): Promise<void> | void {
    switch (this.#random(16)) {
      case 0: {
        const permit = this.#semaphore.tryAcquire();
        return permit === undefined ? undefined : this.#pass(permit);
      }
      case 1:
        return this.#semaphore.acquireAsync().then((permit) => this.#pass(permit));
      case 2:
        return this.#passUntil({ signal: signalFor(this.#random) });
      case 3:
        return this.#passUntil({ timeoutMs: this.#random(2) });
      default:
        return this.#pass(this.#semaphore.acquire());
    }
  }

  async #passUntil(options: { readonly signal?: AbortSignal; readonly timeoutMs?: number }): Promise<void> {
    const permit = await unlessGivenUp(() => this.#semaphore.acquireAsync(options));
    if (permit !== undefined) this.#pass(permit);
  }

  #pass(permit: { release(): void }): void {
    const words = this.#words;
    if (Atomics.add(words, INSIDE, 1) + 1 > words[PERMITS]) this.#complain();
    Atomics.sub(words, INSIDE, 1);
    permit.release();
  }

  /** Puts an item in or takes one out, depending on the worker, and waits in one way or another while that can't be done. */
  async exchangeSomehow(): Promise<void> {
    const words = this.#words;
    const isPutter = this.#index % 2 === 0;
    const canGoOn = (): boolean => (isPutter ? words[ITEMS] < ITEMS_MAX : words[ITEMS] > 0);
    const token = this.#mutex.lock({ acceptPoisoned: true });
    this.#mend(token);
    try {
      if (!(await this.#waitSomehow(token, canGoOn)) || !canGoOn()) return;
      words[ITEMS] = words[ITEMS] + (isPutter ? 1 : -1);
      const counter = isPutter ? PUT : TAKEN;
      words[counter] = words[counter] + 1;
    } finally {
      // To all: putters and takers wait on the same condition.
      this.#condition.notifyAll();
      token.unlock();
    }
  }

  /** Whether it was worth it. Waits also end when all workers do. */
  async #waitSomehow(token: UnlockToken, canGoOn: () => boolean): Promise<boolean> {
    const isOver = (): boolean => Atomics.load(this.#words, LEFT) <= 0;
    const predicate = (): boolean => canGoOn() || isOver();
    const way = this.#random(12);
    try {
      if (way === 0) return this.#condition.waitFor(token, this.#random(2), predicate);
      if (way === 1) return await this.#condition.waitAsync(token, { predicate });
      if (way === 2) return await this.#condition.waitAsync(token, { predicate, signal: signalFor(this.#random) });
      if (way === 3) return await this.#condition.waitAsync(token, { predicate, timeoutMs: this.#random(2) });
      return this.#condition.waitFor(token, Infinity, predicate);
    } catch (error) {
      if (error instanceof PoisonedError) this.#mend(token);
      else if (!isGivenUp(error)) throw error;
      return false;
    }
  }

  /** Lets the others see that it is over. */
  endExchange(): void {
    using token = this.#mutex.lock({ acceptPoisoned: true });
    this.#mend(token);
    this.#condition.notifyAll();
  }
}

const jobs: Jobs = {
  ping: () => 'pong',

  enter: (registry: ThreadRegistryHandle, token: ThreadToken) => void ThreadRegistry.from(registry).enter(token),

  mutex: (share: StressShare, index: number, seed: number) => {
    const stress = new Stress(share, index, seed);
    return stress.run(() => stress.lockSomehow());
  },

  rwLock: (share: StressShare, index: number, seed: number) => {
    const stress = new Stress(share, index, seed);
    return stress.run(() => stress.readOrWriteSomehow());
  },

  semaphore: (share: StressShare, index: number, seed: number) => {
    const stress = new Stress(share, index, seed);
    return stress.run(() => stress.passSomehow());
  },

  condition: async (share: StressShare, index: number, seed: number) => {
    const stress = new Stress(share, index, seed);
    await stress.run(() => stress.exchangeSomehow());
    stress.endExchange();
  },
};

if (isBrowser) serve(browserPort(), jobs);
else serve(await nodePort(), jobs);
