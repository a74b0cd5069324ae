import { setMayBlock } from '@heddle/atomics';
import { describe, expect, test } from 'vitest';
import {
  type ClosedError,
  type Codec,
  type DecodeError,
  type MessageTooLargeError,
  Receiver,
  Sender,
  channel,
  channelByteLength,
  jsonCodec,
  openReceiver,
  openSender,
  textCodec,
} from '../src/index.ts';
import { CHANNEL_HEADER_SIZE, FRAME_HEADER_SIZE } from '../src/internal/layout.ts';
import { errorOf, rejectionOf, sleep, spawn } from './support/spawn.ts';

// The main thread of every host behaves as a browser's: it never blocks.
setMayBlock(false);

const SOON_MS = 30;
const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values);

describe('a channel between threads', () => {
  test.each([
    { capacity: 1, ringByteLength: 64, lengthMax: 24 },
    { capacity: 1000, ringByteLength: 256, lengthMax: 120 },
    { capacity: 1000, ringByteLength: 65_536, lengthMax: 400 },
  ])('delivers each message once, whole and in order: $capacity messages, $ringByteLength bytes', async ({ lengthMax, ...options }) => {
    const count = 5_000;
    const { sender, receiver } = channel(options);
    const workers = await Promise.all([spawn(), spawn(), spawn(), spawn()]);
    const received = [
      workers[0].call<[number, number][]>('receiveNumbered', receiver.handle(), lengthMax),
      workers[1].call<[number, number][]>('receiveNumbered', receiver.handle(), lengthMax),
    ];
    await Promise.all([
      workers[2].call('sendNumbered', sender.handle(), 0, count, lengthMax),
      workers[3].call('sendNumbered', sender.handle(), 1, count, lengthMax),
    ]);
    sender.close();
    const lists = await Promise.all(received);
    for (const list of lists) {
      for (const who of [0, 1]) {
        const own = list.filter(([sentBy]) => sentBy === who).map(([, n]) => n);
        expect(own).toEqual(own.toSorted((a, b) => a - b));
      }
    }
    const keys = lists.flat().map(([who, n]) => who * count + n);
    expect(keys.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 2 * count }, (_, key) => key));
  });

  test('carries values of a codec to a worker and back', async () => {
    const there = channel<unknown>({ codec: jsonCodec() });
    const worker = await spawn();
    const values = [1, 'two', { three: [3, null, true] }];
    const received = worker.call('receiveAsync', there.receiver.handle());
    for (const value of values) await there.sender.sendAsync(value);
    there.sender.close();
    expect(await received).toEqual(values);
  });

  test('lets the main thread wait without blocking, in both directions', async () => {
    const { sender, receiver } = channel({ capacity: 2, ringByteLength: 64 });
    const worker = await spawn();
    const sent = worker.call('sendNumbered', sender.handle(), 7, 500, 24);
    let count = 0;
    for await (const message of receiver) {
      expect(message[0]).toBe(7);
      count += 1;
      if (count === 500) break;
    }
    await sent;
    const received = worker.call<unknown[]>('receiveNumbered', receiver.handle(), 24);
    const message = bytes(9, 0, 0, 0, 0, 0, 0, 0);
    for (let n = 0; n < 300; n += 1) await sender.sendAsync(message);
    sender.close();
    expect((await received).length).toBe(300);
  });
});

