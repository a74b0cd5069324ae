/** Every operation that waits, on every kind of channel on which it has to: how the wait is given up, and that nobody is harmed. */
import { setMayBlock } from '@heddle/atomics';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { TestWorker } from './support/rpc.ts';
import { errorOf, rejectionOf, sleep, startWorker } from './support/spawn.ts';
import { type Obstacle, MARK, OPERATIONS, WAITS } from './support/waits.ts';

setMayBlock(false);

const SOON_MS = 10;

let worker: TestWorker;
beforeAll(async () => void (worker = await startWorker()));
afterAll(() => worker.terminate());

describe.each(WAITS)('$operation, $where', ({ operation, make, receives }) => {
  const { open, block, wait, unsent } = OPERATIONS[operation];

  /** What was given up has left no trace: once the obstacle is gone, the operation does what it does. */
  async function expectUnharmed({ handles, remove, drain }: Obstacle): Promise<void> {
    remove();
    if (!receives) expect(await drain()).toEqual([]);
    using ends = open(handles);
    const waiting = wait(ends);
    if (receives) {
      expect(await waiting).toEqual(MARK);
      return;
    }
    const messages: Uint8Array[] = [];
    for (let isOver = false; !isOver;) {
      /* oxlint-disable no-await-in-loop -- what is sent may need room more than once */
      messages.push(...(await drain()));
      isOver = await Promise.race([waiting.then(() => true), sleep(0).then(() => false)]);
      /* oxlint-enable no-await-in-loop */
    }
    messages.push(...(await drain()));
    expect(messages).toEqual(unsent === undefined ? [MARK] : [unsent].flat());
  }

  test('gives up in time, blocking', async () => {
    const obstacle = make();
    const error = await rejectionOf(worker.call('waitInVain', operation, obstacle.handles, SOON_MS));
    expect(error.code).toBe('TIMEOUT');
    await expectUnharmed(obstacle);
  });

  test('gives up in time without blocking', async () => {
    const obstacle = make();
    {
      using ends = open(obstacle.handles);
      const error = await rejectionOf(wait(ends, { timeoutMs: SOON_MS }));
      expect(error).toMatchObject({ code: 'TIMEOUT', ...(unsent === undefined ? {} : { value: unsent }) });
    }
    await expectUnharmed(obstacle);
  });

  test('gives up with its signal, given before or while it waits', async () => {
    const obstacle = make();
    const reason = new Error('no longer needed');
    {
      using ends = open(obstacle.handles);
      const expected = { code: 'ABORTED', cause: reason, ...(unsent === undefined ? {} : { value: unsent }) };
      expect(await rejectionOf(wait(ends, { signal: AbortSignal.abort(reason) }))).toMatchObject(expected);
    }
    {
      using ends = open(obstacle.handles);
      const controller = new AbortController();
      const waiting = rejectionOf(wait(ends, { signal: controller.signal }));
      await sleep(SOON_MS);
      controller.abort(reason);
      const expected = { code: 'ABORTED', cause: reason, ...(unsent === undefined ? {} : { value: unsent }) };
      expect(await waiting).toMatchObject(expected);
    }
    await expectUnharmed(obstacle);
  });

  test('refuses a time that is no number, which would never run out', async () => {
    const obstacle = make();
    expect((await rejectionOf(worker.call('waitInVain', operation, obstacle.handles, NaN))).code).toBe('INVALID_ARGUMENT');
    {
      using ends = open(obstacle.handles);
      expect((await rejectionOf(wait(ends, { timeoutMs: NaN }))).code).toBe('INVALID_ARGUMENT');
    }
    await expectUnharmed(obstacle);
  });

  test('is refused at once where it may not block', async () => {
    const obstacle = make();
    {
      using ends = open(obstacle.handles);
      expect(errorOf(() => block(ends)).code).toBe('MAY_NOT_BLOCK');
      expect(errorOf(() => block(ends, { timeoutMs: 1 })).code).toBe('MAY_NOT_BLOCK');
    }
    await expectUnharmed(obstacle);
  });
});
