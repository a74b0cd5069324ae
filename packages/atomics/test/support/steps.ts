/**
 * What one side of a record does in the tests of both languages: the same functions as in
 * `crates/atomics/examples/atomics-testing.rs`, over the memory of that module.
 */
import {
  AtomicBool,
  AtomicF32,
  AtomicF64,
  AtomicI16,
  AtomicI32,
  AtomicI64,
  AtomicI8,
  AtomicU16,
  AtomicU32,
  AtomicU64,
  AtomicU8,
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
  type SharedLocation,
  Unparker,
  PoisonedError,
  WaitGroup,
  u32,
} from '../../src/index.ts';
import { Visit } from './types.ts';
import { waitStepsOf } from './waits.ts';

/** Numbers in, a number out, as the exports of a Wasm module. */
export type Step = (...args: number[]) => number | Promise<number>;

/** Where the cells of `Cells` begin, as #[repr(C)] lays them. */
const CELLS = { i8: 0, u8: 1, i16: 2, u16: 4, i32: 8, u32: 12, i64: 16, u64: 24, f32: 32, f64: 40, bool: 48 };

/** The cells at an address. */
export function cellsAt(memory: WebAssembly.Memory, at: number) {
  const place = (cell: keyof typeof CELLS): SharedLocation => ({ memory, byteOffset: at + CELLS[cell] });
  return {
    i8: new AtomicI8(place('i8')),
    u8: new AtomicU8(place('u8')),
    i16: new AtomicI16(place('i16')),
    u16: new AtomicU16(place('u16')),
    i32: new AtomicI32(place('i32')),
    u32: new AtomicU32(place('u32')),
    i64: new AtomicI64(place('i64')),
    u64: new AtomicU64(place('u64')),
    f32: new AtomicF32(place('f32')),
    f64: new AtomicF64(place('f64')),
    bool: new AtomicBool(place('bool')),
  };
}

