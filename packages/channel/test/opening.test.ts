/**
 * Handles and channels that nobody would make: opening them is refused with a typed error, or what was opened can be used – without
 * an end, without a hang, without harm to anything but itself.
 *
 * HEDDLE_SEED takes other cases; a case that made something fail goes into `corpus`.
 */
import { AtomicsError, setMayBlock } from '@heddle/atomics';
import { type Choices, fuzz } from '@heddle/tools/fuzz';
import { expect, test } from 'vitest';
import { ChannelError, Receiver, Sender, channel, channelByteLength, openReceiver, openSender } from '../src/index.ts';
import { environment } from './support/spawn.ts';

setMayBlock(false);

const SEED = Number(environment('HEDDLE_SEED') ?? 1) >>> 0;
const COUNT = Number(environment('HEDDLE_LONG_MINUTES') ?? 0) > 0 ? 300_000 : 3000;

/** Cases that made something fail before. */
const corpus: readonly string[] = [
  // A codec without a name that could be told.
  'a313e8e90b57099120c30e4798ad88e1c62edb44657d901505885b25ad12c2cca9bcbedf42ea8e494aea95c74954ff7f',
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

/** Changes words of the channel: most often of those that say something. */
function mutate(choices: Choices, buffer: SharedArrayBuffer): void {
  const words = new Uint32Array(buffer, CHANNEL, CHANNEL_BYTES >> 2);
  for (let i = choices.below(5); i > 0; i -= 1) {
    const index = choices.once(2) ? choices.below(6) : choices.below(words.length);
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
