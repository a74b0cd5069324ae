/**
 * Channels with threads at their ends that send and receive in all the ways there are, give up, and are terminated at random: nothing
 * is lost but what a dead one had in its hands, nothing arrives twice, torn or before what its sender sent earlier, and nobody is stuck.
 *
 * A share of it in the daily run; ten million messages with HEDDLE_LONG_MINUTES. HEDDLE_SEED chooses what the threads do and who is
 * terminated.
 */
import { ThreadRegistry, type ThreadToken } from '@heddle/atomics';
import { afterAll, expect, onTestFinished, test } from 'vitest';
import { type Channel, channel, channelByteLength, unbounded } from '../src/index.ts';
import { HANDS, TICKET, TOTAL, WRONG } from './support/deaths.ts';
import { type TestWorker, connectBrowser, connectNode, isBrowser } from './support/rpc.ts';
import { environment, sleep } from './support/spawn.ts';

const IS_LONG = Number(environment('HEDDLE_LONG_MINUTES') ?? 0) > 0;
const SEED = Number(environment('HEDDLE_SEED') ?? 1) >>> 0;
const TIMEOUT_MS = IS_LONG ? 60 * 60_000 : 120_000;

const RING_BYTES = 256;
const REGISTRY_AT = channelByteLength(RING_BYTES);
const SILENT_AT = REGISTRY_AT + ThreadRegistry.byteLength(64);
const LOCATION_BYTES = SILENT_AT + channelByteLength(RING_BYTES);

interface Kind {
  readonly messages: number;
  readonly make: (location: { readonly buffer: SharedArrayBuffer }) => Channel<Uint8Array>;
}

const KINDS: Record<string, Kind> = {
  bounded: { messages: 10_000_000, make: (location) => channel({ capacity: 4, ringByteLength: RING_BYTES, location }) },
  // As a oneshot has it.
  'for one message': { messages: 1_000_000, make: (location) => channel({ capacity: 1, ringByteLength: RING_BYTES, location }) },
  'without room': { messages: 1_000_000, make: (location) => channel({ capacity: 0, ringByteLength: RING_BYTES, location }) },
  'with a limit': { messages: 1_000_000, make: (location) => unbounded({ limitByteLength: RING_BYTES, location }) },
};
const MESSAGES_SHORT = 2000;

/** Browsers take their time to start and to end threads: there one of them dies in the daily run, and the seed says in what. */
function deathsIn(kind: string): number {
  if (IS_LONG) return 20;
  if (!isBrowser) return 2;
  return Object.keys(KINDS).indexOf(kind) === SEED % Object.keys(KINDS).length ? 1 : 0;
}

interface Participant {
  readonly worker: TestWorker;
  readonly token: ThreadToken;
  readonly lockName: string;
}

// One set of workers for all kinds, so that few have to be started.
const idle: TestWorker[] = [];

afterAll(() => Promise.all(idle.map((worker) => worker.terminate())));

async function startWorker(): Promise<TestWorker> {
  const waiting = idle.pop();
  if (waiting !== undefined) return waiting;
  return isBrowser
    ? connectBrowser(new Worker(new URL('./support/deaths-worker.ts', import.meta.url), { type: 'module' }))
    : connectNode(new URL('./support/deaths-worker.ts', import.meta.url));
}

/** Senders and receivers at one channel. */
class Run {
  readonly words = new Int32Array(new SharedArrayBuffer(64));
  readonly received: Int32Array;
  readonly #deaths: number;
  readonly #registry: ThreadRegistry;
  readonly #channel: Channel<Uint8Array>;
  readonly #silent: Channel<Uint8Array>;
  readonly #participants: Participant[] = [];
  readonly #running = new Map<number, Promise<unknown>>();
  #failure: Error | undefined;
  #started = 0;

  constructor(deaths: number, total: number, { make }: Kind) {
    const buffer = new SharedArrayBuffer(LOCATION_BYTES);
    this.#deaths = deaths;
    this.#registry = ThreadRegistry.create({ location: { buffer, byteOffset: REGISTRY_AT } });
    this.#channel = make({ buffer });
    this.#silent = channel({ ringByteLength: RING_BYTES, location: { buffer, byteOffset: SILENT_AT } });
    this.words[TOTAL] = total;
    this.received = new Int32Array(new SharedArrayBuffer(4 * Math.ceil(total / 32)));
  }

  /** How many of the messages arrived. */
  get count(): number {
    let count = 0;
    for (let n = 0; n < this.words[TOTAL]; n += 1) count += (this.received[n >> 5] >> (n & 31)) & 1;
    return count;
  }

  /** Runs it to the end. */
  async run(): Promise<void> {
    // Two of each side.
    for (let index = 0; index < 4; index += 1) {
      // oxlint-disable-next-line no-await-in-loop -- so that seeds are given out in one order
      await this.#start(index);
    }
    for (let death = 1; death <= this.#deaths; death += 1) {
      const sent = Math.floor((this.words[TOTAL] * death) / (this.#deaths + 1));
      // oxlint-disable-next-line no-await-in-loop -- until they have come so far
      while (Atomics.load(this.words, TICKET) < sent) await this.#pause();
      const index = (SEED + death * 7) % 4;
      const { worker, token, lockName } = this.#participants[index];
      // oxlint-disable-next-line no-await-in-loop -- one death after the other
      await worker.terminate();
      // oxlint-disable-next-line no-await-in-loop -- one death after the other
      if (isBrowser) await navigator.locks.request(lockName, () => {});
      this.#registry.reap(token);
      // oxlint-disable-next-line no-await-in-loop -- one death after the other
      await this.#start(index);
    }
    // The last sender closes the channel.
    this.#channel.sender.release();
    // oxlint-disable-next-line no-await-in-loop -- until all are through
    while (this.#running.size > 0) await this.#pause();
    for (const { worker, token } of this.#participants) {
      this.#registry.reap(token);
      idle.push(worker);
    }
  }

  /** Waits a little; throws what a worker threw. */
  async #pause(): Promise<void> {
    await sleep(1);
    if (this.#failure !== undefined) throw this.#failure;
  }

  async #start(index: number): Promise<void> {
    const worker = await startWorker();
    onTestFinished(async () => {
      if (!idle.includes(worker)) await worker.terminate();
    });
    this.#started += 1;
    const token = this.#registry.allocate();
    const lockName = `heddle-channel-deaths-${this.#started}-${Math.random()}`;
    await worker.call('enter', this.#registry.handle(), token, lockName);
    const share = {
      registry: this.#registry.handle(),
      sender: this.#channel.sender.handle(),
      receiver: this.#channel.receiver.handle(),
      silent: this.#silent.receiver.handle(),
      words: this.words,
      received: this.received,
    };
    const running = worker.call(index % 2 === 0 ? 'send' : 'receive', share, this.#started, SEED + this.#started * 101);
    this.#participants[index] = { worker, token, lockName };
    this.#running.set(index, running);
    running.then(
      () => this.#running.delete(index),
      (error: Error) => {
        this.#failure = error;
      },
    );
  }
}

test.for(Object.entries(KINDS))('a channel %s outlives those at its ends', { timeout: TIMEOUT_MS }, async ([name, kind]) => {
  const deaths = deathsIn(name);
  const total = IS_LONG ? kind.messages : MESSAGES_SHORT;
  const run = new Run(deaths, total, kind);
  await run.run();
  expect(run.words[WRONG]).toBe(0);
  expect(total - run.count).toBeLessThanOrEqual(deaths * HANDS);
});
