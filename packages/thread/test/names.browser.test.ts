/** The names that developer tools show: each is what the browser was told when the worker was made. */
import { expect, onTestFinished, test } from 'vitest';
import { Builder, ThreadPool } from '../src/index.ts';
import type * as threads from './fixtures/threads.ts';

const url = new URL('./fixtures/threads.ts', import.meta.url);
const exportName = 'nameInTools';

test('a thread has its own, or that of its function; a worker that serves the next one has the same', async () => {
  const named = (name: string): Promise<string> => new Builder({ name, exportName }).spawn<typeof threads.nameInTools>(url).join();
  expect(await named('heald')).toBe('heald');
  expect(await named('reed')).toBe('reed');
  expect(await named('heald')).toBe('heald');
  expect(await new Builder({ exportName }).spawn<typeof threads.nameInTools>(url).join()).toBe(exportName);
});

test("a pool's workers are numbered", async () => {
  const pool = await ThreadPool.start({ threads: 1, name: 'bobbin' });
  onTestFinished(() => pool.close({ graceMs: 0 }));
  expect(await pool.runWith<typeof threads.nameInTools>({ exportName }, url)).toBe('bobbin 1');
});
