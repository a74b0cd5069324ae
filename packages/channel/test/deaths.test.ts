/**
 * Channels with threads at their ends that send and receive in all the ways there are, give up, and are terminated at random: nothing
 * is lost but what a dead one had in its hands, nothing arrives twice, torn or before what its sender sent earlier, and nobody is stuck.
 *
 * A share of it in the daily run. With HEDDLE_LONG_MINUTES ten million messages, or as many as pass in so many minutes, of which each
 * kind of channel has its share: most messages are sent or received in a way that waits, some for a timer. HEDDLE_SEED chooses what
 * the threads do and who is terminated.
 */
import { ThreadRegistry, type ThreadToken } from '@heddle/atomics';
import { afterAll, expect, onTestFinished, test } from 'vitest';
import {
  type BroadcastReceiver,
  LaggedError,
  type WatchReceiver,
  broadcast,
  broadcastByteLength,
  channel,
  channelByteLength,
  unbounded,
  watch,
} from '../src/index.ts';
import { HANDS, type Heard, TICKET, TOTAL, WRONG } from './support/deaths.ts';
import { type TestWorker, connectBrowser, connectNode, isBrowser } from './support/rpc.ts';
import { environment, sleep } from './support/spawn.ts';

const LONG_MINUTES = Number(environment('HEDDLE_LONG_MINUTES') ?? 0);
const IS_LONG = LONG_MINUTES > 0;
const SEED = Number(environment('HEDDLE_SEED') ?? 1) >>> 0;
const TIMEOUT_MS = 120_000 + 2 * LONG_MINUTES * 60_000;

const RING_BYTES = 256;
const REGISTRY_AT = Math.max(channelByteLength(RING_BYTES), broadcastByteLength(RING_BYTES));
const SILENT_AT = REGISTRY_AT + ThreadRegistry.byteLength(64);
const LOCATION_BYTES = SILENT_AT + channelByteLength(RING_BYTES);

interface Kind {
  /** In the long form, at most. */
  readonly messages: number;
  /** How much of the long form's time it has. */
  readonly timeShare: number;
  readonly make: (location: { readonly buffer: SharedArrayBuffer }) => Ends;
  /** What senders and receivers do; if not given, each message goes to one receiver. */
  readonly jobs?: readonly [send: string, receive: string];
  /** Receives here, too, until the channel is closed. */
  readonly hear?: (receiver: never) => Promise<unknown>;
  /** Looks at what was heard here and by those who outlived the channel. */
  readonly check?: (run: Run, deaths: number) => void;
}

/** The ends of any channel. */
interface Ends {
  readonly sender: { handle(): unknown; release(): void };
  readonly receiver: { handle(): unknown };
}

/** Receives all of a broadcast. */
async function hearAll(receiver: BroadcastReceiver): Promise<Heard> {
  let [received, skipped] = [0, 0];
  for (;;) {
    try {
      // oxlint-disable-next-line no-await-in-loop -- until it is closed
      for await (const _ of receiver) received += 1;
      return { before: 0, received, skipped };
    } catch (error) {
      if (!(error instanceof LaggedError)) throw error;
      skipped += error.skipped;
    }
  }
}

/** Everybody heard of every message since he came, or was told how many he had missed. */
function checkHeard(run: Run, deaths: number): void {
  const { received, skipped } = run.heardHere as Heard;
  const total = received + skipped;
  expect(total).toBeLessThanOrEqual(run.words[TOTAL]);
  expect(run.words[TOTAL] - total).toBeLessThanOrEqual(deaths * HANDS);
  for (const heard of run.heardThere as Heard[]) expect(heard.before + heard.received + heard.skipped).toBe(total);
}

const makeBroadcast =
  (backPressure: boolean): Kind['make'] =>
  (location) =>
    broadcast({ capacity: 4, ringByteLength: RING_BYTES, backPressure, location });

