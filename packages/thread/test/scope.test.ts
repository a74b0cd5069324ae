import { expect, expectTypeOf, test } from 'vitest';
import { scope, type Thread } from '../src/index.ts';
import type * as jobs from './fixtures/jobs.ts';

const url = new URL('./fixtures/jobs.ts', import.meta.url);
const words = (): Int32Array<SharedArrayBuffer> => new Int32Array(new SharedArrayBuffer(8));
const fail = { exportName: 'fail' };

test('a scope resolves with what its body returned, when all of its threads have ended', async () => {
  const word = words();
  let thread: Thread<unknown> | undefined;
  const result = await scope((s) => {
    thread = s.spawnWith<typeof jobs.untilSet>({ exportName: 'untilSet' }, url, word);
    s.spawnWith<typeof jobs.note>({ exportName: 'note' }, url, word, 1);
    return 'done';
  });
  expectTypeOf(result).toEqualTypeOf<string>();
  expect(result).toBe('done');
  expect(thread?.isFinished).toBe(true);
  expect(await thread?.join()).toBe(1);
});

test('threads are joined in the body, and spawned by nobody after it', async () => {
  const spawned = await scope(async (s) => {
    const [left, right] = [s.spawn<typeof jobs.default>(url, 1, 2), s.spawn<typeof jobs.default>(url, 3, 4)];
    expect([await left.join(), await right.join()]).toEqual([3, 7]);
    return s;
  });
  expect(() => spawned.spawn(url)).toThrow(TypeError);
});

test("the error of a thread that nobody has joined is the scope's; of one that was joined it is the joiner's", async () => {
  const unjoined = scope((s) => void s.spawnWith<typeof jobs.fail>(fail, url, 'unheard'));
  await expect(unjoined).rejects.toMatchObject({ code: 'THREAD_PANICKED', message: "thread 'fail' threw: unheard" });
  const joined = scope(async (s) => {
    await expect(s.spawnWith<typeof jobs.fail>(fail, url, 'heard').join()).rejects.toThrow('heard');
    return 'fine';
  });
  expect(await joined).toBe('fine');
  const thrown = scope(async (s) => {
    s.spawnWith<typeof jobs.fail>(fail, url, 'second');
    throw new RangeError('the body');
  });
  await expect(thrown).rejects.toThrow('the body');
});

test('where it is asked to, the first error ends all others, also those that block', async () => {
  const blocked: Thread<unknown>[] = [];
  const failed = scope(
    async (s) => {
      blocked.push(s.spawnWith<typeof jobs.block>({ exportName: 'block' }, url, words()));
      s.spawnWith<typeof jobs.fail>(fail, url, 'first');
      await blocked[0].join();
    },
    { abortsOnError: true },
  );
  await expect(failed).rejects.toThrow("thread 'fail' threw: first");
  const byBody = scope(
    (s) => {
      blocked.push(s.spawnWith<typeof jobs.block>({ exportName: 'block' }, url, words()));
      throw new RangeError('the body');
    },
    { abortsOnError: true },
  );
  await expect(byBody).rejects.toThrow('the body');
  for (const thread of blocked) {
    // oxlint-disable-next-line no-await-in-loop -- each of them
    await expect(thread.join()).rejects.toMatchObject({ code: 'ABORTED' });
  }
});

test('a signal ends all of its threads', async () => {
  const controller = new AbortController();
  const aborted = scope((s) => void s.spawnWith<typeof jobs.block>({ exportName: 'block' }, url, words()), { signal: controller.signal });
  controller.abort('enough');
  await expect(aborted).rejects.toMatchObject({ code: 'ABORTED', cause: 'enough' });
  await expect(scope(() => {}, { signal: controller.signal })).rejects.toMatchObject({ code: 'ABORTED' });
});
