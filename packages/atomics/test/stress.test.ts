/**
 * Random operations of many threads on one record, with waits given up and threads terminated at random: nothing is stuck, torn or
 * counted wrong.
 *
 * A share of it in the daily run; ten million operations a primitive with HEDDLE_LONG_MINUTES. HEDDLE_SEED chooses what the
 * threads do; when they do it is the machine's choice.
 */
import { expect, onTestFinished, test } from 'vitest';
import { Condition, Mutex, RwLock, Semaphore, ThreadRegistry, type ThreadToken } from '../src/index.ts';
import { type TestWorker, connectBrowser, connectNode, isBrowser } from './support/rpc.ts';
import { environment, sleep } from './support/spawn.ts';
import { DONE, FIRST, INSIDE, ITEMS, LEFT, PERMITS, PUT, SECOND, type StressShare, TAKEN, WRONG } from './support/stress.ts';

const IS_LONG = Number(environment('HEDDLE_LONG_MINUTES') ?? 0) > 0;
const SEED = Number(environment('HEDDLE_SEED') ?? 1) >>> 0;
const OPERATIONS = IS_LONG ? 10_000_000 : 40_000;
const TIMEOUT_MS = IS_LONG ? 60 * 60_000 : 120_000;

const WORKERS = 4;
// Chromium takes two seconds to end a thread.
const DEATHS = IS_LONG ? 20 : 2;
const RECORDS_BYTES = 256;

interface Participant {
  readonly index: number;
  readonly worker: TestWorker;
  readonly token: ThreadToken;
  readonly running: Promise<unknown>;
}

async function startWorker(): Promise<TestWorker> {
  const worker = isBrowser
    ? connectBrowser(new Worker(new URL('./support/stress-worker.ts', import.meta.url), { type: 'module' }))
    : await connectNode(new URL('./support/stress-worker.ts', import.meta.url));
  onTestFinished(() => worker.terminate());
  return worker;
}

/** Threads that do one kind of operation on one record. */
class Stress {
  readonly words = new Int32Array(new SharedArrayBuffer(4096));
  readonly semaphore: Semaphore;
  readonly #registry: ThreadRegistry;
  readonly #share: StressShare;
  readonly #job: string;
  readonly #participants: Participant[] = [];
  #started = 0;

  constructor(job: string, permits: number = 1) {
    const buffer = new SharedArrayBuffer(RECORDS_BYTES + ThreadRegistry.byteLength(64));
    this.#job = job;
    this.#registry = ThreadRegistry.create({ location: { buffer, byteOffset: RECORDS_BYTES } });
    this.semaphore = Semaphore.create(permits, { buffer, byteOffset: 32 });
    this.#share = {
      registry: this.#registry.handle(),
      mutex: new Mutex({ buffer, byteOffset: 8 }).handle(),
      condition: new Condition({ buffer, byteOffset: 24 }).handle(),
      semaphore: this.semaphore.handle(),
      rwLock: new RwLock({ buffer, byteOffset: 64 }).handle(),
      words: this.words,
    };
    this.words[LEFT] = OPERATIONS;
    this.words[PERMITS] = permits;
  }

  /** Runs it to the end. */
  async run(): Promise<void> {
    for (let index = 0; index < WORKERS; index += 1) {
      // oxlint-disable-next-line no-await-in-loop -- so that seeds are given out in one order
      this.#participants.push(await this.#start(index));
    }
    for (let death = 1; death <= DEATHS; death += 1) {
      const left = OPERATIONS - Math.floor((OPERATIONS * death) / (DEATHS + 1));
      // oxlint-disable-next-line no-await-in-loop -- until they have come so far
      while (Atomics.load(this.words, LEFT) > left) await sleep(1);
      // oxlint-disable-next-line no-await-in-loop -- one death after the other
      await this.#replace((SEED + death * 7) % WORKERS);
    }
    await Promise.all(this.#participants.map(({ running }) => running));
  }

  async #start(index: number): Promise<Participant> {
    const worker = await startWorker();
    this.#started += 1;
    const token = this.#registry.allocate();
    await worker.call('enter', this.#share.registry, token);
    const running = worker.call(this.#job, this.#share, index, SEED + this.#started * 101);
    return { index, worker, token, running };
  }

  /** Terminates a worker wherever it is, reaps it when it has ended, and starts another one in its place. */
  async #replace(index: number): Promise<void> {
    const { worker, token } = this.#participants[index];
    await worker.kill();
    this.#registry.reap(token);
    this.#participants[index] = await this.#start(index);
  }
}

test('a mutex loses nothing under stress', { timeout: TIMEOUT_MS }, async () => {
  const stress = new Stress('mutex');
  await stress.run();
  const { words } = stress;
  const done = words.subarray(DONE, DONE + WORKERS).reduce((sum, count) => sum + count, 0);
  expect(words[WRONG]).toBe(0);
  // A thread that died in the lock had perhaps counted for all and not yet for itself.
  expect(words[FIRST] - done).toBeGreaterThanOrEqual(0);
  expect(words[FIRST] - done).toBeLessThanOrEqual(DEATHS);
  expect(words[FIRST] - words[SECOND]).toBeLessThanOrEqual(1);
  expect(done).toBeGreaterThan(OPERATIONS / 2);
});

test('a reader-writer lock keeps writers alone under stress', { timeout: TIMEOUT_MS }, async () => {
  const stress = new Stress('rwLock');
  await stress.run();
  const { words } = stress;
  const written = words.subarray(DONE, DONE + WORKERS).reduce((sum, count) => sum + count, 0);
  expect(words[WRONG]).toBe(0);
  expect(words[FIRST] - written).toBeGreaterThanOrEqual(0);
  expect(words[FIRST] - written).toBeLessThanOrEqual(DEATHS);
  expect(written).toBeGreaterThan(OPERATIONS / 10);
});

test('a semaphore loses no permits but those of the dead', { timeout: TIMEOUT_MS }, async () => {
  const permits = DEATHS + 2;
  const stress = new Stress('semaphore', permits);
  await stress.run();
  expect(stress.words[WRONG]).toBe(0);
  expect(stress.semaphore.available).toBeGreaterThanOrEqual(permits - DEATHS);
  expect(stress.semaphore.available + stress.words[INSIDE]).toBeLessThanOrEqual(permits);
});

test('a condition leaves nobody waiting under stress', { timeout: TIMEOUT_MS }, async () => {
  const stress = new Stress('condition');
  await stress.run();
  const { words } = stress;
  expect(words[WRONG]).toBe(0);
  // A thread that died in the lock had perhaps put an item in, or taken one, and not yet counted it.
  expect(Math.abs(words[PUT] - words[TAKEN] - words[ITEMS])).toBeLessThanOrEqual(DEATHS);
  expect(words[PUT]).toBeGreaterThan(0);
});
