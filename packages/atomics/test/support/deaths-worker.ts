/**
 * What the workers of the test of deaths do: random operations on what waits for a word, until all workers together have done
 * enough. A worker may be terminated anywhere.
 */
import {
  AbortedError,
  AlreadyParkedError,
  Barrier,
  Event,
  Latch,
  Mutex,
  Once,
  Parker,
  ThreadRegistry,
  type ThreadRegistryHandle,
  type ThreadToken,
  TimeoutError,
  Unparker,
  WaitGroup,
} from '../../src/index.ts';
import {
  BARRIER_AT,
  DONE,
  type DeathsShare,
  EVENT_AT,
  GROUP_AT,
  LED,
  LEFT,
  MUTEX_AT,
  PARKERS_AT,
  PAUSE,
  TICKET,
  WHERE,
  WRONG,
} from './deaths.ts';
import { type Jobs, browserPort, isBrowser, nodePort, serve } from './rpc.ts';

const WORKERS = 4;
const PAUSE_MS = 0.05;

/** How a wait waits. */
interface Options {
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

class Player {
  readonly #share: DeathsShare;
  readonly #words: Int32Array;
  readonly #index: number;
  #seed: number;

  constructor(share: DeathsShare, index: number, seed: number) {
    this.#share = share;
    // The buffer has come with another message than when the thread entered, so it is another object: here it is told whose it is.
    ThreadRegistry.from(share.registry);
    this.#words = share.words;
    this.#index = index;
    this.#seed = seed | 1;
  }

  /** G. Marsaglia's xorshift. */
  #random(count: number): number {
    this.#seed ^= this.#seed << 13;
    this.#seed ^= this.#seed >>> 17;
    this.#seed ^= this.#seed << 5;
    return (this.#seed >>> 0) % count;
  }

  #at(byteOffset: number): { readonly buffer: SharedArrayBuffer; readonly byteOffset: number } {
    return { buffer: this.#share.buffer, byteOffset };
  }

  #count(base: number): void {
    this.#words[base + this.#index] = this.#words[base + this.#index] + 1;
  }

  #pause(): void {
    Atomics.wait(this.#words, PAUSE, 0, PAUSE_MS);
  }

  #signal(): AbortSignal {
    const controller = new AbortController();
    const abort = (): void => controller.abort();
    if (this.#random(2) === 0) queueMicrotask(abort);
    else setTimeout(abort, 0);
    return controller.signal;
  }

  /** Waits in one of the ways there are; `undefined` if that was given up. Nobody sleeps for good but who isn't woken. */
  #waitSomehow<T>(wait: (options?: Options) => T, waitAsync: (options?: Options) => Promise<T>): T | undefined | Promise<T | undefined> {
    const unlessGivenUp = (error: unknown): undefined => {
      if (!(error instanceof TimeoutError) && !(error instanceof AbortedError)) throw error;
    };
    switch (this.#random(16)) {
      case 0:
        try {
          return wait({ timeoutMs: this.#random(2) });
        } catch (error) {
          return unlessGivenUp(error);
        }
      case 1:
        return waitAsync();
      case 2:
        return waitAsync({ signal: this.#signal() }).catch(unlessGivenUp);
      case 3:
        return waitAsync({ timeoutMs: this.#random(2) }).catch(unlessGivenUp);
      default:
        return wait();
    }
  }

  /** Does operations until there are enough. */
  async #run(operation: () => unknown): Promise<void> {
    while (Atomics.sub(this.#words, LEFT, 1) > 0) {
      const doing = operation();
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      if (doing instanceof Promise) await doing;
    }
  }

  /** Serves those who do, until these have done enough. */
  #serve(action: () => void): void {
    while (Atomics.load(this.#words, LEFT) > 0) {
      action();
      if (this.#random(4) === 0) this.#pause();
    }
  }

  barrier(): Promise<void> {
    const barrier = Barrier.at(this.#at(BARRIER_AT));
    return this.#run(async () => {
      const result = await this.#waitSomehow(
        (options) => barrier.wait(options),
        (options) => barrier.waitAsync(options),
      );
      if (result === undefined) return;
      if (result.isLeader) this.#count(LED);
      this.#count(DONE);
    });
  }

  /** Half of the workers set, the others wait to be let through. */
  event(): Promise<void> | void {
    const event = Event.at(this.#at(EVENT_AT));
    if (this.#index % 2 === 0) {
      return this.#serve(() => {
        if (event.set()) this.#count(LED);
        else this.#pause();
      });
    }
    return this.#run(async () => {
      const isThrough = await this.#waitSomehow(
        (options) => (event.wait(options), true),
        (options) => event.waitAsync(options).then(() => true),
      );
      if (isThrough === true) this.#count(DONE);
    });
  }

