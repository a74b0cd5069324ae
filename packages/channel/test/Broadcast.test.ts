import { ThreadRegistry, type ThreadToken, setMayBlock } from '@heddle/atomics';
import { describe, expect, test } from 'vitest';
import {
  BroadcastReceiver,
  type BroadcastReceiverHandle,
  BroadcastSender,
  broadcast,
  broadcastByteLength,
  jsonCodec,
  openBroadcastReceiver,
  openBroadcastSender,
  textCodec,
} from '../src/index.ts';
import { errorOf, rejectionOf, spawn } from './support/spawn.ts';

// As on the main thread of a page; what blocks is done by workers.
setMayBlock(false);

/** Everything that a receiver receives without waiting. */
function drain<T>(receiver: BroadcastReceiver<T>): T[] {
  const received: T[] = [];
  for (let value = receiver.tryRecv(); value !== undefined; value = receiver.tryRecv()) received.push(value);
  return received;
}

describe('a broadcast channel', () => {
  test('gives every receiver what was sent since it was opened, in order', () => {
    const { sender, receiver } = broadcast<string>({ codec: textCodec });
    sender.send('one');
    using late = sender.subscribe();
    sender.send('two');
    expect([receiver.length, late.length]).toEqual([2, 1]);
    expect(drain(receiver)).toEqual(['one', 'two']);
    expect(drain(late)).toEqual(['two']);
    expect(late.isEmpty).toBe(true);
  });

  test('opens a clone, and what a handle names, where the end is that it is of', () => {
    const { sender, receiver } = broadcast<number>({ codec: jsonCodec() });
    for (let n = 0; n < 4; n += 1) sender.send(n);
    receiver.recv();
    const clone = receiver.clone();
    receiver.recv();
    const opened = BroadcastReceiver.from<number>(receiver.handle());
    expect(drain(clone)).toEqual([1, 2, 3]);
    expect(drain(opened)).toEqual([2, 3]);
    const again = BroadcastSender.from<number>(sender.handle());
    again.send(4);
    expect([drain(receiver), drain(clone), drain(opened)]).toEqual([[2, 3, 4], [4], [4]]);
  });

  test('is opened at a place', () => {
    const location = { buffer: new SharedArrayBuffer(64 + broadcastByteLength()), byteOffset: 64 };
    const { receiver } = broadcast<string>({ codec: textCodec, location });
    const opened = openBroadcastReceiver({ codec: textCodec, location });
    openBroadcastSender({ codec: textCodec, location }).send('at an address');
    expect([drain(receiver), drain(opened)]).toEqual([['at an address'], ['at an address']]);
    expect(errorOf(() => openBroadcastSender({ location: { ...location, byteOffset: 0 } })).code).toBe('INVALID_RECORD');
  });

  test('tells a slow receiver how many messages it has missed, and goes on with the oldest', () => {
    const { sender, receiver } = broadcast<number>({ capacity: 3, codec: jsonCodec() });
    using fast = sender.subscribe();
    for (let n = 0; n < 10; n += 1) {
      sender.send(n);
      expect(fast.recv()).toBe(n);
    }
    expect(errorOf(() => receiver.recv())).toMatchObject({ code: 'LAGGED', skipped: 7 });
    expect(drain(receiver)).toEqual([7, 8, 9]);
  });

  test('keeps as many messages as its ring has bytes for', () => {
    const { sender, receiver } = broadcast({ ringByteLength: 128 });
    for (let n = 0; n < 50; n += 1) sender.send(new Uint8Array(n % 40).fill(n));
    const { skipped } = errorOf(() => receiver.tryRecv()) as unknown as { skipped: number };
    const rest = drain(receiver);
    expect(rest.length).toBe(50 - skipped);
    for (const [i, message] of rest.entries()) expect(message).toEqual(new Uint8Array((skipped + i) % 40).fill(skipped + i));
    expect(sender.messageByteLengthMax).toBe(48);
    sender.send(new Uint8Array(48));
    expect(receiver.recv().length).toBe(48);
    expect(errorOf(() => sender.send(new Uint8Array(49)))).toMatchObject({ code: 'MESSAGE_TOO_LARGE', byteLengthMax: 48 });
  });

  test('has its senders wait for the slowest receiver if that is wanted', async () => {
    const { sender, receiver } = broadcast<number>({ capacity: 2, backPressure: true, codec: jsonCodec() });
    const slow = sender.subscribe();
    expect([sender.trySend(0), sender.trySend(1), sender.trySend(2)]).toEqual([true, true, false]);
    expect(drain(receiver)).toEqual([0, 1]);
    expect(sender.trySend(2)).toBe(false);
    expect(errorOf(() => sender.send(2)).code).toBe('MAY_NOT_BLOCK');
    expect(await rejectionOf(sender.sendAsync(2, { timeoutMs: 1 }))).toMatchObject({ code: 'TIMEOUT', value: 2 });
    const sending = sender.sendAsync(2);
    expect(slow.recv()).toBe(0);
    await sending;
    // One that goes is waited for no longer.
    const last = sender.sendAsync(3);
    slow.release();
    await last;
    expect(drain(receiver)).toEqual([2, 3]);
  });

  test('has at most sixteen receivers whom senders wait for', () => {
    const { sender, receiver } = broadcast({ backPressure: true });
    const more = Array.from({ length: 15 }, () => sender.subscribe());
    expect(errorOf(() => receiver.clone()).code).toBe('TOO_MANY_RECEIVERS');
    more[0].release();
    receiver.clone();
  });

  test('closes with its last sender, and gives what it keeps', async () => {
    const { sender, receiver } = broadcast<string>({ codec: textCodec });
    const second = sender.clone();
    sender.send('last');
    sender.release();
    expect(receiver.closed).toBe(false);
    expect(errorOf(() => sender.send('more')).code).toBe('CLOSED');
    second.release();
    expect(receiver.closed).toBe(true);
    expect([...receiver]).toEqual(['last']);
    expect(errorOf(() => receiver.recv()).code).toBe('CLOSED');
    expect((await rejectionOf(receiver.recvAsync())).code).toBe('CLOSED');
  });

  test('closes with its last receiver, and gives the value back', () => {
    const { sender, receiver } = broadcast<string>({ codec: textCodec });
    {
      using _ = sender.subscribe();
    }
    expect(sender.closed).toBe(false);
    {
      using _ = receiver;
    }
    expect(sender.closed).toBe(true);
    expect(errorOf(() => sender.send('unheard'))).toMatchObject({ code: 'CLOSED', value: 'unheard' });
  });

  test('waits as long as the caller wants', async () => {
    const { receiver } = broadcast();
    const worker = await spawn();
    expect((await rejectionOf(worker.call('receiveBroadcastOnce', receiver.handle(), 1))).code).toBe('TIMEOUT');
    expect((await rejectionOf(receiver.recvAsync({ timeoutMs: 1 }))).code).toBe('TIMEOUT');
    const controller = new AbortController();
    const aborted = rejectionOf(receiver.recvAsync({ signal: controller.signal }));
    controller.abort('enough');
    expect(await aborted).toMatchObject({ code: 'ABORTED', cause: 'enough' });
    expect((await rejectionOf(receiver.recvAsync({ signal: controller.signal }))).code).toBe('ABORTED');
    expect(errorOf(() => receiver.recv()).code).toBe('MAY_NOT_BLOCK');
  });

  test('refuses what is no broadcast channel, and what can be none', () => {
    const { sender, receiver } = broadcast({ codec: textCodec });
    expect(errorOf(() => BroadcastReceiver.from(sender.handle() as never)).code).toBe('INVALID_RECORD');
    const beyond: BroadcastReceiverHandle = { ...receiver.handle(), next: 1 };
    expect(errorOf(() => BroadcastReceiver.from(beyond)).code).toBe('INVALID_RECORD');
    const elsewhere = { ...receiver.handle(), buffer: new SharedArrayBuffer(broadcastByteLength()) } as BroadcastReceiverHandle;
    expect(errorOf(() => BroadcastReceiver.from(elsewhere)).code).toBe('INVALID_RECORD');
    expect(errorOf(() => BroadcastReceiver.from<unknown>(receiver.handle(), { codec: jsonCodec() })).code).toBe('CODEC_MISMATCH');
    expect(errorOf(() => broadcast({ capacity: 0 })).code).toBe('INVALID_ARGUMENT');
    expect(errorOf(() => broadcast({ ringByteLength: 100 })).code).toBe('INVALID_ARGUMENT');
  });

  test('tells which value could not be written or read', () => {
    const { sender, receiver } = broadcast<string>({ codec: textCodec });
    expect(errorOf(() => sender.send('\ud800'))).toMatchObject({ code: 'ENCODE_FAILED', value: '\ud800' });
    BroadcastSender.from<Uint8Array>({ ...sender.handle(), codec: 'bytes' }).send(Uint8Array.of(0xff));
    expect(errorOf(() => receiver.recv())).toMatchObject({ code: 'DECODE_FAILED', bytes: Uint8Array.of(0xff) });
  });
});

