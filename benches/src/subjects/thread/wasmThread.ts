/**
 * The rival `wasm_thread`, in a page and in a module of its own, `benches/rust/wasm-thread`. A thread of it is a new worker, which the
 * page starts, whoever spawned it.
 *
 * It never gives a thread's stack back, two megabytes of the four gigabytes that a module's memory can have. So a module serves only so
 * many threads, and the next ones get a fresh one, between what is timed.
 */
import { type Measurement, quantilesOf, type Session, type Subject } from '../../measurement.ts';
import { idleMsOf, isSpawn, timeEach } from './spawnJoin.ts';

/** Where `build:rivals` leaves the module's JavaScript side. */
const GLUE = new URL('../../../../target/wasm/bindgen/heddle-benches-wasm-thread/heddle_benches_wasm_thread.js', import.meta.url);

const THREADS_PER_MODULE = 1000;

/** What the module exports. */
interface Glue {
  default(): Promise<unknown>;
  spawn_and_await(n: number): Promise<number>;
  spawn_and_join_on_thread(count: number, idleMs: number): Promise<Float64Array>;
}

/** Spawns and joins threads one after the other; what each took, in nanoseconds. */
type TimeThreads = (glue: Glue, caseName: string, count: number) => Promise<number[]>;

let lastModule = 0;

async function startModule(): Promise<Glue> {
  lastModule += 1;
  // The query makes it a module that wasn't imported before; workers find it by the same address.
  const glue = (await import(/* @vite-ignore */ `${GLUE.href}?module=${lastModule}`)) as Glue;
  await glue.default();
  // The first thread finds out where the workers' script is.
  await glue.spawn_and_await(0);
  return glue;
}

function openSession(caseName: string, time: TimeThreads): Session {
  let glue: Glue | undefined;
  let threadsLeft = 0;
  return {
    async round(count): Promise<Measurement> {
      const samplesNs: number[] = [];
      let elapsedMs = 0;
      while (samplesNs.length < count) {
        const share = Math.min(count - samplesNs.length, THREADS_PER_MODULE);
        if (!glue || threadsLeft < share) {
          glue = await startModule();
          threadsLeft = THREADS_PER_MODULE;
        }
        // One more than these joins them.
        threadsLeft -= share + 1;
        const start = performance.now();
        samplesNs.push(...(await time(glue, caseName, share)));
        elapsedMs += performance.now() - start;
      }
      return { count, elapsedNs: elapsedMs * 1e6, quantiles: quantilesOf(samplesNs) };
    },
    close: async () => {},
  };
}

const subject = (name: string, time: TimeThreads): Subject => ({
  bench: 'thread',
  name,
  module: GLUE,
  supports: isSpawn,
  open: async (caseName) => openSession(caseName, time),
});

/** Spawned and joined by a thread, with `join`, which blocks. */
export const wasmThread = subject('wasm_thread', async (glue, caseName, count) => {
  const samplesMs = await glue.spawn_and_join_on_thread(count, idleMsOf(caseName));
  return Array.from(samplesMs, (ms) => ms * 1e6);
});

/** Spawned and awaited by the page, with `join_async`. */
export const wasmThreadFromMain = subject('wasm_thread-from-main', (glue, caseName, count) =>
  timeEach(caseName, count, async (n) => {
    const result = await glue.spawn_and_await(n);
    if (result !== n) throw new Error(`the thread that was to return ${n} returned ${result}`);
  }),
);
