/** What only a process of its own can show: how long asynchronous waits keep it. */
import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { expect, test } from 'vitest';

/** Runs lines as a module that has this package's exports, in a process of this host of its own; what it printed. */
async function inProcess(lines: string): Promise<string> {
  const index = new URL('../src/index.ts', import.meta.url).href;
  const condition = '--conditions=@heddle/source';
  const isDeno = process.versions['deno'] !== undefined;
  const args = isDeno ? ['run', '--allow-all', '--no-lock', condition, '-'] : [condition, '--input-type=module', '-'];
  const child = spawn(process.execPath, process.versions['bun'] === undefined ? args : [condition, 'run', '-'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  child.stdin.end(`import { Semaphore } from ${JSON.stringify(index)};\nconst semaphore = Semaphore.create(0);\n${lines}`);
  return (await text(child.stdout)).trim();
}

test('a pending asynchronous wait keeps its process, which nothing else does', async () => {
  expect(await inProcess(`semaphore.acquireAsync({ timeoutMs: 200 }).catch((error) => console.log(error.code));`)).toBe('TIMEOUT');
});

test('one that has ended, or was given up, keeps it no longer', async () => {
  const lines = `
    const controller = new AbortController();
    const given = semaphore.acquireAsync({ signal: controller.signal }).catch((error) => console.log(error.code));
    const got = semaphore.acquireAsync();
    controller.abort();
    semaphore.release();
    await Promise.all([given, got]);
    console.log('ended');`;
  expect(await inProcess(lines)).toBe('ABORTED\nended');
});