describe('sending', () => {
  test('is refused with the value when there is no room', async () => {
    const { sender, receiver } = channel<string>({ capacity: 1, codec: textCodec });
    expect(sender.trySend('one')).toBe(true);
    expect(sender.trySend('two')).toBe(false);
    expect(errorOf(() => sender.send('two')).code).toBe('MAY_NOT_BLOCK');
    expect(await rejectionOf(sender.sendAsync('two', { timeoutMs: SOON_MS }))).toMatchObject({ code: 'TIMEOUT', value: 'two' });
    const worker = await spawn();
    expect((await rejectionOf(worker.call('send', sender.handle(), 'two', SOON_MS))).code).toBe('TIMEOUT');
    expect(receiver.tryRecv()).toBe('one');
    sender.send('two');
    expect([sender.length, sender.capacity, receiver.recv()]).toEqual([1, 1, 'two']);
  });

  test('is refused with the value when the message is too large', () => {
    const { sender, receiver } = channel({ ringByteLength: 256 });
    expect(sender.messageByteLengthMax).toBe(256 / 2 - FRAME_HEADER_SIZE);
    const value = new Uint8Array(121);
    const error = errorOf(() => sender.trySend(value)) as MessageTooLargeError;
    expect(error).toMatchObject({ code: 'MESSAGE_TOO_LARGE', byteLength: 121, byteLengthMax: 120 });
    expect(error.value).toBe(value);
    for (let step = 0; step < 40; step += 1) {
      sender.send(new Uint8Array(step));
      expect(receiver.recv().length).toBe(step);
      sender.send(new Uint8Array(120).fill(step));
      expect(receiver.recv()).toEqual(new Uint8Array(120).fill(step));
    }
  });

  test('is given up with its signal, and the next sender gets the room', async () => {
    const { sender, receiver } = channel({ capacity: 1 });
    sender.send(bytes(1));
    const reason = new Error('no longer needed');
    const controller = new AbortController();
    const first = rejectionOf(sender.sendAsync(bytes(2), { signal: controller.signal }));
    const second = sender.sendAsync(bytes(3));
    await sleep(SOON_MS);
    receiver.tryRecv();
    controller.abort(reason);
    expect(await first).toMatchObject({ code: 'ABORTED', cause: reason });
    await second;
    expect(receiver.recv()).toEqual(bytes(3));
    expect((await rejectionOf(sender.sendAsync(bytes(4), { signal: controller.signal }))).code).toBe('ABORTED');
  });
});

describe('receiving', () => {
  test('is given up in time or with its signal', async () => {
    const { sender, receiver } = channel();
    expect(receiver.tryRecv()).toBeUndefined();
    expect(errorOf(() => receiver.recv()).code).toBe('MAY_NOT_BLOCK');
    expect((await rejectionOf(receiver.recvAsync({ timeoutMs: SOON_MS }))).code).toBe('TIMEOUT');
    expect((await rejectionOf(receiver.recvAsync({ signal: AbortSignal.timeout(SOON_MS) }))).code).toBe('ABORTED');
    expect((await rejectionOf(receiver.recvAsync({ signal: AbortSignal.abort() }))).code).toBe('ABORTED');
    const worker = await spawn();
    expect((await rejectionOf(worker.call('receive', receiver.handle(), SOON_MS))).code).toBe('TIMEOUT');
    sender.send(bytes(5));
    expect(await receiver.recvAsync()).toEqual(bytes(5));
  });

  test('given up, swallows no message of another receiver', async () => {
    const { sender, receiver } = channel();
    const worker = await spawn();
    for (let round = 0; round < 30; round += 1) {
      const controller = new AbortController();
      const first = receiver.recvAsync({ signal: controller.signal }).catch(() => undefined);
      const second = worker.call<Uint8Array>('receive', receiver.handle());
      if (round % 5 === 0) await sleep(2);
      sender.send(bytes(round));
      controller.abort();
      const message = await first;
      if (message !== undefined) sender.send(message);
      expect(await second).toEqual(bytes(round));
    }
  });

  test('tells what is no message of the codec, and goes on', async () => {
    const { sender, receiver } = channel();
    const json = Receiver.from<unknown>({ ...receiver.handle(), codec: 'json' });
    sender.send(bytes(0x7b));
    sender.send(bytes(0x37));
    const error = (await rejectionOf(json.recvAsync())) as unknown as DecodeError;
    expect(error).toMatchObject({ code: 'DECODE_FAILED', bytes: bytes(0x7b) });
    expect(json.recv()).toBe(7);
  });
});

describe('closing', () => {
  test('lets what was sent before be received, from either side', async () => {
    for (const side of ['sender', 'receiver'] as const) {
      const ends = channel();
      ends.sender.send(bytes(1));
      ends.sender.send(bytes(2));
      ends[side].close();
      const refused = errorOf(() => ends.sender.send(bytes(3))) as ClosedError;
      expect(refused).toMatchObject({ code: 'CLOSED', value: bytes(3) });
      const received: Uint8Array[] = [];
      for await (const message of ends.receiver) received.push(message);
      expect(received).toEqual([bytes(1), bytes(2)]);
      expect(errorOf(() => ends.receiver.tryRecv()).code).toBe('CLOSED');
      expect((await rejectionOf(ends.receiver.recvAsync())).code).toBe('CLOSED');
      expect([...ends.receiver]).toEqual([]);
    }
  });

  test('wakes those who wait, blocking or not', async () => {
    const full = channel({ capacity: 1 });
    full.sender.send(bytes(0));
    const empty = channel();
    const workers = await Promise.all([spawn(), spawn()]);
    const waiting = [
      rejectionOf(workers[0].call('send', full.sender.handle(), bytes(1))),
      rejectionOf(full.sender.sendAsync(bytes(1))),
      rejectionOf(workers[1].call('receive', empty.receiver.handle())),
      rejectionOf(empty.receiver.recvAsync()),
    ];
    await sleep(2 * SOON_MS);
    full.receiver.close();
    empty.sender.close();
    expect((await Promise.all(waiting)).map(({ code }) => code)).toEqual(['CLOSED', 'CLOSED', 'CLOSED', 'CLOSED']);
  });

  test('comes with the last end of a side', () => {
    const { sender, receiver } = channel();
    const second = sender.clone();
    const third = Sender.from(sender.handle());
    sender.release();
    sender.release();
    second.release();
    expect(receiver.closed).toBe(false);
    {
      using _ = third;
    }
    expect(receiver.closed).toBe(true);
    expect(errorOf(() => sender.send(bytes())).code).toBe('CLOSED');
    expect(errorOf(() => sender.clone()).code).toBe('CLOSED');
    receiver.release();
    expect(errorOf(() => receiver.recv()).code).toBe('CLOSED');
  });
});

