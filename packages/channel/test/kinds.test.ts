/** Kinds of channels, and messages longer than the ring. */
import { setMayBlock } from '@heddle/atomics';
import { describe, expect, test } from 'vitest';
import { type MessageTooLargeError, channel, channelByteLength, oneshot, textCodec, unbounded } from '../src/index.ts';
import { errorOf, rejectionOf, sleep, spawn } from './support/spawn.ts';

setMayBlock(false);

const SOON_MS = 30;
const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values);

describe('a message longer than the ring', () => {
  test.each([
    { capacity: 1, ringByteLength: 64, lengthMax: 500 },
    { capacity: 1000, ringByteLength: 1024, lengthMax: 5000 },
    { capacity: 0, ringByteLength: 256, lengthMax: 1500 },
  ])('arrives whole among others: $capacity messages, $ringByteLength bytes', async ({ lengthMax, ...options }) => {
    const count = 300;
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
    const keys = (await Promise.all(received)).flat().map(([who, n]) => who * count + n);
    expect(keys.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 2 * count }, (_, key) => key));
  });

  test('crosses within one thread that never blocks, and is counted as one', async () => {
    const { sender, receiver } = channel<string>({ ringByteLength: 64, codec: textCodec });
    const text = 'warp and weft '.repeat(100);
    const sent = sender.sendAsync(text);
    expect(await receiver.recvAsync()).toBe(text);
    await sent;
    expect([sender.length, receiver.isEmpty]).toEqual([0, true]);
    const again = sender.sendAsync(text);
    let received: string | undefined;
    for (; received === undefined; await sleep(0)) received = receiver.tryRecv();
    expect(received).toBe(text);
    await again;
  });

  test('given up in its middle is seen by nobody', async () => {
    const { sender, receiver } = channel({ ringByteLength: 64 });
    const long = new Uint8Array(500);
    expect((await rejectionOf(sender.sendAsync(long, { timeoutMs: SOON_MS }))).code).toBe('TIMEOUT');
    expect((await rejectionOf(sender.sendAsync(long, { signal: AbortSignal.timeout(SOON_MS) }))).code).toBe('ABORTED');
    const next = sender.sendAsync(bytes(1));
    expect(await receiver.recvAsync()).toEqual(bytes(1));
    await next;
    expect(receiver.tryRecv()).toBeUndefined();
  });

  test('ends with the channel', async () => {
    const { sender, receiver } = channel({ ringByteLength: 64 });
    const sending = rejectionOf(sender.sendAsync(new Uint8Array(500)));
    await sleep(0);
    receiver.close();
    expect((await sending).code).toBe('CLOSED');
    expect((await rejectionOf(receiver.recvAsync())).code).toBe('CLOSED');
  });

  test('is left by a receiver that goes in its middle', async () => {
    const { sender, receiver } = channel({ ringByteLength: 64 });
    const first = receiver.clone();
    const sending = sender.sendAsync(new Uint8Array(500));
    await sleep(0);
    expect(first.tryRecv()).toBeUndefined();
    first.release();
    const next = sending.then(() => sender.sendAsync(bytes(2)));
    expect(await receiver.recvAsync()).toEqual(bytes(2));
    await next;
  });

  test('is refused where it would have to wait or lie in one piece', async () => {
    const { sender, receiver } = channel({ ringByteLength: 64 });
    const value = new Uint8Array(500);
    expect(errorOf(() => sender.trySend(value)) as MessageTooLargeError).toMatchObject({
      code: 'MESSAGE_TOO_LARGE',
      value,
      byteLengthMax: 24,
    });
    expect(errorOf(() => sender.trySendMany([bytes(1), value])).code).toBe('MESSAGE_TOO_LARGE');
    expect(sender.length).toBe(0);
    expect(errorOf(() => sender.send(value)).code).toBe('MAY_NOT_BLOCK');
    const sending = sender.sendAsync(value);
    await sleep(0);
    expect(errorOf(() => receiver.peek()).code).toBe('MESSAGE_TOO_LARGE');
    expect(errorOf(() => receiver.tryRecvInto(new Uint8Array(499)))).toMatchObject({ code: 'BUFFER_TOO_SMALL', byteLength: 500 });
    expect(await receiver.recvIntoAsync(new Uint8Array(500))).toBe(500);
    await sending;
  });
});

