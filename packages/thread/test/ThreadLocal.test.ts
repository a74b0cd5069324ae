import { expect, onTestFinished, test } from 'vitest';
import { Builder, ThreadLocal, ThreadPool } from '../src/index.ts';
import type * as threads from './fixtures/threads.ts';

const url = new URL('./fixtures/threads.ts', import.meta.url);
const exportName = 'countLocally';

test('a value is made when it is asked for first', () => {
  let made = 0;
  const local = new ThreadLocal(() => {
    made += 1;
    return made;
  });
  expect(local.isInitialized).toBe(false);
  expect([local.get(), local.get()]).toEqual([1, 1]);
  expect(local.replace(7)).toBe(1);
  expect(local.get()).toBe(7);
  local.set(8);
  expect(local.get()).toBe(8);
  const empty = new ThreadLocal(() => undefined);
  expect([empty.get(), empty.isInitialized, made]).toEqual([undefined, true, 1]);
});

test('a spawned thread begins without values, also where its worker had some, and disposes of its own', async () => {
  const words = new Int32Array(new SharedArrayBuffer(8));
  const counting = new Builder({ name: 'local', exportName });
  expect(await counting.spawn<typeof threads.countLocally>(url, words).join()).toBe(1);
  expect(words[0]).toBe(1);
  expect(await counting.spawn<typeof threads.countLocally>(url, words).join()).toBe(1);
  expect(words[0]).toBe(2);
  words[1] = 1;
  const failed = counting.spawn<typeof threads.countLocally>(url, words).join();
  await expect(failed).rejects.toMatchObject({ code: 'THREAD_PANICKED', message: "thread 'local' threw: disposed badly" });
});

test("a pool's worker keeps its values from job to job", async () => {
  const words = new Int32Array(new SharedArrayBuffer(8));
  const pool = await ThreadPool.start({ threads: 1, maxThreads: 1 });
  onTestFinished(() => pool.close());
  const counts: number[] = [];
  for (let n = 0; n < 3; n += 1) {
    // oxlint-disable-next-line no-await-in-loop -- one after the other
    counts.push(await pool.runWith<typeof threads.countLocally>({ exportName }, url, words));
  }
  expect(counts).toEqual([1, 2, 3]);
  expect(words[0]).toBe(0);
});
