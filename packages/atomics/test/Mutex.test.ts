import { afterEach, describe, expect, test } from 'vitest';
import { Mutex, PoisonedError, ThreadRegistry, UnlockToken, setMayBlock } from '../src/index.ts';
import { OWNER_GENERATION_SHIFT, SLOT_UNREGISTERED } from '../src/internal/layout.ts';
import { errorOf, rejectionOf, sleep, spawn } from './support/spawn.ts';

// The main thread of every host behaves as a browser's: it never blocks.
setMayBlock(false);
afterEach(() => setMayBlock(false));

const SOON_MS = 30;

/** A mutex and a word, in one memory with a registry that this thread is in. */
function registeredMutex(): { registry: ThreadRegistry; mutex: Mutex } {
  const registryByteLength = ThreadRegistry.byteLength(16);
  const buffer = new SharedArrayBuffer(registryByteLength + Mutex.byteLength);
  const registry = ThreadRegistry.create({ capacity: 16, location: { buffer } });
  registry.enter();
  return { registry, mutex: new Mutex({ buffer, byteOffset: registryByteLength }) };
}

/** Waits, without blocking, until a worker has written 1 to `state[0]`. */
async function written(state: Int32Array): Promise<void> {
  while (Atomics.load(state, 0) === 0) await sleep(1);
}

describe('a mutex', () => {
  test('is taken and let go of in every form', async () => {
    const mutex = new Mutex();
    const token = mutex.lock();
    expect([token.locked, mutex.isLocked, token.mutex]).toEqual([true, true, mutex]);
    expect(mutex.tryLock()).toBeUndefined();
    expect(Mutex.lockIfAvailable(mutex)).toBeNull();
    expect(token.unlock()).toBe(true);
    expect([token.unlock(), token.locked, mutex.isLocked]).toEqual([false, false, false]);
    {
      using held = Mutex.lock(mutex);
      expect(held.locked).toBe(true);
    }
    expect(mutex.isLocked).toBe(false);
    (await mutex.lockAsync()).unlock();
    Mutex.lockIfAvailable(mutex, 10)!.unlock();
    mutex.tryLock()!.unlock();
    expect(mutex.isLocked).toBe(false);
  });

  test('reuses an unlocked token and refuses a locked one', () => {
    const mutex = new Mutex();
    const token = new UnlockToken();
    expect(mutex.lock({ token })).toBe(token);
    expect(errorOf(() => new Mutex().lock({ token })).code).toBe('INVALID_ARGUMENT');
    token.unlock();
    expect(Mutex.lock(mutex, token)).toBe(token);
    expect(errorOf(() => Mutex.lockIfAvailable(new Mutex(), 0, token)).code).toBe('INVALID_ARGUMENT');
    token.unlock();
  });

  test('counts exactly with workers that block and tasks that do not', async () => {
    const mutex = new Mutex();
    const value = new Uint32Array(new SharedArrayBuffer(4));
    const workers = await Promise.all([spawn(), spawn(), spawn()]);
    const times = 20_000;
    const here = async (): Promise<void> => {
      for (let i = 0; i < 1_000; i += 1) {
        using _ = await mutex.lockAsync();
        const before = value[0];
        // Other tasks and threads get every chance to come between.
        if (i % 100 === 0) await sleep(0);
        value[0] = before + 1;
      }
    };
    await Promise.all([
      workers[0].call('increment', mutex.handle(), value, times),
      workers[1].call('increment', mutex.handle(), value, times),
      workers[2].call('incrementAsync', mutex.handle(), value, times),
      here(),
      here(),
    ]);
    expect(value[0]).toBe(3 * times + 2_000);
    expect(mutex.isLocked).toBe(false);
  });

  test('says in time that it is not to be had', async () => {
    const mutex = new Mutex();
    const state = new Int32Array(new SharedArrayBuffer(4));
    const [holder, waiter] = await Promise.all([spawn(), spawn()]);
    const held = holder.call('hold', mutex.handle(), state, 400);
    await written(state);
    expect((await rejectionOf(mutex.lockAsync({ timeoutMs: SOON_MS }))).code).toBe('TIMEOUT');
    expect((await rejectionOf(waiter.call('lock', mutex.handle(), SOON_MS))).code).toBe('TIMEOUT');
    expect(await waiter.call('lockIfAvailable', mutex.handle(), SOON_MS)).toBe(false);
    expect(await waiter.call('lockIfAvailable', mutex.handle(), 60_000)).toBe(true);
    await held;
  });

  test('refuses to block where that is not possible, but only then', async () => {
    const mutex = new Mutex();
    mutex.lock().unlock();
    const state = new Int32Array(new SharedArrayBuffer(4));
    const holder = await spawn();
    const held = holder.call('hold', mutex.handle(), state, 100);
    await written(state);
    expect(errorOf(() => mutex.lock()).code).toBe('MAY_NOT_BLOCK');
    expect(errorOf(() => Mutex.lockIfAvailable(mutex, 10)).code).toBe('MAY_NOT_BLOCK');
    expect(Mutex.lockIfAvailable(mutex, 0)).toBeNull();
    using _ = await mutex.lockAsync();
    await held;
  });

  test('gives a wait up with its signal, and the reason is the cause', async () => {
    const mutex = new Mutex();
    const token = mutex.lock();
    const reason = new Error('no longer needed');
    const controller = new AbortController();
    const waiting = rejectionOf(mutex.lockAsync({ signal: controller.signal }));
    await sleep(SOON_MS);
    controller.abort(reason);
    expect(await waiting).toMatchObject({ code: 'ABORTED', cause: reason });
    expect(await rejectionOf(mutex.lockAsync({ signal: controller.signal }))).toMatchObject({ code: 'ABORTED', cause: reason });
    token.unlock();
    mutex.lock().unlock();
  });

  test('lets no given-up wait swallow a wake-up', async () => {
    // The wait that is given up is the first in the queue: the wake-up of the unlock must reach the second.
    const mutex = new Mutex();
    const state = new Int32Array(new SharedArrayBuffer(4));
    const worker = await spawn();
    for (let round = 0; round < 50; round += 1) {
      const token = mutex.lock();
      const controller = new AbortController();
      const first = mutex.lockAsync({ signal: controller.signal }).then(
        (taken) => taken.unlock(),
        (error: { code: string }) => error.code,
      );
      const second = worker.call('hold', mutex.handle(), state, 0);
      if (round % 5 === 0) await sleep(2);
      if (round % 2 === 0) {
        controller.abort();
        token.unlock();
      } else {
        token.unlock();
        controller.abort();
      }
      await second;
      // Woken before it was given up, it may have the lock; given up before, it may not.
      expect(await first).toSatisfy((end) => end === 'ABORTED' || (end === true && round % 2 === 1));
    }
    expect(mutex.tryLock()?.unlock()).toBe(true);
  });

  test('lets a thread block although it waits asynchronously for the same lock', async () => {
    setMayBlock(true);
    const mutex = new Mutex();
    const state = new Int32Array(new SharedArrayBuffer(4));
    const holder = await spawn();
    const held = holder.call('hold', mutex.handle(), state, 100);
    await written(state);
    const later = mutex.lockAsync();
    try {
      // In a browser's main thread this can't be tried.
      const token = mutex.lock();
      token.unlock();
    } catch (error) {
      expect((error as Error).name).toBe('TypeError');
    }
    (await later).unlock();
    await held;
  });
});