describe('opening', () => {
  test('needs the codec of the channel', () => {
    const reversed: Codec<string> = {
      name: 'reversed',
      encode: (value) => textCodec.encode(Array.from(value).toReversed().join('')),
      decode: (message) => Array.from(textCodec.decode(message)).toReversed().join(''),
    };
    const { sender, receiver } = channel({ codec: reversed });
    const other = Sender.from(sender.handle(), { codec: reversed });
    other.send('abc');
    expect(receiver.recv()).toBe('abc');
    expect(errorOf(() => Sender.from(sender.handle())).code).toBe('CODEC_MISMATCH');
    expect(errorOf(() => Receiver.from(receiver.handle(), { codec: textCodec })).code).toBe('CODEC_MISMATCH');
  });

  test('works at a place in a WebAssembly.Memory, also in what was added later', () => {
    const memory = new WebAssembly.Memory({ initial: 1, maximum: 4, shared: true });
    const before = channel({ location: { memory, byteOffset: 1024 }, ringByteLength: 1024 });
    memory.grow(1);
    const after = channel({ location: { memory, byteOffset: 65_536 }, ringByteLength: 1024 });
    for (const { location, ends } of [
      { location: { memory, byteOffset: 1024 }, ends: before },
      { location: { memory, byteOffset: 65_536 }, ends: after },
    ]) {
      openSender({ location }).send(bytes(1, 2, 3));
      expect(openReceiver({ location }).recv()).toEqual(bytes(1, 2, 3));
      expect(ends.sender.length).toBe(0);
    }
  });

  test.each<[string, Record<string, unknown>]>([
    ['a capacity that is too large', { capacity: 2 ** 32 }],
    ['a negative capacity', { capacity: -1 }],
    ['half a message', { capacity: 1.5 }],
    ['a ring that is no power of two', { ringByteLength: 100 }],
    ['a ring that is too small', { ringByteLength: 32 }],
    ['a ring that is too large', { ringByteLength: 2 ** 31 }],
  ])('refuses %s', (_what, options) => {
    expect(errorOf(() => channel(options)).code).toBe('INVALID_ARGUMENT');
  });

  test('refuses a place without a channel, and broken or foreign ones', () => {
    const buffer = new SharedArrayBuffer(channelByteLength(256));
    expect(errorOf(() => openSender({ location: { buffer } })).code).toBe('INVALID_RECORD');
    expect(errorOf(() => channel({ location: { buffer }, ringByteLength: 512 })).code).toBe('INVALID_RECORD');
    expect(errorOf(() => channel({ location: { buffer, byteOffset: 4 }, ringByteLength: 64 })).code).toBe('INVALID_RECORD');
    const { sender, receiver } = channel({ location: { buffer }, ringByteLength: 256 });
    expect(errorOf(() => Sender.from(receiver.handle() as never)).code).toBe('INVALID_RECORD');
    const words = new Uint32Array(buffer);
    for (const [word, value] of [
      [1, 99],
      [2, 100],
      [2, 512],
    ] as const) {
      const kept = words[word];
      words[word] = value;
      expect(errorOf(() => openReceiver({ location: { buffer } })).code).toBe('INVALID_RECORD');
      words[word] = kept;
    }
    sender.send(bytes(1));
    words[CHANNEL_HEADER_SIZE / 4] = 200;
    expect(errorOf(() => receiver.recv()).code).toBe('INVALID_RECORD');
  });
});
