/** What only a process of its own can show: that it ends, and that its main thread never waits. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test, vi } from 'vitest';
import { modules } from './modules.ts';

const run = promisify(execFile);

/** A process and its workers take long to start beside other suites. */
const TIMEOUT_MS = 90_000;
vi.setConfig({ testTimeout: TIMEOUT_MS });

/** Runs lines as a module that has `runtime`, in a Node of its own; what it printed. */
async function inNode(lines: string): Promise<string> {
  const index = new URL('../src/index.ts', import.meta.url).href;
  const script = `
    // Whoever waits on the main thread would freeze a page.
    Atomics.wait = () => { throw new Error('Atomics.wait on the main thread'); };
    const { WasmRuntime, spawn } = await import(${JSON.stringify(index)});
    const runtime = await WasmRuntime.start({
      module: ${JSON.stringify(modules.threadTesting.module.href)}, glue: ${JSON.stringify(modules.threadTesting.glue.href)}, threads: 2,
    });
    ${lines}`;
  const args = ['--conditions=@heddle/source', '--input-type=module', '--eval', script];
  const { stdout } = await run(process.execPath, args, { cwd: fileURLToPath(new URL('.', import.meta.url)), timeout: TIMEOUT_MS });
  return stdout.trim();
}

test('a process ends by itself when only parked workers remain', async () => {
  expect(await inNode(`console.log(await runtime.spawn('spawn_join', 10).join());`)).toBe('55');
});

test('a process waits for a thread that is joined', async () => {
  expect(await inNode(`runtime.spawn('spin_ms', 300).join().then(() => console.log('joined'));`)).toBe('joined');
});

test('the main thread never waits: not to start, to spawn, to join, nor to close', async () => {
  const lines = `
    await Promise.all(Array.from({ length: 8 }, () => runtime.spawn('rendezvous', 1).join()));
    await runtime.spawn('trap_now').join().catch((error) => console.log(error.code));
    await runtime.close();
    console.log('closed');`;
  expect(await inNode(lines)).toBe('THREAD_TRAPPED\nclosed');
});

test('a worker that dies under a thread: join is told, its locks are poisoned, and another worker takes its place', async () => {
  const lines = `
    console.log(await runtime.spawn('join_a_dead_worker').join());
    console.log(await runtime.spawn('rendezvous', 2).join());`;
  expect(await inNode(lines)).toBe('1\n2');
});

test('a supervisor that dies takes the workers along: who started the runtime is told, and can close it', async () => {
  const lines = `
    const { Worker } = await import('node:worker_threads');
    const { postMessage } = Worker.prototype;
    let supervisor;
    Worker.prototype.postMessage = function (message, ...rest) {
      if (message.type === 'start') supervisor = this;
      return postMessage.call(this, message, ...rest);
    };
    const other = await WasmRuntime.start({ module: runtime, glue: ${JSON.stringify(modules.threadTesting.glue.href)}, threads: 2 });
    other.spawn('spin_ms', 600000);
    await supervisor.terminate();
    console.log((await other.crashed).code);
    await other.close();
    console.log('closed');
    process.exit();`;
  expect(await inNode(lines)).toBe('THREAD_TERMINATED\nclosed');
});
