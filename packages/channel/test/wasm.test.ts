/** One record, two languages: threads of TypeScript and threads of Rust in Wasm, over one memory. */
import { ThreadRegistry, type ThreadToken } from '@heddle/atomics';
import { describe, expect, test } from 'vitest';
import { broadcast, openReceiver, openSender, selectAsync } from '../src/index.ts';
import { BROADCAST_HEADER_CURSORS_OFFSET, CURSORS, CURSOR_SIZE, CURSOR_TOKEN_OFFSET } from '../src/internal/layout.ts';
import type { TestWorker } from './support/rpc.ts';
import { rejectionOf, sleep, spawn } from './support/spawn.ts';
import { type WasmProgram, loadWasm } from './support/wasm.ts';

/** A worker with an instance of the module. */
async function spawnWith(program: WasmProgram): Promise<{ worker: TestWorker; token: ThreadToken }> {
  const worker = await spawn();
  const token = await worker.call<ThreadToken>('instantiate', program.glueUrl, program.module, program.memory);
  return { worker, token };
}

async function start(): Promise<{ program: WasmProgram; typescript: TestWorker; rust: TestWorker; rustToken: ThreadToken }> {
  const program = await loadWasm();
  // The first instance copies the module's data.
  const { worker: rust, token: rustToken } = await spawnWith(program);
  const { worker: typescript } = await spawnWith(program);
  return { program, typescript, rust, rustToken };
}

