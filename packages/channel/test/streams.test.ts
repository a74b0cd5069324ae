import { setMayBlock } from '@heddle/atomics';
import { describe, expect, test } from 'vitest';
import { Receiver, type SenderHandle, channel, jsonCodec, readableStream, textCodec, writableStream } from '../src/index.ts';
import { rejectionOf, spawn } from './support/spawn.ts';

setMayBlock(false);

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values);

/** All that a stream gives. */
async function all<T>(stream: ReadableStream<T>): Promise<T[]> {
  const values: T[] = [];
  for await (const value of stream) values.push(value);
  return values;
}

describe('a stream of what is received', () => {
  test('ends where the channel does, and releases its end', async () => {
    const { sender, receiver } = channel({ codec: textCodec });
    const values = all(readableStream(receiver));
    for (const value of ['one', 'two', 'three']) await sender.sendAsync(value);
    sender.close();
    expect(await values).toEqual(['one', 'two', 'three']);
    expect((await rejectionOf(receiver.recvAsync())).message).toMatch(/released/u);
  });

  test('takes nothing that nobody has asked for', async () => {
    const { sender, receiver } = channel({ codec: textCodec });
    const reader = readableStream(receiver).getReader();
    sender.send('one');
    sender.send('two');
    expect(await reader.read()).toEqual({ done: false, value: 'one' });
    expect(sender.length).toBe(1);
  });

  test('cancelled while it waits, releases its end and swallows nothing that comes later', async () => {
    const { sender, receiver } = channel();
    const other = receiver.clone();
    const reader = readableStream(receiver).getReader();
    const read = reader.read();
    await reader.cancel('no longer needed');
    expect(await read).toEqual({ done: true, value: undefined });
    sender.send(bytes(1));
    expect(other.recv()).toEqual(bytes(1));
    other.release();
    expect(sender.closed).toBe(true);
  });

  test('errors at a message that is none of the codec; another goes on behind it', async () => {
    const { sender, receiver } = channel();
    const json = Receiver.from<unknown>({ ...receiver.handle(), codec: 'json' });
    for (const byte of [0x31, 0x7b, 0x32]) sender.send(bytes(byte));
    sender.close();
    const reader = readableStream(json, { preventRelease: true }).getReader();
    expect(await reader.read()).toEqual({ done: false, value: 1 });
    expect(await rejectionOf(reader.read())).toMatchObject({ code: 'DECODE_FAILED', bytes: bytes(0x7b) });
    expect(await all(readableStream(json))).toEqual([2]);
  });
});

describe('a stream of what is sent', () => {
  test('waits for room, and releases its end after the last value', async () => {
    const { sender, receiver } = channel({ capacity: 1, codec: textCodec });
    const writer = writableStream(sender).getWriter();
    const written = ['one', 'two', 'three'].map((value) => writer.write(value));
    const closed = writer.close();
    let isClosed = false;
    void closed.then(() => (isClosed = true));
    await written[0];
    expect([receiver.length, isClosed]).toEqual([1, false]);
    expect(await all(readableStream(receiver))).toEqual(['one', 'two', 'three']);
    await closed;
    expect(sender.closed).toBe(true);
  });

  test('aborted, gives up what waits for room', async () => {
    const { sender, receiver } = channel({ capacity: 1, codec: textCodec });
    const writer = writableStream(sender).getWriter();
    await writer.write('one');
    const waiting = rejectionOf(writer.write('two'));
    const reason = new Error('no more');
    await writer.abort(reason);
    expect(await waiting).toMatchObject({ code: 'ABORTED', cause: reason });
    expect(await receiver.recvAsync()).toBe('one');
    expect((await rejectionOf(receiver.recvAsync())).code).toBe('CLOSED');
  });

  test('errors when the receivers are gone, or a value has no bytes', async () => {
    const gone = channel({ codec: textCodec });
    gone.receiver.release();
    expect(await rejectionOf(writableStream(gone.sender).getWriter().write('one'))).toMatchObject({ code: 'CLOSED', value: 'one' });
    const { sender, receiver } = channel({ codec: jsonCodec<unknown>() });
    const writer = writableStream(sender).getWriter();
    expect(await rejectionOf(writer.write(1n))).toMatchObject({ code: 'ENCODE_FAILED', value: 1n });
    expect((await rejectionOf(writer.closed)).code).toBe('ENCODE_FAILED');
    expect((await rejectionOf(receiver.recvAsync())).code).toBe('CLOSED');
  });
});

describe('pipes', () => {
  test('go from channel to channel through a transform', async () => {
    const there = channel({ capacity: 2, codec: jsonCodec<number>() });
    const back = channel({ capacity: 2, codec: textCodec });
    const texts = new TransformStream<number, string>({ transform: (value, controller) => controller.enqueue(`<${value}>`) });
    const piped = readableStream(there.receiver).pipeThrough(texts).pipeTo(writableStream(back.sender));
    const values = all(readableStream(back.receiver));
    for (let n = 0; n < 20; n += 1) await there.sender.sendAsync(n);
    there.sender.release();
    await piped;
    expect(await values).toEqual(Array.from({ length: 20 }, (_, n) => `<${n}>`));
  });

  test('carry what a worker sends, blocking as they are read', async () => {
    const { sender, receiver } = channel({ capacity: 2, ringByteLength: 64 });
    const worker = await spawn();
    const handle: SenderHandle = sender.handle();
    const sent = worker.call('sendNumbered', handle, 3, 200, 24);
    let count = 0;
    const counted = new WritableStream<Uint8Array>({
      write: (message) => {
        expect([message[0], message[4]]).toEqual([3, count]);
        count += 1;
      },
    });
    const piped = readableStream(receiver).pipeTo(counted);
    await sent;
    sender.release();
    await piped;
    expect(count).toBe(200);
  });
});
