/** The page's own thread, which nothing has told that it may not block: the package finds out. */
import { expect, test } from 'vitest';
import { Mutex, Semaphore, mayBlock } from '../src/index.ts';
import { errorOf, spawn } from './support/spawn.ts';

test('a page that would have to block is told so, and its worker is not', async () => {
  expect(mayBlock()).toBe(false);
  const [mutex, semaphore] = [new Mutex(), Semaphore.create(0)];
  const token = mutex.lock();
  expect(errorOf(() => mutex.lock()).code).toBe('MAY_NOT_BLOCK');
  expect(errorOf(() => mutex.lock({ timeoutMs: 1 })).code).toBe('MAY_NOT_BLOCK');
  expect(errorOf(() => semaphore.acquire()).code).toBe('MAY_NOT_BLOCK');
  const worker = await spawn();
  const there = worker.call('lock', mutex.handle());
  token.unlock();
  expect(await there).toBe('clean');
});