describe('a TypeScript thread and a Rust thread', () => {
  test('lock one mutex in turn', async () => {
    const times = 100_000;
    const { program, typescript, rust } = await start();
    const [mutexAt, valueAt] = await Promise.all([rust.call<number>('wasm', 'counter_lock'), rust.call<number>('wasm', 'counter_value')]);
    await Promise.all([typescript.call('increment', mutexAt, valueAt, times), rust.call('wasm', 'counter_increment', times)]);
    const view = new Uint32Array(program.memory.buffer, valueAt, 1);
    expect(view[0]).toBe(2 * times);
  });

  test('talk over byte channels both ways', async () => {
    const count = 4_000;
    const { program, typescript, rust } = await start();
    const { worker: other } = await spawnWith(program);
    const there = await rust.call<number>('wasm', 'channel_new', 64, 4096);
    const back = await rust.call<number>('wasm', 'channel_new', 64, 4096);
    const [reversed, received] = await Promise.all([
      rust.call<number>('wasm', 'channel_reverse', there, back),
      other.call<number>('receiveReversed', back),
      typescript.call('sendToMemory', there, count),
    ]);
    expect([reversed, received]).toEqual([count, count]);
  });

  test('share a channel with many ends', async () => {
    const count = 30_000;
    const { program, typescript, rust } = await start();
    const { worker: other } = await spawnWith(program);
    const { worker: third } = await spawnWith(program);
    const channel = await rust.call<number>('wasm', 'channel_new', 1024, 4096);
    const sums = [third.call<number>('wasm', 'channel_sum_numbers', channel), other.call<number>('sumNumbers', channel)];
    const sent = await Promise.all([
      rust.call<number>('wasm', 'channel_send_numbers', channel, 1, count),
      typescript.call<number>('wasm', 'channel_send_numbers', channel, count + 1, count),
    ]);
    expect(sent).toEqual([count, count]);
    await typescript.call('sendToMemory', channel, 0);
    const total = (await Promise.all(sums)).reduce((sum, part) => (sum + part) >>> 0);
    expect(total).toBe((count * (2 * count + 1)) >>> 0);
  });

  test('see the same in a broadcast channel, whoever sends', async () => {
    const count = 1_500;
    const { program, typescript, rust } = await start();
    const others = [await spawnWith(program), await spawnWith(program)].map(({ worker }) => worker);
    const channel = await rust.call<number>('wasm', 'broadcast_new');
    const digests = [others[0].call<number>('wasm', 'broadcast_digest', channel), others[1].call<number>('digestOfBroadcast', channel)];
    await Promise.all([
      rust.call('wasm', 'broadcast_send_numbers', channel, 1, count),
      typescript.call('broadcastNumbers', channel, count + 1, count),
    ]);
    // One more that came after all was sent.
    const late = typescript.call<number>('digestOfBroadcast', channel);
    await rust.call('wasm', 'broadcast_close', channel);
    const [first, ...rest] = (await Promise.all([...digests, late])).map((digest) => digest >>> 0);
    expect(rest).toEqual([first, first]);
  });

  test('hold senders up in a broadcast channel, whoever is slow', async () => {
    const count = 600;
    const { program, typescript, rust } = await start();
    const others = [await spawnWith(program), await spawnWith(program)].map(({ worker }) => worker);
    // In the place of one of Rust's, whose ends nobody has.
    const byteOffset = await rust.call<number>('wasm', 'broadcast_new');
    const location = { memory: program.memory, byteOffset };
    const own = broadcast({ capacity: 2, ringByteLength: 4096, backPressure: true, location });
    const cursors = new Int32Array(program.memory.buffer, byteOffset + BROADCAST_HEADER_CURSORS_OFFSET, (CURSORS * CURSOR_SIZE) >> 2);
    const digests = [
      others[0].call<number>('wasm', 'broadcast_digest', byteOffset),
      others[1].call<number>('digestOfBroadcast', byteOffset),
    ];
    const isCursor = (word: number, i: number): boolean => (i * 4) % CURSOR_SIZE === CURSOR_TOKEN_OFFSET && word !== 0;
    while (cursors.filter(isCursor).length < 1 + digests.length) await sleep(1);
    const sending = [
      rust.call('wasm', 'broadcast_send_numbers', byteOffset, 1, count),
      typescript.call('broadcastNumbers', byteOffset, count + 1, count),
    ];
    // All wait for this one; a receiver that was overtaken throws or traps.
    let digest = 0;
    for (let n = 0; n < 2 * count; n += 1) {
      const message = await own.receiver.recvAsync();
      digest = (Math.imul(digest, 31) + new DataView(message.buffer, message.byteOffset).getUint32(0, true)) >>> 0;
    }
    await Promise.all(sending);
    own.sender.close();
    expect((await Promise.all(digests)).map((number) => number >>> 0)).toEqual([digest, digest]);
  });

  test('follow the value of a watch channel, whoever changes it', async () => {
    const count = 3_000;
    const { program, typescript, rust } = await start();
    const others = [await spawnWith(program), await spawnWith(program)].map(({ worker }) => worker);
    for (const byRust of [true, false]) {
      // oxlint-disable-next-line no-await-in-loop -- one channel after the other
      const channel = await rust.call<number>('wasm', 'watch_new');
      const last = [others[0].call<number>('wasm', 'watch_follow', channel), others[1].call<number>('followWatch', channel)];
      const counting = byRust ? rust.call('wasm', 'watch_count', channel, count) : typescript.call('countInWatch', channel, count);
      // oxlint-disable-next-line no-await-in-loop -- as above
      await counting;
      // oxlint-disable-next-line no-await-in-loop -- as above
      expect(await Promise.all(last)).toEqual([count, count]);
    }
  });

  test.each([
    [3, 'full and empty'],
    [0, 'in a rendezvous'],
  ])('talk over byte channels whose Rust end is a task (capacity %i: %s)', async (capacity) => {
    const count = 300;
    const { program, typescript, rust } = await start();
    const { worker: other } = await spawnWith(program);
    // Of the messages of up to 99 bytes about half take several frames.
    const there = await rust.call<number>('wasm', 'channel_new', capacity, 128);
    const back = await rust.call<number>('wasm', 'channel_new', capacity, 128);
    const [reversed, received] = await Promise.all([
      rust.call<number>('task', 'channel_reverse_task', there, back),
      other.call<number>('receiveReversed', back),
      typescript.call('sendToMemory', there, count),
    ]);
    expect([reversed, received]).toEqual([1 + count, count]);
  });

  test('tell another when a task that was told goes', async () => {
    const { program, typescript, rust } = await start();
    const channel = await rust.call<number>('wasm', 'channel_new', 4, 128);
    const gone = await rust.call<number>('wasm', 'channel_recv_task', channel);
    const staying = typescript.call<number>('task', 'channel_recv_task', channel);
    expect(await rust.call('wasm', 'task_poll', gone)).toBe(0);
    const sender = openSender({ location: { memory: program.memory, byteOffset: channel } });
    await sender.sendAsync(new Uint8Array(41));
    await rust.call('wasm', 'task_drop', gone);
    expect(await staying).toBe(42);
    // Nobody is left who would take a message.
    await sender.sendAsync(Uint8Array.of(1));
    expect(openReceiver({ location: { memory: program.memory, byteOffset: channel } }).tryRecv()).toEqual(Uint8Array.of(1));
  });

  test('see the same in a broadcast, and follow the same value, as tasks', async () => {
    const count = 300;
    const { program, typescript, rust } = await start();
    const others = [await spawnWith(program), await spawnWith(program)].map(({ worker }) => worker);
    const channel = await rust.call<number>('wasm', 'broadcast_new');
    const digests = [
      others[0].call<number>('task', 'broadcast_digest_task', channel),
      others[1].call<number>('digestOfBroadcast', channel),
    ];
    await Promise.all([
      rust.call('task', 'broadcast_send_numbers_task', channel, 1, count),
      typescript.call('broadcastNumbers', channel, count + 1, count),
    ]);
    await rust.call('wasm', 'broadcast_close', channel);
    const [first, second] = (await Promise.all(digests)).map((digest) => digest >>> 0);
    expect(second).toBe(first);

    const watched = await rust.call<number>('wasm', 'watch_new');
    const followed = rust.call<number>('task', 'watch_follow_task', watched);
    await typescript.call('countInWatch', watched, count);
    expect(await followed).toBe(count);
  });

  test('meet where a task of Rust selects among what TypeScript sends', async () => {
    const { program, typescript, rust } = await start();
    const [at, other] = [await rust.call<number>('wasm', 'pair_create', 4, 128), await rust.call<number>('wasm', 'pair_create', 4, 128)];
    const selecting = rust.call<number>('task', 'channel_select_task', at, other);
    const [sender, otherSender] = [at, other].map((byteOffset) => openSender({ location: { memory: program.memory, byteOffset } }));
    // Sleeping, it is woken by either of them.
    for (const to of [sender, otherSender, sender]) {
      await sleep(20);
      await to.sendAsync(Uint8Array.of(1));
    }
    // And between sleeping and waking.
    await Promise.all([
      typescript.call('sendToMemory', at, 300),
      (async () => {
        for (let n = 0; n < 300; n += 1) await otherSender.sendAsync(new Uint8Array(n % 40));
      })(),
    ]);
    // The last sender is that of a thread which dies.
    const registry = ThreadRegistry.at({ memory: program.memory, byteOffset: await rust.call<number>('wasm', '__heddle_registry') });
    const { worker: doomed, token } = await spawnWith(program);
    await doomed.call('step', 'typescript', 'sender_open', other);
    otherSender.release();
    expect(await rust.call('wasm', 'sender_drop', other)).toBe(1);
    await sleep(20);
    await doomed.kill();
    expect(registry.reap(token)).toBe(true);
    expect(await selecting).toBe(1 + 3 + 600);
  });

  test('meet where a task of Rust selects to send what TypeScript receives', async () => {
    const count = 200;
    const { program, rust } = await start();
    const channels = [await rust.call<number>('wasm', 'broadcast_new'), await rust.call<number>('wasm', 'broadcast_new')].map(
      (byteOffset) => broadcast({ capacity: 2, ringByteLength: 512, backPressure: true, location: { memory: program.memory, byteOffset } }),
    );
    const [at, other] = channels.map(({ sender }) => sender.handle().byteOffset);
    const selecting = rust.call<number>('task', 'broadcast_select_task', at, other, count);
    for (let n = 1; n <= count; n += 1) {
      // It sleeps at times, full as the channels are.
      if (n % 50 === 1) await sleep(20);
      for (const { receiver } of channels) {
        expect(await receiver.recvAsync()).toEqual(new Uint8Array(new Uint32Array(1 + (n % 16)).fill(n).buffer));
      }
    }
    expect(await selecting).toBe(1 + 2 * count);

    const selectingMore = rust.call<number>('task', 'broadcast_select_task', at, other, count);
    while (!channels.every(({ receiver }) => receiver.length === 2)) await sleep(1);
    // The last receiver.
    channels[1].receiver.release();
    // As many as there was room for.
    expect(await selectingMore).toBe(1 + 2 * 2);
  });

  test('learn from each other that an owner has trapped or was terminated', async () => {
    const { program, typescript, rust, rustToken } = await start();
    const registry = ThreadRegistry.at({ memory: program.memory, byteOffset: await rust.call<number>('wasm', '__heddle_registry') });
    const waiting = async (): Promise<number> => {
      const answer = typescript.call<number>('wasm', 'counter_is_poisoned');
      await sleep(30);
      return answer;
    };
    // Rust traps with the lock; the supervisor is this thread.
    expect((await rejectionOf(rust.call('wasm', 'counter_trap'))).message).toMatch(/unreachable/iu);
    const poisoned = waiting();
    await sleep(60);
    expect(registry.reap(rustToken)).toBe(true);
    expect(await poisoned).toBe(1);

    // A TypeScript thread is terminated with the lock, and a Rust thread waits for it.
    const { worker: doomed, token } = await spawnWith(program);
    const mutexAt = await typescript.call<number>('wasm', 'counter_lock');
    expect((await rejectionOf(doomed.call('keep', mutexAt))).message).toMatch(/poisoned/u);
    await typescript.call('wasm', 'counter_clear_poison');
    await doomed.call('keep', mutexAt);
    const poisonedAgain = waiting();
    await sleep(60);
    await doomed.kill();
    expect(registry.reap(token)).toBe(true);
    expect(await poisonedAgain).toBe(1);
  });
});

