/** Operations beside sending and receiving one message: batches, looks, and messages in place. */
import { setMayBlock } from '@heddle/atomics';
import { describe, expect, test } from 'vitest';
import {
  type Borrow,
  type BufferTooSmallError,
  type Codec,
  type DecodeError,
  type Reservation,
  channel,
  channelByteLength,
  textCodec,
} from '../src/index.ts';
import { errorOf, rejectionOf, sleep, spawn } from './support/spawn.ts';

setMayBlock(false);

const SOON_MS = 30;
const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values);

describe('what a channel tells of itself', () => {
  test('is its length, and whether it is empty or full', () => {
    const { sender, receiver } = channel({ capacity: 2 });
    expect([sender.length, sender.isEmpty, sender.isFull, receiver.isEmpty, receiver.isFull]).toEqual([0, true, false, true, false]);
    sender.send(bytes(1));
    sender.send(bytes(2));
    expect([sender.length, sender.isEmpty, sender.isFull, receiver.isEmpty, receiver.isFull]).toEqual([2, false, true, false, true]);
    expect([sender.capacity, receiver.capacity, receiver.length]).toEqual([2, 2, 2]);
  });

  test('is full by bytes, too', () => {
    const { sender } = channel({ ringByteLength: 64 });
    sender.send(new Uint8Array(24));
    expect(sender.isFull).toBe(false);
    sender.send(new Uint8Array(24));
    expect([sender.isFull, sender.length]).toEqual([true, 2]);
  });
});

describe('batches', () => {
  test('go as far as there is room', () => {
    const { sender, receiver } = channel<string>({ capacity: 3, codec: textCodec });
    expect(sender.trySendMany(['a', 'b', 'c', 'd'])).toBe(3);
    expect(sender.trySendMany(['d'])).toBe(0);
    expect(receiver.recvMany(2)).toEqual(['a', 'b']);
    expect(receiver.drain()).toEqual(['c']);
    expect(receiver.drain()).toEqual([]);
    expect(errorOf(() => receiver.recvMany(1)).code).toBe('MAY_NOT_BLOCK');
    expect(errorOf(() => receiver.recvMany(0)).code).toBe('INVALID_ARGUMENT');
  });

  test('give back what was not sent', async () => {
    const { sender, receiver } = channel<string>({ capacity: 2, codec: textCodec });
    const late = await rejectionOf(sender.sendManyAsync(['a', 'b', 'c', 'd'], { timeoutMs: SOON_MS }));
    expect(late).toMatchObject({ code: 'TIMEOUT', value: ['c', 'd'] });
    receiver.close();
    expect(errorOf(() => sender.trySendMany(['e', 'f']))).toMatchObject({ code: 'CLOSED', value: ['e', 'f'] });
    expect(errorOf(() => sender.sendMany(['e', 'f']))).toMatchObject({ code: 'CLOSED', value: ['e', 'f'] });
    expect(await receiver.recvManyAsync(9)).toEqual(['a', 'b']);
    expect((await rejectionOf(receiver.recvManyAsync(9))).code).toBe('CLOSED');
    expect(errorOf(() => receiver.drain()).code).toBe('CLOSED');
  });

  test('cross threads in order', async () => {
    const count = 5000;
    const { sender, receiver } = channel({ capacity: 50, ringByteLength: 512 });
    const worker = await spawn();
    const sent = worker.call('sendBatches', sender.handle(), count, 77);
    const received: number[] = [];
    while (received.length < count) for (const [low, high] of await receiver.recvManyAsync(13)) received.push(low + 256 * high);
    await sent;
    expect(received).toEqual(Array.from({ length: count }, (_, n) => n));
  });

  test('lose nothing by a message that is none of the codec', () => {
    const codec: Codec<number> = {
      name: 'not 3',
      encode: (value) => bytes(value),
      decode: ([value]) => {
        if (value === 3) throw new TypeError('3');
        return value;
      },
    };
    const { sender, receiver } = channel({ codec });
    sender.sendMany([1, 2, 3, 4]);
    expect(receiver.drain()).toEqual([1, 2]);
    expect(receiver.length).toBe(2);
    const error = errorOf(() => receiver.drain()) as unknown as DecodeError;
    expect(error).toMatchObject({ code: 'DECODE_FAILED', bytes: bytes(3) });
    expect(receiver.drain()).toEqual([4]);
  });
});

describe('a look', () => {
  test('leaves the message', () => {
    const { sender, receiver } = channel<string>({ codec: textCodec });
    expect(receiver.peek()).toBeUndefined();
    sender.send('first');
    sender.send('second');
    expect([receiver.peek(), receiver.peek(), receiver.length, receiver.recv(), receiver.recv()]).toEqual([
      'first',
      'first',
      2,
      'first',
      'second',
    ]);
    sender.close();
    expect(errorOf(() => receiver.peek()).code).toBe('CLOSED');
  });
});

describe('receiving into a buffer', () => {
  test('copies the bytes, and leaves a message that is too long', async () => {
    const { sender, receiver } = channel();
    const buffer = new Uint8Array(4);
    expect(receiver.tryRecvInto(buffer)).toBeUndefined();
    sender.send(bytes(1, 2, 3, 4, 5));
    sender.send(bytes(6));
    expect(errorOf(() => receiver.recvInto(buffer)) as BufferTooSmallError).toMatchObject({ code: 'BUFFER_TOO_SMALL', byteLength: 5 });
    expect(receiver.tryRecv()).toEqual(bytes(1, 2, 3, 4, 5));
    expect(await receiver.recvIntoAsync(buffer)).toBe(1);
    expect(buffer[0]).toBe(6);
    sender.close();
    expect((await rejectionOf(receiver.recvIntoAsync(buffer))).code).toBe('CLOSED');
  });

  test('works from thread to thread', async () => {
    const { sender, receiver } = channel({ ringByteLength: 1024 });
    const [receiving, sending] = await Promise.all([spawn(), spawn()]);
    const received = receiving.call<number>('receiveInto', receiver.handle(), 400);
    await sending.call('sendNumbered', sender.handle(), 0, 2000, 400);
    sender.close();
    expect(await received).toBe(2000);
  });
});

