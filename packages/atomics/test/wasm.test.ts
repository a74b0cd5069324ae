/** One record, two languages: the same behaviour between threads of TypeScript and threads of Rust in Wasm, in every pairing. */
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import {
  Barrier,
  Condition,
  Event,
  Latch,
  Mutex,
  Once,
  OnceCell,
  Parker,
  RwLock,
  Semaphore,
  ThreadRegistry,
  WaitGroup,
  setMayBlock,
  snapshot,
  u32,
} from '../src/index.ts';
import {
  OWNER_GENERATION_SHIFT,
  SEMAPHORE_CLAIMANT_OFFSET,
  SEMAPHORE_DEMAND_OFFSET,
  SEMAPHORE_PERMITS_OFFSET,
} from '../src/internal/layout.ts';
import { type Language, Side } from './support/Side.ts';
import { environment, sleep } from './support/spawn.ts';
import { cellsAt } from './support/steps.ts';
import { testTasks } from './support/tasks.ts';
import { Visit } from './support/types.ts';
import { TEXT_BYTE_LENGTH } from './support/waits.ts';
import { type WasmProgram, loadWasm, textIn } from './support/wasm.ts';

setMayBlock(false);

const IS_LONG = Number(environment('HEDDLE_LONG_MINUTES') ?? 0) > 0;
/** How many times as much the long form does: millions of operations of each primitive and pairing. */
const SCALE = IS_LONG ? 500 : 1;
const TIMEOUT_MS = IS_LONG ? 30 * 60_000 : 30_000;

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

  test('take turns at one condition', async () => {
    const times = 1_000 * SCALE;
    const mutexAt = await here.allocate(Mutex.byteLengthOf(u32) + Condition.byteLength);
    const conditionAt = mutexAt + Mutex.byteLengthOf(u32);
    // Each wakes one: a notification that is lost leaves both waiting for ever.
    const last = [
      here.do('condvar_take_turns', mutexAt, conditionAt, 0, 2, times),
      there.do('condvar_take_turns', mutexAt, conditionAt, 1, 2, times),
    ];
    expect(await Promise.all(last)).toEqual([2 * times - 1, 2 * times]);
  });

  test('take turns with a thread that waits asynchronously', async () => {
    const times = 50;
    const mutexAt = await here.allocate(Mutex.byteLengthOf(u32) + Condition.byteLength);
    const conditionAt = mutexAt + Mutex.byteLengthOf(u32);
    const others = [
      here.do('condvar_take_turns', mutexAt, conditionAt, 0, 3, times),
      there.do('condvar_take_turns', mutexAt, conditionAt, 2, 3, times),
    ];
    const mutex = new Mutex(u32, { memory, byteOffset: mutexAt });
    const condition = new Condition({ memory, byteOffset: conditionAt });
    for (let time = 0; time < times; time += 1) {
      using lock = await mutex.lockAsync();
      await condition.waitAsync(lock, { predicate: () => lock.value % 3 === 1 });
      lock.value += 1;
      condition.notifyAll();
    }
    expect(await Promise.all(others)).toEqual([3 * times - 2, 3 * times]);
  });

  test('wait at a condition for one who dies before it tells', async () => {
    const mutexAt = await here.allocate(Mutex.byteLengthOf(u32) + Condition.byteLength);
    const conditionAt = mutexAt + Mutex.byteLengthOf(u32);
    const [writtenAt, readAt] = [await here.allocate(RwLock.byteLength), await here.allocate(RwLock.byteLength)];
    const doomed = await Side.start(program, second);
    onTestFinished(() => doomed.kill());
    const waiting = here.do('condvar_wait_for', mutexAt, conditionAt, 1);
    await here.blocked();
    const died = doomed.do('locks_die', mutexAt, writtenAt, readAt).catch(() => {});
    const word = new Int32Array(memory.buffer, mutexAt, 1);
    while (Atomics.load(word, 0) === 0) await sleep(1);
    await (second === 'rust' ? died : doomed.kill());
    expect(ThreadRegistry.from(here.registry).reap(doomed.token)).toBe(true);
    expect(await waiting).toBe(2 ** 32 - 1);
  });

  test('never have more permits of one semaphore than it has', async () => {
    const times = 20_000 * SCALE;
    const at = await here.allocate(Semaphore.byteLength + 4);
    const insideAt = at + Semaphore.byteLength;
    await there.do('semaphore_create', at, 3);
    const most = await Promise.all([
      here.do('semaphore_pass', at, insideAt, 2, times),
      there.do('semaphore_pass', at, insideAt, 3, times),
      here.do('semaphore_pass', at, insideAt, 1, times),
    ]);
    expect(most[1]).toBe(3);
    expect(Math.max(...most)).toBe(3);
    expect(Semaphore.at({ memory, byteOffset: at }).available).toBe(3);
  });

  test.each([1, 3])('wake each other by %i permits of semaphores', async (count) => {
    const [at, otherAt] = [await here.allocate(Semaphore.byteLength), await here.allocate(Semaphore.byteLength)];
    await Promise.all([here.do('semaphore_create', at, 0), there.do('semaphore_create', otherAt, 0)]);
    const times = 1_000 * SCALE;
    expect(
      await Promise.all([here.do('semaphore_ping', at, otherAt, count, times), there.do('semaphore_pong', at, otherAt, count, times)]),
    ).toEqual([times, times]);
    expect([at, otherAt].map((byteOffset) => Semaphore.at({ memory, byteOffset }).available)).toEqual([0, 0]);
  });

  test('have the permits that were kept for one who died', async () => {
    const at = await here.allocate(Semaphore.byteLength);
    await here.do('semaphore_create', at, 2);
    const doomed = await Side.start(program, second);
    onTestFinished(() => doomed.kill());
    // As a waiter leaves it that was woken in vain too often, and then dies.
    const words = new Int32Array(memory.buffer, at, Semaphore.byteLength >> 2);
    const { slot, generation } = doomed.token;
    Atomics.store(words, SEMAPHORE_DEMAND_OFFSET >> 2, 3);
    Atomics.store(words, SEMAPHORE_CLAIMANT_OFFSET >> 2, (generation << OWNER_GENERATION_SHIFT) | slot);
    const waiting = [here.do('semaphore_acquire', at, 1), there.do('semaphore_acquire', at, 1)];
    await Promise.all([here.blocked(), there.blocked()]);
    expect(Atomics.load(words, SEMAPHORE_PERMITS_OFFSET >> 2)).toBe(2);
    await doomed.kill();
    expect(ThreadRegistry.from(here.registry).reap(doomed.token)).toBe(true);
    expect(await Promise.all(waiting)).toEqual([1, 1]);
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

  test('learn from each other that who held their locks has died', async () => {
    const mutexAt = await here.allocate(Mutex.byteLength);
    const [writtenAt, readAt] = [await here.allocate(RwLock.byteLength), await here.allocate(RwLock.byteLength)];
    const registry = ThreadRegistry.from(here.registry);
    const doomed = await Side.start(program, second);
    onTestFinished(() => doomed.kill());
    // Rust traps with the locks; TypeScript keeps them until it is terminated.
    const died = doomed.do('locks_die', mutexAt, writtenAt, readAt).catch(() => {});
    // The mutex is the last of them.
    const word = new Int32Array(memory.buffer, mutexAt, 1);
    while (Atomics.load(word, 0) === 0) await sleep(1);
    const taken = here.do('locks_take', mutexAt, writtenAt, readAt);
    await sleep(20);
    await (second === 'rust' ? died : doomed.kill());
    expect(registry.reap(doomed.token)).toBe(true);
    // Who only read has left nothing half changed.
    expect(await taken).toBe(1 | 2);
    // Nobody waits now, and each is as the one before left it.
    expect(await there.do('locks_take', mutexAt, writtenAt, readAt)).toBe(1 | 2);
  });

  test('are told who waits for whom when each has what the other wants', async () => {
    const [firstAt, secondAt] = [await here.allocate(Mutex.byteLengthOf(u32)), await here.allocate(Mutex.byteLengthOf(u32))];
    const [begunAt, textAt] = [await here.allocate(Latch.byteLength), await here.allocate(2 * TEXT_BYTE_LENGTH)];
    await here.do('latch_create', begunAt, 2);
    const lengths = await Promise.all([
      here.do('take_two', firstAt, secondAt, begunAt, textAt),
      there.do('take_two', secondAt, firstAt, begunAt, textAt + TEXT_BYTE_LENGTH),
    ]);
    const reports = lengths.map((length, i) => textIn(memory, textAt + i * TEXT_BYTE_LENGTH, length)).filter((text) => text !== '');
    // Whoever is told lets go, and the other one goes on.
    expect(reports.length).toBeGreaterThan(0);
    for (const report of reports) {
      expect(report).toMatch(/^deadlock: /u);
      // Each language writes an address in its own way.
      for (const at of [firstAt, secondAt]) {
        expect(report).toMatch(new RegExp(`the lock at (0x${at.toString(16)}|byte ${at}), which is held by`, 'u'));
      }
    }
    expect([firstAt, secondAt].map((byteOffset) => new Mutex({ memory, byteOffset }).isLocked)).toEqual([false, false]);
  });

  test('wake each other through a memory that has grown while they waited', async () => {
    const at = await here.allocate(Latch.byteLength + 4);
    const numberAt = at + Latch.byteLength;
    const latch = Latch.create(2, { memory, byteOffset: at });
    const waiting = [here.do('latch_wait', at, numberAt), latch.waitAsync()];
    await here.blocked();
    const grownAt = memory.buffer.byteLength;
    memory.grow(1);
    // Through the new buffer, and the one that the waiters know.
    await there.do('latch_count_down', at, 1);
    latch.countDown();
    expect(await Promise.all(waiting)).toEqual([0, undefined]);
    // Both reach what is new.
    await there.do('latch_create', grownAt, 1);
    const again = here.do('latch_wait', grownAt, numberAt);
    await here.blocked();
    await there.do('latch_count_down', grownAt, 1);
    expect(await again).toBe(0);
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

testTasks('', TIMEOUT_MS);
