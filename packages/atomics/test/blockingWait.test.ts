import { expect, test } from 'vitest';
import { Latch, Mutex, ThreadRegistry, type ThreadToken } from '../src/index.ts';
import { blockingWaitOf } from '../src/internal/index.ts';
import {
  OWNER_GENERATION_SHIFT,
  REGISTRY_HEADER_SIZE,
  REGISTRY_SLOT_SIZE,
  REGISTRY_SLOT_WAITING_FOR_OFFSET,
  WAITING_FOR_CHANNEL,
  WAITING_ON_OWNER,
  WAITING_ON_SEQUENCE,
} from '../src/internal/layout.ts';
import { spawn } from './support/spawn.ts';

const CAPACITY = 4;
const END = ThreadRegistry.byteLength(CAPACITY);

/** A registry at the beginning of a memory, and room for a lock behind it. */
function inOneMemory(): { registry: ThreadRegistry; words: Int32Array; mutex: Mutex } {
  const buffer = new SharedArrayBuffer(END + Mutex.byteLength);
  const registry = ThreadRegistry.create({ capacity: CAPACITY, location: { buffer } });
  return { registry, words: new Int32Array(buffer), mutex: new Mutex({ buffer, byteOffset: END }) };
}

test('a thread that waits for a mutex is seen with the address, and with who holds it', async () => {
  const { registry, words, mutex } = inOneMemory();
  const me = registry.enter();
  const held = mutex.tryLock();
  const worker = await spawn();
  const { slot } = await worker.call<ThreadToken>('enter', registry.handle());
  expect(blockingWaitOf(words, 0, slot)).toBeUndefined();
  const locked = worker.call<string>('lock', mutex.handle());
  while (!blockingWaitOf(words, 0, slot)) await new Promise((go) => setTimeout(go, 1));
  expect(blockingWaitOf(words, 0, slot)).toEqual({ kind: 'mutex', address: END, owner: { slot: me.slot, generation: me.generation } });
  held?.unlock();
  await locked;
  expect(blockingWaitOf(words, 0, slot)).toBeUndefined();
  registry.leave();
});

test('a thread says what it waits for besides mutexes', async () => {
  const { registry, words } = inOneMemory();
  const worker = await spawn();
  const { slot } = await worker.call<ThreadToken>('enter', registry.handle());
  // In the room for a lock: of the memory that the thread has entered.
  const latch = Latch.create(1, { buffer: words.buffer as SharedArrayBuffer, byteOffset: END });
  const waited = worker.call<void>('on', latch.handle(), 'wait');
  while (!blockingWaitOf(words, 0, slot)) await new Promise((go) => setTimeout(go, 1));
  expect(blockingWaitOf(words, 0, slot)).toEqual({ kind: 'latch', address: END, owner: undefined });
  latch.countDown();
  await waited;
  expect(blockingWaitOf(words, 0, slot)).toBeUndefined();
});

test('what a thread has said of its wait is told; else that it waits on a word', () => {
  const { registry, words } = inOneMemory();
  const { slot } = registry.enter();
  registry.beginWait(END | WAITING_ON_SEQUENCE);
  expect(blockingWaitOf(words, 0, slot)).toEqual({ kind: 'word', address: END, owner: undefined });
  const waitingFor = (REGISTRY_HEADER_SIZE + (slot - 1) * REGISTRY_SLOT_SIZE + REGISTRY_SLOT_WAITING_FOR_OFFSET) >> 2;
  Atomics.store(words, waitingFor, WAITING_FOR_CHANNEL);
  expect(blockingWaitOf(words, 0, slot)?.kind).toBe('channel');
  Atomics.store(words, waitingFor, 0);
  registry.endWait();
  // A word with an owner names it.
  Atomics.store(words, END >> 2, (9 << OWNER_GENERATION_SHIFT) | 3);
  registry.beginWait(END | WAITING_ON_OWNER);
  expect(blockingWaitOf(words, 0, slot)).toMatchObject({ kind: 'word', owner: { slot: 3, generation: 9 } });
  registry.endWait();
  registry.leave();
});