  /** Half of the workers park, each at a parker of its own; the others unpark them. */
  parker(): Promise<void> | void {
    if (this.#index >= 2) {
      const unparkers = [0, 4].map((offset) => new Unparker(this.#at(PARKERS_AT + offset)));
      return this.#serve(() => {
        unparkers[this.#random(2)].unpark();
        this.#count(LED);
      });
    }
    const parker = new Parker(this.#at(PARKERS_AT + 4 * this.#index));
    return this.#run(async () => {
      try {
        const isThrough = await this.#waitSomehow(
          (options) => (parker.park(options), true),
          (options) => parker.parkAsync(options).then(() => true),
        );
        if (isThrough === true) this.#count(DONE);
      } catch (error) {
        // Whoever parked here before has died so, and is yet to be unparked.
        if (!(error instanceof AlreadyParkedError)) throw error;
        this.#pause();
      }
    });
  }

  /** All count down the latch of each round, and nobody goes on before all have. */
  async latch(round: number): Promise<void> {
    const words = this.#words;
    const count = this.#share.rounds.length;
    for (let k = round; k < count; k += 1) {
      const latch = Latch.at(this.#at(this.#share.rounds.byteOffset + 4 * k));
      words[WHERE + this.#index] = 2 * k;
      latch.countDown();
      Atomics.store(words, WHERE + this.#index, 2 * k + 1);
      while (!latch.tryWait()) {
        const waiting = this.#waitSomehow(
          (options) => latch.wait(options),
          (options) => latch.waitAsync(options),
        );
        // oxlint-disable-next-line no-await-in-loop -- until it is open
        if (waiting instanceof Promise) await waiting;
      }
      for (let other = 0; other < WORKERS; other += 1) {
        if (Atomics.load(words, WHERE + other) < 2 * k) Atomics.add(words, WRONG, 1);
      }
      this.#count(DONE);
      Atomics.sub(words, LEFT, 1);
    }
  }

  /** Each round one makes what all of it need. */
  async once(): Promise<void> {
    const { rounds } = this.#share;
    const half = rounds.length / 2;
    for (;;) {
      const round = Math.floor(Atomics.add(this.#words, TICKET, 1) / WORKERS);
      if (round >= half) return;
      const once = new Once(this.#at(rounds.byteOffset + 4 * (half + round)));
      const make = ({ isPoisoned }: { readonly isPoisoned: boolean }): void => {
        // What a dead one made doesn't count.
        if (isPoisoned) rounds[round] = 0;
        rounds[round] = rounds[round] + 1;
      };
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      if (this.#random(4) === 0) await once.callForceAsync(make);
      else once.callForce(make);
      if (rounds[round] !== 1) Atomics.add(this.#words, WRONG, 1);
      this.#count(DONE);
      Atomics.sub(this.#words, LEFT, 1);
    }
  }

  /** Half of the workers come and go, the others wait until nobody is there. */
  group(): Promise<void> | void {
    const group = new WaitGroup(this.#at(GROUP_AT));
    if (this.#index % 2 === 1) {
      return this.#run(async () => {
        const isThrough = await this.#waitSomehow(
          (options) => (group.wait(options), true),
          (options) => group.waitAsync(options).then(() => true),
        );
        if (isThrough === true) this.#count(DONE);
      });
    }
    const mutex = new Mutex(this.#at(MUTEX_AT));
    // So that it can be told what a dead one has left: who reaps it makes that good.
    const locked = (action: () => void): void => {
      const token = mutex.lock({ acceptPoisoned: true });
      if (token.poisoned) mutex.clearPoison();
      action();
      token.unlock();
    };
    return this.#serve(() => {
      locked(() => {
        this.#words[WHERE + this.#index] = 1;
        group.add();
      });
      if (this.#random(8) === 0) this.#pause();
      locked(() => {
        group.done();
        this.#words[WHERE + this.#index] = 0;
      });
      this.#count(LED);
    });
  }
}

const jobs: Jobs = {
  /** Enters the registry. */
  enter: (registry: ThreadRegistryHandle, token: ThreadToken) => void ThreadRegistry.from(registry).enter(token),

  barrier: (share: DeathsShare, index: number, seed: number) => new Player(share, index, seed).barrier(),
  event: (share: DeathsShare, index: number, seed: number) => new Player(share, index, seed).event(),
  parker: (share: DeathsShare, index: number, seed: number) => new Player(share, index, seed).parker(),
  latch: (share: DeathsShare, index: number, seed: number, round: number) => new Player(share, index, seed).latch(round),
  once: (share: DeathsShare, index: number, seed: number) => new Player(share, index, seed).once(),
  group: (share: DeathsShare, index: number, seed: number) => new Player(share, index, seed).group(),
};

if (isBrowser) serve(browserPort(), jobs);
else serve(await nodePort(), jobs);
