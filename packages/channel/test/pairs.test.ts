/** One channel, two languages: the same behaviour between threads of TypeScript and threads of Rust in Wasm, in every pairing. */
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { setMayBlock } from '@heddle/atomics';
import { type BroadcastSender, broadcast, openBroadcastSender, openReceiver, openSender, openWatchSender } from '../src/index.ts';
import { type Language, Side } from './support/Side.ts';
import { loadWasm } from './support/wasm.ts';

setMayBlock(false);

const RING_BYTE_LENGTH = 256;
const LENGTHS = { empty: 0, short: 24, long: 5 * RING_BYTE_LENGTH };
const BATCH = 7;

describe.each<[Language, Language]>([
  ['typescript', 'typescript'],
  ['typescript', 'rust'],
  ['rust', 'typescript'],
  ['rust', 'rust'],
])('a thread of %s that sends to one of %s', (first, second) => {
  let memory: WebAssembly.Memory;
  let here: Side;
  let there: Side;
  beforeAll(async () => {
    const program = await loadWasm();
    memory = program.memory;
    // The first instance copies the module's data.
    here = await Side.start(program, first);
    there = await Side.start(program, second);
  }, 60_000);
  afterAll(() => Promise.all([here.kill(), there.kill()]));
  const channelOf = (capacity: number): Promise<number> => there.channelFrom(here, capacity, RING_BYTE_LENGTH);

  describe.each([0, 1, 64])('through a capacity of %i', (capacity) => {
    test.each(Object.entries(LENGTHS))('sends %s messages, one by one and in batches', async (_, length) => {
      const count = length > RING_BYTE_LENGTH ? 40 : 200;
      for (const [sent, received] of [
        [1, 1],
        [BATCH, BATCH],
        [BATCH, 1],
        [1, BATCH],
      ]) {
        const at = await channelOf(capacity);
        const receiving = there.do('receive_numbered', at, length, received);
        expect(await here.do('send_numbered', at, count, length, sent)).toBe(count);
        // The last end of its kind, for which the other side waits.
        expect(await here.do('sender_drop', at)).toBe(1);
        expect(await receiving).toBe(count);
        await there.do('receiver_drop', at);
      }
    });

    test('hears that the last receiver has gone while it waits for room', async () => {
      const at = await channelOf(capacity);
      const sending = here.do('send_numbered', at, 1_000, LENGTHS.short, 1);
      await here.blocked();
      expect(await there.do('receiver_drop', at)).toBe(1);
      expect(await sending).toBeLessThanOrEqual(capacity);
      await here.do('sender_drop', at);
    });

    test('is told that the last sender has gone while it waits for a message', async () => {
      const at = await channelOf(capacity);
      const receiving = there.do('receive_numbered', at, LENGTHS.short, 1);
      await there.blocked();
      expect(await here.do('sender_drop', at)).toBe(1);
      expect(await receiving).toBe(0);
      await there.do('receiver_drop', at);
    });
  });

  const COUNT_OF_EACH = 200;

  test.each([0, 1, 64])('sends in turn to two channels among which the other side selects (capacity %i)', async (capacity) => {
    const [at, other] = [await channelOf(capacity), await channelOf(capacity)];
    const receiving = there.do('select_receive', at, other);
    expect(await here.do('send_in_turn', at, other, COUNT_OF_EACH)).toBe(2 * COUNT_OF_EACH);
    await here.do('sender_drop', at);
    // The other one is still open, and watched.
    await there.blocked();
    await here.do('sender_drop', other);
    expect(await receiving).toBe(2 * COUNT_OF_EACH);
  });

  test.each([0, 1, 64])('selects among two channels from which the other side receives in turn (capacity %i)', async (capacity) => {
    const [at, other] = [await channelOf(capacity), await channelOf(capacity)];
    const receiving = there.do('receive_in_turn', at, other, COUNT_OF_EACH);
    expect(await here.do('select_send', at, other, COUNT_OF_EACH)).toBe(2 * COUNT_OF_EACH);
    expect(await receiving).toBe(2 * COUNT_OF_EACH);
  });

  // Not in a rendezvous: neither would wait in an operation that the other's select could find.
  test.each([1, 64])('selects among two channels, as the other side does (capacity %i)', async (capacity) => {
    const [at, other] = [await channelOf(capacity), await channelOf(capacity)];
    const receiving = there.do('select_receive', at, other);
    expect(await here.do('select_send', at, other, COUNT_OF_EACH)).toBe(2 * COUNT_OF_EACH);
    await Promise.all([here.do('sender_drop', at), here.do('sender_drop', other)]);
    expect(await receiving).toBe(2 * COUNT_OF_EACH);
  });

  const NUMBER_BYTE_LENGTH = 4;

  /** Two broadcast channels with back-pressure: one side has the sending ends, the other the receiving ones. */
  const newsOf = async (capacity: number): Promise<{ at: number; other: number; senders: BroadcastSender[] }> => {
    const places = [await there.doInRust('broadcast_new'), await there.doInRust('broadcast_new')];
    const made = places.map((byteOffset) => {
      // In the place of one of Rust's, whose ends nobody has.
      const location = { memory, byteOffset };
      return broadcast({ capacity, ringByteLength: RING_BYTE_LENGTH, backPressure: true, location });
    });
    for (const at of places) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      await here.do('news_sender_open', at);
      // oxlint-disable-next-line no-await-in-loop -- as above
      await there.do('news_receiver_open', at);
    }
    for (const { receiver } of made) receiver.release();
    return { at: places[0], other: places[1], senders: made.map(({ sender }) => sender) };
  };
  /** Sends the numbers from 0 on, until there is room for no more; how many. */
  const fill = (sender: BroadcastSender): number => {
    for (let number = 0; ; number += 1) {
      if (!sender.trySend(new Uint8Array(Uint32Array.of(number).buffer))) return number;
    }
  };

  test.each([1, 64])('selects among two broadcasts, which the other side receives in turn (capacity %i)', async (capacity) => {
    const { at, other } = await newsOf(capacity);
    const receiving = there.do('news_receive_in_turn', at, other, 0, COUNT_OF_EACH);
    expect(await here.do('news_select_send', at, other, COUNT_OF_EACH)).toBe(2 * COUNT_OF_EACH);
    expect(await receiving).toBe(2 * COUNT_OF_EACH);
  });

  test('selects among two broadcasts that are full until the other side receives, or lets go of one', async () => {
    const { at, other, senders } = await newsOf(4);
    const count = fill(senders[0]);
    expect(fill(senders[1])).toBe(count);
    const sending = here.do('news_select_send', at, other, 1);
    await here.blocked();
    await there.do('news_receive_in_turn', at, other, 0, 1);
    expect(await sending).toBe(2);
    expect(senders.map((sender) => sender.trySend(new Uint8Array(NUMBER_BYTE_LENGTH)))).toEqual([false, false]);

    const sendingMore = here.do('news_select_send', at, other, 1);
    await here.blocked();
    expect(await there.do('news_receiver_drop', other)).toBe(1);
    expect(await sendingMore).toBe(0);
    expect(senders.map(({ closed }) => closed)).toEqual([false, true]);
  });

  test('is heard by one who waits since before the memory has grown', async () => {
    const at = await channelOf(4);
    const receiving = there.do('receive_numbered', at, LENGTHS.long, 1);
    await there.blocked();
    memory.grow(1);
    expect(await here.do('send_numbered', at, 10, LENGTHS.long, 1)).toBe(10);
    await here.do('sender_drop', at);
    expect(await receiving).toBe(10);
    await there.do('receiver_drop', at);
  });
});

