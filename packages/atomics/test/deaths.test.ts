/**
 * What waits for a word, in many threads, with waits given up and threads terminated at random: nobody is stuck, and nothing is
 * counted wrong but by what the dead had not counted yet.
 *
 * A share of it in the daily run; ten million operations a primitive with HEDDLE_LONG_MINUTES. HEDDLE_SEED chooses what the threads
 * do and who is terminated.
 */
import { afterAll, expect, onTestFinished, test } from 'vitest';
import { AbortedError, Barrier, Event, Latch, Mutex, Once, ThreadRegistry, type ThreadToken, Unparker, WaitGroup } from '../src/index.ts';
import { BARRIER_GENERATION_SHIFT } from '../src/internal/layout.ts';
import {
  BARRIER_AT,
  DONE,
  EVENT_AT,
  GROUP_AT,
  LED,
  LEFT,
  MUTEX_AT,
  PARKERS_AT,
  PARTIES,
  REGISTRY_AT,
  WHERE,
  WRONG,
} from './support/deaths.ts';
import { type TestWorker, connectBrowser, connectNode, isBrowser } from './support/rpc.ts';
import { environment, sleep } from './support/spawn.ts';

const IS_LONG = Number(environment('HEDDLE_LONG_MINUTES') ?? 0) > 0;
const SEED = Number(environment('HEDDLE_SEED') ?? 1) >>> 0;
const OPERATIONS = IS_LONG ? 10_000_000 : 2000;
const TIMEOUT_MS = IS_LONG ? 60 * 60_000 : 120_000;

const WORKERS = 4;
const ROUNDS_AT = REGISTRY_AT + ThreadRegistry.byteLength(64);
const GENERATIONS = 2 ** (32 - BARRIER_GENERATION_SHIFT);

const JOBS = ['barrier', 'event', 'parker', 'latch', 'once', 'group'] as const;
type Job = (typeof JOBS)[number];

/** Browsers take their time to start and to end threads: there one of them dies in the daily run, and the seed says in what. */
function deathsIn(job: Job): number {
  if (IS_LONG) return 20;
  if (!isBrowser) return 2;
  return JOBS[SEED % JOBS.length] === job ? 1 : 0;
}

interface Participant {
  readonly worker: TestWorker;
  readonly token: ThreadToken;
}

// One set of workers for all jobs, so that few have to be started.
const idle: TestWorker[] = [];

afterAll(() => Promise.all(idle.map((worker) => worker.terminate())));

async function startWorker(): Promise<TestWorker> {
  const waiting = idle.pop();
  if (waiting !== undefined) return waiting;
  return isBrowser
    ? connectBrowser(new Worker(new URL('./support/deaths-worker.ts', import.meta.url), { type: 'module' }))
    : connectNode(new URL('./support/deaths-worker.ts', import.meta.url));
}

/** Threads that do one kind of operation on one record. */
class Run {
  readonly buffer: SharedArrayBuffer;
  readonly words = new Int32Array(new SharedArrayBuffer(4096));
  readonly rounds: Int32Array;
  readonly deaths: number;
  readonly #registry: ThreadRegistry;
  readonly #job: Job;
  readonly #participants: Participant[] = [];
  readonly #running = new Map<number, Promise<unknown>>();
  #failure: Error | undefined;
  #started = 0;

  constructor(job: Job, roundCount: number = 0) {
    this.#job = job;
    this.deaths = deathsIn(job);
    // In one memory with the registry, so that the records know of it.
    this.buffer = new SharedArrayBuffer(ROUNDS_AT + 4 * roundCount);
    this.rounds = new Int32Array(this.buffer, ROUNDS_AT);
    this.#registry = ThreadRegistry.create({ location: { buffer: this.buffer, byteOffset: REGISTRY_AT } });
    this.words[LEFT] = OPERATIONS;
    this.words.fill(-1, WHERE, WHERE + WORKERS);
  }

  /** The number that all workers have counted in their words from `base` on. */
  sum(base: number): number {
    return this.words.subarray(base, base + WORKERS).reduce((sum, count) => sum + count, 0);
  }

