/** Tasks of Rust beside TypeScript, on threads of one engine. */
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { Event, Latch, Mutex, RwLock, ThreadRegistry, WaitGroup } from '../../src/index.ts';
import { Side } from './Side.ts';
import { sleep } from './spawn.ts';
import { Count } from './types.ts';
import { type WasmProgram, loadWasm } from './wasm.ts';

/** @param engine what the threads' engine is like: '' as it is, or one of `engine.ts` */
export function testTasks(engine: string, timeoutMs: number): void {
  describe(`a task of Rust ${engine}`, { timeout: timeoutMs }, () => {
    let program: WasmProgram;
    let here: Side;
    let there: Side;
    let memory: WebAssembly.Memory;
    beforeAll(async () => {
      program = await loadWasm();
      memory = program.memory;
      here = await Side.start(program, 'rust', engine);
      there = await Side.start(program, 'rust', engine);
    }, 60_000);
    afterAll(() => Promise.all([here.kill(), there.kill()]));

    const resultOf = async (side: Side, task: number): Promise<number> => {
      for (;;) {
        const result = await side.do('task_poll', task);
        if (result !== 0) {
          await side.do('task_drop', task);
          return result;
        }
        await sleep(1);
      }
    };

    test('waits for the lock that TypeScript holds, and another task of its thread for that', async () => {
      const at = await here.allocate(16);
      const mutex = new Mutex(Count, { memory, byteOffset: at });
      const lock = await mutex.lockAsync();
      const tasks = [await here.do('task_locks', at), await here.do('task_locks', at), await there.do('task_locks', at)];
      const blocked = there.do('task_poll', tasks[2]);
      expect(await Promise.all([here.do('task_poll', tasks[0]), here.do('task_poll', tasks[1]), blocked])).toEqual([0, 0, 0]);
      lock.value.count = 7;
      lock.unlock();
      expect(await Promise.all([resultOf(here, tasks[0]), resultOf(here, tasks[1]), resultOf(there, tasks[2])])).toEqual([1, 1, 1]);
      using after = await mutex.lockAsync();
      expect(after.value.count).toBe(10);
    });

    test('that goes leaves what it was woken for to the next', async () => {
      const at = await here.allocate(16);
      const mutex = new Mutex(Count, { memory, byteOffset: at });
      const lock = await mutex.lockAsync();
      const [first, second] = [await here.do('task_locks', at), await there.do('task_locks', at)];
      lock.unlock();
      await here.do('task_drop', first);
      expect(await resultOf(there, second)).toBe(1);
    });

    /** Where TypeScript blocked the thread of a task of Rust, that stayed in its queue, and kept the wake-up that another needed. */
    test.for(['Rust', 'TypeScript'])('takes no wake-up from others while %s blocks its thread', async (language) => {
      const [at, eventAt] = [await here.allocate(16), await here.allocate(Event.byteLength)];
      const mutex = new Mutex(Count, { memory, byteOffset: at });
      const lock = await mutex.lockAsync();
      await here.do('event_create', eventAt, 1);
      const [first, second] = [await here.do('task_locks', at), await there.do('task_locks', at)];
      // The thread of the first blocks until it is told: the other one gets the lock before.
      const otherAt = await here.allocate(Event.byteLength);
      await here.do('event_create', otherAt, 0);
      const pong = ['event_pong', eventAt, otherAt, 1] as const;
      const blocked = language === 'Rust' ? here.do(...pong) : here.doInTypeScript(...pong);
      const waiters = new Int32Array(memory.buffer, eventAt, 2);
      while (Atomics.load(waiters, 1) === 0) await sleep(1);
      await sleep(5);
      lock.unlock();
      expect(await resultOf(there, second)).toBe(1);
      Event.at({ memory, byteOffset: eventAt }).set();
      expect([await blocked, await resultOf(here, first)]).toEqual([1, 1]);
    });

    test('hears of what TypeScript counts, sets and adds', async () => {
      const [latchAt, eventAt, groupAt] = [
        await here.allocate(Latch.byteLength),
        await here.allocate(Event.byteLength),
        await here.allocate(WaitGroup.byteLength),
      ];
      await here.do('latch_create', latchAt, 1);
      await here.do('event_create', eventAt, 0);
      const group = new WaitGroup({ memory, byteOffset: groupAt });
      group.add(1);
      const task = await here.do('task_waits', latchAt, eventAt, groupAt);
      Latch.at({ memory, byteOffset: latchAt }).countDown();
      Event.at({ memory, byteOffset: eventAt }).set();
      expect(await here.do('task_poll', task)).toBe(0);
      group.done();
      expect(await resultOf(here, task)).toBe(1);
    });

    test('hears of the death of who held the lock', async () => {
      const mutexAt = await here.allocate(16);
      const [writtenAt, readAt] = [await here.allocate(RwLock.byteLength), await here.allocate(RwLock.byteLength)];
      const doomed = await Side.start(program, 'rust');
      onTestFinished(() => doomed.kill());
      await doomed.do('locks_die', mutexAt, writtenAt, readAt).catch(() => {});
      const task = await here.do('task_locks', mutexAt);
      expect(ThreadRegistry.from(here.registry).reap(doomed.token)).toBe(true);
      expect(await resultOf(here, task)).toBe(2);
    });
  });
}
