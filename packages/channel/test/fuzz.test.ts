/**
 * Bytes that nobody would send, for every decoder: a value or an error that is told, never a crash, a hang or a message's worth of memory
 * many times over. Rust's decoder has the same in `crates/channel/tests/decoder_fuzz.rs`, and the two share a corpus.
 *
 * `HEDDLE_SEED` replays what failed: each input has a seed of its own. With `HEDDLE_LONG_MINUTES` it goes on for so long.
 */
import { describe, expect, test } from 'vitest';
import corpus from 'heddle-channel/tests/corpus/messagepack.txt?raw';
import { type Codec, DecodeError, broadcast, channel, jsonCodec, textCodec, watch } from '../src/index.ts';
import { inspect } from '../src/internal/messagepack.ts';
import { msgpackCodec } from '../src/msgpack.ts';
import { structuredCodec } from '../src/structured.ts';
import { sampleCodec } from './support/codecs.ts';
import { environment } from './support/spawn.ts';

const ROUNDS = 3_000;
const LONG_MINUTES = Number(environment('HEDDLE_LONG_MINUTES') ?? 0);
const SEED = Number(environment('HEDDLE_SEED') ?? 1);

/** Mulberry32 (T. Ettinger). */
function randomOf(seed: number): (bound: number) => number {
  let state = seed >>> 0;
  return (bound) => {
    state = (state + 0x6d_2b_79_f5) >>> 0;
    let z = Math.imul(state ^ (state >>> 15), state | 1);
    z ^= z + Math.imul(z ^ (z >>> 7), z | 61);
    return ((z ^ (z >>> 14)) >>> 0) % bound;
  };
}

/** First bytes that claim lengths, and what JSON is made of. */
const HEADS = [0xc6, 0xc9, 0xc1, 0xc7, 0xd8, 0xdb, 0xdc, 0xdd, 0xde, 0xdf, 0x9f, 0x8f, ...new TextEncoder().encode('[]{}",:-0179')];

function mutated(seed: number, samples: readonly Uint8Array[]): Uint8Array {
  const random = randomOf(seed);
  const bytes = [...samples[random(samples.length)]];
  for (let change = random(4); change >= 0 && bytes.length > 0; change -= 1) {
    const at = random(bytes.length);
    const length = Math.min(1 + random(16), bytes.length - at);
    const part = bytes.slice(at, at + length);
    const actions = [
      () => (bytes[at] ^= 1 << random(8)),
      () => (bytes[at] = random(256)),
      () => (bytes[at] = HEADS[random(HEADS.length)]),
      () => bytes.fill(0xff, at, at + length),
      () => bytes.splice(at),
      () => bytes.splice(at, length),
      () => bytes.splice(at, 0, ...Array.from({ length: 1 + random(40) }, () => part).flat()),
    ];
    actions[random(actions.length)]();
  }
  return Uint8Array.from(bytes);
}

const record = {
  id: 2 ** 40,
  big: 2n ** 60n,
  name: 'Kette und Schuß',
  ratio: 0.5,
  bytes: new Uint8Array(40).fill(7),
  at: new Date(1_700_000_000_123),
  list: [1, -1, null, true, [[[{}]]], Array.from({ length: 40 }, (_, i) => i)],
};
const json = { ...record, big: 1, bytes: [1] };
const shared = new Float64Array(4).buffer;
const structures = [
  new Map<unknown, unknown>([[new Set([1, 'two']), record]]),
  [new Uint8Array(shared, 8, 8), new Float64Array(shared), new DataView(shared)],
  [new RangeError('far', { cause: 1 }), /a+/gu, [, 1, ,], NaN, -0], // oxlint-disable-line no-sparse-arrays -- holes are tried too
];

const sample = { flag: true, x: 0.5, hits: 7, tag: new Uint8Array(5).fill(1), list: [1, 2, 3] };

const isEqual = (a: Uint8Array, b: Uint8Array): boolean => a.length === b.length && a.every((byte, i) => byte === b[i]);

const decoders: readonly { codec: Codec<unknown>; values: readonly unknown[] }[] = [
  { codec: textCodec, values: ['Kette', '𝄞'.repeat(30)] },
  { codec: jsonCodec(), values: [json, [json, json], 1] },
  { codec: msgpackCodec(), values: [record, [record, record], 'text', Array.from({ length: 300 }, () => [])] },
  { codec: structuredCodec(), values: [record, ...structures] },
  // Of one length, whose bits nearly all are values: what is cut off, added to or no boolean is told.
  { codec: sampleCodec, values: [sample, { ...sample, flag: false }] },
];

