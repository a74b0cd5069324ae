/** Values between threads and languages: each codec to a worker and back, and those that Rust has to Rust and back. */
import { describe, expect, test } from 'vitest';
import { type Codec, type DecodeError, bytesCodec, channel, jsonCodec, openReceiver, openSender, textCodec } from '../src/index.ts';
import { msgpackCodec } from '../src/msgpack.ts';
import { structuredCodec } from '../src/structured.ts';
import { sampleCodec } from './support/codecs.ts';
import { rejectionOf, spawn } from './support/spawn.ts';
import { loadWasm } from './support/wasm.ts';

/** As `Reading` in `channel-testing.rs`. */
interface Reading {
  readonly id: number | bigint;
  readonly delta: number | bigint;
  readonly ratio: number;
  readonly coarse: number;
  readonly name: string;
  readonly note: string | null;
  readonly is_new: boolean;
  readonly bytes: Uint8Array;
  readonly numbers: readonly number[] | Uint8Array;
  readonly at: Date;
  readonly kind:
    | 'Plain'
    | { readonly Newtype: string }
    | { readonly Tuple: [number, number] }
    | { readonly Struct: { readonly x: number } };
  readonly pair: readonly [number, string];
  readonly by_name: Readonly<Record<string, number>>;
  readonly by_number: Readonly<Record<number, string>>;
  readonly children: readonly Reading[];
}

const plain: Reading = {
  id: 0,
  delta: -1,
  ratio: 0.1,
  coarse: 0.5,
  name: 'Kette und Schuß 𝄞',
  note: null,
  is_new: true,
  bytes: new Uint8Array(0),
  numbers: [1, 255],
  at: new Date(1_700_000_000_123),
  kind: 'Plain',
  pair: [255, ''],
  by_name: { '': 0, one: -(2 ** 31) },
  by_number: {},
  children: [],
};

const readings: readonly Reading[] = [
  plain,
  { ...plain, id: 2 ** 32, delta: -(2 ** 40), ratio: 3, coarse: 1 },
  { ...plain, id: Number.MAX_SAFE_INTEGER, delta: Number.MIN_SAFE_INTEGER, note: 'noted', kind: { Newtype: 'n' } },
  { ...plain, id: 2n ** 64n - 1n, delta: -(2n ** 63n), ratio: Infinity, coarse: -Infinity, kind: { Tuple: [0, 255] } },
  { ...plain, ratio: NaN, at: new Date(-1), bytes: Uint8Array.from({ length: 300 }, (_, i) => i), kind: { Struct: { x: 5e-324 } } },
  { ...plain, name: 'long '.repeat(1000), children: [plain, { ...plain, id: 2n ** 60n, children: [plain] }] },
];

/** As `Notice` in `channel-testing.rs`. */
interface Notice {
  readonly id: number;
  readonly ratio: number;
  readonly text: string;
  readonly note: string | null;
  readonly is_new: boolean;
  readonly kind: Reading['kind'];
  readonly pair: readonly [number, string];
  readonly by_name: Readonly<Record<string, number>>;
  readonly by_number: Readonly<Record<number, string>>;
  readonly children: readonly Notice[];
}

const notice: Notice = {
  id: 0,
  ratio: -0.5,
  text: 'Kette "und" Schuß 𝄞\n',
  note: null,
  is_new: false,
  kind: 'Plain',
  pair: [-128, ''],
  by_name: { '': 0, one: -(2 ** 31) },
  by_number: { 7: 'seven', 4294967295: 'most' },
  children: [],
};

const notices: readonly Notice[] = [
  notice,
  { ...notice, id: Number.MAX_SAFE_INTEGER, ratio: 5e-324, note: 'noted', kind: { Newtype: 'n' } },
  { ...notice, ratio: Number.MAX_VALUE, kind: { Tuple: [0, 255] }, children: [notice, { ...notice, children: [notice] }] },
  { ...notice, text: 'long '.repeat(1000), kind: { Struct: { x: 0.25 } } },
];

const shared = new Float64Array(4).buffer;

