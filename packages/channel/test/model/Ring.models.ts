/** Models of a channel; Ring.node.test.ts runs them. */
import { AbortedError, ThreadRegistry } from '@heddle/atomics';
import type { Model, ModelThread } from '@heddle/tools/model';
import { ChannelTimeoutError, ClosedError, Receiver, type ReceiverHandle, Sender, type SenderHandle, channel } from '../../src/index.ts';
import { CHANNEL_HEADER_SENT_OFFSET, CHANNEL_HEADER_TAIL_OFFSET } from '../../src/internal/layout.ts';

const REGISTRY = 64;
const CHANNEL = 512;
/** What was received, in its order: a count, and a word a message. */
const RECEIVED = 192;
const RING_BYTES = 64;
const BYTES = CHANNEL + 320 + RING_BYTES;

const handleOf = <Kind extends string>(kind: Kind, buffer: SharedArrayBuffer) => ({ kind, codec: 'bytes', buffer, byteOffset: CHANNEL });
const senderOf = ({ memory }: ModelThread): Sender => Sender.from(handleOf('heddle.Sender', memory) as SenderHandle);
const receiverOf = ({ memory }: ModelThread): Receiver => Receiver.from(handleOf('heddle.Receiver', memory) as ReceiverHandle);

interface Shape {
  readonly capacity: number;
  /** How far the positions are before they begin again at 0. */
  readonly turnsLeft?: number;
}

const withChannel =
  ({ capacity, turnsLeft = 0 }: Shape) =>
  (buffer: SharedArrayBuffer): void => {
    channel({ capacity, ringByteLength: RING_BYTES, location: { buffer, byteOffset: CHANNEL } });
    const words = new Int32Array(buffer, CHANNEL);
    for (const offset of [CHANNEL_HEADER_TAIL_OFFSET, CHANNEL_HEADER_TAIL_OFFSET + 128]) words[offset >> 2] = -turnsLeft * 16;
    void CHANNEL_HEADER_SENT_OFFSET;
  };
