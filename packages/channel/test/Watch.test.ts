import { ThreadRegistry, type ThreadToken, setMayBlock } from '@heddle/atomics';
import { describe, expect, test } from 'vitest';
import {
  WatchReceiver,
  type WatchReceiverHandle,
  WatchSender,
  jsonCodec,
  openWatchReceiver,
  openWatchSender,
  textCodec,
  watch,
  watchByteLength,
} from '../src/index.ts';
import { errorOf, rejectionOf, spawn } from './support/spawn.ts';

// As on the main thread of a page; what blocks is done by workers.
setMayBlock(false);

describe('a watch channel', () => {
  test('keeps the latest value, and tells whether it changed', () => {
    const { sender, receiver } = watch('first', { codec: textCodec });
    expect([receiver.borrow(), receiver.hasChanged]).toEqual(['first', false]);
    sender.send('second');
    sender.send('third');
    expect([receiver.borrow(), receiver.hasChanged, sender.borrow()]).toEqual(['third', true, 'third']);
    expect([receiver.borrowAndUpdate(), receiver.hasChanged]).toEqual(['third', false]);
    receiver.markChanged();
    receiver.changed();
    sender.send('fourth');
    receiver.markUnchanged();
    expect(receiver.hasChanged).toBe(false);
    expect(sender.subscribe().hasChanged).toBe(false);
  });

  test('wakes whoever waits for a change', async () => {
    const { sender, receiver } = watch(0, { codec: jsonCodec<number>() });
    const changed = receiver.changedAsync();
    sender.send(1);
    await changed;
    expect([receiver.hasChanged, await receiver.borrowAsync()]).toEqual([false, 1]);
    sender.send(2);
    receiver.changed();
    expect(await receiver.borrowAndUpdateAsync()).toBe(2);
  });

  test('opens a clone, and what a handle names, with what the end has seen', () => {
    const { sender, receiver } = watch(0, { codec: jsonCodec<number>() });
    WatchSender.from<number>(sender.handle()).send(1);
    const clone = receiver.clone();
    receiver.borrowAndUpdate();
    const opened = WatchReceiver.from<number>(receiver.handle());
    expect([clone.hasChanged, opened.hasChanged]).toEqual([true, false]);
  });

  test('is opened at a place', () => {
    const location = { buffer: new SharedArrayBuffer(64 + watchByteLength()), byteOffset: 64 };
    watch('first', { codec: textCodec, location });
    const opened = openWatchReceiver({ codec: textCodec, location });
    openWatchSender({ codec: textCodec, location }).send('at an address');
    expect([opened.hasChanged, opened.borrow()]).toEqual([true, 'at an address']);
    expect(errorOf(() => openWatchSender({ location: { ...location, byteOffset: 0 } })).code).toBe('INVALID_RECORD');
  });

  test('closes with its last sender; the last value is seen', async () => {
    const { sender, receiver } = watch('first', { codec: textCodec });
    const second = sender.clone();
    sender.release();
    second.send('last');
    second.release();
    expect(receiver.closed).toBe(true);
    await receiver.changedAsync();
    expect(receiver.borrow()).toBe('last');
    expect(errorOf(() => receiver.changed()).code).toBe('CLOSED');
    expect((await rejectionOf(receiver.changedAsync())).code).toBe('CLOSED');
    expect([...receiver]).toEqual(['last']);
  });

  test('closes with its last receiver, and gives the value back', async () => {
    const { sender, receiver } = watch('first', { codec: textCodec });
    {
      using _ = receiver;
    }
    expect(errorOf(() => sender.send('unseen'))).toMatchObject({ code: 'CLOSED', value: 'unseen' });
    expect(await rejectionOf(sender.sendAsync('unseen'))).toMatchObject({ code: 'CLOSED', value: 'unseen' });
    expect(errorOf(() => receiver.borrow()).code).toBe('CLOSED');
  });

  test('waits as long as the caller wants', async () => {
    const { receiver } = watch(new Uint8Array(3));
    const worker = await spawn();
    expect((await rejectionOf(worker.call('watchChange', receiver.handle(), 1))).code).toBe('TIMEOUT');
    expect((await rejectionOf(receiver.changedAsync({ timeoutMs: 1 }))).code).toBe('TIMEOUT');
    const controller = new AbortController();
    const aborted = rejectionOf(receiver.changedAsync({ signal: controller.signal }));
    controller.abort('enough');
    expect(await aborted).toMatchObject({ code: 'ABORTED', cause: 'enough' });
    expect(errorOf(() => receiver.changed()).code).toBe('MAY_NOT_BLOCK');
  });

  test('refuses what is no watch channel, and what does not fit', () => {
    const { sender, receiver } = watch('four', { codec: textCodec, valueByteLengthMax: 4 });
    expect(errorOf(() => sender.send('seven'))).toMatchObject({ code: 'MESSAGE_TOO_LARGE', value: 'seven', byteLengthMax: 4 });
    expect(errorOf(() => watch('seven', { codec: textCodec, valueByteLengthMax: 4 })).code).toBe('MESSAGE_TOO_LARGE');
    expect(errorOf(() => watch('', { codec: textCodec, valueByteLengthMax: -1 })).code).toBe('INVALID_ARGUMENT');
    expect(errorOf(() => WatchReceiver.from(sender.handle() as never)).code).toBe('INVALID_RECORD');
    const elsewhere = { ...receiver.handle(), buffer: new SharedArrayBuffer(watchByteLength()) } as WatchReceiverHandle;
    expect(errorOf(() => WatchReceiver.from(elsewhere)).code).toBe('INVALID_RECORD');
    expect(errorOf(() => WatchReceiver.from<unknown>(receiver.handle(), { codec: jsonCodec() })).code).toBe('CODEC_MISMATCH');
    WatchSender.from<Uint8Array>({ ...sender.handle(), codec: 'bytes' }).send(Uint8Array.of(0xff));
    expect(errorOf(() => receiver.borrow()).code).toBe('DECODE_FAILED');
  });
});

describe('between threads', () => {
  test('values are whole and never go back, and everybody sees the last one', async () => {
    const { sender, receiver } = watch<number[]>([0], { codec: jsonCodec() });
    const workers = await Promise.all([spawn(), spawn(), spawn()]);
    const watching = [workers[0].call('watchAll', receiver.handle()), workers[1].call('watchAllAsync', receiver.handle())] as Promise<
      number[][]
    >[];
    await workers[2].call('watchSend', sender.handle(), 200);
    sender.release();
    for (const seen of await Promise.all(watching)) {
      for (const [i, value] of seen.entries()) {
        expect(value).toEqual(Array.from({ length: 1 + (value[0] % 20) }, () => value[0]));
        if (i > 0) expect(value[0]).toBeGreaterThan(seen[i - 1][0]);
      }
      expect(seen.at(-1)![0]).toBe(200);
    }
  });

  test('one whose senders have died is closed', async () => {
    const buffer = new SharedArrayBuffer(65_536);
    const registry = ThreadRegistry.create({ capacity: 4, location: { buffer } });
    registry.enter();
    const { sender, receiver } = watch('value', { codec: textCodec, location: { buffer, byteOffset: 32_768 } });
    const worker = await spawn();
    const token = await worker.call<ThreadToken>('enter', registry.handle());
    await worker.call('keepWatchSender', sender.handle());
    sender.release();
    const changed = rejectionOf(receiver.changedAsync());
    await worker.kill();
    registry.reap(token);
    expect((await changed).code).toBe('CLOSED');
    expect(receiver.borrow()).toBe('value');
  });
});