// An end of Rust goes with its thread only if it is bound to it, and a broadcast's receiver can't be.
describe.each<[Language]>([['typescript'], ['rust']])('a thread of %s that selects to send news', (language) => {
  test('hears that the thread has died that would not receive them', async () => {
    const program = await loadWasm();
    const { memory } = program;
    const sides = [await Side.start(program, language)];
    onTestFinished(async () => void (await Promise.all(sides.map((side) => side.kill()))));
    const [selecting] = sides;
    const start = async (): Promise<Side> => {
      const side = await Side.start(program, 'typescript');
      sides.push(side);
      return side;
    };
    const [slow, last] = [await start(), await start()];
    const channels = [await selecting.doInRust('broadcast_new'), await selecting.doInRust('broadcast_new')].map((byteOffset) =>
      broadcast({ capacity: 1, ringByteLength: RING_BYTE_LENGTH, backPressure: true, location: { memory, byteOffset } }),
    );
    const [at, other] = channels.map(({ sender }) => sender.handle().byteOffset);
    for (const place of [at, other]) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      for (const side of [slow, last]) await side.do('news_receiver_open', place);
      // oxlint-disable-next-line no-await-in-loop -- as above
      await selecting.do('news_sender_open', place);
    }
    for (const { sender, receiver } of channels) {
      receiver.release();
      sender.send(new Uint8Array(4));
    }
    await last.do('news_receive_in_turn', at, other, 0, 1);
    const die = async (side: Side): Promise<void> => {
      await selecting.blocked();
      await side.kill();
      expect(side.registry.reap(side.token)).toBe(true);
    };
    // The slowest dies, and another has received everything.
    const sending = selecting.do('news_select_send', at, other, 1);
    await die(slow);
    expect(await sending).toBe(2);
    // The last one dies.
    const sendingMore = selecting.do('news_select_send', at, other, 1);
    await die(last);
    expect(await sendingMore).toBe(0);
  });
});

