/** Starting threads from a main thread: heddle's, a bare worker, and those of `multithreading`. Each is timed by itself. */
import { spawn as spawnThread, ThreadPool, WasmRuntime } from '@heddle/thread';
import { spawn as spawnTask } from 'multithreading';
import { startBareWorker } from '#platform';
import type { Measurement, Session, Subject } from '../../measurement.ts';
import { poolSession, timeTasks } from '../multithreading.ts';
import { RUST_MODULE } from '../rust.ts';
import { isSpawn, spawnJoin } from './spawnJoin.ts';
import type { nothing } from './nothing.ts';

const NOTHING = new URL('./nothing.ts', import.meta.url);

/** A TypeScript thread. */
export const heddleTs: Subject = {
  bench: 'thread',
  name: 'heddle-ts',
  supports: isSpawn,
  open: async (caseName): Promise<Session> => ({
    round: (count) => spawnJoin(caseName, count, () => spawnThread<typeof nothing>(NOTHING).join()),
    close: async () => {},
  }),
};

/** A job of a pool, and a pool of two workers from nothing until it waits for jobs. */
export const heddleTsPool: Subject = {
  bench: 'thread',
  name: 'heddle-ts-pool',
  supports: (caseName) => isSpawn(caseName) || caseName === 'pool-start',
  async open(caseName): Promise<Session> {
    if (caseName === 'pool-start') return { round: startAndClosePool, close: async () => {} };
    const pool = await ThreadPool.start({ threads: 1, maxThreads: 1 });
    return {
      round: (count) => spawnJoin(caseName, count, () => pool.run<typeof nothing>(NOTHING)),
      close: () => pool.close({ graceMs: 0 }),
    };
  },
};

async function startAndClosePool(count: number): Promise<Measurement> {
  const start = performance.now();
  const pool = await ThreadPool.start({ threads: 2 });
  const elapsedNs = (performance.now() - start) * 1e6;
  await pool.close({ graceMs: 0 });
  return { count, elapsedNs };
}

/** A new worker until its first message. */
export const worker: Subject = {
  bench: 'thread',
  name: 'worker',
  supports: (caseName) => isSpawn(caseName) || caseName === 'pool-start',
  open: async (caseName): Promise<Session> => ({
    round: (count) => spawnJoin(caseName, count, startBareWorker),
    close: async () => {},
  }),
};

/** A task of its pool, which is started before. */
export const multithreading: Subject = {
  bench: 'thread',
  name: 'multithreading',
  supports: isSpawn,
  open: async (caseName): Promise<Session> =>
    poolSession((count) => spawnJoin(caseName, count, async () => void (await timeTasks(0, [spawnTask(() => 0).join()])))),
};

/** A Wasm thread, spawned and awaited by a main thread, which never blocks. */
export const heddleRustFromMain: Subject = {
  bench: 'thread',
  name: 'heddle-rust-from-main',
  supports: isSpawn,
  async open(caseName): Promise<Session> {
    const runtime = await WasmRuntime.start({ ...RUST_MODULE, threads: 2 });
    return {
      round: (count) => spawnJoin(caseName, count, async () => void (await runtime.spawn('request_address').join())),
      close: () => runtime.close({ graceMs: 0 }),
    };
  },
};

/** A pool of two threads, from nothing until it waits for work. */
export const heddleRustPool: Subject = {
  bench: 'thread',
  name: 'heddle-rust',
  supports: (caseName) => caseName === 'pool-start',
  open: async (): Promise<Session> => ({
    async round(count): Promise<Measurement> {
      const start = performance.now();
      const runtime = await WasmRuntime.start({ ...RUST_MODULE, threads: 2 });
      const elapsedNs = (performance.now() - start) * 1e6;
      await runtime.close({ graceMs: 0 });
      return { count, elapsedNs };
    },
    close: async () => {},
  }),
};
