/** One record, two languages: the same behaviour between threads of TypeScript and threads of Rust in Wasm, in every pairing. */
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import {
  Barrier,
  Event,
  Latch,
  Mutex,
  Once,
  OnceCell,
  Parker,
  RwLock,
  ThreadRegistry,
  type ThreadRegistryHandle,
  type ThreadToken,
  WaitGroup,
  setMayBlock,
  snapshot,
} from '../src/index.ts';
import type { TestWorker } from './support/rpc.ts';
import { environment, sleep, startWorker } from './support/spawn.ts';
import { cellsAt } from './support/steps.ts';
import { Visit } from './support/types.ts';
import { type WasmProgram, loadWasm } from './support/wasm.ts';

setMayBlock(false);

const IS_LONG = Number(environment('HEDDLE_LONG_MINUTES') ?? 0) > 0;
/** How many times as much the long form does: millions of operations of each primitive and pairing. */
const SCALE = IS_LONG ? 500 : 1;
const TIMEOUT_MS = IS_LONG ? 30 * 60_000 : 30_000;

type Language = 'typescript' | 'rust';

/** A thread that does its steps in one language. */
class Side {
  readonly language: Language;
  readonly #worker: TestWorker;
  readonly token: ThreadToken;
  readonly registry: ThreadRegistryHandle;

  private constructor(language: Language, worker: TestWorker, token: ThreadToken, registry: ThreadRegistryHandle) {
    this.language = language;
    this.#worker = worker;
    this.token = token;
    this.registry = registry;
  }

  static async start(program: WasmProgram, language: Language): Promise<Side> {
    const worker = await startWorker();
    const { token, registry } = await worker.call<{ token: ThreadToken; registry: ThreadRegistryHandle }>(
      'instantiate',
      program.glueUrl,
      program.module,
      program.memory,
    );
    return new Side(language, worker, token, registry);
  }

  do(step: string, ...args: number[]): Promise<number> {
    return this.#worker.call<number>('step', this.language, step, ...args);
  }

  allocate(size: number): Promise<number> {
    return this.#worker.call<number>('step', 'rust', 'allocate', size);
  }

  kill(): Promise<void> {
    return this.#worker.kill();
  }
}

