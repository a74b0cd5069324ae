/** A channel is where `layout/channel.json` says: the constants agree with it, and so does what is found in memory. */
import { LayoutSource } from '@heddle/tools/layout';
import { expect, test } from 'vitest';
import { channel, channelByteLength } from '../src/index.ts';
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
