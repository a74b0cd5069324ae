import { describe, expect, test } from 'vitest';
import { WaitGroup, setMayBlock } from '../src/index.ts';
import { errorOf, rejectionOf, sleep, spawn } from './support/spawn.ts';

setMayBlock(false);

const SOON_MS = 30;

describe('a wait group', () => {
  test('is waited for until every member is done, again and again', async () => {
    const group = new WaitGroup();
    const workers = await Promise.all([spawn(), spawn()]);
    for (let round = 0; round < 20; round += 1) {
      group.add(3);
      const [first, second] = workers;
      const waiting = [first.call('on', group.handle(), 'wait'), group.waitAsync()];
      const done = [second.call('on', group.handle(), 'done'), second.call('on', group.handle(), 'done')];
      group.done();
      await Promise.all([...waiting, ...done]);
      expect(group.tryWait()).toBe(true);
    }
  });

  test('lets those go whose round is over, however soon others come', async () => {
    const group = new WaitGroup();
    const worker = await spawn();
    group.add();
    const waiting = [worker.call('on', group.handle(), 'wait'), group.waitAsync()];
    await sleep(SOON_MS);
    group.done();
    group.add();
    await waiting[1];
    // The worker may have come late: then it waits for the second round.
    group.done();
    await waiting[0];
    expect(group.count).toBe(0);
  });

  test('has members that are done at the end of a block', () => {
    const group = new WaitGroup();
    expect(() => {
      using _ = group.member();
      expect(group.count).toBe(1);
      throw new Error('on purpose');
    }).toThrow('on purpose');
    expect(group.count).toBe(0);
    const member = group.member();
    member.done();
    member.done();
    group.wait();
  });

  test('gives up in time, with a signal, and at once where it may not block', async () => {
    const group = new WaitGroup();
    const worker = await spawn();
    using _ = group.member();
    expect((await rejectionOf(worker.call('on', group.handle(), 'wait', { timeoutMs: SOON_MS }))).code).toBe('TIMEOUT');
    expect((await rejectionOf(group.waitAsync({ timeoutMs: SOON_MS }))).code).toBe('TIMEOUT');
    expect((await rejectionOf(group.waitAsync({ signal: AbortSignal.abort() }))).code).toBe('ABORTED');
    expect(errorOf(() => group.wait()).code).toBe('MAY_NOT_BLOCK');
  });

  test('keeps its count in range', () => {
    const group = new WaitGroup();
    expect(errorOf(() => group.done()).code).toBe('COUNT_OUT_OF_RANGE');
    group.add(WaitGroup.countMax);
    expect(errorOf(() => group.add())).toMatchObject({ code: 'COUNT_OUT_OF_RANGE', count: WaitGroup.countMax, change: 1 });
    expect(errorOf(() => group.member()).code).toBe('COUNT_OUT_OF_RANGE');
    expect(errorOf(() => group.add(-1)).code).toBe('INVALID_ARGUMENT');
    expect(group.count).toBe(WaitGroup.countMax);
  });
});
