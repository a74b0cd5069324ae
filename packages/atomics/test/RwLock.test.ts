import { afterEach, describe, expect, test } from 'vitest';
import { Mutex, PoisonedRwLockError, RwLock, ThreadRegistry, type ThreadToken, setMayBlock } from '../src/index.ts';
import { RW_LOCK_SEAT_COUNT } from '../src/internal/layout.ts';
import { errorOf, rejectionOf, sleep, spawn } from './support/spawn.ts';
import type { TestWorker } from './support/rpc.ts';

// The main thread of every host behaves as a browser's: it never blocks.
setMayBlock(false);
afterEach(() => setMayBlock(false));

const SOON_MS = 30;

/** A lock in one memory with a registry that this thread is in. */
function registeredLock(): { registry: ThreadRegistry; rwLock: RwLock } {
  const registryByteLength = ThreadRegistry.byteLength(64);
  const buffer = new SharedArrayBuffer(registryByteLength + RwLock.byteLength);
  const registry = ThreadRegistry.create({ capacity: 64, location: { buffer } });
  registry.enter();
  return { registry, rwLock: new RwLock({ buffer, byteOffset: registryByteLength }) };
}

/** A worker that is in the registry. */
async function spawnIn(registry: ThreadRegistry): Promise<{ worker: TestWorker; token: ThreadToken }> {
  const worker = await spawn();
  return { worker, token: await worker.call<ThreadToken>('enter', registry.handle()) };
}

/** Waits, without blocking, until `holds`. */
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await sleep(1);
}