/** Values and their codecs, as a worker sees them. */
const cases: readonly { readonly codec: Codec<unknown>; readonly values: readonly unknown[] }[] = [
  { codec: bytesCodec, values: [new Uint8Array(0), Uint8Array.of(1, 2, 3), new Uint8Array(20_000).fill(7)] },
  { codec: textCodec, values: ['', 'Kette', '𝄞'.repeat(5_000)] },
  { codec: jsonCodec(), values: [null, [1, { a: ['b'] }], 'text'] },
  { codec: msgpackCodec(), values: readings },
  {
    codec: structuredCodec(),
    values: [new Map([[1, new Set([undefined])]]), [new Uint8Array(shared, 8, 8), new Float64Array(shared)], 2n ** 100n, ...readings],
  },
  { codec: sampleCodec, values: [{ flag: true, x: -0, hits: 7, tag: Uint8Array.of(1, 2, 3, 4, 5), list: [1, 2, 3] }] },
];

describe('a value goes to a worker and back', () => {
  test.each(cases)('by $codec.name', async ({ codec, values }) => {
    // Small, so that both sides wait for each other.
    const there = channel({ codec, capacity: 2, ringByteLength: 1 << 17 });
    const back = channel({ codec, capacity: 2, ringByteLength: 1 << 17 });
    const worker = await spawn();
    const echoed = worker.call<number>('echo', there.receiver.handle(), back.sender.handle());
    const rounds = Array.from({ length: 20 }, () => values).flat();
    const send = async (): Promise<void> => {
      for (const value of rounds) await there.sender.sendAsync(value);
      there.sender.close();
    };
    const sent = send();
    const received: unknown[] = [];
    for await (const value of back.receiver) received.push(value);
    await sent;
    expect(received).toEqual(rounds);
    expect(await echoed).toBe(rounds.length);
  });
});

/** Two channels of Rust's and a Rust thread that sends on what it receives. */
async function startEcho<T = Reading>(echo = 'channel_echo_readings', codec: Codec<T> = msgpackCodec<T>()) {
  const program = await loadWasm();
  const rust = await spawn();
  await rust.call('instantiate', program.glueUrl, program.module, program.memory);
  const there = await rust.call<number>('wasm', 'channel_new', 16, 65_536);
  const back = await rust.call<number>('wasm', 'channel_new', 16, 65_536);
  return {
    sender: openSender({ location: { memory: program.memory, byteOffset: there }, codec }),
    bytes: openSender({ location: { memory: program.memory, byteOffset: there } }),
    receiver: openReceiver({ location: { memory: program.memory, byteOffset: back }, codec }),
    back: openReceiver({ location: { memory: program.memory, byteOffset: back } }),
    ended: rust.call<number>('wasm', echo, there, back),
  };
}

