/** Waiting for whichever operation is possible first. */
import { ThreadRegistry, type ThreadToken, setMayBlock } from '@heddle/atomics';
import { SLOT_UNREGISTERED, blockingWaitOf } from '@heddle/atomics/internal';
import { describe, expect, test } from 'vitest';
import {
  type Codec,
  type ReceiverHandle,
  broadcast,
  broadcastByteLength,
  channel,
  channelByteLength,
  jsonCodec,
  select,
  selectAsync,
  textCodec,
  trySelect,
  watch,
  watchByteLength,
} from '../src/index.ts';
import {
  BROADCAST_HEADER_LOCK_OFFSET,
  CHANNEL_HEADER_RECEIVER_WATCHERS_OFFSET,
  WATCHERS,
  WATCHER_TOKEN_SHIFT,
  WATCH_HEADER_LOCK_OFFSET,
} from '../src/internal/layout.ts';
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

  test('sends what was given when it began, whatever becomes of the bytes', async () => {
    // Each message is written over the one before.
    const place = new Uint8Array(1);
    const codec: Codec<number> = {
      name: 'one byte',
      encode: (value) => {
        place[0] = value;
        return place;
      },
      decode: ([value = 0]) => value,
    };
    const [first, second] = [channel({ capacity: 1, codec }), channel({ capacity: 1, codec })];
    first.sender.send(1);
    second.sender.send(2);
    const waiting = selectAsync({ first: { send: first.sender, value: 10 }, second: { send: second.sender, value: 20 } });
    await sleep(SOON_MS);
    place[0] = 30;
    expect(first.receiver.recv()).toBe(1);
    expect((await waiting).chosen).toBe('first');
    expect(first.receiver.recv()).toBe(10);
  });

  // Node's and Bun's; its `slice` doesn't copy.
  const { Buffer } = globalThis as { Buffer?: { from(bytes: readonly number[]): Uint8Array<ArrayBuffer> } };

  test.skipIf(Buffer === undefined)('sends a Buffer as it was', async () => {
    const [full, news, latest] = [channel({ capacity: 1 }), broadcast({ capacity: 1, backPressure: true }), watch(new Uint8Array(1))];
    const bytes = Buffer!.from([1]);
    full.sender.send(bytes);
    news.sender.send(bytes);
    const waiting = [
      full.sender.sendAsync(bytes),
      full.sender.sendManyAsync([bytes]),
      selectAsync({ full: { send: full.sender, value: bytes } }),
      news.sender.sendAsync(bytes),
      selectAsync({ news: { send: news.sender, value: bytes } }),
      latest.sender.sendAsync(bytes),
    ];
    await sleep(SOON_MS);
    bytes[0] = 9;
    for (let i = 0; i < 4; i += 1) expect(await full.receiver.recvAsync()).toEqual(Uint8Array.of(1));
    for (let i = 0; i < 3; i += 1) expect(await news.receiver.recvAsync()).toEqual(Uint8Array.of(1));
    await Promise.all(waiting);
    expect(latest.receiver.borrow()).toEqual(Uint8Array.of(1));
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

describe('a select of news and states', () => {
  test('receives what this end has not received or seen', async () => {
    const work = channel<string>({ codec: textCodec });
    const news = broadcast({ capacity: 2, codec: textCodec });
    const state = watch('light', { codec: textCodec });
    const cases = { work: { recv: work.receiver }, news: { recv: news.receiver }, state: { recv: state.receiver } } as const;
    expect(trySelect(cases)).toBeUndefined();
    news.sender.send('one');
    expect(trySelect(cases)).toEqual({ chosen: 'news', value: 'one' });
    for (const theme of ['dark', 'auto']) state.sender.send(theme);
    expect(trySelect(cases)).toEqual({ chosen: 'state', value: 'auto' });
    expect([trySelect(cases), state.receiver.hasChanged]).toEqual([undefined, false]);

    const first = selectAsync(cases);
    await sleep(SOON_MS);
    news.sender.send('two');
    expect(await first).toEqual({ chosen: 'news', value: 'two' });
    const second = selectAsync(cases);
    await sleep(SOON_MS);
    state.sender.send('light');
    expect(await second).toEqual({ chosen: 'state', value: 'light' });
    expect((await rejectionOf(selectAsync(cases, { timeoutMs: SOON_MS }))).code).toBe('TIMEOUT');
  });

  test('throws what the operation throws', async () => {
    const news = broadcast({ capacity: 2, codec: textCodec });
    const state = watch('light', { codec: textCodec });
    for (const message of ['one', 'two', 'three']) news.sender.send(message);
    expect(errorOf(() => trySelect({ news: { recv: news.receiver } }))).toMatchObject({ code: 'LAGGED', skipped: 1 });
    expect(trySelect({ news: { recv: news.receiver } })?.value).toBe('two');
    expect(trySelect({ news: { recv: news.receiver } })?.value).toBe('three');
    const waiting = [
      rejectionOf(selectAsync({ news: { recv: news.receiver } })),
      rejectionOf(selectAsync({ state: { recv: state.receiver } })),
    ];
    // The last ones close.
    news.sender.release();
    state.sender.release();
    expect((await Promise.all(waiting)).map(({ code }) => code)).toEqual(['CLOSED', 'CLOSED']);
    news.receiver.release();
    expect(errorOf(() => trySelect({ news: { recv: news.receiver } })).code).toBe('CLOSED');
  });

  test('looks again where another thread kept it from looking', async () => {
    const buffer = new SharedArrayBuffer(broadcastByteLength(RING) + watchByteLength(64));
    const news = broadcast({ ringByteLength: RING, codec: textCodec, location: { buffer, byteOffset: 0 } });
    const stateAt = broadcastByteLength(RING);
    const state = watch('light', { valueByteLengthMax: 64, codec: textCodec, location: { buffer, byteOffset: stateAt } });
    const cases = { news: { recv: news.receiver }, state: { recv: state.receiver } } as const;
    for (const [chosen, lockAt] of [
      ['news', BROADCAST_HEADER_LOCK_OFFSET],
      ['state', stateAt + WATCH_HEADER_LOCK_OFFSET],
    ] as const) {
      (chosen === 'news' ? news : state).sender.send(chosen);
      // Another thread is in the middle of a long copy, and tells nobody when it is done with it.
      const lock = new Int32Array(buffer, lockAt, 1);
      expect(Atomics.exchange(lock, 0, SLOT_UNREGISTERED)).toBe(0);
      expect(trySelect(cases)).toBeUndefined();
      const selected = selectAsync(cases);
      // oxlint-disable-next-line no-await-in-loop -- so that it has looked in vain
      await sleep(SOON_MS);
      Atomics.store(lock, 0, 0);
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      expect(await selected).toEqual({ chosen, value: chosen });
    }
  });

  test('blocks until there are some', async () => {
    const [newsSize, stateSize] = [broadcastByteLength(RING), watchByteLength(64)];
    const buffer = new SharedArrayBuffer(newsSize + stateSize);
    const news = broadcast({ ringByteLength: RING, codec: textCodec, location: { buffer, byteOffset: 0 } });
    const state = watch('light', { valueByteLengthMax: 64, codec: textCodec, location: { buffer, byteOffset: newsSize } });
    const worker = await spawn();
    const got = worker.call<{ news: string[]; states: string[] }>('selectNews', news.receiver.handle(), state.receiver.handle(), 'last');
    const sent = ['one', 'two', 'three', 'last'];
    for (const text of sent) {
      state.sender.send(text);
      news.sender.send(text);
      // oxlint-disable-next-line no-await-in-loop -- so that it sleeps again at times
      await sleep(SOON_MS / 3);
    }
    const { news: messages, states } = await got;
    expect(messages).toEqual(sent);
    // Those that were overtaken are left out.
    expect(states).toEqual(sent.filter((text) => states.includes(text)));
    expect(states.at(-1)).toBe('last');
  });
});

describe('a select that sends news', () => {
  /** A broadcast with back-pressure, and a channel to which nothing comes, in one memory with a registry of threads. */
  function news() {
    const buffer = new SharedArrayBuffer(65_536);
    const registry = ThreadRegistry.create({ capacity: 4, location: { buffer } });
    const besideAt = 16_384;
    const told = broadcast({
      capacity: 1,
      ringByteLength: RING,
      backPressure: true,
      codec: textCodec,
      location: { buffer, byteOffset: 32_768 },
    });
    const beside = channel({ ringByteLength: RING, location: { buffer, byteOffset: besideAt } });
    const blocked = async ({ slot }: ThreadToken): Promise<void> => {
      while (!blockingWaitOf(new Int32Array(buffer), registry.byteOffset, slot)) await sleep(1);
    };
    return { ...told, beside, registry, blocked };
  }

  test('does so where that would not wait', () => {
    const { sender, receiver } = news();
    const slow = receiver.clone();
    const tell = (value: string) => trySelect({ told: { send: sender, value } });
    expect(tell('one')).toEqual({ chosen: 'told', value: undefined });
    expect(tell('two')).toBeUndefined();
    expect(errorOf(() => select({ told: { send: sender, value: 'two' } })).code).toBe('MAY_NOT_BLOCK');
    expect(receiver.recv()).toBe('one');
    // The slowest has not received it.
    expect(tell('two')).toBeUndefined();
    slow.release();
    expect(select({ told: { send: sender, value: 'two' } }).chosen).toBe('told');
    expect(receiver.tryRecv()).toBe('two');

    const overwriting = broadcast({ capacity: 1, codec: textCodec });
    for (const value of ['one', 'two']) expect(select({ told: { send: overwriting.sender, value } }).chosen).toBe('told');
    expect(errorOf(() => overwriting.receiver.recv())).toMatchObject({ code: 'LAGGED', skipped: 1 });
    expect(overwriting.receiver.recv()).toBe('two');
  });

  test('throws what the operation throws', () => {
    const { sender, receiver } = news();
    const long = 'x'.repeat(RING);
    expect(errorOf(() => trySelect({ told: { send: sender, value: long } }))).toMatchObject({ code: 'MESSAGE_TOO_LARGE', value: long });
    const unwritable = { name: 'none', encode: () => JSON.parse('{') as never, decode: () => '' };
    const none = broadcast({ codec: unwritable });
    expect(errorOf(() => trySelect({ told: { send: none.sender, value: 'x' } }))).toMatchObject({ code: 'ENCODE_FAILED', value: 'x' });
    sender.send('one');
    receiver.close();
    expect(errorOf(() => trySelect({ told: { send: sender, value: 'two' } }))).toMatchObject({ code: 'CLOSED', value: 'two' });
    sender.release();
    expect(errorOf(() => trySelect({ told: { send: sender, value: 'two' } }))).toMatchObject({ code: 'CLOSED', value: 'two' });
  });

  test('waits without blocking until a receiver receives or goes, and sends what was given then', async () => {
    const { sender, receiver, beside } = news();
    const other = broadcast({ capacity: 1, backPressure: true });
    const bytes = Uint8Array.of(1);
    const cases = { told: { send: sender, value: 'two' }, bytes: { send: other.sender, value: bytes }, beside: { recv: beside.receiver } };
    sender.send('one');
    other.sender.send(bytes);
    expect((await rejectionOf(selectAsync(cases, { timeoutMs: SOON_MS }))).code).toBe('TIMEOUT');
    const waiting = selectAsync(cases);
    await sleep(SOON_MS);
    expect(receiver.recv()).toBe('one');
    expect(await waiting).toEqual({ chosen: 'told', value: undefined });
    expect(receiver.recv()).toBe('two');
    sender.send('three');

    const waitingMore = selectAsync(cases);
    await sleep(SOON_MS);
    bytes[0] = 2;
    expect(other.receiver.recv()).toEqual(Uint8Array.of(1));
    expect((await waitingMore).chosen).toBe('bytes');
    expect(other.receiver.recv()).toEqual(Uint8Array.of(1));

    // A receiver that has nothing left to receive is waited for by nobody.
    const slow = receiver.clone();
    expect(receiver.recv()).toBe('three');
    const waitingForSlow = selectAsync({ told: cases.told });
    await sleep(SOON_MS);
    slow.release();
    expect((await waitingForSlow).chosen).toBe('told');
    const inVain = rejectionOf(selectAsync({ told: cases.told }));
    await sleep(SOON_MS);
    receiver.release();
    expect((await inVain).code).toBe('CLOSED');
  });

  test('blocks until a receiver receives, goes or dies', async () => {
    const { sender, receiver, beside, registry, blocked } = news();
    const [selecting, doomed] = [await spawn(), await spawn()];
    const tokens: ThreadToken[] = [];
    for (const worker of [selecting, doomed]) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      tokens.push(await worker.call<ThreadToken>('enter', registry.handle()));
    }
    const tell = async (value: string, timeoutMs?: number) => {
      const chosen = selecting.call<string>('selectToTell', sender.handle(), value, beside.receiver.handle(), timeoutMs);
      const caught = chosen.catch((error: unknown) => (error as { code: string }).code);
      if (timeoutMs === undefined) await blocked(tokens[0]);
      return { caught };
    };
    sender.send('one');
    expect(await (await tell('two', SOON_MS)).caught).toBe('TIMEOUT');

    const first = await tell('two');
    expect(receiver.recv()).toBe('one');
    expect(await first.caught).toBe('told');

    const slow = receiver.clone();
    expect(receiver.recv()).toBe('two');
    const second = await tell('three');
    slow.release();
    expect(await second.caught).toBe('told');

    await doomed.call('keepBroadcastReceiver', receiver.handle());
    expect(receiver.recv()).toBe('three');
    const third = await tell('four');
    await doomed.kill();
    expect(registry.reap(tokens[1])).toBe(true);
    expect(await third.caught).toBe('told');

    const fourth = await tell('five');
    receiver.release();
    expect(await fourth.caught).toBe('CLOSED');
  });

  test('looks again where another thread kept it from looking', async () => {
    const buffer = new SharedArrayBuffer(broadcastByteLength(RING));
    const { sender, receiver } = broadcast({ ringByteLength: RING, backPressure: true, codec: textCodec, location: { buffer } });
    // Another thread is in the middle of a long copy, and tells nobody when it is done with it.
    const lock = new Int32Array(buffer, BROADCAST_HEADER_LOCK_OFFSET, 1);
    expect(Atomics.exchange(lock, 0, SLOT_UNREGISTERED)).toBe(0);
    const cases = { told: { send: sender, value: 'news' } };
    expect(trySelect(cases)).toBeUndefined();
    const selected = selectAsync(cases);
    await sleep(SOON_MS);
    Atomics.store(lock, 0, 0);
    expect((await selected).chosen).toBe('told');
    expect(receiver.recv()).toBe('news');
  });

  test('needs its channels in one memory to block', async () => {
    const { sender } = broadcast({ capacity: 1, backPressure: true, codec: textCodec });
    sender.send('one');
    const worker = await spawn();
    const told = worker.call('selectToTell', sender.handle(), 'two', channel().receiver.handle());
    expect((await rejectionOf(told)).code).toBe('NOT_SELECTABLE');
  });
});

describe('a select that blocks', () => {
  /** The seventh select that waited for one side of a channel was refused, for a channel has places for six watchers. */
  test('is served also where there is no place for it', async () => {
    const size = channelByteLength(RING);
    const buffer = new SharedArrayBuffer(2 * size);
    const [home, full] = [0, size].map((byteOffset) => channel({ ringByteLength: RING, location: { buffer, byteOffset } }));
    // All places are those of threads in no registry, which count as living; what they sleep on is nobody's.
    const places = new BigUint64Array(buffer, size + CHANNEL_HEADER_RECEIVER_WATCHERS_OFFSET, WATCHERS);
    places.fill((BigInt(SLOT_UNREGISTERED) << BigInt(WATCHER_TOKEN_SHIFT)) | 8n);
    const handles = [home.receiver.handle(), full.receiver.handle()];
    const worker = await spawn();
    expect((await rejectionOf(worker.call('selectOnce', handles, SOON_MS))).code).toBe('TIMEOUT');
    const selected = worker.call<{ value: Uint8Array }>('selectOnce', handles);
    await sleep(SOON_MS);
    full.sender.send(Uint8Array.of(7));
    expect((await selected).value).toEqual(Uint8Array.of(7));
    expect(places.every((place) => place !== 0n)).toBe(true);
  });

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
