import { describe, expect, test } from 'vitest';
import { Event, setMayBlock } from '../src/index.ts';
import { errorOf, rejectionOf, sleep, spawn } from './support/spawn.ts';

setMayBlock(false);

const SOON_MS = 30;

describe('a manual event', () => {
  test('lets everybody through until it is reset, blocking or not', async () => {
    const event = Event.create();
    const workers = await Promise.all([spawn(), spawn()]);
    const waiting = [...workers.map((worker) => worker.call('on', event.handle(), 'wait')), event.waitAsync(), event.waitAsync()];
    await sleep(SOON_MS);
    expect([event.set(), event.set(), event.isSet]).toEqual([true, false, true]);
    await Promise.all(waiting);
    event.wait();
    expect([event.tryWait(), event.reset(), event.reset(), event.tryWait()]).toEqual([true, true, false, false]);
  });

  test('lets those through who wait although it is reset at once', async () => {
    const event = Event.create();
    const waiting = [event.waitAsync(), event.waitAsync()];
    event.set();
    event.reset();
    await Promise.all(waiting);
    expect(event.isSet).toBe(false);
  });
});

describe('an auto event', () => {
  test('lets one through each time it is set', async () => {
    const event = Event.create({ autoReset: true });
    const workers = await Promise.all([spawn(), spawn()]);
    let through = 0;
    const waiting = [...workers.map((worker) => worker.call('on', event.handle(), 'wait')), event.waitAsync(), event.waitAsync()].map(
      (wait) => wait.then(() => (through += 1)),
    );
    for (let time = 1; time <= waiting.length; time += 1) {
      expect(event.set()).toBe(true);
      while (through < time) await sleep(1);
      expect([through, event.isSet]).toEqual([time, false]);
    }
    event.set();
    expect([event.tryWait(), event.tryWait()]).toEqual([true, false]);
  });

  test('loses no setting to a wait that is given up', async () => {
    const event = Event.create({ autoReset: true });
    const worker = await spawn();
    for (let round = 0; round < 30; round += 1) {
      const controller = new AbortController();
      const first = event.waitAsync({ signal: controller.signal }).then(
        () => 'through',
        () => 'aborted',
      );
      const second = worker.call('on', event.handle(), 'wait');
      if (round % 5 === 0) await sleep(2);
      event.set();
      controller.abort();
      if ((await first) === 'through') event.set();
      await second;
    }
    expect(event.isSet).toBe(false);
  });
});

test('an event gives up in time, with a signal, and at once where it may not block', async () => {
  for (const autoReset of [false, true]) {
    const event = Event.create({ autoReset });
    const worker = await spawn();
    expect((await rejectionOf(worker.call('on', event.handle(), 'wait', { timeoutMs: SOON_MS }))).code).toBe('TIMEOUT');
    expect((await rejectionOf(event.waitAsync({ timeoutMs: SOON_MS }))).code).toBe('TIMEOUT');
    expect((await rejectionOf(event.waitAsync({ signal: AbortSignal.abort() }))).code).toBe('ABORTED');
    expect(errorOf(() => event.wait()).code).toBe('MAY_NOT_BLOCK');
  }
});

test('an event is found only where there is one', () => {
  const buffer = new SharedArrayBuffer(16);
  new Int32Array(buffer).fill(7);
  expect(errorOf(() => Event.at({ buffer })).code).toBe('INVALID_RECORD');
  Event.create({ autoReset: true, location: { buffer, byteOffset: 4 } }).set();
  const event = Event.at({ buffer, byteOffset: 4 });
  expect([event.autoReset, event.isSet]).toEqual([true, true]);
  expect(errorOf(() => Event.at({ buffer, byteOffset: 8 })).code).toBe('INVALID_RECORD');
});