  at(byteOffset: number): { readonly buffer: SharedArrayBuffer; readonly byteOffset: number } {
    return { buffer: this.buffer, byteOffset };
  }

  /**
   * Runs it to the end.
   *
   * @param mend makes good what the worker that died has left; what it returns goes to the next one
   * @param release lets those go on who still wait when there is nothing more to do
   */
  async run({ mend, release }: { mend?: (index: number) => Promise<number>; release?: () => void }): Promise<void> {
    for (let index = 0; index < WORKERS; index += 1) {
      // oxlint-disable-next-line no-await-in-loop -- so that seeds are given out in one order
      await this.#start(index, 0);
    }
    for (let death = 1; death <= this.deaths; death += 1) {
      const left = OPERATIONS - Math.floor((OPERATIONS * death) / (this.deaths + 1));
      // oxlint-disable-next-line no-await-in-loop -- until they have come so far
      while (Atomics.load(this.words, LEFT) > left) await this.pause();
      const index = (SEED + death * 7) % WORKERS;
      // oxlint-disable-next-line no-await-in-loop -- one death after the other
      await this.#end(this.#participants[index]);
      // oxlint-disable-next-line no-await-in-loop -- one death after the other
      await this.#start(index, (await mend?.(index)) ?? 0);
    }
    while (this.#running.size > 0) {
      if (Atomics.load(this.words, LEFT) <= 0) release?.();
      // oxlint-disable-next-line no-await-in-loop -- until all are through
      await this.pause();
    }
    for (const { worker, token } of this.#participants) {
      this.#registry.reap(token);
      idle.push(worker);
    }
  }

