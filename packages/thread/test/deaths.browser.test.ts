/** Workers of a runtime that a browser kills, under their threads or under the runtime: it tells nobody, but frees what they held. */
import { expect, onTestFinished, test } from 'vitest';
import { WasmRuntime } from '../src/index.ts';
import { KILL_CHANNEL } from './fixtures/hostages.ts';
import { bare } from './fixtures/hosted.ts';
import { replaceWorkers } from './fixtures/replaceWorkers.ts';
import { modules } from './modules.ts';

// oxlint-disable-next-line unicorn/require-post-message-target-origin -- a channel's has no origin
const kill = (): void => new BroadcastChannel(KILL_CHANNEL).postMessage('now');

/** A runtime whose workers can be killed, whoever makes them: the supervisor, or this page for it. */
async function start(options: Parameters<typeof WasmRuntime.start>[0]): Promise<WasmRuntime> {
  onTestFinished(replaceWorkers('supervisor', new URL('./fixtures/supervisorWithHostages.ts', import.meta.url)));
  const runtime = await WasmRuntime.start({ threads: 1, ...options });
  onTestFinished(() => runtime.close({ graceMs: 0 }));
  return runtime;
}

test('of a module with heddle-thread: join is told, and others take their place', async () => {
  const runtime = await start(modules.threadTesting);
  const word = Number(await runtime.spawn('new_word', 0).join());
  const stuck = runtime.spawn('wait_while', word, 0);
  const isRunning = (): boolean => runtime.threads().some(({ threadId, state }) => threadId === stuck.id && state === 'running');
  // oxlint-disable-next-line no-await-in-loop -- looks until it runs
  while (!isRunning()) await new Promise((resolve) => setTimeout(resolve, 1));
  kill();
  await expect(stuck.join()).rejects.toMatchObject({ code: 'THREAD_TERMINATED' });
  expect((await runtime.crashed).code).toBe('THREAD_TERMINATED');
  expect(await runtime.spawn('add', 1, 1).join()).toBe(2);
});

test('of another module: the same', async () => {
  const runtime = await start({ module: bare(), imports: new URL('./fixtures/hostedImports.ts', import.meta.url) });
  const stuck = runtime.spawn('wait_while', 1024, 0);
  const isRunning = (): boolean => runtime.threads().some(({ threadId, state }) => threadId === stuck.id && state === 'running');
  // oxlint-disable-next-line no-await-in-loop -- looks until it runs
  while (!isRunning()) await new Promise((resolve) => setTimeout(resolve, 1));
  kill();
  await expect(stuck.join()).rejects.toMatchObject({ code: 'THREAD_TERMINATED' });
  expect(await runtime.spawn('bump').join()).toBe(8);
});

test('a supervisor that dies: who started the runtime is told, and can close it', async () => {
  const { Worker } = globalThis;
  const created: Worker[] = [];
  globalThis.Worker = class extends Worker {
    constructor(...args: ConstructorParameters<typeof Worker>) {
      super(...args);
      created.push(this);
    }
  };
  onTestFinished(() => {
    globalThis.Worker = Worker;
  });
  const runtime = await WasmRuntime.start({ threads: 1, ...modules.threadTesting });
  runtime.spawn('spin_ms', 600_000);
  created[0]?.terminate();
  expect(await runtime.crashed).toMatchObject({
    code: 'THREAD_TERMINATED',
    message: expect.stringContaining('the supervisor is gone') as string,
  });
  await runtime.close({ graceMs: 0 });
});
