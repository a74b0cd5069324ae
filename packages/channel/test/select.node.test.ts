/** Selects of threads that die in them. In Node alone: Chromium lets a thread that blocks for ever go on after it was terminated. */
import { ThreadRegistry, type ThreadToken } from '@heddle/atomics';
import { OWNER_SLOT_MASK, SLOT_UNREGISTERED } from '@heddle/atomics/internal';
import { expect, test } from 'vitest';
import { channel, channelByteLength } from '../src/index.ts';
import {
  CHANNEL_HEADER_RECEIVERS_WAITING_OFFSET,
  CHANNEL_HEADER_RECEIVER_WATCHERS_OFFSET,
  WATCHERS,
  WATCHER_COUNTED,
  WATCHER_TOKEN_SHIFT,
} from '../src/internal/layout.ts';
import { type TestWorker } from './support/rpc.ts';
import { rejectionOf, sleep, spawn } from './support/spawn.ts';

const RING = 1024;
const HERE = 4096;
const THERE = HERE + channelByteLength(RING);

/**
 * The places of selects whose threads died in them stayed taken: when all were, no further select could wait for the channel.
 */
test('a select that dies leaves its place to the next', async () => {
  const buffer = new SharedArrayBuffer(THERE + channelByteLength(RING));
  const registry = ThreadRegistry.create({ location: { buffer } });
  const [here, there] = [HERE, THERE].map((byteOffset) => channel({ ringByteLength: RING, location: { buffer, byteOffset } }));
  // It sleeps at the first, and has a place at the second.
  const handles = [here.receiver.handle(), there.receiver.handle()];
  const places = new BigUint64Array(buffer, THERE + CHANNEL_HEADER_RECEIVER_WATCHERS_OFFSET, WATCHERS);
  // All places but one are those of threads in no registry, which count as living; what they sleep on is nobody's.
  places.fill((BigInt(SLOT_UNREGISTERED) << BigInt(WATCHER_TOKEN_SHIFT)) | 8n, 1);

  const enter = async (): Promise<{ worker: TestWorker; token: ThreadToken }> => {
    const worker = await spawn();
    return { worker, token: await worker.call<ThreadToken>('enter', registry.handle()) };
  };
  const select = async ({ worker, token }: Awaited<ReturnType<typeof enter>>): Promise<{ selected: Promise<{ value: Uint8Array }> }> => {
    const selected = worker.call<{ value: Uint8Array }>('selectOnce', handles);
    const isOwn = (place: bigint): boolean => (Number(place >> BigInt(WATCHER_TOKEN_SHIFT)) & OWNER_SLOT_MASK) === token.slot;
    // oxlint-disable-next-line no-await-in-loop -- until it is there
    while (!places.some((place) => isOwn(place) && (place & BigInt(WATCHER_COUNTED)) !== 0n)) await sleep(1);
    return { selected };
  };
  const [dying, next] = await Promise.all([enter(), enter()]);
  void rejectionOf((await select(dying)).selected);
  await dying.worker.kill();
  registry.reap(dying.token);
  const { selected } = await select(next);
  there.sender.send(Uint8Array.of(7));
  expect((await selected).value).toEqual(Uint8Array.of(7));
  const waiting = new Int32Array(buffer, THERE + CHANNEL_HEADER_RECEIVERS_WAITING_OFFSET, 1);
  expect([waiting[0], places[0]]).toEqual([0, 0n]);
});
