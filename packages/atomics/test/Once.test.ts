import { describe, expect, test } from 'vitest';
import { Once, OncePoisonedError, ThreadRegistry, type ThreadToken, setMayBlock } from '../src/index.ts';
import { errorOf, rejectionOf, sharedWord, sleep, spawn, written } from './support/spawn.ts';

setMayBlock(false);

const SOON_MS = 30;

/** A once in one memory with a registry that this thread is in. */
function registeredOnce(): { registry: ThreadRegistry; once: Once } {
  const registryByteLength = ThreadRegistry.byteLength(16);
  const buffer = new SharedArrayBuffer(registryByteLength + Once.byteLength);
  const registry = ThreadRegistry.create({ capacity: 16, location: { buffer } });
  registry.enter();
  return { registry, once: new Once({ buffer, byteOffset: registryByteLength }) };
}

describe('a once', () => {
  test('runs one initialiser, and everybody sees what it did', async () => {
    const workers = await Promise.all([spawn(), spawn()]);
    for (let round = 0; round < 30; round += 1) {
      const once = new Once();
      const value = sharedWord();
      const there = workers.map((worker) => worker.call<{ value: number }>('once', once.handle(), value));
      const here = await Promise.all([
        once.callAsync(() => void (value[0] += 1)),
        once.callAsync(async () => {
          await sleep(0);
          value[0] += 1;
        }),
        once.waitAsync(),
      ]);
      expect((await Promise.all(there)).map((end) => end.value)).toEqual([1, 1]);
      expect(here.filter((isMine) => isMine === true).length).toBeLessThanOrEqual(1);
      expect([once.isCompleted, value[0]]).toEqual([true, 1]);
    }
  });

  test('lets others wait while an asynchronous initialiser runs', async () => {
    const once = new Once();
    const worker = await spawn();
    const gate = Promise.withResolvers<void>();
    const running = once.callAsync(() => gate.promise);
    const waiting = [once.waitAsync(), once.callAsync(() => expect.unreachable()), worker.call('onceWait', once.handle())];
    await sleep(SOON_MS);
    expect(once.tryCall(() => expect.unreachable())).toBe(false);
    expect(errorOf(() => once.call(() => {})).code).toBe('MAY_NOT_BLOCK');
    expect(errorOf(() => once.wait()).code).toBe('MAY_NOT_BLOCK');
    expect((await rejectionOf(once.waitAsync({ timeoutMs: SOON_MS }))).code).toBe('TIMEOUT');
    expect((await rejectionOf(once.callAsync(() => {}, { signal: AbortSignal.timeout(SOON_MS) }))).code).toBe('ABORTED');
    gate.resolve();
    expect(await running).toBe(true);
    expect((await Promise.all(waiting))[1]).toBe(false);
    expect(once.tryCall(() => expect.unreachable())).toBe(true);
    expect(once.call(() => expect.unreachable())).toBe(false);
    once.wait();
  });

  test('is poisoned by an initialiser that throws, until another one is forced', async () => {
    const once = new Once();
    const worker = await spawn();
    const value = sharedWord();
    expect((await rejectionOf(worker.call('onceFail', once.handle()))).message).toMatch(/on purpose/u);
    expect([once.isPoisoned, once.isCompleted]).toEqual([true, false]);
    const error = errorOf(() => once.call(() => {}));
    expect(error).toBeInstanceOf(OncePoisonedError);
    expect(error).toMatchObject({ code: 'ONCE_POISONED', once });
    expect((await rejectionOf(once.callAsync(() => {}))).code).toBe('ONCE_POISONED');
    expect((await rejectionOf(once.waitAsync())).code).toBe('ONCE_POISONED');
    expect(errorOf(() => once.tryCall(() => {})).code).toBe('ONCE_POISONED');
    expect((await rejectionOf(once.callForceAsync(() => Promise.reject(new Error('again'))))).message).toBe('again');
    expect(await worker.call('once', once.handle(), value, 'callForce')).toEqual({ value: 1, wasPoisoned: true });
    expect([once.isPoisoned, once.isCompleted]).toEqual([false, true]);
  });

  test('takes no promise for the end of an initialiser', () => {
    const once = new Once();
    expect(errorOf(() => once.call(() => Promise.resolve() as never)).code).toBe('INVALID_ARGUMENT');
    expect([once.isCompleted, once.isPoisoned]).toEqual([false, true]);
  });

  test('is completed by a thread that entered a registry meanwhile', async () => {
    const registryByteLength = ThreadRegistry.byteLength(4);
    const buffer = new SharedArrayBuffer(registryByteLength + Once.byteLength);
    const once = new Once({ buffer, byteOffset: registryByteLength });
    const running = once.callAsync(() => {
      ThreadRegistry.create({ capacity: 4, location: { buffer } }).enter();
    });
    expect(await running).toBe(true);
    expect(once.isCompleted).toBe(true);
  });

  test('tells a registered thread that it runs the initialiser itself', async () => {
    const { registry, once } = registeredOnce();
    const worker = await spawn();
    await worker.call('enter', registry.handle());
    expect((await rejectionOf(worker.call('onceTwice', once.handle()))).code).toBe('WOULD_DEADLOCK');
    expect(once.isPoisoned).toBe(true);
  });
});