describe('a value goes from TypeScript to Rust and back', () => {
  test('and is the same', async () => {
    const { sender, receiver, ended } = await startEcho();
    for (const reading of readings) {
      await sender.sendAsync(reading);
      expect(await receiver.recvAsync()).toEqual(reading);
    }
    sender.close();
    expect(await ended).toBe(0);
  });

  test('many at a time, in their order', async () => {
    const count = 500;
    const { sender, receiver, ended } = await startEcho();
    const send = async (): Promise<void> => {
      for (let id = 0; id < count; id += 1) await sender.sendAsync({ ...readings[id % readings.length], id });
      sender.close();
    };
    const sent = send();
    let id = 0;
    for await (const reading of receiver) {
      expect(reading).toEqual({ ...readings[id % readings.length], id });
      id += 1;
    }
    await sent;
    expect([id, await ended]).toEqual([count, 0]);
  });

  test('but becomes what MessagePack and the type have for it', async () => {
    const { sender, receiver } = await startEcho();
    const through = async (change: Partial<Record<keyof Reading, unknown>>): Promise<Reading> => {
      await sender.sendAsync({ ...plain, ...change } as Reading);
      return receiver.recvAsync();
    };
    // Bytes that Rust's type doesn't mark as such are numbers.
    expect((await through({ numbers: Uint8Array.of(3, 4) })).numbers).toEqual([3, 4]);
    // There is one kind of integer; an f32 has 24 bits; an absent option is None; a key is a text.
    expect((await through({ id: 5n })).id).toBe(5);
    expect((await through({ coarse: 0.1 })).coarse).toBe(Math.fround(0.1));
    expect((await through({ note: undefined })).note).toBe(null);
    expect((await through({ by_number: { 7: 'seven' } })).by_number).toEqual({ 7: 'seven' });
    sender.close();
  });

  test('or comes back as the bytes that it was, if it is none of the type', async () => {
    const { sender, bytes, receiver, ended } = await startEcho();
    await sender.sendAsync({ ...plain, id: -1 });
    expect(await receiver.recvAsync()).toEqual({ ...plain, id: -1 });
    const malformed = Uint8Array.of(0xdd, 0xff, 0xff, 0xff, 0xff);
    await bytes.sendAsync(malformed);
    expect((await rejectionOf(receiver.recvAsync())) as DecodeError).toMatchObject({ code: 'DECODE_FAILED', bytes: malformed });
    await sender.sendAsync(plain);
    expect(await receiver.recvAsync()).toEqual(plain);
    sender.close();
    expect(await ended).toBe(2);
  });

  test('as JSON', async () => {
    const { sender, bytes, receiver, back, ended } = await startEcho('channel_echo_notices', jsonCodec<Notice>());
    for (const value of notices) {
      await sender.sendAsync(value);
      expect(await receiver.recvAsync()).toEqual(value);
    }
    // Numbers come as the same ones, however many digits they have.
    for (let n = 1; n < 300; n += 1) {
      const value = { ...notice, ratio: Math.PI / n };
      await sender.sendAsync(value);
      expect((await receiver.recvAsync()).ratio).toBe(value.ratio);
    }
    // What is undefined is left out, and comes as what Rust has for it.
    await sender.sendAsync({ ...notice, note: undefined as never });
    expect((await receiver.recvAsync()).note).toBe(null);
    // Rust's integers are beyond what a number holds.
    const text = JSON.stringify(notice);
    const { id } = JSON.parse(text.replace('"id":0', '"id":18446744073709551615')) as Notice;
    await bytes.sendAsync(new TextEncoder().encode(text.replace('"id":0', '"id":18446744073709551615')));
    expect((await receiver.recvAsync()).id).toBe(id);
    // Of another type, no JSON, and JSON that Rust has no text for.
    const strangers = ['{"id":-1}', '{"id":1', '{"ratio":null}', text.replace('Kette', String.raw`\ud800`)];
    for (const stranger of strangers) {
      const message = new TextEncoder().encode(stranger);
      await bytes.sendAsync(message);
      expect(await back.recvAsync()).toEqual(message);
    }
    await sender.sendAsync(notice);
    expect(await receiver.recvAsync()).toEqual(notice);
    sender.close();
    expect(await ended).toBe(strangers.length);
  });

  test('as a struct that lies there as it does here', async () => {
    const { sender, bytes, receiver, back, ended } = await startEcho('channel_double_samples', sampleCodec);
    for (let n = 0; n < 50; n += 1) {
      const sample = { flag: n % 2 === 0, x: n / 8, hits: n, tag: Uint8Array.of(n, 0, 0, 0, 255), list: [n, 2 * n, 3 * n] };
      await sender.sendAsync(sample);
      const { flag, x, hits, tag, list } = sample;
      expect(await receiver.recvAsync()).toEqual({ flag: !flag, x: 2 * x, hits: 2 * hits, tag: tag.toReversed(), list: list.toReversed() });
    }
    // Of another length, and a flag that is none.
    const strangers = [new Uint8Array(0), new Uint8Array(31), new Uint8Array(33), new Uint8Array(32).fill(2, 0, 1)];
    for (const stranger of strangers) {
      await bytes.sendAsync(stranger);
      expect(await back.recvAsync()).toEqual(stranger);
    }
    sender.close();
    expect(await ended).toBe(strangers.length);
  });
});
