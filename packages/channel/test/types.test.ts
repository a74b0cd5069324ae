/** What the compiler knows of channels, and what it must refuse. `tsc` checks this file; running it shows that the calls exist. */
import { array, bytes, f64, u64 } from '@heddle/atomics';
import { describe, expect, expectTypeOf, test } from 'vitest';
import {
  type Borrow,
  BroadcastReceiver,
  type BroadcastSender,
  type Codec,
  type DecodeError,
  type Receiver,
  type ReceiverHandle,
  type Reservation,
  type SenderHandle,
  Sender,
  type WatchReceiver,
  type WatchSender,
  broadcast,
  bytesCodec,
  channel,
  jsonCodec,
  openReceiver,
  readableStream,
  select,
  selectAsync,
  structCodec,
  textCodec,
  trySelect,
  watch,
  writableStream,
} from '../src/index.ts';
import { msgpackCodec } from '../src/msgpack.ts';
import { structuredCodec } from '../src/structured.ts';

interface Reading {
  readonly id: number;
  readonly at: Date;
}

describe('the type of the values', () => {
  test('is that of the codec, from the channel to its ends', () => {
    const plain = channel();
    expectTypeOf(plain.sender).toEqualTypeOf<Sender>();
    expectTypeOf<typeof plain.receiver.recv>().returns.toEqualTypeOf<Uint8Array>();

    const readings = channel({ codec: msgpackCodec<Reading>() });
    expectTypeOf(readings.sender).toEqualTypeOf<Sender<Reading>>();
    expectTypeOf(readings.receiver).toEqualTypeOf<Receiver<Reading>>();
    expectTypeOf<typeof readings.receiver.tryRecv>().returns.toEqualTypeOf<Reading | undefined>();
    expectTypeOf<typeof readings.receiver.recvAsync>().returns.resolves.toEqualTypeOf<Reading>();
    expectTypeOf(readings.sender.clone()).toEqualTypeOf<Sender<Reading>>();

    expectTypeOf(channel({ codec: textCodec }).sender).toEqualTypeOf<Sender<string>>();
    expectTypeOf(channel({ codec: bytesCodec }).sender).toEqualTypeOf<Sender>();
    expectTypeOf(channel({ codec: jsonCodec<number[]>() }).receiver).toEqualTypeOf<Receiver<number[]>>();
    expectTypeOf(channel({ codec: structuredCodec<Set<1n>>() }).receiver).toEqualTypeOf<Receiver<Set<1n>>>();
    const structs = channel({ codec: structCodec({ x: f64, id: u64, tag: bytes(4), list: array(f64, 2) }) });
    type Plain = { x: number; id: bigint; tag: Uint8Array<ArrayBuffer>; list: number[] };
    expectTypeOf(structs.receiver).toEqualTypeOf<Receiver<Plain>>();
    expect(readings.sender.length).toBe(0);
  });

  test('goes on in streams and loops', () => {
    const { sender, receiver } = channel({ codec: msgpackCodec<Reading>() });
    expectTypeOf(readableStream(receiver)).toEqualTypeOf<ReadableStream<Reading>>();
    expectTypeOf(writableStream(sender)).toEqualTypeOf<WritableStream<Reading>>();
    expectTypeOf(receiver[Symbol.iterator]()).toEqualTypeOf<Generator<Reading, void, undefined>>();
    expectTypeOf(receiver[Symbol.asyncIterator]()).toEqualTypeOf<AsyncGenerator<Reading, void, undefined>>();
  });

  test('is asked for again where a handle is opened', () => {
    const codec = msgpackCodec<Reading>();
    const { sender, receiver } = channel({ codec });
    expectTypeOf(sender.handle()).toEqualTypeOf<SenderHandle>();
    expectTypeOf(receiver.handle()).toEqualTypeOf<ReceiverHandle>();
    expectTypeOf(Sender.from(sender.handle(), { codec })).toEqualTypeOf<Sender<Reading>>();
    const location = { buffer: new SharedArrayBuffer(0) };
    expect(() => {
      expectTypeOf(openReceiver({ location, codec })).toEqualTypeOf<Receiver<Reading>>();
    }).toThrow(/./u);
  });

  test("of one's own codec is whatever it takes and gives", () => {
    const flag: Codec<boolean> = {
      name: 'flag',
      encode: (value) => Uint8Array.of(Number(value)),
      decode: (bytes) => bytes[0] === 1,
    };
    const { sender, receiver } = channel({ codec: flag });
    sender.send(true);
    expectTypeOf(receiver.recv()).toEqualTypeOf<boolean>();
    expectTypeOf<DecodeError['code']>().toEqualTypeOf<'DECODE_FAILED'>();
  });

  test('is that of what a select chose', () => {
    const texts = channel({ codec: textCodec });
    const readings = channel({ codec: msgpackCodec<Reading>() });
    const news = broadcast({ codec: jsonCodec<number[]>() });
    const state = watch('light', { codec: textCodec });
    const got = trySelect({
      text: { recv: texts.receiver },
      reading: { recv: readings.receiver },
      news: { recv: news.receiver },
      state: { recv: state.receiver },
      room: { send: texts.sender, value: '' },
    });
    const told = trySelect({ told: { send: news.sender, value: [1] } });
    expectTypeOf(told).toEqualTypeOf<{ readonly chosen: 'told'; readonly value: undefined } | undefined>();
    type Got =
      | { readonly chosen: 'text'; readonly value: string }
      | { readonly chosen: 'reading'; readonly value: Reading }
      | { readonly chosen: 'news'; readonly value: number[] }
      | { readonly chosen: 'state'; readonly value: string }
      | { readonly chosen: 'room'; readonly value: undefined };
    expectTypeOf(got).toEqualTypeOf<Got | undefined>();
    if (got?.chosen === 'reading') expectTypeOf(got.value).toEqualTypeOf<Reading>();
    expectTypeOf(selectAsync({ text: { recv: texts.receiver } }))
      .resolves.toHaveProperty('value')
      .toEqualTypeOf<string>();
    expect(got?.chosen).toBe('room');
  });

  test('is told to everybody by a broadcast, and kept by a watch', () => {
    const told = broadcast({ codec: jsonCodec<number[]>() });
    expectTypeOf(told.sender).toEqualTypeOf<BroadcastSender<number[]>>();
    expectTypeOf(told.receiver).toEqualTypeOf<BroadcastReceiver<number[]>>();
    expectTypeOf(told.sender.subscribe()).toEqualTypeOf<BroadcastReceiver<number[]>>();
    expectTypeOf<typeof told.receiver.tryRecv>().returns.toEqualTypeOf<number[] | undefined>();
    expectTypeOf(broadcast().receiver).toEqualTypeOf<BroadcastReceiver>();
    const kept = watch(1, { codec: jsonCodec<number>() });
    expectTypeOf(kept.sender).toEqualTypeOf<WatchSender<number>>();
    expectTypeOf(kept.receiver).toEqualTypeOf<WatchReceiver<number>>();
    expectTypeOf(kept.receiver.borrow()).toEqualTypeOf<number>();
    expectTypeOf<typeof kept.receiver.borrowAsync>().returns.resolves.toEqualTypeOf<number>();
    expect(kept.sender.borrow()).toBe(1);
  });

  test('is bytes where they lie', () => {
    const { sender, receiver } = channel();
    using place = sender.reserve(1);
    expectTypeOf(place).toEqualTypeOf<Reservation>();
    place.commit();
    using message = receiver.borrow();
    expectTypeOf(message).toEqualTypeOf<Borrow>();
    expectTypeOf(message.bytes).toEqualTypeOf<Uint8Array>();
    expectTypeOf<typeof receiver.recvInto>().returns.toBeNumber();
  });
});