describe('a message in place', () => {
  test('is the bytes of the channel themselves', async () => {
    const buffer = new SharedArrayBuffer(channelByteLength(256));
    const { sender, receiver } = channel({ ringByteLength: 256, location: { buffer } });
    const shared = new Uint8Array(buffer);
    const forms: (() => Promise<[Reservation, () => Borrow | Promise<Borrow>]>)[] = [
      async () => [sender.reserve(8), () => receiver.borrow()],
      async () => [sender.tryReserve(8)!, () => receiver.tryBorrow()!],
      async () => [await sender.reserveAsync(8), () => receiver.borrowAsync()],
    ];
    for (const form of forms) {
      /* oxlint-disable no-await-in-loop -- one message after the other */
      const [place, borrow] = await form();
      expect(place.bytes.buffer).toBe(buffer);
      place.bytes.fill(5);
      const { byteOffset } = place.bytes;
      expect(shared[byteOffset]).toBe(5);
      place.commit();
      using message = await borrow();
      expect([message.bytes.buffer === buffer, message.bytes.byteOffset, message.bytes.length]).toEqual([true, byteOffset, 8]);
      // What is written now is what is read: there is no copy that could be older.
      shared[byteOffset] = 6;
      expect(message.bytes[0]).toBe(6);
      /* oxlint-enable no-await-in-loop */
    }
  });

  test('is written, committed and read without a copy', () => {
    const { sender, receiver } = channel({ ringByteLength: 256 });
    for (let step = 0; step < 60; step += 1) {
      const reservation = sender.reserve(40);
      reservation.bytes.fill(step);
      if (step % 2 === 0) reservation.commit();
      else reservation.commit(9);
      const borrow = receiver.borrow();
      expect(Uint8Array.from(borrow.bytes)).toEqual(new Uint8Array(step % 2 === 0 ? 40 : 9).fill(step));
      borrow.release();
      borrow.release();
      expect(errorOf(() => borrow.bytes).code).toBe('CLOSED');
      expect(errorOf(() => reservation.commit()).code).toBe('CLOSED');
    }
    expect(receiver.isEmpty).toBe(true);
  });

  test('is set as an array is, within what was reserved', () => {
    const { sender, receiver } = channel();
    const reservation = sender.reserve(1000);
    reservation.set(new Uint8Array(900).fill(5), 100);
    reservation.set(new Uint8Array(100).fill(4));
    for (const offset of [101, -1, 0.5]) {
      expect(errorOf(() => reservation.set(new Uint8Array(900), offset)).code).toBe('INVALID_ARGUMENT');
    }
    reservation.commit();
    expect(errorOf(() => reservation.set(new Uint8Array(1))).code).toBe('CLOSED');
    expect(Array.from(receiver.recv())).toEqual(Array.from({ length: 1000 }, (_, index) => (index < 100 ? 4 : 5)));
  });

  test('is abandoned or released at the end of a block', async () => {
    const { sender, receiver } = channel();
    {
      using reservation = sender.reserve(8);
      reservation.bytes[0] = 1;
    }
    expect(receiver.tryBorrow()).toBeUndefined();
    {
      using reservation = await sender.reserveAsync(1);
      reservation.bytes[0] = 2;
      reservation.commit();
    }
    {
      using message = await receiver.borrowAsync();
      expect(message.bytes[0]).toBe(2);
      expect(receiver.tryRecv()).toBeUndefined();
      expect(errorOf(() => receiver.recv()).code).toBe('IN_USE');
    }
    expect(receiver.length).toBe(0);
  });

  test('keeps others of the same side waiting, and nobody else', async () => {
    const { sender, receiver } = channel();
    const reservation = sender.tryReserve(1)!;
    expect(sender.trySend(bytes(2))).toBe(false);
    expect(errorOf(() => sender.send(bytes(2))).code).toBe('IN_USE');
    const second = sender.sendAsync(bytes(2));
    await sleep(SOON_MS);
    expect(receiver.tryRecv()).toBeUndefined();
    reservation.bytes[0] = 1;
    reservation.commit();
    await second;
    expect(receiver.drain()).toEqual([bytes(1), bytes(2)]);
  });

  test('is refused with a reason', async () => {
    const { sender, receiver } = channel({ capacity: 1, ringByteLength: 256 });
    expect(errorOf(() => sender.reserve(121)).code).toBe('MESSAGE_TOO_LARGE');
    expect(errorOf(() => sender.reserve(-1)).code).toBe('INVALID_ARGUMENT');
    const reservation = sender.reserve(8);
    expect(errorOf(() => reservation.commit(9)).code).toBe('INVALID_ARGUMENT');
    reservation.commit();
    expect(sender.tryReserve(8)).toBeUndefined();
    expect((await rejectionOf(sender.reserveAsync(8, { timeoutMs: SOON_MS }))).code).toBe('TIMEOUT');
    receiver.recv();
    const late = sender.reserve(8);
    receiver.close();
    expect(errorOf(() => late.commit()).code).toBe('CLOSED');
    expect(errorOf(() => sender.reserve(8)).code).toBe('CLOSED');
    expect(errorOf(() => channel({ capacity: 0 }).sender.reserve(8)).code).toBe('INVALID_ARGUMENT');
  });
});
