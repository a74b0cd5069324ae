/** Crates of the ecosystem on heddle's threads: rayon, crossbeam and parking_lot, as the registry has them. */
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { WasmRuntime, type WasmValue } from '../src/index.ts';
import { modules } from './modules.ts';

declare global {
  interface ImportMeta {
    /** Vitest's; it is found in the text, so nothing may stand between. */
    readonly env: Readonly<Record<string, string | undefined>>;
  }
}

/** Ten million numbers where there is time; a million in the daily run. */
const IS_LONG = Number(import.meta.env['HEDDLE_LONG_MINUTES'] ?? 0) > 0;
const SORT_COUNT = IS_LONG ? 10_000_000 : 1_000_000;

/** Four threads on a busy machine with two cores. */
vi.setConfig({ testTimeout: 60_000 });

let runtime: WasmRuntime;

beforeAll(async () => {
  runtime = await WasmRuntime.start({ ...modules.ecosystemTesting, threads: 5 });
});

afterAll(() => runtime.close());

const call = (name: string, ...args: WasmValue[]): Promise<WasmValue | undefined> => runtime.spawn(name, ...args).join();

test(`rayon sorts ${SORT_COUNT} numbers on a pool of four threads`, async () => {
  expect(await call('rayon_sorts', SORT_COUNT, 4)).toBe(1);
});

test("rayon's jobs run on all threads of a pool, and a job's panic reaches whoever waits for it", async () => {
  expect(await call('rayon_uses_all_its_threads', 4)).toBe(4);
});

test.each([0, 8])('each message on a channel of crossbeam with room for %i reaches one receiver', async (capacity) => {
  expect(await call('crossbeam_channels', capacity)).toBe(1);
});

test('each task in a deque of crossbeam is done once, whoever steals it', async () => {
  expect(await call('crossbeam_deques', 20_000)).toBe(20_000);
});

test("parking_lot's locks keep threads apart and wake those that wait", async () => {
  expect(await call('parking_lots_locks', 500)).toBe(1);
});

/** crossbeam-epoch has more than two kilobytes for each thread, until a destructor of a thread-local gives them back. */
test("what crossbeam keeps for a thread goes at the thread's end", async () => {
  expect(await call('bytes_left_by_threads', 1000)).toBeLessThan(1_000_000);
});

test('deadlines by the clock of std and the global pool of rayon are as `docs/std-thread.md` says', async () => {
  expect(await call('what_needs_std_itself')).toBe(1);
});