/** Never called: what is in here is wrong, and the compiler has to say so. */
export function refused(sender: Sender<Reading>, receiver: Receiver<Reading>, handle: ReceiverHandle): void {
  // @ts-expect-error a property is missing
  sender.send({ id: 1 });
  // @ts-expect-error of another type
  sender.trySend({ id: '1', at: new Date() });
  // @ts-expect-error bytes go into a channel of bytes
  void sender.sendAsync(new Uint8Array(1));
  // @ts-expect-error a value is received as what it is
  const text: string = receiver.recv();
  // @ts-expect-error there may be none
  const reading: Reading = receiver.tryRecv();
  // @ts-expect-error a sender isn't opened by a receiver's handle
  Sender.from(handle);
  // @ts-expect-error a sender doesn't receive
  sender.recv();
  // @ts-expect-error the codec is of other values
  channel<string>({ codec: msgpackCodec<Reading>() });
  // @ts-expect-error a codec has a name
  channel({ codec: { encode: (value: string) => new TextEncoder().encode(value), decode: () => '' } });
  // @ts-expect-error a struct has types of fields
  structCodec({ x: 'f64' });
  // @ts-expect-error a field is missing
  channel({ codec: structCodec({ x: f64, id: u64 }) }).sender.send({ x: 1 });
  // @ts-expect-error a stream of other values
  void readableStream(receiver).pipeTo(new WritableStream<string>());
  // @ts-expect-error ends are made by channels
  void new Sender();
  // @ts-expect-error a message is borrowed to be read: there is nothing to commit
  receiver.borrow().commit();
  // @ts-expect-error a place is reserved by its length
  sender.reserve('1');
  // @ts-expect-error a blocking wait can't be aborted
  receiver.recv({ signal: AbortSignal.abort() });
  // @ts-expect-error a case receives or sends
  select({ job: { wait: receiver } });
  // @ts-expect-error what is sent has a value
  select({ job: { send: sender } });
  // @ts-expect-error a case receives from receivers
  select({ job: { recv: sender } });
  // @ts-expect-error sending to a watch channel never waits
  select({ job: { send: watch('light', { codec: textCodec }).sender, value: '' } });
  void [text, reading];
}

/** As above. */
export function refusedToAll(told: BroadcastSender<string>, kept: WatchReceiver<number>, handle: ReceiverHandle): void {
  // @ts-expect-error of another type
  told.send(1);
  // @ts-expect-error who sends to all doesn't receive
  told.recv();
  // @ts-expect-error a broadcast isn't opened by the handle of a channel
  BroadcastReceiver.from(handle);
  // @ts-expect-error a back-pressure is there or not
  broadcast({ backPressure: 'block' });
  // @ts-expect-error a watch has a value from the beginning
  watch();
  // @ts-expect-error who follows a value doesn't change it
  kept.send(1);
  // @ts-expect-error the codec is of other values
  watch('text', { codec: jsonCodec<number>() });
  // @ts-expect-error it is a number
  const text: string = kept.borrow();
  void text;
}
