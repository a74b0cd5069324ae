/** What only a process of its own can show: that it ends, and when. */
import { expect, test, vi } from 'vitest';
import { outputOf, PROCESS_TIMEOUT_MS } from './process.ts';

vi.setConfig({ testTimeout: PROCESS_TIMEOUT_MS });

/** What lines print that have a pool and the URL of the tests' jobs. */
function inProcess(lines: string): Promise<string> {
  return outputOf(`
    // Whoever waits on the main thread would freeze a page.
    Atomics.wait = () => { throw new Error('Atomics.wait on the main thread'); };
    const { spawn, ThreadPool } = await import(${JSON.stringify(new URL('../src/index.ts', import.meta.url).href)});
    const url = ${JSON.stringify(new URL('./fixtures/jobs.ts', import.meta.url).href)};
    const pool = await ThreadPool.start({ threads: 1, maxThreads: 2, idleTimeoutMs: 3_600_000 });
    ${lines}`);
}

test('a process ends by itself when only idle workers remain: those of a pool, and those whose thread has ended', async () => {
  const lines = `
    console.log(await Promise.all([pool.run(url, 1, 2), pool.run(url, 3, 4), spawn(url, 5, 6).join()]));
    console.log(pool.statistics().threads);`;
  expect(await inProcess(lines)).toMatch(/^\[ *3, 7, 11 *\]\n2$/);
});

test('a process waits for jobs, also for those that wait for a worker themselves', async () => {
  const lines = `
    const options = { exportName: 'later', name: 'last' };
    for (const n of [1, 2, 3]) void pool.runWith(options, url, n, 20).then((value) => console.log(value));`;
  expect((await inProcess(lines)).split('\n').toSorted()).toEqual(['1', '2', '3']);
});

test('what a job prints is printed, although its worker waits for the next one', async () => {
  expect(await inProcess(`await pool.runWith({ exportName: 'print' }, url, ['one', 'two', 'three']);`)).toBe('one\ntwo\nthree');
});