describe('the end that a Rust thread has bound to itself', () => {
  /** What becomes of the thread. */
  const ENDS: Record<string, (worker: TestWorker) => Promise<void>> = {
    traps: async (worker) => {
      expect((await rejectionOf(worker.call('wasm', 'trap'))).message).toMatch(/unreachable/iu);
    },
    'is terminated': (worker) => worker.kill(),
  };

  interface Stage {
    readonly program: WasmProgram;
    readonly typescript: TestWorker;
    /** The thread that has bound its end. */
    readonly bound: TestWorker;
    readonly at: number;
    /** Ends the thread, and tells of it as a supervisor does. */
    readonly end: () => Promise<void>;
  }

  /** A channel of which the Rust thread has one end alone. */
  async function stage(side: 'sender' | 'receiver', how: string): Promise<Stage> {
    const { program, typescript, rust } = await start();
    const registry = ThreadRegistry.at({ memory: program.memory, byteOffset: await rust.call<number>('wasm', '__heddle_registry') });
    const { worker: bound, token } = await spawnWith(program);
    const at = await rust.call<number>('wasm', 'pair_create', 1, 128);
    await typescript.call('step', 'typescript', side === 'sender' ? 'receiver_open' : 'sender_open', at);
    expect(await bound.call('wasm', `channel_bind_${side}`, at)).toBe(1);
    for (const drop of ['sender_drop', 'receiver_drop']) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      expect(await rust.call('wasm', drop, at)).toBe(1);
    }
    const end = async (): Promise<void> => {
      await ENDS[how](bound);
      expect(registry.reap(token)).toBe(true);
    };
    return { program, typescript, bound, at, end };
  }

  test.each(Object.keys(ENDS))('closes the channel for receivers when the thread %s', async (how) => {
    const { program, typescript, at, end } = await stage('sender', how);
    const receiver = openReceiver({ location: { memory: program.memory, byteOffset: at } });
    expect(await receiver.recvAsync()).toEqual(Uint8Array.of(7));
    const blocked = typescript.call<number>('step', 'typescript', 'receive_numbered', at, 0, 1);
    const pending = rejectionOf(receiver.recvAsync());
    const selecting = rejectionOf(selectAsync({ only: { recv: receiver } }));
    await sleep(30);
    expect(receiver.closed).toBe(false);
    await end();
    expect([(await pending).code, (await selecting).code, await blocked]).toEqual(['CLOSED', 'CLOSED', 0]);
  });

  test.each(Object.keys(ENDS))('closes the channel for senders when the thread %s', async (how) => {
    const { program, typescript, at, end } = await stage('receiver', how);
    const sender = openSender({ location: { memory: program.memory, byteOffset: at } });
    const message = Uint8Array.of(8);
    await sender.sendAsync(message);
    const blocked = typescript.call<number>('step', 'typescript', 'send_numbered', at, 1, 0, 1);
    const pending = rejectionOf(sender.sendAsync(message));
    await sleep(30);
    expect(sender.closed).toBe(false);
    await end();
    expect(await pending).toMatchObject({ code: 'CLOSED', value: message });
    expect(await blocked).toBe(0);
  });

  test('is an end like any other while the thread lives', async () => {
    const { program, bound, at } = await stage('sender', 'is terminated');
    const receiver = openReceiver({ location: { memory: program.memory, byteOffset: at } });
    expect(await receiver.recvAsync()).toEqual(Uint8Array.of(7));
    expect(await bound.call('wasm', 'channel_bind_sender', at)).toBe(1);
    expect(await receiver.recvAsync()).toEqual(Uint8Array.of(7));
    expect(receiver.closed).toBe(false);
  });
});