describe('a thread of Rust that waits for a while', () => {
  const LIMIT_MS = 15;
  /** Longer than any machine takes. */
  const LONG_MS = 600_000;
  let memory: WebAssembly.Memory;
  let rust: Side;
  beforeAll(async () => {
    const program = await loadWasm();
    memory = program.memory;
    rust = await Side.start(program, 'rust');
  }, 60_000);
  afterAll(() => rust.kill());

  /** Waits in vain first, and then for what `wake` brings: how the two waits ended. */
  const waits = async (step: string, at: number, wake: () => unknown): Promise<number[]> => {
    const inVain = await rust.do(step, at, LIMIT_MS);
    const waiting = rust.do(step, at, LONG_MS);
    await rust.blocked();
    await wake();
    return [inVain, await waiting];
  };

  test.each([0, 4])('gives a message up not too early, and takes one of TypeScript in time (capacity %i)', async (capacity) => {
    const at = await rust.do('pair_create', capacity, RING_BYTE_LENGTH);
    const sender = openSender({ location: { memory, byteOffset: at } });
    expect(await waits('timed_receive', at, () => sender.sendAsync(Uint8Array.of(1)))).toEqual([0, 1]);
  });

  test.each([0, 1])('gives room up not too early, and takes what TypeScript makes in time (capacity %i)', async (capacity) => {
    const at = await rust.do('pair_create', capacity, RING_BYTE_LENGTH);
    const receiver = openReceiver({ location: { memory, byteOffset: at } });
    if (capacity > 0) expect(await rust.do('timed_send', at, LONG_MS)).toBe(1);
    expect(await waits('timed_send', at, () => receiver.recvAsync())).toEqual([0, 1]);
  });

  test('gives a select up not too early, and hears of a message in time', async () => {
    const at = await rust.do('pair_create', 4, RING_BYTE_LENGTH);
    const sender = openSender({ location: { memory, byteOffset: at } });
    expect(await waits('timed_select', at, () => sender.sendAsync(Uint8Array.of(1)))).toEqual([0, 1]);
  });

  test('gives a broadcast up not too early, and receives one in time', async () => {
    const at = await rust.do('broadcast_new');
    const sender = openBroadcastSender({ location: { memory, byteOffset: at } });
    expect(await waits('timed_broadcast', at, () => sender.sendAsync(Uint8Array.of(1)))).toEqual([0, 1]);
  });

  test('gives a change of a value up not too early, and sees one in time', async () => {
    const at = await rust.do('watch_new');
    const sender = openWatchSender({ location: { memory, byteOffset: at } });
    expect(await waits('timed_watch', at, () => sender.sendAsync(Uint8Array.of(1)))).toEqual([0, 1]);
  });
});
