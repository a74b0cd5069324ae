/** Ends of threads that die. */
import { ThreadRegistry, type ThreadToken, setMayBlock } from '@heddle/atomics';
import { describe, expect, test } from 'vitest';
import { type Channel, type ChannelOptions, Sender, channel, selectAsync } from '../src/index.ts';
import type { TestWorker } from './support/rpc.ts';
import { rejectionOf, sleep, spawn } from './support/spawn.ts';

setMayBlock(false);

const CHANNEL_BYTE_OFFSET = 4096;
const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values);

interface Thread {
  readonly worker: TestWorker;
  readonly token: ThreadToken;
}

interface Stage {
  readonly registry: ThreadRegistry;
  readonly ends: Channel<Uint8Array>;
  /** A registered worker. */
  readonly enter: () => Promise<Thread>;
  /** What a supervisor does when it sees a thread end. */
  readonly kill: (thread: Thread) => Promise<void>;
}

/** A registry and a channel in one memory, which this thread has entered. */
function stage(options: ChannelOptions<Uint8Array> = {}): Stage {
  const buffer = new SharedArrayBuffer(2 ** 17);
  const registry = ThreadRegistry.create({ location: { buffer } });
  registry.enter();
  const ends = channel({ ringByteLength: 4096, ...options, location: { buffer, byteOffset: CHANNEL_BYTE_OFFSET } });
  return {
    registry,
    ends,
    enter: async () => {
      const worker = await spawn();
      return { worker, token: await worker.call<ThreadToken>('enter', registry.handle()) };
    },
    kill: async ({ worker, token }) => {
      await worker.kill();
      registry.reap(token);
    },
  };
}

describe('a thread that dies', () => {
  test('with the last sending end closes the channel for whoever waits, blocking or not', async () => {
    const { ends, enter, kill } = stage();
    const [dying, waiting] = await Promise.all([enter(), enter()]);
    await dying.worker.call('keepSender', ends.sender.handle());
    await dying.worker.call('send', ends.sender.handle(), bytes(1));
    ends.sender.release();
    expect(await ends.receiver.recvAsync()).toEqual(bytes(1));
    const blocked = rejectionOf(waiting.worker.call('receive', ends.receiver.handle()));
    const pending = rejectionOf(ends.receiver.recvAsync());
    await sleep(20);
    expect(ends.receiver.closed).toBe(false);
    await kill(dying);
    expect([(await blocked).code, (await pending).code]).toEqual(['CLOSED', 'CLOSED']);
  });

  test('with the last receiving end gives a waiting sender its value back', async () => {
    const { ends, enter, kill } = stage({ capacity: 1 });
    const dying = await enter();
    await dying.worker.call('keepReceiver', ends.receiver.handle());
    ends.receiver.release();
    ends.sender.send(bytes(1));
    const pending = rejectionOf(ends.sender.sendAsync(bytes(2)));
    await sleep(20);
    await kill(dying);
    expect(await pending).toMatchObject({ code: 'CLOSED', value: bytes(2) });
  });

  test('leaves the channel open for those who live', async () => {
    const { ends, enter, kill } = stage();
    const dying = await enter();
    await dying.worker.call('keepSender', ends.sender.handle());
    await dying.worker.call('keepReceiver', ends.receiver.handle());
    const pending = ends.receiver.recvAsync();
    await kill(dying);
    await sleep(20);
    await ends.sender.sendAsync(bytes(3));
    expect(await pending).toEqual(bytes(3));
  });

  test('ends the selects that wait for it', async () => {
    const { ends, enter, kill } = stage();
    const [dying, waiting] = await Promise.all([enter(), enter()]);
    await dying.worker.call('keepSender', ends.sender.handle());
    ends.sender.release();
    const blocked = rejectionOf(waiting.worker.call('selectOnce', [ends.receiver.handle()]));
    const pending = rejectionOf(selectAsync({ only: { recv: ends.receiver } }));
    await sleep(20);
    await kill(dying);
    expect([(await blocked).code, (await pending).code]).toEqual(['CLOSED', 'CLOSED']);
  });

  test('in the middle of a long message takes all of it along', async () => {
    const { ends, enter, kill } = stage();
    const dying = await enter();
    const lost = dying.worker.call('sendAsync', ends.sender.handle(), new Uint8Array(1_000_000));
    lost.catch(() => undefined);
    // It waits for room in the middle of it.
    while (ends.receiver.isFull === false) await sleep(1);
    await kill(dying);
    const pending = ends.receiver.recvAsync();
    await ends.sender.sendAsync(bytes(4));
    expect(await pending).toEqual(bytes(4));
    expect(ends.receiver.length).toBe(0);
  });

  test('in the middle of a long message that is being received takes all of it along', async () => {
    const { ends, enter, kill } = stage();
    const dying = await enter();
    const lost = dying.worker.call('sendAsync', ends.sender.handle(), new Uint8Array(2 ** 25));
    lost.catch(() => undefined);
    const pending = ends.receiver.recvAsync();
    await sleep(20);
    await kill(dying);
    await ends.sender.sendAsync(bytes(4));
    expect(await pending).toEqual(bytes(4));
    expect(ends.receiver.length).toBe(0);
  });
});

describe('the ends of one thread', () => {
  test('are told from those of the dead before it, of whom there may be any number', async () => {
    const buffer = new SharedArrayBuffer(2 ** 17);
    const registry = ThreadRegistry.create({ location: { buffer } });
    const { sender, receiver } = channel({ ringByteLength: 4096, location: { buffer, byteOffset: CHANNEL_BYTE_OFFSET } });
    let before: ThreadToken | undefined;
    // More than have their ends counted apart. This thread is one after the other.
    for (let count = 0; count < 40; count += 1) {
      const token = registry.enter();
      const own = Sender.from(sender.handle());
      if (before === undefined) sender.release();
      else registry.reap(before);
      const pending = receiver.recvAsync();
      own.send(bytes(count));
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      expect(await pending).toEqual(bytes(count));
      before = token;
    }
    const pending = rejectionOf(receiver.recvAsync());
    registry.reap(before!);
    expect(await pending).toMatchObject({ code: 'CLOSED' });
  });

  /** The 65,536th sender of a thread was counted as a receiver, and when the thread died one was taken away that others had. */
  test('are counted however many they are', async () => {
    const buffer = new SharedArrayBuffer(2 ** 17);
    const registry = ThreadRegistry.create({ location: { buffer } });
    const { sender, receiver } = channel({ ringByteLength: 4096, location: { buffer, byteOffset: CHANNEL_BYTE_OFFSET } });
    const token = registry.enter();
    const senders = Array.from({ length: 2 ** 16 + 10 }, () => sender.clone());
    const pending = receiver.recvAsync();
    registry.reap(token);
    sender.send(bytes(5));
    expect(await pending).toEqual(bytes(5));
    const next = receiver.recvAsync();
    sender.send(bytes(6));
    expect(await next).toEqual(bytes(6));
    for (const one of senders) one.release();
    expect(receiver.closed).toBe(false);
    sender.release();
    expect(receiver.closed).toBe(true);
  });
});
