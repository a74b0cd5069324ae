/** A channel is where `layout/channel.json` says: the constants agree with it, and so does what is found in memory. */
import { LayoutSource } from '@heddle/tools/layout';
import { expect, test } from 'vitest';
import { broadcast, broadcastByteLength, channel, channelByteLength, watch, watchByteLength } from '../src/index.ts';
import * as generated from '../src/internal/layout.ts';

const source = new LayoutSource('channel');
const PLACE = 64;

test('the constants are those of the source', () => {
  expect({ ...generated }).toEqual(source.constants);
});

test('what is written is found where the source says', () => {
  const buffer = new SharedArrayBuffer(PLACE + channelByteLength(128));
  const { sender, receiver } = channel({ capacity: 5, ringByteLength: 128, location: { buffer, byteOffset: PLACE } });
  sender.clone();
  sender.trySend(new Uint8Array(3));
  sender.trySend(new Uint8Array(3));
  receiver.tryRecv();
  const { CHANNEL_MAGIC: magic, CHANNEL_VERSION: version } = generated;
  const expected = { magic, version, ringSize: 128, capacity: 5, senders: 2, receivers: 1, sent: 2, received: 1, tail: 32, head: 16 };
  expect(source.read('ChannelHeader', buffer, PLACE)).toMatchObject(expected);
  const frame = source.read('FrameHeader', buffer, PLACE + generated.CHANNEL_HEADER_SIZE + 16);
  expect(frame).toMatchObject({ length: 3 });
});

test('ends are counted at the same place in every kind of channel', () => {
  for (const kind of ['CHANNEL', 'BROADCAST', 'WATCH'] as const) {
    expect(source.constants[`${kind}_HEADER_SENDERS_OFFSET`]).toBe(generated.CHANNEL_HEADER_SENDERS_OFFSET);
    expect(source.constants[`${kind}_HEADER_RECEIVERS_OFFSET`]).toBe(generated.CHANNEL_HEADER_RECEIVERS_OFFSET);
    expect(source.constants[`${kind}_HEADER_ENDS_ADDED_OFFSET`]).toBe(generated.CHANNEL_HEADER_ENDS_ADDED_OFFSET);
  }
});

test('what is broadcast is found where the source says', () => {
  const buffer = new SharedArrayBuffer(PLACE + broadcastByteLength(128));
  const options = { capacity: 2, ringByteLength: 128, backPressure: true, location: { buffer, byteOffset: PLACE } };
  const { sender, receiver } = broadcast(options);
  sender.clone();
  for (let n = 0; n < 3; n += 1) {
    sender.send(new Uint8Array(3));
    receiver.recv();
  }
  const { BROADCAST_MAGIC: magic, BROADCAST_VERSION: version, OPTION_BACK_PRESSURE } = generated;
  const counts = { capacity: 2, senders: 2, receivers: 1, tail: 72, oldest: 24 };
  const header = source.read('BroadcastHeader', buffer, PLACE);
  expect(header).toMatchObject({ magic, version, ringSize: 128, options: OPTION_BACK_PRESSURE, ...counts });
  const frame = source.read('BroadcastFrame', buffer, PLACE + generated.BROADCAST_HEADER_SIZE + 24);
  expect(frame).toMatchObject({ length: 3 });
  const numberAt = (byteOffset: number): bigint => new DataView(buffer, PLACE).getBigUint64(byteOffset, true);
  expect(numberAt(generated.BROADCAST_HEADER_SENT_OFFSET)).toBe(3n);
  expect(numberAt(generated.BROADCAST_HEADER_SIZE + 24 + generated.BROADCAST_FRAME_NUMBER_OFFSET)).toBe(1n);
  expect(numberAt(generated.BROADCAST_HEADER_CURSORS_OFFSET + generated.CURSOR_NEXT_OFFSET)).toBe(3n);
});

test('what is watched is found where the source says', () => {
  const buffer = new SharedArrayBuffer(PLACE + watchByteLength(13));
  const { sender } = watch(Uint8Array.of(1), { valueByteLengthMax: 13, location: { buffer, byteOffset: PLACE } });
  sender.send(Uint8Array.of(2, 3));
  const { WATCH_MAGIC: magic, WATCH_VERSION: version } = generated;
  const expected = { magic, version, valueSize: 13, senders: 1, receivers: 1, changes: 2 };
  expect(source.read('WatchHeader', buffer, PLACE)).toMatchObject(expected);
  const values = new Uint8Array(buffer, PLACE + generated.WATCH_HEADER_SIZE);
  expect([values[0], ...values.subarray(16, 18)]).toEqual([1, 2, 3]);
});
