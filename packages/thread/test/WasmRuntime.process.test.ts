/** What only a process of its own can show: that it ends, and that its main thread never waits. */
import { expect, test, vi } from 'vitest';
import { modules } from './modules.ts';
import { outputOf, PROCESS_TIMEOUT_MS } from './process.ts';

vi.setConfig({ testTimeout: PROCESS_TIMEOUT_MS });

/** Runs lines as a module that has `runtime`, in a process of this host of its own; what it printed. */
async function inProcess(lines: string, stream: 'stdout' | 'stderr' = 'stdout'): Promise<string> {
  const index = new URL('../src/index.ts', import.meta.url).href;
  const script = `
    // Whoever waits on the main thread would freeze a page.
    Atomics.wait = () => { throw new Error('Atomics.wait on the main thread'); };
    const { WasmRuntime, spawn } = await import(${JSON.stringify(index)});
    const runtime = await WasmRuntime.start({
      module: ${JSON.stringify(modules.threadTesting.module.href)}, glue: ${JSON.stringify(modules.threadTesting.glue.href)}, threads: 2,
    });
    ${lines}`;
  return outputOf(script, stream);
}

test('a process ends by itself when only parked workers remain', async () => {
  expect(await inProcess(`console.log(await runtime.spawn('spawn_join', 10).join());`)).toBe('55');
});

test('a process waits for a thread that is joined', async () => {
  expect(await inProcess(`runtime.spawn('spin_ms', 300).join().then(() => console.log('joined'));`)).toBe('joined');
});

test('the main thread never waits: not to start, to spawn, to join, nor to close', async () => {
  const lines = `
    await Promise.all(Array.from({ length: 8 }, () => runtime.spawn('rendezvous', 1).join()));
    await runtime.spawn('trap_now').join().catch((error) => console.log(error.code));
    await runtime.close();
    console.log('closed');`;
  expect(await inProcess(lines)).toBe('THREAD_TRAPPED\nclosed');
});

test('a worker that dies under a thread: join is told, its locks are poisoned, and another worker takes its place', async () => {
  const lines = `
    console.log(await runtime.spawn('join_a_dead_worker').join());
    console.log(await runtime.spawn('rendezvous', 2).join());`;
  expect(await inProcess(lines)).toBe('1\n2');
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
  expect(await inProcess(lines)).toBe('THREAD_TERMINATED\nclosed');
});

test('process.exit ends all of it, whatever threads do', async () => {
  const lines = `
    const word = await runtime.spawn('new_word', 0).join();
    runtime.spawn('wait_while', word, 0);
    runtime.spawn('spin_ms', 600000);
    spawn(${JSON.stringify(new URL('./fixtures/jobs.ts', import.meta.url).href)}).join().then((sum) => {
      console.log(sum);
      process.exit();
    });`;
  expect(await inProcess(lines)).toBe('0');
});

test("a panic prints where it happened, by the names of Rust's functions", async () => {
  const printed = await inProcess(`await runtime.spawn('panic_now').join().catch(() => {});`, 'stderr');
  expect(printed).toMatch(/thread 'panic_now' panicked at .*\.rs:\d+:\d+:\nthe weft broke\n/);
  // Bun tells no names of what is in Wasm.
  if (process.versions['bun'] !== undefined) return;
  expect(printed).toMatch(/\bpanic_now\b.*wasm/);
  expect(printed).toMatch(/heddle_thread.*report_panic|core.*panicking::panic_fmt/);
});

test('a panic whose message is hidden prints its place and not the message', async () => {
  const printed = await inProcess(
    `await runtime.spawn('hide_messages', 1).join();
    await runtime.spawn('panic_with', 987654321).join().catch(() => {});
    await runtime.spawn('panic_now').join().catch(() => {});`,
    'stderr',
  );
  expect(printed).toMatch(/thread 'panic_with' panicked at .*\.rs:\d+:\d+:\na message that may quote data, and is hidden\n/);
  expect(printed).not.toContain('987654321');
  expect(printed).toMatch(/thread 'panic_now' panicked at .*\.rs:\d+:\d+:\nthe weft broke\n/);
});