describe('a rendezvous', () => {
  test('is left together', async () => {
    const { sender, receiver } = channel({ capacity: 0 });
    expect([sender.capacity, sender.length, sender.isFull]).toEqual([0, 0, true]);
    expect(sender.trySend(bytes(1))).toBe(false);
    expect(await rejectionOf(sender.sendAsync(bytes(1), { timeoutMs: SOON_MS }))).toMatchObject({ code: 'TIMEOUT', value: bytes(1) });
    expect(receiver.tryRecv()).toBeUndefined();
    let isSent = false;
    const sending = sender.sendAsync(bytes(2)).then(() => void (isSent = true));
    await sleep(SOON_MS);
    expect(isSent).toBe(false);
    expect(receiver.tryRecv()).toEqual(bytes(2));
    await sending;
  });

  test('meets a receiver that waits', async () => {
    const { sender, receiver } = channel({ capacity: 0 });
    const worker = await spawn();
    const received = worker.call('receive', receiver.handle());
    while (!sender.trySend(bytes(3))) await sleep(1);
    expect(await received).toEqual(bytes(3));
    expect((await rejectionOf(receiver.recvAsync({ timeoutMs: SOON_MS }))).code).toBe('TIMEOUT');
    expect(sender.trySend(bytes(4))).toBe(false);
  });

  test('given up or closed gives the message back', async () => {
    const { sender, receiver } = channel({ capacity: 0 });
    expect((await rejectionOf(sender.sendAsync(bytes(1), { signal: AbortSignal.timeout(SOON_MS) }))).code).toBe('ABORTED');
    const refused = rejectionOf(sender.sendAsync(bytes(2)));
    await sleep(SOON_MS);
    receiver.close();
    expect(await refused).toMatchObject({ code: 'CLOSED', value: bytes(2) });
    expect((await rejectionOf(receiver.recvAsync())).code).toBe('CLOSED');
  });

  test('carries every message of many threads once', async () => {
    const count = 500;
    const { sender, receiver } = channel({ capacity: 0, ringByteLength: 256 });
    const workers = await Promise.all([spawn(), spawn(), spawn(), spawn()]);
    const received = [0, 1].map((i) => workers[i].call<[number, number][]>('receiveNumbered', receiver.handle(), 100));
    await Promise.all([2, 3].map((i) => workers[i].call('sendNumbered', sender.handle(), i - 2, count, 100)));
    sender.close();
    const keys = (await Promise.all(received)).flat().map(([who, n]) => who * count + n);
    expect(keys.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 2 * count }, (_, key) => key));
  });
});

describe('an unbounded channel', () => {
  test('waits at its limit only, and starts again when it is empty', () => {
    const { sender, receiver } = unbounded({ limitByteLength: 2 ** 20 });
    for (let round = 0; round < 300; round += 1) {
      for (let n = 0; n < 50; n += 1) expect(sender.trySend(new Uint8Array(500).fill(round + n))).toBe(true);
      for (let n = 0; n < 50; n += 1) expect(receiver.recv()).toEqual(new Uint8Array(500).fill(round + n));
    }
    let count = 0;
    while (sender.trySend(new Uint8Array(1016))) count += 1;
    expect(count).toBeGreaterThan(1000);
    expect(receiver.drain().length).toBe(count);
    expect(errorOf(() => unbounded({ limitByteLength: 1000 })).code).toBe('INVALID_ARGUMENT');
  });

  test('touches no memory beyond its longest backlog', () => {
    const buffer = new SharedArrayBuffer(channelByteLength(2 ** 22));
    const { sender, receiver } = unbounded({ limitByteLength: 2 ** 22, location: { buffer } });
    for (let round = 0; round < 20_000; round += 1) {
      sender.send(new Uint8Array(1000).fill(1));
      receiver.recv();
    }
    expect(new Uint8Array(buffer, channelByteLength(2 ** 17)).some((byte) => byte !== 0)).toBe(false);
  });
});

describe('a oneshot channel', () => {
  test('carries one answer, or tells that none will come', async () => {
    const answer = oneshot<string>({ codec: textCodec });
    expect(answer.sender.trySend('42')).toBe(true);
    expect(answer.sender.trySend('43')).toBe(false);
    answer.sender.close();
    expect(await answer.receiver.recvAsync()).toBe('42');
    const none = oneshot();
    none.sender.release();
    expect((await rejectionOf(none.receiver.recvAsync())).code).toBe('CLOSED');
  });
});