describe.each<[Language, Language]>([
  ['typescript', 'typescript'],
  ['typescript', 'rust'],
  ['rust', 'typescript'],
  ['rust', 'rust'],
])('a thread of %s and one of %s', { timeout: TIMEOUT_MS }, (first, second) => {
  let program: WasmProgram;
  let here: Side;
  let there: Side;
  let memory: WebAssembly.Memory;
  beforeAll(async () => {
    program = await loadWasm();
    memory = program.memory;
    // The first instance copies the module's data.
    here = await Side.start(program, first);
    there = await Side.start(program, second);
  }, 60_000);
  afterAll(() => Promise.all([here.kill(), there.kill()]));

  test('wait for one latch', async () => {
    const at = await here.allocate(Latch.byteLength + 4);
    const numberAt = at + Latch.byteLength;
    await here.do('latch_create', at, 3);
    const latch = Latch.at({ memory, byteOffset: at });
    const waiting = [here.do('latch_wait', at, numberAt), there.do('latch_wait', at, numberAt), latch.waitAsync()];
    new Uint32Array(memory.buffer, numberAt, 1)[0] = 7;
    latch.countDown(2);
    await sleep(2);
    latch.countDown();
    expect(await Promise.all(waiting)).toEqual([7, 7, undefined]);
    expect(await Promise.all([here.do('latch_count_down', at, 0), there.do('latch_count_down', at, 1)])).toEqual([0, 1]);
  });

  test('meet at one barrier', async () => {
    const times = 1_000 * SCALE;
    const at = await here.allocate(Barrier.byteLength + 4);
    await there.do('barrier_create', at, 2);
    const led = await Promise.all([
      here.do('barrier_meet', at, at + Barrier.byteLength, times),
      there.do('barrier_meet', at, at + Barrier.byteLength, times),
    ]);
    expect(led[0] + led[1]).toBe(times);
    expect(Barrier.at({ memory, byteOffset: at })).toMatchObject({ parties: 2, arrived: 0 });
  });

  test('are members of one group', async () => {
    const at = await here.allocate(WaitGroup.byteLength);
    const group = new WaitGroup({ memory, byteOffset: at });
    for (let round = 0; round < 10; round += 1) {
      group.add(2);
      const waiting = group.waitAsync();
      await Promise.all([here.do('group_work', at, 1_000 * SCALE), there.do('group_work', at, 1_000 * SCALE)]);
      await waiting;
      expect(await Promise.all([here.do('group_wait', at), there.do('group_wait', at)])).toEqual([0, 0]);
    }
  });

  test('call each other by events', async () => {
    const [at, otherAt] = [await here.allocate(Event.byteLength), await here.allocate(Event.byteLength)];
    await Promise.all([here.do('event_create', at, 1), there.do('event_create', otherAt, 1)]);
    const times = 2_000 * SCALE;
    expect(await Promise.all([here.do('event_ping', at, otherAt, times), there.do('event_pong', at, otherAt, times)])).toEqual([
      times,
      times,
    ]);
    const event = Event.at({ memory, byteOffset: at });
    expect([event.autoReset, event.isSet]).toEqual([true, false]);
  });

  test('wake each other by parkers', async () => {
    const [at, otherAt] = [await here.allocate(Parker.byteLength), await here.allocate(Parker.byteLength)];
    const times = 2_000 * SCALE;
    expect(await Promise.all([here.do('parker_ping', at, otherAt, times), there.do('parker_pong', at, otherAt, times)])).toEqual([
      times,
      times,
    ]);
  });

  test('do something once', async () => {
    for (let round = 0; round < 20; round += 1) {
      const at = await here.allocate(Once.byteLength + 4);
      const once = new Once({ memory, byteOffset: at });
      const done = [here.do('once_force', at, at + 4), there.do('once_force', at, at + 4)];
      expect(await Promise.all(done)).toEqual([1, 1]);
      await once.waitAsync();
      expect(once.isCompleted).toBe(true);
    }
  });

  test('learn from each other that an initialiser has died', async () => {
    const at = await here.allocate(Once.byteLength + 4);
    const once = new Once({ memory, byteOffset: at });
    const registry = ThreadRegistry.from(here.registry);
    const doomed = await Side.start(program, second);
    onTestFinished(() => doomed.kill());
    // Rust traps and its step ends; TypeScript stays in the initialiser until it is terminated.
    const died = doomed.do('once_die', at).catch(() => {});
    const word = new Int32Array(memory.buffer, at, 1);
    while (Atomics.load(word, 0) === 0) await sleep(1);
    expect(once.isCompleted).toBe(false);
    const forced = here.do('once_force', at, at + 4);
    await sleep(20);
    await (second === 'rust' ? died : doomed.kill());
    expect(registry.reap(doomed.token)).toBe(true);
    expect([await forced, once.isCompleted]).toEqual([1, true]);
  });

  test('guard one struct', async () => {
    const times = 20_000;
    const at = await here.allocate(Mutex.byteLengthOf(Visit));
    const mutex = new Mutex(Visit, { memory, byteOffset: at });
    await Promise.all([here.do('visit', at, times), there.do('visit', at, times + 1)]);
    using lock = mutex.lock();
    const quarter = times / 2;
    expect(snapshot(lock.value)).toEqual({
      hits: 2 * times + 1,
      sum: times + 0.5,
      last: { worker: true, name: new Uint8Array(6) },
      recent: [quarter, quarter + 1, quarter, quarter],
    });
  });

  test('write and read one struct', async () => {
    const times = 3_000 * SCALE;
    const at = await here.allocate(RwLock.byteLengthOf(Visit));
    expect(await Promise.all([here.do('rw_visit', at, times), there.do('rw_visit', at, times)])).toEqual([0, 0]);
    using reading = new RwLock(Visit, { memory, byteOffset: at }).read();
    expect([reading.value.hits, reading.value.sum]).toEqual([2 * times, times]);
  });

  test('fill one cell', async () => {
    const at = await here.allocate(OnceCell.byteLengthOf(Visit));
    const cell = new OnceCell(Visit, { memory, byteOffset: at });
    const [mine, yours] = await Promise.all([here.do('cell_get_or_init', at, 5), there.do('cell_get_or_init', at, 6)]);
    expect([5, 6]).toContain(mine);
    expect(yours).toBe(mine);
    expect(snapshot(cell.get()!)).toEqual({
      hits: mine,
      sum: 0.5,
      last: { worker: true, name: new TextEncoder().encode('heddle') },
      recent: [1, 2, 3, 4],
    });
  });

  test('change cells of every width', async () => {
    const times = 3_001;
    const at = await here.allocate(56);
    const cells = cellsAt(memory, at);
    cells.i8.store(-128);
    cells.u64.store(2n ** 64n - 1n);
    cells.bool.store(true);
    await Promise.all([here.do('cells_change', at, times), there.do('cells_change', at, times + 1)]);
    const total = 2 * times + 1;
    expect(Object.fromEntries(Object.entries(cells).map(([name, cell]) => [name, cell.load()]))).toEqual({
      i8: ((-128 - total) << 24) >> 24,
      u8: total & 0xff,
      i16: -total,
      u16: total,
      i32: -total,
      u32: total,
      i64: -BigInt(total) * 2n ** 40n,
      u64: BigInt.asUintN(64, BigInt(total) * 2n ** 40n - 1n),
      f32: total / 2,
      f64: total / 2,
      bool: total % 2 === 0,
    });
  });
});
