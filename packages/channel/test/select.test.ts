/** Waiting for whichever operation is possible first. */
import { setMayBlock } from '@heddle/atomics';
import { describe, expect, test } from 'vitest';
import { type ReceiverHandle, channel, channelByteLength, jsonCodec, select, selectAsync, textCodec, trySelect } from '../src/index.ts';
import { errorOf, rejectionOf, sleep, spawn } from './support/spawn.ts';

setMayBlock(false);

const SOON_MS = 30;
const RING = 1024;

/** Channels in one buffer. */
function channels<T>(count: number, codec: Parameters<typeof channel<T>>[0] & object) {
  const size = channelByteLength(RING);
  const buffer = new SharedArrayBuffer(count * size);
  return Array.from({ length: count }, (_, i) =>
    channel<T>({ capacity: 4, ringByteLength: RING, ...codec, location: { buffer, byteOffset: i * size } }),
  );
}

describe('a select', () => {
  test('does what is possible, or nothing', () => {
    const numbers = channel<number>({ capacity: 1, codec: jsonCodec() });
    const texts = channel<string>({ codec: textCodec });
    const cases = { number: { recv: numbers.receiver }, text: { recv: texts.receiver } } as const;
    expect(trySelect(cases)).toBeUndefined();
    expect(errorOf(() => select(cases)).code).toBe('MAY_NOT_BLOCK');
    texts.sender.send('hello');
    expect(select(cases)).toEqual({ chosen: 'text', value: 'hello' });
    expect(select({ ...cases, room: { send: numbers.sender, value: 7 } })).toEqual({ chosen: 'room', value: undefined });
    expect(select({ ...cases, room: { send: numbers.sender, value: 8 } })).toEqual({ chosen: 'number', value: 7 });
    expect(errorOf(() => select({})).code).toBe('INVALID_ARGUMENT');
  });

  test('chooses each of several that are possible', () => {
    const [first, second] = channels<string>(2, { codec: textCodec });
    const chosen = new Set<string>();
    for (let round = 0; round < 200; round += 1) {
      first.sender.trySend('1');
      second.sender.trySend('2');
      chosen.add(select({ first: { recv: first.receiver }, second: { recv: second.receiver } }).value);
    }
    expect(chosen).toEqual(new Set(['1', '2']));
  });

  test('throws what the operation throws', () => {
    const open = channel();
    const closed = channel();
    closed.sender.close();
    expect(errorOf(() => select({ open: { recv: open.receiver }, closed: { recv: closed.receiver } })).code).toBe('CLOSED');
    const json = channel<unknown>({ codec: { name: 'none', encode: () => new Uint8Array(1), decode: () => JSON.parse('{') as unknown } });
    json.sender.send(1);
    expect(errorOf(() => trySelect({ json: { recv: json.receiver } })).code).toBe('DECODE_FAILED');
    expect(errorOf(() => trySelect({ open: { send: open.sender, value: new Uint8Array(2 ** 20) } })).code).toBe('MESSAGE_TOO_LARGE');
  });

  test('waits without blocking for channels anywhere', async () => {
    const [a, b] = [channel<string>({ codec: textCodec }), channel<string>({ codec: textCodec })];
    const cases = { a: { recv: a.receiver }, b: { recv: b.receiver } } as const;
    expect((await rejectionOf(selectAsync(cases, { timeoutMs: SOON_MS }))).code).toBe('TIMEOUT');
    const reason = new Error('enough');
    const controller = new AbortController();
    const aborted = rejectionOf(selectAsync(cases, { signal: controller.signal }));
    controller.abort(reason);
    expect(await aborted).toMatchObject({ code: 'ABORTED', cause: reason });
    const waiting = selectAsync(cases);
    await sleep(SOON_MS);
    b.sender.send('b');
    expect(await waiting).toEqual({ chosen: 'b', value: 'b' });
    a.sender.send('a');
    expect(await a.receiver.recvAsync()).toBe('a');
  });

  test('waits for room', async () => {
    const full = channel<string>({ capacity: 1, codec: textCodec });
    full.sender.send('first');
    const waiting = selectAsync({ send: { send: full.sender, value: 'second' } });
    await sleep(SOON_MS);
    expect(full.receiver.recv()).toBe('first');
    await waiting;
    expect(full.receiver.recv()).toBe('second');
  });

  test('takes no wake-up from others that wait', async () => {
    const worker = await spawn();
    for (let round = 0; round < 20; round += 1) {
      const [a, b] = channels<string>(2, { codec: textCodec });
      const selected = worker.call<{ value: string }>('selectOnce', [a.receiver.handle(), b.receiver.handle()]);
      const alone = a.receiver.recvAsync();
      b.sender.send('for the select');
      expect((await selected).value).toBe('for the select');
      a.sender.send('for the other');
      expect(await alone).toBe('for the other');
    }
  });
});

describe('a select that blocks', () => {
  test('is woken by each of its channels, and by their ends', async () => {
    const count = 1500;
    const ends = channels<Uint8Array>(3, {});
    const handles: ReceiverHandle[] = ends.map(({ receiver }) => receiver.handle());
    const workers = await Promise.all(Array.from({ length: 5 }, () => spawn()));
    const selecting = [0, 1].map((i) => workers[i].call<number[]>('selectAll', handles));
    await Promise.all(ends.map(({ sender }, i) => workers[2 + i].call('sendNumbered', sender.handle(), i, count, 100)));
    for (const { sender } of ends) sender.close();
    const [first, second] = await Promise.all(selecting);
    expect(first.map((n, i) => n + second[i])).toEqual([count, count, count]);
  });

  test('gives up in time', async () => {
    const handles = channels<Uint8Array>(2, {}).map(({ receiver }) => receiver.handle());
    const worker = await spawn();
    expect((await rejectionOf(worker.call('selectOnce', handles, SOON_MS))).code).toBe('TIMEOUT');
  });

  test('needs its channels in one memory', async () => {
    const worker = await spawn();
    const handles = [channel(), channel()].map(({ receiver }) => receiver.handle());
    expect((await rejectionOf(worker.call('selectOnce', handles))).code).toBe('NOT_SELECTABLE');
  });
});