describe('a reader-writer lock', () => {
  test('lets many read or one write, in every form', async () => {
    const rwLock = new RwLock();
    {
      using first = rwLock.read();
      using second = rwLock.tryRead()!;
      using third = await rwLock.readAsync();
      expect([first.locked, second.locked, third.rwLock, rwLock.isRead, rwLock.isWritten]).toEqual([true, true, rwLock, true, false]);
      expect(rwLock.tryWrite()).toBeUndefined();
    }
    const token = rwLock.write();
    expect([token.locked, token.rwLock, rwLock.isWritten, rwLock.tryRead(), rwLock.tryWrite()]).toEqual([
      true,
      rwLock,
      true,
      undefined,
      undefined,
    ]);
    expect([token.unlock(), token.unlock(), token.locked, token.rwLock]).toEqual([true, false, false, undefined]);
    rwLock.tryWrite()!.unlock();
    (await rwLock.writeAsync()).unlock();
    expect([rwLock.isRead, rwLock.isWritten]).toEqual([false, false]);
  });

  test('shows readers whole values, with workers that block and tasks that do not', async () => {
    const { registry, rwLock } = registeredLock();
    const pair = new Uint32Array(new SharedArrayBuffer(8));
    const times = 5_000;
    const [reader, writer, outside] = await Promise.all([spawnIn(registry), spawnIn(registry), spawn()]);
    const here = async (): Promise<number> => {
      let torn = 0;
      for (let i = 0; i < 500; i += 1) {
        if (i % 5 === 0) {
          using _ = await rwLock.writeAsync();
          pair[0] = pair[0] + 1;
          // Other tasks and threads get every chance to come between.
          if (i % 100 === 0) await sleep(0);
          pair[1] = pair[1] + 1;
        } else {
          using _ = await rwLock.readAsync();
          const first = pair[0];
          if (i % 100 === 1) await sleep(0);
          torn += first === pair[1] ? 0 : 1;
        }
      }
      return torn;
    };
    const torn = await Promise.all([
      reader.worker.call<number>('readPairs', rwLock.handle(), pair, times),
      writer.worker.call<number>('writePairs', rwLock.handle(), pair, times),
      outside.call<number>('readPairsAsync', rwLock.handle(), pair, times / 5),
      here(),
      here(),
    ]);
    expect(torn).toEqual([0, 0, 0, 0, 0]);
    expect([...pair]).toEqual([times + 200, times + 200]);
    expect([rwLock.isRead, rwLock.isWritten]).toEqual([false, false]);
  });

  test('has room for more readers than seats', () => {
    const { rwLock } = registeredLock();
    const readers = Array.from({ length: RW_LOCK_SEAT_COUNT + 2 }, () => rwLock.read());
    for (const reader of readers) {
      expect(rwLock.tryWrite()).toBeUndefined();
      reader.unlock();
    }
    rwLock.tryWrite()!.unlock();
  });

  test('goes from writing to reading with no writer between', async () => {
    const rwLock = new RwLock();
    const order: string[] = [];
    const writing = rwLock.write();
    const next = rwLock.writeAsync().then((token) => {
      order.push('next writer');
      token.unlock();
    });
    const reading = writing.downgrade();
    expect([writing.locked, reading.locked, rwLock.isRead]).toEqual([false, true, true]);
    expect(errorOf(() => writing.downgrade()).code).toBe('NOT_OWNER');
    await sleep(SOON_MS);
    order.push('reader leaves');
    reading.unlock();
    await next;
    expect(order).toEqual(['reader leaves', 'next writer']);
  });

  test('starves no writer under a stream of readers, and no reader under a stream of writers', async () => {
    // The streams end when the other side has got in: a starved one would keep the test from ending.
    const { registry, rwLock } = registeredLock();
    const stop = new Int32Array(new SharedArrayBuffer(8));
    const workers = await Promise.all([spawnIn(registry), spawnIn(registry), spawnIn(registry)]);
    for (const [stream, other] of [
      ['readUntil', 'writeOnce'],
      ['writeUntil', 'readOnce'],
    ] as const) {
      stop.fill(0);
      const streams = workers.slice(0, 2).map(({ worker }) => worker.call(stream, rwLock.handle(), stop));
      await until(() => Atomics.load(stop, 1) === 2);
      for (let i = 0; i < 5; i += 1) await workers[2].worker.call(other, rwLock.handle());
      (stream === 'readUntil' ? await rwLock.writeAsync() : await rwLock.readAsync()).unlock();
      expect([rwLock.isPoisoned, Atomics.exchange(stop, 0, 1)]).toEqual([false, 0]);
      await Promise.all(streams);
    }
  });

  test('says in time that it is not to be had, and leaves no trace', async () => {
    const rwLock = new RwLock();
    const worker = await spawn();
    const reading = rwLock.read();
    expect((await rejectionOf(rwLock.writeAsync({ timeoutMs: SOON_MS }))).code).toBe('TIMEOUT');
    expect((await rejectionOf(worker.call('writeOnce', rwLock.handle(), SOON_MS))).code).toBe('TIMEOUT');
    rwLock.tryRead()!.unlock();
    reading.unlock();
    const writing = rwLock.write();
    expect((await rejectionOf(rwLock.readAsync({ timeoutMs: SOON_MS }))).code).toBe('TIMEOUT');
    expect((await rejectionOf(worker.call('readOnce', rwLock.handle(), SOON_MS))).code).toBe('TIMEOUT');
    expect(errorOf(() => rwLock.write({ timeoutMs: 0 })).code).toBe('TIMEOUT');
    writing.unlock();
    await worker.call('writeOnce', rwLock.handle());
  });

  test('gives a wait up with its signal, and the reason is the cause', async () => {
    const rwLock = new RwLock();
    const reason = new Error('no longer needed');
    for (const [hold, wait] of [
      [() => rwLock.read(), (signal: AbortSignal) => rwLock.writeAsync({ signal })],
      [() => rwLock.write(), (signal: AbortSignal) => rwLock.writeAsync({ signal })],
      [() => rwLock.write(), (signal: AbortSignal) => rwLock.readAsync({ signal })],
    ] as const) {
      const held = hold();
      const controller = new AbortController();
      const waiting = rejectionOf(wait(controller.signal));
      await sleep(1);
      controller.abort(reason);
      expect(await waiting).toMatchObject({ code: 'ABORTED', cause: reason });
      expect(await rejectionOf(wait(controller.signal))).toMatchObject({ code: 'ABORTED', cause: reason });
      held.unlock();
      rwLock.tryWrite()!.unlock();
    }
  });

  test('refuses to block where that is not possible, but only then', () => {
    const rwLock = new RwLock();
    rwLock.read().unlock();
    rwLock.write().unlock();
    const reading = rwLock.read();
    expect(errorOf(() => rwLock.write()).code).toBe('MAY_NOT_BLOCK');
    reading.unlock();
    const writing = rwLock.write();
    expect(errorOf(() => rwLock.write()).code).toBe('MAY_NOT_BLOCK');
    expect(errorOf(() => rwLock.read()).code).toBe('MAY_NOT_BLOCK');
    writing.unlock();
    rwLock.write().unlock();
  });

  test('tells a thread that would wait for itself', async () => {
    const { registry, rwLock } = registeredLock();
    const { worker } = await spawnIn(registry);
    for (const job of ['readInWrite', 'writeInRead', 'writeInWrite']) {
      expect((await rejectionOf(worker.call(job, rwLock.handle()))).code).toBe('WOULD_DEADLOCK');
    }
    rwLock.write().unlock();
  });
});

