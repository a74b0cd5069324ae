/**
 * Handles and channels that nobody would make: opening them is refused with a typed error, or what was opened can be used – without
 * an end, without a hang, without harm to anything but itself.
 *
 * HEDDLE_SEED takes other cases; a case that made something fail goes into `corpus`.
 */
import { AtomicsError, setMayBlock } from '@heddle/atomics';
import { type Choices, fuzz } from '@heddle/tools/fuzz';
import { expect, test } from 'vitest';
import {
  BroadcastReceiver,
  BroadcastSender,
  ChannelError,
  LaggedError,
  Receiver,
  Sender,
  WatchReceiver,
  WatchSender,
  broadcast,
  broadcastByteLength,
  channel,
  channelByteLength,
  openBroadcastReceiver,
  openBroadcastSender,
  openReceiver,
  openSender,
  openWatchReceiver,
  openWatchSender,
  watch,
  watchByteLength,
} from '../src/index.ts';
import {
  BROADCAST_HEADER_RECEIVER_WATCHERS_OFFSET,
  BROADCAST_HEADER_SENDER_WATCHERS_OFFSET,
  CHANNEL_HEADER_RECEIVER_WATCHERS_OFFSET,
  CHANNEL_HEADER_SENDER_WATCHERS_OFFSET,
  WATCHERS,
  WATCH_HEADER_RECEIVER_WATCHERS_OFFSET,
} from '../src/internal/layout.ts';
import { environment, errorOf } from './support/spawn.ts';

setMayBlock(false);

const SEED = Number(environment('HEDDLE_SEED') ?? 1) >>> 0;
const COUNT = Number(environment('HEDDLE_LONG_MINUTES') ?? 0) > 0 ? 300_000 : 3000;

/** Cases that made something fail before. */
const corpus: readonly string[] = [
  // A codec without a name that could be told.
  'a313e8e90b57099120c30e4798ad88e1c62edb44657d901505885b25ad12c2cca9bcbedf42ea8e494aea95c74954ff7f',
];

/** The same of broadcast and watch channels. */
const newsCorpus: readonly string[] = [
  // What an end has seen, told by a big integer.
  '799cf50dd146cd7fce1a3e568411bf3ed91a0b61f04e2e2b5fc961844af8f72de1c0746649cc91eef0fbfc9d271fc85a',
  // A header that would lie half behind the ring.
  '3c23996d65594fd9876cc7b5f073a4e3ce0092a374f272ce58d4f958d67c93d0efd5fc012256391f401397ea34a9a343',
  '0cce3d565305355088eefbc85ffb303bde552210c4dc139e7a16233a414c5070a3b9737f5ceba28e62574ee2ceca01cb',
  '1a51c2c2f73b7df0a9db341438970e1ef08b831ef8d0ad2bfcf70d8c1a177cbf9263b47b9447d27ad16193c1cf3451f3',
];

const RING_BYTES = 128;
const CHANNEL = 64;
const CHANNEL_BYTES = channelByteLength(RING_BYTES);
const BUFFER_BYTES = CHANNEL + CHANNEL_BYTES + 64;
/** More than the ring holds. */
const OPERATIONS = 12;

const oddValues = (choices: Choices): unknown =>
  choices.of([undefined, null, 0, 1, -1, 0.5, NaN, Infinity, 2 ** 53, 8n, '8', '', true, {}, [], Symbol('8'), Object.create(null)]);

const oddBuffers = (choices: Choices): unknown =>
  choices.of([new ArrayBuffer(BUFFER_BYTES), new SharedArrayBuffer(0), new SharedArrayBuffer(CHANNEL_BYTES - 8), oddValues(choices)]);

const offset = (choices: Choices): unknown =>
  choices.of([CHANNEL, CHANNEL + 4, CHANNEL + 8, BUFFER_BYTES, BUFFER_BYTES - 8, choices.word(), -choices.word(), oddValues(choices)]);