/** The steps over one memory. */
export function stepsOf(memory: WebAssembly.Memory): Record<string, Step> {
  const place = (byteOffset: number): SharedLocation => ({ memory, byteOffset });
  const numbersAt = (byteOffset: number): Uint32Array => new Uint32Array(memory.buffer, byteOffset, 1);
  return {
    ...waitStepsOf(memory),

    latch_create: (at, count) => Number(Latch.create(count, place(at)).tryWait()),
    latch_count_down: (at, n) => {
      try {
        Latch.at(place(at)).countDown(n);
        return 0;
      } catch {
        return 1;
      }
    },
    latch_wait: (at, number) => {
      Latch.at(place(at)).wait();
      return numbersAt(number)[0];
    },

    barrier_create: (at, parties) => Barrier.create(parties, place(at)).arrived,
    barrier_meet: (at, arrivalsAt, times) => {
      const barrier = Barrier.at(place(at));
      const arrivals = numbersAt(arrivalsAt);
      let led = 0;
      for (let time = 1; time <= times; time += 1) {
        Atomics.add(arrivals, 0, 1);
        if (barrier.wait().isLeader) led += 1;
        if (Atomics.load(arrivals, 0) !== time * barrier.parties) return 2 ** 32 - 1;
        barrier.wait();
      }
      return led;
    },

    group_work: (at, times) => {
      const group = new WaitGroup(place(at));
      for (let time = 0; time < times; time += 1) group.member().done();
      group.done();
      return 0;
    },
    group_wait: (at) => {
      new WaitGroup(place(at)).wait();
      return 0;
    },

    event_create: (at, autoReset) => Number(Event.create({ autoReset: autoReset !== 0, location: place(at) }).isSet),
    event_pong: (at, otherAt, times) => {
      const [event, other] = [Event.at(place(at)), Event.at(place(otherAt))];
      for (let time = 0; time < times; time += 1) {
        event.wait();
        other.set();
      }
      return times;
    },
    event_ping: (at, otherAt, times) => {
      const [event, other] = [Event.at(place(at)), Event.at(place(otherAt))];
      for (let time = 0; time < times; time += 1) {
        event.set();
        other.wait();
      }
      return times;
    },

    parker_pong: (at, otherAt, times) => {
      const [parker, other] = [new Parker(place(at)), new Unparker(place(otherAt))];
      for (let time = 0; time < times; time += 1) {
        parker.park();
        other.unpark();
      }
      return times;
    },
    parker_ping: (at, otherAt, times) => {
      const [unparker, other] = [new Unparker(place(at)), new Parker(place(otherAt))];
      for (let time = 0; time < times; time += 1) {
        unparker.unpark();
        other.park();
      }
      return times;
    },

    condvar_take_turns: (mutexAt, conditionAt, turn, parties, times) => {
      const mutex = new Mutex(u32, place(mutexAt));
      const condition = new Condition(place(conditionAt));
      let last = 0;
      for (let time = 0; time < times; time += 1) {
        using lock = mutex.lock();
        condition.waitFor(lock, Infinity, () => lock.value % parties === turn);
        lock.value += 1;
        last = lock.value;
        if (parties === 2) condition.notifyOne();
        else condition.notifyAll();
      }
      return last;
    },
    condvar_wait_for: (mutexAt, conditionAt, least) => {
      try {
        using lock = new Mutex(u32, place(mutexAt)).lock();
        new Condition(place(conditionAt)).waitFor(lock, Infinity, () => lock.value >= least);
        return lock.value;
      } catch (error) {
        if (error instanceof PoisonedError) return 2 ** 32 - 1;
        throw error;
      }
    },

    semaphore_create: (at, permits) => Semaphore.create(permits, place(at)).available,
    semaphore_pass: (at, insideAt, count, times) => {
      const semaphore = Semaphore.at(place(at));
      const inside = numbersAt(insideAt);
      let most = 0;
      for (let time = 0; time < times; time += 1) {
        using _ = semaphore.acquire({ count });
        most = Math.max(most, Atomics.add(inside, 0, count) + count);
        Atomics.sub(inside, 0, count);
      }
      return most;
    },
    semaphore_pong: (at, otherAt, count, times) => {
      const [semaphore, other] = [Semaphore.at(place(at)), Semaphore.at(place(otherAt))];
      for (let time = 0; time < times; time += 1) {
        semaphore.acquire({ count });
        for (let permit = 0; permit < count; permit += 1) other.release();
      }
      return times;
    },
    semaphore_ping: (at, otherAt, count, times) => {
      const [semaphore, other] = [Semaphore.at(place(at)), Semaphore.at(place(otherAt))];
      for (let time = 0; time < times; time += 1) {
        for (let permit = 0; permit < count; permit += 1) semaphore.release();
        other.acquire({ count });
      }
      return times;
    },
    semaphore_acquire: (at, count) => Semaphore.at(place(at)).acquire({ count }).count,

    once_force: (at, number) => {
      const numbers = numbersAt(number);
      new Once(place(at)).callForce(() => (numbers[0] += 1));
      return numbers[0];
    },
    /** Never ends: whoever waits for it terminates the thread. */
    once_die: async (at) => {
      await new Once(place(at)).callAsync(() => new Promise(() => {}));
      return 0;
    },

    visit: (at, times) => {
      const mutex = new Mutex(Visit, place(at));
      for (let time = 0; time < times; time += 1) {
        using lock = mutex.lock();
        const { value } = lock;
        value.hits += 1;
        value.sum += 0.5;
        value.last.worker = !value.last.worker;
        const slot = value.hits % 4;
        value.recent.set(slot, (value.recent.get(slot) + 1) & 0xffff);
      }
      return 0;
    },
    rw_visit: (at, times) => {
      const rwLock = new RwLock(Visit, place(at));
      for (let time = 0; time < times; time += 1) {
        {
          using writing = rwLock.write();
          writing.value.hits += 1;
          writing.value.sum += 0.5;
        }
        using reading = rwLock.read();
        if (reading.value.sum * 2 !== reading.value.hits) return 1;
      }
      return 0;
    },
    /** Never ends: whoever waits for it terminates the thread. */
    locks_die: async (mutexAt, writtenAt, readAt) => {
      new RwLock(place(readAt)).read();
      new RwLock(place(writtenAt)).write();
      new Mutex(place(mutexAt)).lock();
      return new Promise(() => {});
    },
    locks_take: (mutexAt, writtenAt, readAt) => {
      using lock = new Mutex(place(mutexAt)).lock({ acceptPoisoned: true });
      using reading = new RwLock(place(writtenAt)).read({ acceptPoisoned: true });
      using writing = new RwLock(place(readAt)).write({ acceptPoisoned: true });
      return Number(lock.poisoned) | (Number(reading.poisoned) << 1) | (Number(writing.poisoned) << 2);
    },
    cell_get_or_init: (at, hits) => {
      const made = new OnceCell(Visit, place(at)).getOrInit(() => ({
        hits,
        sum: 0.5,
        last: { worker: true, name: new TextEncoder().encode('heddle') },
        recent: [1, 2, 3, 4],
      }));
      const name = new TextDecoder().decode(made.last.name.toUint8Array());
      const isWhole = made.sum === 0.5 && made.last.worker && name === 'heddle' && made.recent.toArray().join() === '1,2,3,4';
      return isWhole ? made.hits : 2 ** 32 - 1;
    },

    cells_change: (at, times) => {
      const cells = cellsAt(memory, at);
      for (let time = 0; time < times; time += 1) {
        cells.i8.sub(1);
        cells.u8.add(1);
        cells.i16.sub(1);
        cells.u16.add(1);
        cells.i32.sub(1);
        cells.u32.add(1);
        cells.i64.sub(2n ** 40n);
        cells.u64.add(2n ** 40n);
        cells.f32.add(0.5);
        cells.f64.add(0.5);
        cells.bool.xor(true);
      }
      return 0;
    },
  };
}