describe('a death', () => {
  test('of a writer is told to those who wait and to those who come', async () => {
    const { registry, rwLock } = registeredLock();
    const [owner, reader, writer] = await Promise.all([spawnIn(registry), spawnIn(registry), spawnIn(registry)]);
    await owner.worker.call('keepWriting', rwLock.handle());
    const waiting = [
      reader.worker.call('readOnce', rwLock.handle()),
      writer.worker.call('writeOnce', rwLock.handle()),
      rwLock.readAsync(),
      rwLock.writeAsync(),
    ].map(rejectionOf);
    await sleep(SOON_MS);
    await owner.worker.kill();
    registry.reap(owner.token);
    expect((await Promise.all(waiting)).map(({ code }) => code)).toEqual(['POISONED', 'POISONED', 'POISONED', 'POISONED']);
    const poisoned = errorOf(() => rwLock.read()) as unknown as PoisonedRwLockError;
    expect(poisoned).toBeInstanceOf(PoisonedRwLockError);
    expect([poisoned.code, rwLock.isRead, rwLock.isPoisoned]).toEqual(['POISONED', false, true]);
    poisoned.read().unlock();
    (await poisoned.readAsync()).unlock();
    poisoned.write().unlock();
    const token = await poisoned.writeAsync();
    expect(token.poisoned).toBe(true);
    rwLock.clearPoison();
    token.unlock();
    expect(rwLock.read().poisoned).toBe(false);
  });

  test('of a reader keeps no writer waiting, blocking or not', async () => {
    const { registry, rwLock } = registeredLock();
    const workers = await Promise.all([spawnIn(registry), spawnIn(registry), spawnIn(registry)]);
    const readers = workers.slice(0, 2);
    for (const { worker } of readers) await worker.call('keepReading', rwLock.handle());
    const there = workers[2].worker.call('writeOnce', rwLock.handle());
    const here = rwLock.writeAsync().then((token) => token.unlock());
    await until(() => rwLock.isWritten);
    for (const { worker, token } of readers) {
      await sleep(SOON_MS);
      expect(rwLock.isRead).toBe(true);
      await worker.kill();
      registry.reap(token);
    }
    await Promise.all([there, here]);
    expect([rwLock.isRead, rwLock.isPoisoned]).toEqual([false, false]);
  });

  test('declared by mistake takes the place of the reader or the writer', () => {
    const { registry, rwLock } = registeredLock();
    const reading = rwLock.read();
    registry.reap(registry.current!);
    registry.enter();
    const writing = rwLock.write();
    expect(errorOf(() => reading.unlock()).code).toBe('NOT_OWNER');
    registry.reap(registry.current!);
    registry.enter();
    expect(rwLock.tryRead({ acceptPoisoned: true })?.poisoned).toBe(true);
    expect(errorOf(() => writing.unlock()).code).toBe('NOT_OWNER');
  });
});

test('a reader-writer lock is opened by a handle of its kind at a place that fits', () => {
  const rwLock = new RwLock();
  const token = rwLock.write();
  expect(RwLock.from(structuredClone(rwLock.handle())).isWritten).toBe(true);
  token.unlock();
  expect(errorOf(() => RwLock.from(new Mutex().handle() as never)).code).toBe('INVALID_RECORD');
  expect(errorOf(() => new RwLock({ buffer: new SharedArrayBuffer(64) })).code).toBe('INVALID_RECORD');
});