/** The places of selects. They name words anywhere in the memory, to be told there: nobody can know which are right. */
const WATCHER_OFFSETS = [CHANNEL_HEADER_RECEIVER_WATCHERS_OFFSET, CHANNEL_HEADER_SENDER_WATCHERS_OFFSET];

const isWatcher = (index: number, offsets: readonly number[]): boolean =>
  offsets.some((from) => index * 4 >= from && index * 4 < from + WATCHERS * 8);

/** Changes words of the channel: most often of those that say something. */
function mutate(choices: Choices, buffer: SharedArrayBuffer): void {
  const words = new Uint32Array(buffer, CHANNEL, CHANNEL_BYTES >> 2);
  for (let i = choices.below(5); i > 0; i -= 1) {
    const index = choices.once(2) ? choices.below(6) : choices.below(words.length);
    if (isWatcher(index, WATCHER_OFFSETS)) continue;
    words[index] = choices.once(2) ? words[index] ^ (1 << choices.below(32)) : choices.word();
  }
}

function open(choices: Choices, buffer: SharedArrayBuffer): Sender | Receiver {
  const place: Record<string, unknown> = { buffer, byteOffset: CHANNEL };
  if (choices.once(3)) {
    if (choices.once(3)) place['buffer'] = oddBuffers(choices);
    if (choices.once(3)) place['memory'] = oddBuffers(choices);
    if (choices.once(2)) place['byteOffset'] = offset(choices);
    if (choices.once(3)) place['registryByteOffset'] = offset(choices);
  }
  const location = (choices.once(40) ? oddValues(choices) : place) as never;
  if (choices.once(3)) return choices.once(2) ? openSender({ location }) : openReceiver({ location });
  place['codec'] = choices.once(12) ? choices.of(['json', 'none', oddValues(choices)]) : 'bytes';
  const kind = choices.of(['heddle.Sender', 'heddle.Receiver']);
  place['kind'] = choices.once(12) ? oddValues(choices) : kind;
  return kind === 'heddle.Sender' ? Sender.from(place as never) : Receiver.from(place as never);
}

function use(choices: Choices, end: Sender | Receiver): void {
  for (let i = 0; i < OPERATIONS; i += 1) {
    if (end instanceof Sender) end.trySend(new Uint8Array(choices.below(48)).fill(i));
    else if (end.tryRecv() === undefined) break;
  }
  void [end.length, end.closed, end.capacity];
  end.handle();
}

function runCase(choices: Choices): boolean {
  const buffer = new SharedArrayBuffer(BUFFER_BYTES);
  const bytes = new Uint8Array(buffer);
  bytes.fill(0xa5, 0, CHANNEL).fill(0xa5, CHANNEL + CHANNEL_BYTES);
  const { sender } = channel({ capacity: 5, ringByteLength: RING_BYTES, location: { buffer, byteOffset: CHANNEL } });
  for (let i = choices.below(6); i > 0; i -= 1) sender.trySend(new Uint8Array(choices.below(40)).fill(i));
  mutate(choices, buffer);
  const before = bytes.slice();
  let end: Sender | Receiver | undefined;
  try {
    end = open(choices, buffer);
    use(choices, end);
    end.release();
  } catch (error) {
    if (!(error instanceof AtomicsError) && !(error instanceof ChannelError)) throw error;
    if (end === undefined) expect(bytes.slice(), 'what was refused was changed').toEqual(before);
  }
  const isGuarded = [...bytes.slice(0, CHANNEL), ...bytes.slice(CHANNEL + CHANNEL_BYTES)].every((byte) => byte === 0xa5);
  expect(isGuarded, 'something outside the channel was changed').toBe(true);
  return end !== undefined;
}

