/** What becomes of thread-local values at the end of a Wasm thread, and how std's own functions are: what `docs/std-thread.md` says. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { WasmRuntime, type WasmValue } from '../src/index.ts';
import { modules } from './modules.ts';

let runtime: WasmRuntime;

beforeAll(async () => {
  runtime = await WasmRuntime.start({ ...modules.threadTesting, threads: 2 });
});

afterAll(() => runtime.close());

const call = (name: string, ...args: WasmValue[]): Promise<WasmValue | undefined> => runtime.spawn(name, ...args).join();

test.each([
  'locals_are_dropped',
  'a_lost_result_has_locals',
  'a_trap_drops_no_locals',
  'a_panic_in_a_destructor_traps',
  'an_overflow_drops_no_locals',
  'std_as_dependencies_see_it',
])('%s', async (name) => {
  expect(await call(name)).toBe(1);
});

test('the values of a thread that TypeScript spawned are dropped before its join resolves', async () => {
  await call('make_a_local');
  expect(await call('locals_dropped')).toBe(1);
});

/**
 * wasm-bindgen keeps the list of free slots of a worker's table of JavaScript values in thread-local storage. Each thread began with an
 * empty list, and so with 128 slots more.
 */
test('the table of JavaScript values stays as long as it is', async () => {
  const length = await call('spawn_with_locals', 50);
  expect(length).toBeGreaterThan(128);
  expect(await call('spawn_with_locals', 500)).toBe(length);
});
