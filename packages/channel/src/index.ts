/**
 * Bounded channels on fixed records in shared memory, the same in TypeScript and in Rust.
 *
 * A channel lives in a SharedArrayBuffer or in the memory of a Wasm module. What is posted to another thread is the handle of
 * an end, reopened there with `Sender.from` or `Receiver.from`. Every operation has a blocking form for workers, an
 * asynchronous form for every thread, and one that doesn't wait.
 *
 * @module
 */
export {
  type Broadcast,
  type BroadcastOptions,
  BroadcastReceiver,
  type BroadcastReceiverHandle,
  BroadcastSender,
  type BroadcastSenderHandle,
  broadcast,
  broadcastByteLength,
  openBroadcastReceiver,
  openBroadcastSender,
} from './Broadcast.ts';
export {
  type Channel,
  type ChannelOptions,
  type OneshotOptions,
  type OpenOptions,
  type UnboundedOptions,
  channel,
  channelByteLength,
  oneshot,
  openReceiver,
  openSender,
  unbounded,
} from './channel.ts';
export { type Codec, bytesCodec, jsonCodec, textCodec } from './Codec.ts';
export {
  BufferTooSmallError,
  ChannelError,
  type ChannelErrorCode,
  ChannelTimeoutError,
  ClosedError,
  CodecMismatchError,
  DecodeError,
  EncodeError,
  InUseError,
  LaggedError,
  MessageTooLargeError,
  NotSelectableError,
  SendAbortedError,
  TooManyReceiversError,
} from './errors.ts';
export { Receiver, type ReceiverHandle } from './Receiver.ts';
export { Borrow, Reservation } from './Reservation.ts';
export { type Case, type Selected, select, selectAsync, trySelect } from './select.ts';
export { type AsyncWaitOptions, Sender, type SenderHandle, type WaitOptions } from './Sender.ts';
export { structCodec } from './struct.ts';
export { type StreamOptions, readableStream, writableStream } from './streams.ts';
export {
  type Watch,
  type WatchOptions,
  WatchReceiver,
  type WatchReceiverHandle,
  WatchSender,
  type WatchSenderHandle,
  openWatchReceiver,
  openWatchSender,
  watch,
  watchByteLength,
} from './Watch.ts';
