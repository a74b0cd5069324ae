/** Circles of waits, told in words. */
import { expect, test } from 'vitest';
import { Mutex, RwLock, ThreadRegistry, type ThreadToken, nameLock, setMayBlock } from '../src/index.ts';
import { errorOf, spawn } from './support/spawn.ts';

setMayBlock(false);

test('threads that wait for each other are told who waits for whom', async () => {
  // Each takes its own lock, waits until all have, and wants the next one's. Whoever is told lets go, so that the others go on.
  const registryByteLength = ThreadRegistry.byteLength(8);
  const buffer = new SharedArrayBuffer(registryByteLength + 2 * Mutex.byteLength + RwLock.byteLength);
  const registry = ThreadRegistry.create({ capacity: 8, location: { buffer } });
  const accounts = new Mutex({ buffer, byteOffset: registryByteLength });
  const journal = new Mutex({ buffer, byteOffset: registryByteLength + Mutex.byteLength });
  const index = new RwLock({ buffer, byteOffset: registryByteLength + 2 * Mutex.byteLength });
  const locks = [accounts, journal, index].map((lock) => lock.handle());
  for (const circle of [
    [0, 1],
    [0, 1, 2],
  ]) {
    const workers = await Promise.all(circle.map(() => spawn()));
    const tokens = await Promise.all(workers.map((worker) => worker.call<ThreadToken>('enter', registry.handle())));
    const begun = new Int32Array(new SharedArrayBuffer(4));
    const ended = await Promise.all(
      workers.map((worker, i) => {
        const names = {
          locks: circle.map((lock) => [locks[lock], `lock ${lock}`]),
          threads: tokens.map((token, at) => [token, `thread ${at}`]),
        };
        return worker.call<string>('takeTwo', locks[circle[i]], locks[circle[(i + 1) % circle.length]], begun, circle.length, names);
      }),
    );
    const reports = ended.filter((end) => end !== 'done');
    expect(reports.length).toBeGreaterThan(0);
    for (const report of reports) {
      for (const i of circle.keys()) expect(report).toContain(`'thread ${i}' waits for the lock 'lock `);
      for (const lock of circle) expect(report).toContain(`'lock ${lock}', which is held by thread `);
    }
  }
  expect([accounts.isLocked, journal.isLocked, index.isWritten, index.isRead]).toEqual([false, false, false, false]);
});

test('only locks in a memory with a registry can be named', () => {
  expect(errorOf(() => nameLock(new Mutex(), 'alone')).code).toBe('INVALID_ARGUMENT');
});