describe('between threads', () => {
  const COUNT = 200;

  test('every receiver receives everything, in one order', async () => {
    // Room for all of them: a worker may open its end when everything was sent.
    const { sender, receiver } = broadcast<[number, number]>({ capacity: 2 * COUNT, backPressure: true, codec: jsonCodec() });
    const workers = await Promise.all([spawn(), spawn(), spawn(), spawn()]);
    const receiving = [
      workers[0].call('receiveBroadcast', receiver.handle()),
      workers[1].call('receiveBroadcastAsync', receiver.handle()),
    ] as Promise<{ received: [number, number][]; skipped: number }>[];
    const here = (async () => {
      const received: [number, number][] = [];
      for await (const message of receiver) received.push(message);
      return received;
    })();
    const sending = workers.slice(2).map((worker, who) => worker.call('broadcastNumbered', sender.handle(), who, COUNT));
    await Promise.all(sending);
    sender.close();
    const [first, second] = await Promise.all(receiving);
    const own = await here;
    expect(own.length).toBe(2 * COUNT);
    expect([first.received, second.received]).toEqual([own, own]);
    for (const who of [0, 1]) expect(own.filter(([w]) => w === who).map(([, n]) => n)).toEqual(Array.from({ length: COUNT }, (_, n) => n));
  });

  test('who lags misses as many as it is told', async () => {
    const { sender, receiver } = broadcast<[number, number]>({ capacity: 4, codec: jsonCodec() });
    const workers = await Promise.all([spawn(), spawn(), spawn()]);
    const receiving = [
      workers[0].call('receiveBroadcast', receiver.handle()),
      workers[1].call('receiveBroadcastAsync', receiver.handle()),
    ] as Promise<{ received: [number, number][]; skipped: number }>[];
    await workers[2].call('broadcastNumbered', sender.handle(), 0, COUNT);
    sender.release();
    for (const { received, skipped } of await Promise.all(receiving)) {
      expect(received.length + skipped).toBe(COUNT);
      expect(received.slice(-4).map(([, n]) => n)).toEqual([COUNT - 4, COUNT - 3, COUNT - 2, COUNT - 1]);
      expect(received.every(([, n], i) => i === 0 || n > received[i - 1][1])).toBe(true);
    }
  });

  test('a sender does not wait for a receiver that died', async () => {
    const buffer = new SharedArrayBuffer(65_536);
    const registry = ThreadRegistry.create({ capacity: 4, location: { buffer } });
    registry.enter();
    const location = { buffer, byteOffset: 32_768 };
    const { sender, receiver } = broadcast<number>({ capacity: 1, ringByteLength: 1024, backPressure: true, codec: jsonCodec(), location });
    const worker = await spawn();
    const token = await worker.call<ThreadToken>('enter', registry.handle());
    await worker.call('keepBroadcastReceiver', receiver.handle());
    sender.send(1);
    expect(receiver.recv()).toBe(1);
    expect(sender.trySend(2)).toBe(false);
    const sending = sender.sendAsync(2);
    await worker.kill();
    registry.reap(token);
    await sending;
    expect(receiver.recv()).toBe(2);
  });

  // Its cursor was taken for room, and the message sent to nobody.
  test('a sender hears that the last receiver died', async () => {
    const buffer = new SharedArrayBuffer(65_536);
    const registry = ThreadRegistry.create({ capacity: 4, location: { buffer } });
    registry.enter();
    const location = { buffer, byteOffset: 32_768 };
    const { sender, receiver } = broadcast<number>({ capacity: 1, ringByteLength: 1024, backPressure: true, codec: jsonCodec(), location });
    const worker = await spawn();
    const token = await worker.call<ThreadToken>('enter', registry.handle());
    await worker.call('keepBroadcastReceiver', receiver.handle());
    receiver.release();
    sender.send(1);
    const sending = rejectionOf(sender.sendAsync(2));
    await worker.kill();
    registry.reap(token);
    expect((await sending).code).toBe('CLOSED');
    expect(sender.closed).toBe(true);
    expect(errorOf(() => sender.trySend(3)).code).toBe('CLOSED');
  });
});
