/**
 * What one side of byte channels does in the tests of both languages: the same functions as in
 * `crates/channel/examples/support/pairs.rs`, over the memory of that module.
 */
import {
  type BroadcastReceiver,
  type BroadcastSender,
  type Case,
  type Receiver,
  type Sender,
  openBroadcastReceiver,
  openBroadcastSender,
  openReceiver,
  openSender,
  select,
} from '../../src/index.ts';

/** Numbers in, a number out, as the exports of a Wasm module. */
export type Step = (...args: number[]) => number;

/** Message `number`, of about `length` bytes: part of it is none, and neither are parts of two. */
function message(number: number, length: number): Uint8Array {
  return Uint8Array.from({ length: Math.max(0, length - (number % 8)) }, (_, i) => number * 31 + i);
}

function checkMessage(found: Uint8Array, number: number, length: number): void {
  const expected = message(number, length);
  if (found.length !== expected.length || found.some((byte, i) => byte !== expected[i])) {
    throw new Error(`message ${number} came as ${found.length} bytes of ${expected.length}: ${found.slice(0, 16).join(' ')}`);
  }
}

const isClosed = (error: unknown): boolean => (error as { code?: unknown }).code === 'CLOSED';

/** The steps over one memory. */
export function stepsOf(memory: WebAssembly.Memory): Record<string, Step> {
  const senders = new Map<number, Sender>();
  const receivers = new Map<number, Receiver>();
  const newsSenders = new Map<number, BroadcastSender>();
  const newsReceivers = new Map<number, BroadcastReceiver>();
  const endAt = <End>(ends: Map<number, End>, at: number): End => {
    const end = ends.get(at);
    if (end === undefined) throw new Error('this thread has no such end');
    return end;
  };
  const drop = (ends: Map<number, { release(): void }>, at: number): number => {
    ends.get(at)?.release();
    return Number(ends.delete(at));
  };
  return {
    sender_open: (at) => {
      senders.set(at, openSender({ location: { memory, byteOffset: at } }));
      return 0;
    },
    receiver_open: (at) => {
      receivers.set(at, openReceiver({ location: { memory, byteOffset: at } }));
      return 0;
    },
    sender_drop: (at) => drop(senders, at),
    receiver_drop: (at) => drop(receivers, at),

    send_numbered: (at, count, length, batch) => {
      const sender = endAt(senders, at);
      for (let sent = 0; sent < count; sent += batch) {
        const numbers = Array.from({ length: Math.min(batch, count - sent) }, (_, i) => sent + i);
        try {
          if (batch > 1) sender.sendMany(numbers.map((number) => message(number, length)));
          else sender.send(message(sent, length));
        } catch (error) {
          if (!isClosed(error)) throw error;
          return sent;
        }
      }
      return count;
    },
    receive_numbered: (at, length, batch) => {
      const receiver = endAt(receivers, at);
      let received = 0;
      try {
        for (;;) {
          const messages = batch > 1 ? receiver.recvMany(batch) : [receiver.recv()];
          if (messages.length === 0 || messages.length > batch) throw new Error(`a batch of ${messages.length}`);
          for (const found of messages) {
            checkMessage(found, received, length);
            received += 1;
          }
        }
      } catch (error) {
        if (!isClosed(error)) throw error;
        return received;
      }
    },

    select_send: (at, other, count) => {
      const ends = [endAt(senders, at), endAt(senders, other)];
      const sent = [0, 0];
      for (;;) {
        const cases: Record<string, Case> = {};
        for (const i of [0, 1]) if (sent[i] < count) cases[i] = { send: ends[i], value: numberMessage(sent[i]) };
        if (Object.keys(cases).length === 0) return sent[0] + sent[1];
        sent[Number(select(cases).chosen)] += 1;
      }
    },
    select_receive: (at, other) => {
      const ends = [endAt(receivers, at), endAt(receivers, other)];
      const received = [0, 0];
      const open = new Set([0, 1]);
      while (open.size > 0) {
        const cases: Record<string, Case> = Object.fromEntries(Array.from(open, (i) => [i, { recv: ends[i] }]));
        try {
          const { chosen, value } = select(cases);
          const i = Number(chosen);
          checkNumber(value as Uint8Array, received[i]);
          received[i] += 1;
        } catch (error) {
          if (!isClosed(error)) throw error;
          // One of them, and there may be messages in the other.
          for (const i of open) if (ends[i].closed && ends[i].isEmpty) open.delete(i);
        }
      }
      return received[0] + received[1];
    },
    send_in_turn: (at, other, count) => {
      const ends = [endAt(senders, at), endAt(senders, other)];
      for (let number = 0; number < count; number += 1) for (const end of ends) end.send(numberMessage(number));
      return 2 * count;
    },
    receive_in_turn: (at, other, count) => {
      const ends = [endAt(receivers, at), endAt(receivers, other)];
      for (let number = 0; number < count; number += 1) for (const end of ends) checkNumber(end.recv(), number);
      return 2 * count;
    },

    news_sender_open: (at) => {
      newsSenders.set(at, openBroadcastSender({ location: { memory, byteOffset: at } }));
      return 0;
    },
    news_receiver_open: (at) => {
      newsReceivers.set(at, openBroadcastReceiver({ location: { memory, byteOffset: at } }));
      return 0;
    },
    news_sender_drop: (at) => drop(newsSenders, at),
    news_receiver_drop: (at) => drop(newsReceivers, at),
    news_select_send: (at, other, count) => {
      const ends = [endAt(newsSenders, at), endAt(newsSenders, other)];
      const sent = [0, 0];
      for (;;) {
        const cases: Record<string, Case> = {};
        for (const i of [0, 1]) if (sent[i] < count) cases[i] = { send: ends[i], value: numberMessage(sent[i]) };
        if (Object.keys(cases).length === 0) return sent[0] + sent[1];
        try {
          sent[Number(select(cases).chosen)] += 1;
        } catch (error) {
          if (!isClosed(error)) throw error;
          return sent[0] + sent[1];
        }
      }
    },
    news_receive_in_turn: (at, other, start, end) => {
      const ends = [endAt(newsReceivers, at), endAt(newsReceivers, other)];
      for (let number = start; number < end; number += 1) for (const news of ends) checkNumber(news.recv(), number);
      return 2 * (end - start);
    },
  };
}

const numberMessage = (number: number): Uint8Array => new Uint8Array(Uint32Array.of(number).buffer);

function checkNumber(found: Uint8Array, expected: number): void {
  const number = new DataView(found.buffer, found.byteOffset).getUint32(0, true);
  if (found.length !== 4 || number !== expected) throw new Error(`${number} instead of ${expected}`);
}