describe('fairness', () => {
  test('nobody passes a claimant over, and no waiter starves', async () => {
    // Two threads let go of the lock only to take it again, until others have had it so many times.
    const times = 30;
    const { registry, mutex } = registeredMutex();
    const served = new Int32Array(new SharedArrayBuffer(4));
    const [waiter, ...bargers] = await Promise.all([spawn(), spawn(), spawn()]);
    const tokens = [];
    for (const worker of [waiter, ...bargers]) {
      tokens.push(await worker.call<{ slot: number; generation: number }>('enter', registry.handle()));
    }
    const waiterBits = tokens[0].slot | (tokens[0].generation << OWNER_GENERATION_SHIFT);
    const barging = bargers.map((worker) => worker.call<number>('barge', mutex.handle(), served, 2 * times, waiterBits));
    const waiting = waiter.call('beServed', mutex.handle(), served, times);
    for (let i = 0; i < times; i += 1) {
      using _ = await mutex.lockAsync();
      served[0] = served[0] + 1;
    }
    await waiting;
    expect(await Promise.all(barging)).toEqual([0, 0]);
  });

  test('a claim that nobody comes for keeps the lock from nobody', async () => {
    // A thread outside the registry claims and is gone, as when it was terminated while it waited.
    const { registry, mutex } = registeredMutex();
    const words = new Int32Array(mutex.handle().buffer!, mutex.byteOffset, 2);
    const [blocking, outside] = await Promise.all([spawn(), spawn()]);
    await blocking.call('enter', registry.handle());
    const token = mutex.lock();
    const waiting = [blocking.call('lock', mutex.handle()), outside.call('lock', mutex.handle())];
    const here = mutex.lockAsync().then((taken) => taken.unlock());
    await sleep(SOON_MS);
    words[1] = SLOT_UNREGISTERED;
    token.unlock();
    expect(await Promise.all([...waiting, here])).toEqual(['clean', 'clean', true]);
  });

  test('a claim of the dead keeps the lock from nobody', async () => {
    const { registry, mutex } = registeredMutex();
    const words = new Int32Array(mutex.handle().buffer!, mutex.byteOffset, 2);
    const [doomed, waiter] = await Promise.all([spawn(), spawn()]);
    const dead = await doomed.call<{ slot: number; generation: number }>('enter', registry.handle());
    await waiter.call('enter', registry.handle());
    const token = mutex.lock();
    const waiting = waiter.call('lock', mutex.handle());
    const here = mutex.lockAsync().then((taken) => taken.unlock());
    await sleep(SOON_MS);
    words[1] = dead.slot | (dead.generation << OWNER_GENERATION_SHIFT);
    token.unlock();
    expect(mutex.tryLock()).toBeUndefined();
    registry.reap(dead);
    expect(await Promise.all([waiting, here])).toEqual(['clean', true]);
  });
});