const KINDS: Record<string, Kind> = {
  bounded: { messages: 10_000_000, timeShare: 0.55, make: (location) => channel({ capacity: 4, ringByteLength: RING_BYTES, location }) },
  // As a oneshot has it.
  'for one message': {
    messages: 1_000_000,
    timeShare: 0.1,
    make: (location) => channel({ capacity: 1, ringByteLength: RING_BYTES, location }),
  },
  'without room': {
    messages: 1_000_000,
    timeShare: 0.1,
    make: (location) => channel({ capacity: 0, ringByteLength: RING_BYTES, location }),
  },
  'that broadcasts': {
    messages: 1_000_000,
    timeShare: 0.05,
    make: makeBroadcast(false),
    jobs: ['broadcast', 'listen'],
    hear: hearAll,
    check: checkHeard,
  },
  'that broadcasts with back-pressure': {
    messages: 1_000_000,
    timeShare: 0.05,
    make: makeBroadcast(true),
    jobs: ['broadcast', 'listen'],
    hear: hearAll,
    check: (run, deaths) => {
      checkHeard(run, deaths);
      expect((run.heardHere as Heard).skipped).toBe(0);
    },
  },
  'that is watched': {
    messages: 1_000_000,
    timeShare: 0.05,
    make: (location) => watch(new Uint8Array(8).fill(0xff), { valueByteLengthMax: 64, location }),
    jobs: ['change', 'follow'],
    hear: async (receiver: WatchReceiver) => {
      for await (const _ of receiver);
      return receiver.borrow();
    },
    // In the end all have seen the last one.
    check: (run) => {
      for (const last of run.heardThere) expect(last).toEqual(run.heardHere);
    },
  },
  'with a limit': { messages: 1_000_000, timeShare: 0.1, make: (location) => unbounded({ limitByteLength: RING_BYTES, location }) },
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
  readonly #startMs = performance.now();
  readonly #limitMs: number;
  readonly #registry: ThreadRegistry;
  readonly #kind: Kind;
  readonly #channel: Ends;
  readonly #silent: Ends;
  readonly #hearing: Promise<unknown>;
  /** What was received here, and by those who outlived the channel. */
  heardHere: unknown;
  readonly heardThere: unknown[] = [];
  readonly #participants: Participant[] = [];
  readonly #running = new Map<number, Promise<unknown>>();
  #failure: Error | undefined;
  #started = 0;

  constructor(deaths: number, total: number, kind: Kind) {
    const { make, timeShare } = kind;
    this.#kind = kind;
    const buffer = new SharedArrayBuffer(LOCATION_BYTES);
    this.#deaths = deaths;
    this.#limitMs = IS_LONG ? timeShare * LONG_MINUTES * 60_000 : Infinity;
    this.#registry = ThreadRegistry.create({ location: { buffer, byteOffset: REGISTRY_AT } });
    this.#channel = make({ buffer });
    this.#silent = channel({ ringByteLength: RING_BYTES, location: { buffer, byteOffset: SILENT_AT } });
    this.words[TOTAL] = total;
    this.#hearing = kind.hear?.(this.#channel.receiver as never) ?? Promise.resolve();
    this.received = new Int32Array(new SharedArrayBuffer(4 * Math.ceil(total / 32)));
  }

  /** How much of it is done: of the messages, or of the time. */
  get #progress(): number {
    return Math.max(Atomics.load(this.words, TICKET) / this.words[TOTAL], (performance.now() - this.#startMs) / this.#limitMs);
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
      // oxlint-disable-next-line no-await-in-loop -- until they have come so far
      while (this.#progress < death / (this.#deaths + 1)) await this.#pause();
      const index = (SEED + death * 7) % 4;
      const { worker, token } = this.#participants[index];
      // oxlint-disable-next-line no-await-in-loop -- one death after the other
      await worker.kill();
      this.#registry.reap(token);
      // oxlint-disable-next-line no-await-in-loop -- one death after the other
      await this.#start(index);
    }
    // oxlint-disable-next-line no-await-in-loop -- until there is nothing more to do
    while (this.#progress < 1) await this.#pause();
    // What has its number by now is sent, and no more.
    Atomics.store(this.words, TOTAL, Math.min(this.words[TOTAL], Atomics.load(this.words, TICKET)));
    // The last sender closes the channel.
    this.#channel.sender.release();
    // oxlint-disable-next-line no-await-in-loop -- until all are through
    while (this.#running.size > 0) await this.#pause();
    this.heardHere = await this.#hearing;
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
    await worker.call('enter', this.#registry.handle(), token);
    const share = {
      registry: this.#registry.handle(),
      sender: this.#channel.sender.handle(),
      receiver: this.#channel.receiver.handle(),
      silent: this.#silent.receiver.handle(),
      words: this.words,
      received: this.received,
    };
    const job = (this.#kind.jobs ?? ['send', 'receive'])[index % 2];
    const running = worker.call(job, share, this.#started, SEED + this.#started * 101);
    this.#participants[index] = { worker, token };
    this.#running.set(index, running);
    running.then(
      (heard) => {
        this.#running.delete(index);
        if (index % 2 === 1) this.heardThere.push(heard);
      },
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
  if (IS_LONG) console.info(`${name}: ${run.words[TOTAL]} of at most ${total} messages, ${deaths} deaths, HEDDLE_SEED=${SEED}`);
  expect(run.words[WRONG]).toBe(0);
  if (kind.check !== undefined) {
    kind.check(run, deaths);
    expect(run.heardThere.length).toBe(2);
    return;
  }
  expect(run.words[TOTAL] - run.count).toBeLessThanOrEqual(deaths * HANDS);
  expect(run.count).toBeGreaterThan(0);
});
