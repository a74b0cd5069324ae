/**
 * The channel of `multithreading`, in the asynchronous form that its documentation recommends, and in its blocking one.
 *
 * It carries JSON. A message of 8 bytes is a number, a longer one an array of as many numbers as its size has 8 bytes, or a
 * text of as many characters: whichever is faster. Browsers have no choice: there it can't read a text, because their
 * `TextDecoder` refuses shared memory.
 */
import { channel, move, spawn } from 'multithreading';
import { capacityFor, oneWayOf, roundTripSizeOf } from '../../cases.ts';
import type { Session, Subject } from '../../measurement.ts';
import { poolSession, timeTasks } from '../multithreading.ts';
import { checkSums } from '../stamps.ts';

/** A number, or what begins with one. */
type Message = number | number[] | string;

/** Whether a message of that size is a text. */
const isText = (size: number): boolean => size > 1024 && typeof globalThis.document === 'undefined';

/** Bytes of shared memory for a channel's JSON: what it holds, written anew before the old is collected, and its bookkeeping. */
const storageFor = (size: number): number => capacityFor(size) * (2 * size + 64) * 4 + (4 << 20);

const openChannel = (size: number) => channel<Message>(capacityFor(size), { size: storageFor(size) });

const supports = (caseName: string): boolean => roundTripSizeOf(caseName) !== undefined || oneWayOf(caseName)?.isBorrowed === false;

export const multithreading: Subject = {
  bench: 'channel',
  name: 'multithreading',
  supports,
  async open(caseName): Promise<Session> {
    const oneWay = oneWayOf(caseName);
    if (!oneWay) return roundTrips(roundTripSizeOf(caseName) ?? 8);
    const { size, pairs } = oneWay;
    const [sender, receiver] = openChannel(size);
    return poolSession(async (count) => {
      const share = Math.ceil(count / pairs);
      const start = performance.now();
      const tasks = Array.from({ length: pairs }, () => [
        spawn(move(sender.clone(), share, size, isText(size)), async (sender, share, size, isText) => {
          const text = isText ? 'x'.repeat(size - 8) : '';
          const numbers: number[] = new Array(size / 8).fill(1.5);
          for (let stamp = 0; stamp < share; stamp += 1) {
            numbers[0] = stamp;
            const sent = await sender.send(isText ? `${String(stamp).padStart(8, '0')}${text}` : size === 8 ? stamp : numbers);
            if (!sent.ok) throw sent.error;
          }
          return 0;
        }).join(),
        spawn(move(receiver.clone(), share), async (receiver, share) => {
          let sum = 0;
          for (let n = 0; n < share; n += 1) {
            const received = await receiver.recv();
            if (!received.ok) throw received.error;
            const { value } = received;
            sum += typeof value === 'number' ? value : Number(typeof value === 'string' ? value.slice(0, 8) : value[0]);
          }
          return sum;
        }).join(),
      ]);
      const { elapsedNs, results } = await timeTasks(start, tasks.flat());
      checkSums(results, pairs, share);
      return { count: share * pairs, elapsedNs };
    });
  },
};

export const multithreadingBlocking: Subject = {
  bench: 'channel',
  name: 'multithreading-blocking',
  supports: (caseName) => oneWayOf(caseName)?.isBorrowed === false,
  async open(caseName): Promise<Session> {
    const { size, pairs } = oneWayOf(caseName) ?? { size: 8, pairs: 1 };
    const [sender, receiver] = openChannel(size);
    return poolSession(async (count) => {
      const share = Math.ceil(count / pairs);
      const start = performance.now();
      const tasks = Array.from({ length: pairs }, () => [
        spawn(move(sender.clone(), share, size, isText(size)), (sender, share, size, isText) => {
          const text = isText ? 'x'.repeat(size - 8) : '';
          const numbers: number[] = new Array(size / 8).fill(1.5);
          for (let stamp = 0; stamp < share; stamp += 1) {
            numbers[0] = stamp;
            const sent = sender.blockingSend(isText ? `${String(stamp).padStart(8, '0')}${text}` : size === 8 ? stamp : numbers);
            if (!sent.ok) throw sent.error;
          }
          return 0;
        }).join(),
        spawn(move(receiver.clone(), share), (receiver, share) => {
          let sum = 0;
          for (let n = 0; n < share; n += 1) {
            const received = receiver.blockingRecv();
            if (!received.ok) throw received.error;
            const { value } = received;
            sum += typeof value === 'number' ? value : Number(typeof value === 'string' ? value.slice(0, 8) : value[0]);
          }
          return sum;
        }).join(),
      ]);
      const { elapsedNs, results } = await timeTasks(start, tasks.flat());
      checkSums(results, pairs, share);
      return { count: share * pairs, elapsedNs };
    });
  },
};

function roundTrips(size: number): Session {
  const [ping, pinged] = openChannel(size);
  const [pong, ponged] = openChannel(size);
  return poolSession(async (count) => {
    const start = performance.now();
    const tasks = [
      spawn(move(ping.clone(), ponged.clone(), count, size, isText(size)), async (ping, ponged, count, size, isText) => {
        const text = isText ? 'x'.repeat(size - 8) : '';
        const numbers: number[] = new Array(size / 8).fill(1.5);
        let sum = 0;
        for (let stamp = 0; stamp < count; stamp += 1) {
          numbers[0] = stamp;
          await ping.send(isText ? `${String(stamp).padStart(8, '0')}${text}` : size === 8 ? stamp : numbers);
          const received = await ponged.recv();
          if (!received.ok) throw received.error;
          const { value } = received;
          sum += typeof value === 'number' ? value : Number(typeof value === 'string' ? value.slice(0, 8) : value[0]);
        }
        return sum;
      }).join(),
      spawn(move(pong.clone(), pinged.clone(), count), async (pong, pinged, count) => {
        for (let n = 0; n < count; n += 1) {
          const received = await pinged.recv();
          if (!received.ok) throw received.error;
          await pong.send(received.value);
        }
        return 0;
      }).join(),
    ];
    const { elapsedNs, results } = await timeTasks(start, tasks);
    checkSums(results, 1, count);
    return { count, elapsedNs };
  });
}