test('what opens channels refuses nonsense with typed errors, and harms nobody', { timeout: 60_000 + COUNT }, () => {
  const acceptedCount = fuzz({ seed: SEED, count: COUNT, corpus, run: runCase });
  expect(acceptedCount).toBeGreaterThan(COUNT / 10);
  expect(acceptedCount).toBeLessThan((COUNT * 9) / 10);
});

/** A channel whose messages go to everybody, at a place; how it is made, opened and used. */
interface News {
  readonly byteLength: number;
  /** As {@link WATCHER_OFFSETS}. */
  readonly watcherOffsets: readonly number[];
  readonly make: (choices: Choices, location: { buffer: SharedArrayBuffer; byteOffset: number }) => void;
  readonly open: (choices: Choices, place: Record<string, unknown>, location: never) => NewsEnd;
  readonly use: (choices: Choices, end: never) => void;
}

type NewsEnd = BroadcastSender | BroadcastReceiver | WatchSender | WatchReceiver;

const VALUE_BYTES = 40;
/** Behind the channel: too few for a record that says that it has room for longer values. */
const TAIL_BYTES = 8;

const NEWS: readonly News[] = [
  {
    byteLength: broadcastByteLength(RING_BYTES),
    watcherOffsets: [BROADCAST_HEADER_RECEIVER_WATCHERS_OFFSET, BROADCAST_HEADER_SENDER_WATCHERS_OFFSET],
    make: (choices, location) => {
      const { sender } = broadcast({ capacity: 5, ringByteLength: RING_BYTES, backPressure: choices.once(2), location });
      for (let i = choices.below(6); i > 0; i -= 1) sender.trySend(new Uint8Array(choices.below(40)).fill(i));
    },
    open: (choices, place, location) => {
      if (choices.once(3)) return choices.once(2) ? openBroadcastSender({ location }) : openBroadcastReceiver({ location });
      place['next'] = choices.once(4) ? choices.of([choices.word(), -1, 0.5, 2 ** 53, oddValues(choices)]) : 0;
      const kind = choices.of(['heddle.BroadcastSender', 'heddle.BroadcastReceiver']);
      place['kind'] = choices.once(12) ? oddValues(choices) : kind;
      return kind === 'heddle.BroadcastSender' ? BroadcastSender.from(place as never) : BroadcastReceiver.from(place as never);
    },
    use: (choices, end: BroadcastSender | BroadcastReceiver) => {
      for (let i = 0; i < OPERATIONS; i += 1) {
        if (end instanceof BroadcastSender) end.trySend(new Uint8Array(choices.below(48)).fill(i));
        else if (receivesNothing(end)) break;
      }
      end.clone().release();
    },
  },
  {
    byteLength: watchByteLength(VALUE_BYTES),
    watcherOffsets: [WATCH_HEADER_RECEIVER_WATCHERS_OFFSET],
    make: (choices, location) => {
      const { sender } = watch(new Uint8Array(choices.below(VALUE_BYTES)), { valueByteLengthMax: VALUE_BYTES, location });
      for (let i = choices.below(3); i > 0; i -= 1) sender.send(new Uint8Array(choices.below(VALUE_BYTES)).fill(i));
    },
    open: (choices, place, location) => {
      if (choices.once(3)) return choices.once(2) ? openWatchSender({ location }) : openWatchReceiver({ location });
      const kind = choices.of(['heddle.WatchSender', 'heddle.WatchReceiver']);
      place['kind'] = choices.once(12) ? oddValues(choices) : kind;
      place['seen'] = choices.once(4) ? choices.of([choices.word(), -1, 0.5, oddValues(choices)]) : 0;
      return kind === 'heddle.WatchSender' ? WatchSender.from(place as never) : WatchReceiver.from(place as never);
    },
    use: (choices, end: WatchSender | WatchReceiver) => {
      end.borrow();
      if (end instanceof WatchSender) end.send(new Uint8Array(choices.below(VALUE_BYTES)));
      else end.borrowAndUpdate();
      end.clone().release();
    },
  },
];