describe('the death of an initialiser', () => {
  test('wakes those who wait, blocking or not, and another one may try', async () => {
    const { registry, once } = registeredOnce();
    const state = sharedWord();
    const value = sharedWord();
    const [doomed, blocked, forcing] = await Promise.all([spawn(), spawn(), spawn()]);
    const token = await doomed.call<ThreadToken>('enter', registry.handle());
    await Promise.all([blocked.call('enter', registry.handle()), forcing.call('enter', registry.handle())]);
    void doomed.call('onceStay', once.handle(), state);
    await written(state);
    const refused = [rejectionOf(blocked.call('onceWait', once.handle())), rejectionOf(once.waitAsync())];
    await sleep(SOON_MS);
    await doomed.kill();
    expect(registry.reap(token)).toBe(true);
    expect((await Promise.all(refused)).map((error) => error.code)).toEqual(['ONCE_POISONED', 'ONCE_POISONED']);
    expect(await forcing.call('once', once.handle(), value, 'callForce')).toEqual({ value: 1, wasPoisoned: true });
    expect(once.isCompleted).toBe(true);
  });

  test('hands the running on to those who force it', async () => {
    const { registry, once } = registeredOnce();
    const state = sharedWord();
    const value = sharedWord();
    const [doomed, forcing] = await Promise.all([spawn(), spawn()]);
    const token = await doomed.call<ThreadToken>('enter', registry.handle());
    await forcing.call('enter', registry.handle());
    void doomed.call('onceStay', once.handle(), state);
    await written(state);
    const there = forcing.call<{ value: number }>('once', once.handle(), value, 'callForce');
    const here = once.callForceAsync(() => void (value[0] += 1));
    await sleep(SOON_MS);
    await doomed.kill();
    registry.reap(token);
    await Promise.all([there, here]);
    expect([once.isCompleted, value[0]]).toEqual([true, 1]);
  });

  test('is found by the next, if nobody waited', async () => {
    const { registry, once } = registeredOnce();
    const state = sharedWord();
    const doomed = await spawn();
    const token = await doomed.call<ThreadToken>('enter', registry.handle());
    void doomed.call('onceStay', once.handle(), state);
    await written(state);
    await doomed.kill();
    expect(once.isPoisoned).toBe(false);
    registry.reap(token);
    expect(once.isPoisoned).toBe(true);
    expect(errorOf(() => once.call(() => {})).code).toBe('ONCE_POISONED');
    expect(once.callForce((told) => expect(told.isPoisoned).toBe(true))).toBe(true);
  });

  test('takes the once from a thread that was declared dead by mistake', () => {
    const { registry, once } = registeredOnce();
    const error = errorOf(() =>
      once.call(() => {
        registry.reap(registry.current!);
        registry.enter();
        once.callForce((state) => expect(state.isPoisoned).toBe(true));
      }),
    );
    expect(error.code).toBe('NOT_OWNER');
    expect(once.isCompleted).toBe(true);
  });
});
