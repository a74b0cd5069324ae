/** What doesn't wait, and what selects wait for, while another thread has a place reserved or a message borrowed. */
import { setMayBlock } from '@heddle/atomics';
import { expect, test } from 'vitest';
import { channel, selectAsync, trySelect } from '../src/index.ts';
import { rejectionOf, sleep, spawn } from './support/spawn.ts';

setMayBlock(false);

const SOON_MS = 30;
const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values);

/** Waits, without blocking, until somebody has written something else than 0. */
async function written(word: Int32Array): Promise<void> {
  while (Atomics.load(word, 0) === 0) await sleep(1);
}

const NOTHING = {
  trySend: false,
  trySendMany: 0,
  tryReserve: undefined,
  tryRecv: undefined,
  tryRecvInto: undefined,
  tryBorrow: undefined,
  drain: [],
  trySelect: undefined,
};

test('whoever tries does not wait for who has reserved a place or borrowed a message', async () => {
  const { sender, receiver } = channel({ capacity: 4 });
  const worker = await spawn();
  sender.send(bytes(1));
  using borrowed = await receiver.borrowAsync();
  using reserved = await sender.reserveAsync(1);
  expect(await worker.call('tryAll', sender.handle(), receiver.handle())).toEqual(NOTHING);
  expect([borrowed.bytes[0], reserved.bytes.length]).toEqual([1, 1]);
});

test.each([true, false])('a select takes what others have let go of, and gives up in time: blocking %o', async (blocks) => {
  const { sender, receiver } = channel({ capacity: 4 });
  const worker = await spawn();
  sender.send(bytes(1));
  sender.send(bytes(2));
  const borrowed = await receiver.borrowAsync();
  expect((await rejectionOf(worker.call('selectOf', undefined, receiver.handle(), blocks, SOON_MS))).code).toBe('TIMEOUT');
  const receiving = worker.call('selectOf', undefined, receiver.handle(), blocks);
  await sleep(SOON_MS);
  borrowed.release();
  expect(await receiving).toEqual({ chosen: 'received', value: bytes(2) });

  const reserved = await sender.reserveAsync(1);
  expect((await rejectionOf(worker.call('selectOf', sender.handle(), undefined, blocks, SOON_MS))).code).toBe('TIMEOUT');
  const sending = worker.call('selectOf', sender.handle(), undefined, blocks);
  await sleep(SOON_MS);
  reserved.bytes[0] = 3;
  reserved.commit();
  expect(await sending).toMatchObject({ chosen: 'sent' });
  expect([receiver.tryRecv(), receiver.tryRecv()]).toEqual([bytes(3), bytes(7)]);
});

// Nobody told who may not block that what it had found taken was let go of.
test('a select of a thread that may not block takes what a worker has let go of', async () => {
  const { sender, receiver } = channel({ capacity: 4 });
  const worker = await spawn();
  const word = new Int32Array(new SharedArrayBuffer(4));
  const release = (): void => {
    Atomics.store(word, 0, 2);
    Atomics.notify(word, 0);
  };
  sender.send(bytes(1));
  sender.send(bytes(2));
  const borrowing = worker.call('holdUntil', undefined, receiver.handle(), word);
  await written(word);
  expect(trySelect({ received: { recv: receiver } })).toBeUndefined();
  const receiving = selectAsync({ received: { recv: receiver } });
  await sleep(SOON_MS);
  release();
  expect(await receiving).toEqual({ chosen: 'received', value: bytes(2) });
  await borrowing;

  Atomics.store(word, 0, 0);
  const reserving = worker.call('holdUntil', sender.handle(), undefined, word);
  await written(word);
  expect(sender.trySend(bytes(4))).toBe(false);
  const sending = selectAsync({ sent: { send: sender, value: bytes(5) } });
  await sleep(SOON_MS);
  release();
  expect(await sending).toMatchObject({ chosen: 'sent' });
  await reserving;
  expect(receiver.tryRecv()).toEqual(bytes(5));
});
