/** Channels whose asynchronous forms wait by helper threads, as on engines without `Atomics.waitAsync`. */
import { setMayBlock } from '@heddle/atomics';
import { setWaitAsyncByHelper } from '@heddle/atomics/internal';
import { afterAll, expect, test } from 'vitest';
import { channel, jsonCodec, selectAsync, textCodec } from '../src/index.ts';
import { rejectionOf, sleep, spawn } from './support/spawn.ts';
import { MARK, OPERATIONS, WAITS } from './support/waits.ts';

setMayBlock(false);
setWaitAsyncByHelper(true);
afterAll(() => setWaitAsyncByHelper(false));

const SOON_MS = 2;

test.each(WAITS)('a helper waits for $operation, $where', async ({ operation, make, receives }) => {
  const { open, wait } = OPERATIONS[operation];
  const { handles, remove, drain } = make();
  const giveUp = async (options: { readonly timeoutMs?: number; readonly signal?: AbortSignal }): Promise<unknown> => {
    using ends = open(handles);
    return (await rejectionOf(wait(ends, options))).code;
  };
  expect(await giveUp({ timeoutMs: SOON_MS })).toBe('TIMEOUT');
  const controller = new AbortController();
  const aborted = giveUp({ signal: controller.signal });
  await sleep(SOON_MS);
  controller.abort();
  expect(await aborted).toBe('ABORTED');
  using ends = open(handles);
  const waiting = wait(ends);
  await sleep(SOON_MS);
  remove();
  if (receives) {
    expect(await waiting).toEqual(MARK);
    return;
  }
  for (let isOver = false; !isOver;) {
    /* oxlint-disable no-await-in-loop -- what is sent may need room more than once */
    await drain();
    isOver = await Promise.race([waiting.then(() => true), sleep(0).then(() => false)]);
    /* oxlint-enable no-await-in-loop */
  }
});

test('a helper carries values to a worker and back', async () => {
  const [there, back] = [channel<unknown>({ capacity: 2, codec: jsonCodec() }), channel<unknown>({ capacity: 2, codec: jsonCodec() })];
  const worker = await spawn();
  const echoed = worker.call('echo', there.receiver.handle(), back.sender.handle());
  const sending = (async () => {
    // oxlint-disable-next-line no-await-in-loop -- one after the other
    for (let n = 0; n < 200; n += 1) await there.sender.sendAsync({ n });
    there.sender.close();
  })();
  const received: unknown[] = [];
  for await (const value of back.receiver) received.push(value);
  await sending;
  expect(received).toEqual(Array.from({ length: 200 }, (_, n) => ({ n })));
  expect(await echoed).toBe(200);
});

test('a helper waits for whichever of several is first', async () => {
  const [numbers, texts] = [channel<number>({ codec: jsonCodec() }), channel<string>({ codec: textCodec })];
  const cases = { number: { recv: numbers.receiver }, text: { recv: texts.receiver } } as const;
  expect((await rejectionOf(selectAsync(cases, { timeoutMs: SOON_MS }))).code).toBe('TIMEOUT');
  const controller = new AbortController();
  const aborted = rejectionOf(selectAsync(cases, { signal: controller.signal }));
  await sleep(SOON_MS);
  controller.abort();
  expect((await aborted).code).toBe('ABORTED');
  const selected = selectAsync(cases);
  await sleep(SOON_MS);
  texts.sender.send('first');
  expect(await selected).toEqual({ chosen: 'text', value: 'first' });
  const next = selectAsync(cases);
  numbers.sender.send(2);
  expect(await next).toEqual({ chosen: 'number', value: 2 });
});