/** Receives a message, or hears that it has missed some; whether there was neither. */
function receivesNothing(end: BroadcastReceiver): boolean {
  try {
    return end.tryRecv() === undefined;
  } catch (error) {
    if (error instanceof LaggedError) return false;
    throw error;
  }
}

function runNewsCase(choices: Choices): boolean {
  const { byteLength, watcherOffsets, make, open: openEnd, use: useEnd } = choices.of(NEWS);
  const buffer = new SharedArrayBuffer(CHANNEL + byteLength + TAIL_BYTES);
  const bytes = new Uint8Array(buffer);
  bytes.fill(0xa5, 0, CHANNEL).fill(0xa5, CHANNEL + byteLength);
  make(choices, { buffer, byteOffset: CHANNEL });
  const words = new Uint32Array(buffer, CHANNEL, byteLength >> 2);
  for (let i = choices.below(4); i > 0; i -= 1) {
    const index = choices.once(2) ? choices.below(8) : choices.below(words.length);
    if (isWatcher(index, watcherOffsets)) continue;
    words[index] = choices.once(2) ? words[index] ^ (1 << choices.below(32)) : choices.word();
  }
  const before = bytes.slice();
  const place: Record<string, unknown> = { buffer, byteOffset: CHANNEL, codec: choices.once(12) ? oddValues(choices) : 'bytes' };
  if (choices.once(3)) {
    if (choices.once(3)) place['buffer'] = oddBuffers(choices);
    if (choices.once(3)) place['memory'] = oddBuffers(choices);
    if (choices.once(2)) place['byteOffset'] = offset(choices);
    if (choices.once(3)) place['registryByteOffset'] = offset(choices);
  }
  let end: NewsEnd | undefined;
  try {
    end = openEnd(choices, place, (choices.once(40) ? oddValues(choices) : place) as never);
    useEnd(choices, end as never);
    end.handle();
    end.release();
  } catch (error) {
    if (!(error instanceof AtomicsError) && !(error instanceof ChannelError)) throw error;
  }
  const isGuarded = [...bytes.slice(0, CHANNEL), ...bytes.slice(CHANNEL + byteLength)].every((byte) => byte === 0xa5);
  expect(isGuarded, 'something outside the channel was changed').toBe(true);
  // A receiver of a broadcast looks for its place with the lock, and repairs what it finds half-done.
  const isTouched = openEnd === NEWS[0].open;
  if (end === undefined && !isTouched) expect(bytes.slice(), 'what was refused was changed').toEqual(before);
  return end !== undefined;
}

test('what opens broadcast and watch channels refuses nonsense with typed errors, and harms nobody', { timeout: 60_000 + COUNT }, () => {
  const acceptedCount = fuzz({ seed: SEED, count: COUNT, corpus: newsCorpus, run: runNewsCase });
  expect(acceptedCount).toBeGreaterThan(COUNT / 10);
  expect(acceptedCount).toBeLessThan((COUNT * 9) / 10);
});

test.each([
  { what: 'a channel', make: channel, open: openReceiver },
  { what: 'a broadcast channel', make: broadcast, open: openBroadcastReceiver },
  { what: 'a watch channel', make: (options: object) => watch(new Uint8Array(1), options), open: openWatchReceiver },
])('$what of another version is refused, and so is what is none', ({ make, open: openEnd }) => {
  const location = { buffer: new SharedArrayBuffer(1 << 17), byteOffset: CHANNEL };
  make({ location });
  openEnd({ location }).release();
  const words = new Uint32Array(location.buffer, CHANNEL);
  for (const word of [0, 1]) {
    words[word] += 1;
    const error = errorOf(() => openEnd({ location }));
    expect(error.code).toBe('INVALID_RECORD');
    if (word === 1) expect(error.message).toMatch(/layout \d+, this is \d+/u);
    words[word] -= 1;
  }
  openEnd({ location });
});
