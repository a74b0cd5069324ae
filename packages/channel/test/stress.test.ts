/**
 * TypeScript's and Rust's threads on one lock, with waits given up and threads of both terminated at random: nothing is stuck or
 * counted wrong. `packages/atomics/test/stress.test.ts` has TypeScript's alone.
 *
 * A share of it in the daily run; ten million operations with HEDDLE_LONG_MINUTES. HEDDLE_SEED chooses who is terminated.
 */
import { Semaphore, ThreadRegistry, type ThreadToken } from '@heddle/atomics';
import { expect, test } from 'vitest';
import type { TestWorker } from './support/rpc.ts';
import { environment, sleep, spawn } from './support/spawn.ts';
import { type WasmProgram, loadWasm } from './support/wasm.ts';

const IS_LONG = Number(environment('HEDDLE_LONG_MINUTES') ?? 0) > 0;
const SEED = Number(environment('HEDDLE_SEED') ?? 1) >>> 0;
const OPERATIONS = IS_LONG ? 10_000_000 : 60_000;
const PERMITS = IS_LONG ? 10_000_000 : 12_000;
const TIMEOUT_MS = IS_LONG ? 60 * 60_000 : 120_000;
// Chromium takes two seconds to end a thread.
const DEATHS = IS_LONG ? 20 : 2;
/** Workers, half of them Rust's. */
const WORKERS = 4;
/** What one call of Rust's adds. */
const ADDED_AT_ONCE = 10;

interface Participant {
  readonly worker: TestWorker;
  readonly token: ThreadToken;
  readonly running: Promise<unknown>;
}

async function instantiate(program: WasmProgram): Promise<{ worker: TestWorker; token: ThreadToken }> {
  const worker = await spawn();
  return { worker, token: await worker.call<ThreadToken>('instantiate', program.glueUrl, program.module, program.memory) };
}

test('threads of two languages share a mutex under stress', { timeout: TIMEOUT_MS }, async () => {
  const program = await loadWasm();
  const { worker: first } = await instantiate(program);
  const call = (name: string): Promise<number> => first.call<number>('wasm', name);
  const [mutexAt, valueAt] = [await call('counter_lock'), await call('counter_value')];
  const registry = ThreadRegistry.at({ memory: program.memory, byteOffset: await call('__heddle_registry') });
  const shared = new Int32Array(new SharedArrayBuffer(4 * (1 + WORKERS)));
  shared[0] = OPERATIONS;

  const start = async (index: number): Promise<Participant> => {
    const { worker, token } = await instantiate(program);
    const running =
      index % 2 === 0
        ? worker.call('incrementSomehow', mutexAt, valueAt, shared, 1 + index)
        : worker.call('incrementInRust', shared, 1 + index);
    return { worker, token, running };
  };
  const participants: Participant[] = [];
  // oxlint-disable-next-line no-await-in-loop -- one instance after the other
  for (let index = 0; index < WORKERS; index += 1) participants.push(await start(index));
  for (let death = 1; death <= DEATHS; death += 1) {
    const left = OPERATIONS - Math.floor((OPERATIONS * death) / (DEATHS + 1));
    // oxlint-disable-next-line no-await-in-loop -- until they have come so far
    while (Atomics.load(shared, 0) > left) await sleep(1);
    const index = (SEED + death) % WORKERS;
    const { worker, token } = participants[index];
    // oxlint-disable-next-line no-await-in-loop -- one death after the other
    await worker.kill();
    registry.reap(token);
    // oxlint-disable-next-line no-await-in-loop -- one death after the other
    participants[index] = await start(index);
  }
  await Promise.all(participants.map(({ running }) => running));

  const done = shared.subarray(1).reduce((sum, count) => sum + count, 0);
  const value = new Uint32Array(program.memory.buffer, valueAt, 1)[0];
  // The dead may have added what they hadn't counted yet.
  expect(value - done).toBeGreaterThanOrEqual(0);
  expect(value - done).toBeLessThanOrEqual(DEATHS * ADDED_AT_ONCE);
  expect(done).toBeGreaterThan(OPERATIONS / 2);
});

test('threads of two languages share a semaphore under stress', { timeout: TIMEOUT_MS }, async () => {
  const program = await loadWasm();
  const { worker: rust } = await instantiate(program);
  const [{ worker: otherRust }, { worker: typescript }, { worker: releaser }] = [
    await instantiate(program),
    await instantiate(program),
    await instantiate(program),
  ];
  const semaphoreAt = await rust.call<number>('wasm', 'semaphore');
  await Promise.all([
    rust.call('wasm', 'semaphore_acquire', PERMITS / 4),
    otherRust.call('wasm', 'semaphore_acquire', PERMITS / 4),
    typescript.call('acquireSomehow', semaphoreAt, PERMITS / 2),
    releaser.call('release', semaphoreAt, PERMITS),
  ]);
  expect(Semaphore.at({ memory: program.memory, byteOffset: semaphoreAt }).available).toBe(0);
});
