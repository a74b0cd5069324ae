/** The I/O thread between a module's threads and the host's files: the same in Node and in browsers. */

import { WasmRuntime, type WasmValue } from '@heddle/thread';
import { afterEach, describe, expect, test } from 'vitest';
import { HeddleStoreError } from '../src/index.ts';
import { HostError } from '../src/internal/io/HostFiles.ts';
import { IoThread } from '../src/internal/io/IoThread.ts';
import { IO_ERROR_CLOSED, IO_ERROR_LOCKED } from '../src/internal/layout.ts';
import { Stop } from '../src/internal/Stop.ts';
import { temporaryLocation } from './support/database.ts';
import { isNode } from './support/host.ts';
import { storeTesting } from './support/storeTesting.ts';

/** Each is synced, which takes a browser ten times as long. */
const TRANSACTIONS = isNode ? 1000 : 200;
const READERS = 3;

interface Engine {
  readonly io: IoThread;
  readonly queue: number;
  readonly memory: WebAssembly.Memory;
  isFenced: boolean;
  call(name: string, ...args: WasmValue[]): Promise<number>;
  close(): Promise<void>;
}

const running = new Set<Engine>();

/** @param from an I/O thread that has the directory, cut off from its engine */
async function start(directory: string, from?: IoThread, stop?: Stop): Promise<Engine> {
  const runtime = await WasmRuntime.start({ ...storeTesting, threads: 5, maxThreads: 12, stackSize: 2 << 20 });
  const call = async (name: string, ...args: WasmValue[]): Promise<number> => Number(await runtime.spawn(name, ...args).join());
  try {
    const queue = (await call('heddle_store_io_queue')) >>> 0;
    const { memory } = runtime;
    const io = from ?? (await IoThread.start({ memory, queue, directory }, stop));
    await from?.serve({ memory, queue });
    const engine: Engine = {
      io,
      queue,
      memory,
      isFenced: false,
      call,
      close: async () => {
        running.delete(engine);
        if (!engine.isFenced) await io.close();
        await runtime.close();
      },
    };
    running.add(engine);
    return engine;
  } catch (error) {
    await runtime.close();
    throw error;
  }
}

afterEach(async () => {
  for (const engine of running) await engine.close();
});

const codeOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => undefined,
    (error: unknown) => (error instanceof HostError ? error.code : error),
  );

describe('the I/O thread', () => {
  test('does with the host’s files what every store does', async () => {
    const engine = await start(await temporaryLocation());
    let count = 0;
    while ((await engine.call('testing_behaviour', count)) !== 0) count += 1;
    expect(count).toBeGreaterThan(4);
  });

  test('serves SQLite in several threads: readers see no torn snapshot beside a writer', async () => {
    const engine = await start(await temporaryLocation());
    expect(await engine.call('testing_prepare')).toBe(0);
    const readers = Array.from({ length: READERS }, () => engine.call('testing_read'));
    await engine.call('testing_write', TRANSACTIONS);
    for (const count of await Promise.all(readers)) expect(count).toBeGreaterThanOrEqual(20);
    await engine.call('testing_check');
  }, 120_000);

  test('keeps what was written for the next opening', async () => {
    const directory = await temporaryLocation();
    const first = await start(directory);
    await first.call('testing_prepare');
    await first.call('testing_write', 10);
    await first.close();
    const second = await start(directory);
    expect(await second.call('testing_prepare')).toBe(10);
    await second.call('testing_check');
  });

  test('holds its directory against a second one', async () => {
    const directory = await temporaryLocation();
    const first = await start(directory);
    expect(await codeOf(start(directory))).toBe(IO_ERROR_LOCKED);
    await first.close();
    await start(directory);
  });

  test('serves one engine after another, and holds the directory all the while', async () => {
    const directory = await temporaryLocation();
    let engine = await start(directory);
    await engine.call('testing_prepare');
    for (const rows of [10, 20, 30]) {
      await engine.call('testing_write', 10);
      const { io } = engine;
      io.fence();
      engine.isFenced = true;
      // Of the old engine, nothing reaches a file any more.
      await expect(engine.call('testing_measure', 0, 1)).rejects.toThrow(/Closed/);
      await engine.close();
      expect(await codeOf(start(directory))).toBe(IO_ERROR_LOCKED);
      engine = await start(directory, io);
      expect(await engine.call('testing_prepare')).toBe(rows);
      await engine.call('testing_check');
    }
  }, 120_000);

  test('can be closed between two engines', async () => {
    const directory = await temporaryLocation();
    const first = await start(directory);
    first.io.fence();
    await first.close();
    const second = await start(directory);
    expect(await second.call('testing_prepare')).toBe(0);
  });

  // It was waited for, whatever `open()` had been told: for ever, where a browser had ended its worker.
  test('that is to stop before it is ready ends, and lets go of the directory', async () => {
    const directory = await temporaryLocation();
    const stop = new Stop();
    const reason = new HeddleStoreError('ABORTED', 'no longer wanted');
    stop.stop(reason);
    expect(await codeOf(start(directory, undefined, stop))).toBe(reason);
    await start(directory);
  });

  // Whoever started the next engine waited for ever for a thread that had ended while nothing was asked of it.
  test('that has died between two engines serves no other', async () => {
    const directory = await temporaryLocation();
    const engine = await start(directory);
    const { io } = engine;
    io.fence();
    await new Promise((resolve) => setTimeout(resolve, 500));
    io.terminate();
    expect(io.isAlive).toBe(false);
    expect(await codeOf(start(directory, io))).toBe(IO_ERROR_CLOSED);
    await engine.close();
    await start(directory);
  });

  test('fails requests after it was closed instead of leaving them waiting', async () => {
    const engine = await start(await temporaryLocation());
    await engine.call('testing_prepare');
    await engine.io.close();
    await expect(engine.call('testing_measure', 0, 1)).rejects.toThrow(/Closed/);
  });

  test('fails requests after it has died', async () => {
    const engine = await start(await temporaryLocation());
    await engine.call('testing_prepare');
    engine.io.terminate();
    await expect(engine.call('testing_measure', 0, 1)).rejects.toThrow(/Closed/);
  });
});