  /** Waits a little; throws what a worker threw. */
  async pause(): Promise<void> {
    await sleep(1);
    if (this.#failure !== undefined) throw this.#failure;
  }

  async #start(index: number, from: number): Promise<void> {
    const worker = await startWorker();
    onTestFinished(async () => {
      if (!idle.includes(worker)) await worker.terminate();
    });
    this.#started += 1;
    const token = this.#registry.allocate();
    await worker.call('enter', this.#registry.handle(), token);
    const share = { registry: this.#registry.handle(), buffer: this.buffer, rounds: this.rounds, words: this.words };
    const running = worker.call(this.#job, share, index, SEED + this.#started * 101, from);
    this.#participants[index] = { worker, token };
    this.#running.set(index, running);
    running.then(
      () => this.#running.delete(index),
      (error: Error) => {
        this.#failure = error;
      },
    );
  }

  /** Terminates a worker wherever it is, and reaps it when it has ended. */
  async #end({ worker, token }: Participant): Promise<void> {
    await worker.kill();
    this.#registry.reap(token);
  }
}

test('a barrier lets its parties through together', { timeout: TIMEOUT_MS }, async () => {
  const run = new Run('barrier');
  const barrier = Barrier.create(PARTIES, run.at(BARRIER_AT));
  // In place of those who have nothing more to do.
  const over = new AbortController();
  let isReleasing = false;
  let [led, done] = [0, 0];
  const arrive = async (): Promise<void> => {
    try {
      for (;;) {
        // oxlint-disable-next-line no-await-in-loop -- again and again
        if ((await barrier.waitAsync({ signal: over.signal })).isLeader) led += 1;
        done += 1;
      }
    } catch (error) {
      if (!(error instanceof AbortedError)) throw error;
    }
  };
  const arriving: Promise<void>[] = [];
  const release = (): void => {
    if (isReleasing) return;
    isReleasing = true;
    for (let party = 1; party < PARTIES; party += 1) arriving.push(arrive());
  };
  await run.run({ release });
  over.abort();
  await Promise.all(arriving);
  const generations = new Uint32Array(run.buffer, BARRIER_AT, 1)[0] >>> BARRIER_GENERATION_SHIFT;
  const modulo = (value: number, base: number): number => ((value % base) + base) % base;
  // The dead may have led, or arrived, and not have counted it.
  expect(modulo(generations - run.sum(LED) - led, GENERATIONS)).toBeLessThanOrEqual(run.deaths);
  expect(modulo(PARTIES * generations + barrier.arrived - run.sum(DONE) - done, PARTIES * GENERATIONS)).toBeLessThanOrEqual(run.deaths);
  expect(run.sum(DONE)).toBeGreaterThan(OPERATIONS / 2);
});

test('each setting of an event lets one through', { timeout: TIMEOUT_MS }, async () => {
  const run = new Run('event');
  const event = Event.create({ autoReset: true, location: run.at(EVENT_AT) });
  let set = 0;
  await run.run({
    release: () => {
      if (event.set()) set += 1;
    },
  });
  const settings = run.sum(LED) + set;
  expect(Math.abs(settings - run.sum(DONE) - Number(event.isSet))).toBeLessThanOrEqual(run.deaths);
  expect(run.sum(DONE)).toBeGreaterThan(OPERATIONS / 2);
});

test('whoever parks goes on when it is unparked', { timeout: TIMEOUT_MS }, async () => {
  const run = new Run('parker');
  const unparkers = [0, 4].map((offset) => new Unparker(run.at(PARKERS_AT + offset)));
  let unparked = 0;
  await run.run({
    release: () => {
      for (const unparker of unparkers) unparker.unpark();
      unparked += unparkers.length;
    },
  });
  expect(run.sum(DONE)).toBeLessThanOrEqual(run.sum(LED) + unparked + run.deaths);
  expect(run.sum(DONE)).toBeGreaterThan(OPERATIONS / 4);
});

test('a latch opens when all have counted down', { timeout: TIMEOUT_MS }, async () => {
  const run = new Run('latch', OPERATIONS / WORKERS);
  const latchOf = (round: number): Latch => Latch.at(run.at(ROUNDS_AT + 4 * round));
  run.rounds.fill(WORKERS);
  const mend = async (index: number): Promise<number> => {
    const round = Math.max(0, run.words[WHERE + index] >> 1);
    const hasCounted = (other: number): boolean => other === index || Atomics.load(run.words, WHERE + other) > 2 * round;
    // oxlint-disable-next-line no-await-in-loop -- until they have come so far
    while (!run.words.subarray(0, WORKERS).every((_, other) => hasCounted(other))) await run.pause();
    // All others have, so what is left is what the dead owed.
    run.words[WHERE + index] = 2 * round + 1;
    if (latchOf(round).count === 1) latchOf(round).countDown();
    return round + 1;
  };
  await run.run({ mend });
  expect(run.words[WRONG]).toBe(0);
  expect(run.rounds.every((count) => count === 0)).toBe(true);
  expect(OPERATIONS - run.sum(DONE)).toBeLessThanOrEqual(run.deaths);
});

test('what is made once is made once', { timeout: TIMEOUT_MS }, async () => {
  const run = new Run('once', (2 * OPERATIONS) / WORKERS);
  await run.run({});
  const half = run.rounds.length / 2;
  expect(run.words[WRONG]).toBe(0);
  // Those of a round that the dead alone began are left to nobody.
  const isMade = (round: number): boolean => new Once(run.at(ROUNDS_AT + 4 * (half + round))).isCompleted && run.rounds[round] === 1;
  const made = Array.from({ length: half }, (_, round) => isMade(round)).filter(Boolean).length;
  expect(half - made).toBeLessThanOrEqual(run.deaths);
  expect(OPERATIONS - run.sum(DONE)).toBeLessThanOrEqual(run.deaths);
});

test('whoever waits for a group goes on when nobody is left', { timeout: TIMEOUT_MS }, async () => {
  const run = new Run('group');
  run.words.fill(0, WHERE, WHERE + WORKERS);
  const group = new WaitGroup(run.at(GROUP_AT));
  const mutex = new Mutex(run.at(MUTEX_AT));
  const mend = async (index: number): Promise<number> => {
    const token = await mutex.lockAsync({ acceptPoisoned: true });
    if (token.poisoned) mutex.clearPoison();
    run.words[WHERE + index] = 0;
    while (group.count > run.sum(WHERE)) group.done();
    token.unlock();
    return 0;
  };
  await run.run({ mend });
  expect(group.count).toBe(0);
  expect(run.sum(DONE)).toBeGreaterThan(OPERATIONS / 2);
});