describe('the death of an owner', () => {
  test('is told to the next locker', async () => {
    const { registry, mutex } = registeredMutex();
    const worker = await spawn();
    const token = await worker.call<{ slot: number; generation: number }>('enter', registry.handle());
    await worker.call('keep', mutex.handle());
    await worker.kill();
    expect(mutex.tryLock()).toBeUndefined();
    expect(registry.reap(token)).toBe(true);
    const poisoned = errorOf(() => mutex.lock()) as unknown as PoisonedError;
    expect(poisoned.code).toBe('POISONED');
    expect([mutex.isLocked, mutex.isPoisoned]).toEqual([false, true]);
    const held = poisoned.lock();
    expect(held.poisoned).toBe(true);
    mutex.clearPoison();
    held.unlock();
    mutex.lock().unlock();
    expect(mutex.isPoisoned).toBe(false);
  });

  test('wakes those who wait, blocking or not', async () => {
    const { registry, mutex } = registeredMutex();
    const [owner, waiter] = await Promise.all([spawn(), spawn()]);
    const token = await owner.call<{ slot: number; generation: number }>('enter', registry.handle());
    await waiter.call('enter', registry.handle());
    await owner.call('keep', mutex.handle());
    const blocking = waiter.call('lock', mutex.handle());
    const here = rejectionOf(mutex.lockAsync());
    await sleep(SOON_MS);
    await owner.kill();
    registry.reap(token);
    expect(await blocking).toBe('poisoned');
    const error = await here;
    expect(error).toBeInstanceOf(PoisonedError);
    const held = await (error as unknown as PoisonedError).lockAsync();
    expect(held.unlock()).toBe(true);
  });

  test('takes the lock from a thread that was declared dead by mistake', () => {
    const { registry, mutex } = registeredMutex();
    const token = mutex.lock();
    registry.reap(registry.current!);
    registry.enter();
    expect(mutex.tryLock({ acceptPoisoned: true })?.poisoned).toBe(true);
    expect(errorOf(() => token.unlock()).code).toBe('NOT_OWNER');
  });

  test('is not confused with a thread that locks twice', async () => {
    const { registry, mutex } = registeredMutex();
    const worker = await spawn();
    await worker.call('enter', registry.handle());
    expect((await rejectionOf(worker.call('lockTwice', mutex.handle()))).code).toBe('WOULD_DEADLOCK');
    mutex.lock().unlock();
  });
});

describe('a place for a mutex', () => {
  test('can be in a WebAssembly.Memory, also in what was added later', () => {
    const memory = new WebAssembly.Memory({ initial: 1, maximum: 2, shared: true });
    const before = new Mutex({ memory, byteOffset: 16 });
    const token = before.lock();
    memory.grow(1);
    const after = new Mutex({ memory, byteOffset: 65_536 + 16 });
    after.lock().unlock();
    expect(new Mutex({ memory, byteOffset: 16 }).isLocked).toBe(true);
    expect(token.unlock()).toBe(true);
    expect(Mutex.from(before.handle()).handle()).toEqual({ kind: 'heddle.Mutex', memory, byteOffset: 16 });
  });

  test.each<[string, unknown]>([
    ['out of range', { buffer: new SharedArrayBuffer(8), byteOffset: 8 }],
    ['negative', { buffer: new SharedArrayBuffer(8), byteOffset: -8 }],
    ['misaligned', { buffer: new SharedArrayBuffer(64), byteOffset: 2 }],
    ['not a number', { buffer: new SharedArrayBuffer(64), byteOffset: Number.NaN }],
    ['not shared', { buffer: new ArrayBuffer(8) }],
    ['in a memory of one thread', { memory: new WebAssembly.Memory({ initial: 1 }) }],
    ['no place', 'here'],
  ])('is refused when it is %s', (_what, location) => {
    expect(errorOf(() => new Mutex(location as never)).code).toBe('INVALID_RECORD');
  });

  test('is told by a handle of the right kind', () => {
    const handle = new Mutex().handle();
    expect(errorOf(() => Mutex.from({ ...handle, kind: 'heddle.Semaphore' } as never)).code).toBe('INVALID_RECORD');
    expect(errorOf(() => Mutex.from(undefined as never)).code).toBe('INVALID_RECORD');
  });
});