describe.each(decoders)('the decoder of $codec.name', ({ codec, values }) => {
  const samples = values.map((value) => codec.encode(value));

  test(
    'reads mutated messages or tells them',
    () => {
      const { sender, receiver } = channel({ codec: { ...codec, encode: (bytes: Uint8Array) => bytes }, ringByteLength: 1 << 18 });
      let rounds = 0;
      let told = 0;
      const endAt = performance.now() + LONG_MINUTES * 60_000;
      while (rounds < ROUNDS || performance.now() < endAt) {
        const seed = SEED + rounds;
        const bytes = mutated(seed, samples);
        sender.send(bytes);
        try {
          receiver.recv();
        } catch (error) {
          told += 1;
          const isTold = error instanceof DecodeError && isEqual(error.bytes, bytes);
          if (!isTold) throw new Error(`HEDDLE_SEED=${seed} is not told`, { cause: error });
        }
        rounds += 1;
      }
      // Both must have happened, or nothing was tried.
      expect([told > 0, told < rounds]).toEqual([true, true]);
    },
    (LONG_MINUTES + 1) * 60_000,
  );
});

test('a broadcast and a watch tell what their codec cannot read, and go on', () => {
  const codec = jsonCodec();
  const raw = { ...codec, encode: (bytes: unknown) => bytes as Uint8Array };
  const samples = [json, [json, json], 1].map((value) => codec.encode(value).slice());
  const [news, latest] = [broadcast({ codec: raw, ringByteLength: 1 << 14 }), watch<unknown>(samples[2], { codec: raw })];
  let told = 0;
  for (let round = 0; round < ROUNDS / 3; round += 1) {
    const bytes = mutated(SEED + round, samples);
    news.sender.send(bytes);
    latest.sender.send(bytes);
    const outcomes = [() => news.receiver.recv(), () => latest.receiver.borrowAndUpdate()].map((read) => {
      try {
        return { value: read() };
      } catch (error) {
        if (!(error instanceof DecodeError) || !isEqual(error.bytes, bytes))
          throw new Error(`HEDDLE_SEED=${SEED + round} is not told`, { cause: error });
        return undefined;
      }
    });
    expect(outcomes[0]).toEqual(outcomes[1]);
    if (outcomes[0] === undefined) told += 1;
  }
  expect([told > 0, told < ROUNDS / 3]).toEqual([true, true]);
});

/** A random value of what both formats have; those of `more` are had in addition. */
function valueOf(random: (bound: number) => number, depth: number, more: readonly (() => unknown)[]): unknown {
  const text = (): string =>
    String.fromCodePoint(...Array.from({ length: random(12) }, () => [random(128), 0xe4, 0x20ac, 0x1d11e][random(4)]));
  const exponent = (): number => 2 ** random(53) - random(2);
  const leaves: readonly (() => unknown)[] = [
    () => null,
    () => random(2) === 0,
    () => (random(2) === 0 ? exponent() : -exponent() - 1),
    () => exponent() / 3,
    () => [NaN, Infinity, -Infinity, 5e-324][random(4)],
    () => 2n ** BigInt(54 + random(10)) - 1n,
    () => -(2n ** BigInt(54 + random(10))),
    text,
    () => new Uint8Array(random(300)).fill(random(256)),
    () => new Date(random(2 ** 31) * 1000 - 10 ** 12 + random(1000)),
    ...more,
  ];
  const list = (): unknown[] => Array.from({ length: random(5) }, () => valueOf(random, depth - 1, more));
  const branches = [list, () => Object.fromEntries(list().map((value) => [`k${text()}`, value]))];
  const makers = depth === 0 || random(2) === 0 ? leaves : branches;
  return makers[random(makers.length)]();
}

describe.each([
  { codec: msgpackCodec<unknown>(), more: () => [] },
  {
    codec: structuredCodec<unknown>(),
    more: (random: (bound: number) => number) => [
      () => undefined,
      () => -0,
      () => BigInt(random(1000)),
      () => new Set([random(10), 'text', undefined]),
      () => new Map<unknown, unknown>([[random(10), [new Map()]]]),
      () => Float32Array.from({ length: random(9) }, () => random(100) / 8),
      () => new BigInt64Array(random(9)),
      () => new ArrayBuffer(random(100)),
    ],
  },
])('random values of $codec.name', ({ codec, more }) => {
  test('come back as they were', () => {
    for (let seed = SEED; seed < SEED + 300; seed += 1) {
      const random = randomOf(seed);
      const value = valueOf(random, 4, more(random));
      expect(codec.decode(codec.encode(value).slice()), `HEDDLE_SEED=${seed}`).toStrictEqual(value);
    }
  });
});

test('MessagePack is judged as Rust judges it', () => {
  const codec = msgpackCodec<unknown>();
  for (const line of corpus.split('\n')) {
    if (line === '' || line.startsWith('#')) continue;
    const [verdict, hex = ''] = line.split(' ');
    const bytes = Uint8Array.from(hex.match(/../g) ?? [], (digits) => Number.parseInt(digits, 16));
    const judge = (): string => {
      try {
        inspect(bytes);
        return 'value';
      } catch (error) {
        return error instanceof TypeError ? 'text' : 'malformed';
      }
    };
    expect(judge(), line).toBe(verdict);
    if (verdict !== 'value') expect(() => codec.decode(bytes), line).toThrow(Error);
  }
});
