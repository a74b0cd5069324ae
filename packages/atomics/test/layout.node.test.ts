/** The records are where `layout/atomics.json` says: the constants agree with it, and so does what is found in memory. */
import { LayoutSource } from '@heddle/tools/layout';
import { describe, expect, test } from 'vitest';
import {
  Barrier,
  Condition,
  Event,
  Latch,
  LockOrder,
  Mutex,
  Once,
  OnceCell,
  Parker,
  RwLock,
  Semaphore,
  ThreadRegistry,
  WaitGroup,
  u32,
} from '../src/index.ts';
import * as generated from '../src/internal/layout.ts';

const source = new LayoutSource('atomics');
const PLACE = 64;

/** The record's words after `make` has had the place. */
function wordsAfter(
  record: string,
  make: (location: { buffer: SharedArrayBuffer; byteOffset: number }) => unknown,
): Record<string, number> {
  const buffer = new SharedArrayBuffer(1024);
  make({ buffer, byteOffset: PLACE });
  return source.read(record, buffer, PLACE);
}

test('the constants are those of the source', () => {
  expect({ ...generated }).toEqual(source.constants);
});

describe('what is written is found where the source says', () => {
  test('locks', async () => {
    expect(wordsAfter('Mutex', (location) => new Mutex(location).lock())).toMatchObject({ word: generated.SLOT_UNREGISTERED });
    expect(wordsAfter('Semaphore', (location) => Semaphore.create(7, location))).toMatchObject({ permits: 7, waiters: 0 });
    // The lock of whoever writes is at the start.
    expect(wordsAfter('Mutex', (location) => new RwLock(location).write())).toMatchObject({ word: generated.SLOT_UNREGISTERED });
    expect(wordsAfter('RwLock', (location) => new RwLock(location).read())).toMatchObject({ departures: 0, crowd: 1 });
    const waited = wordsAfter('Condvar', (location) => {
      const token = new Mutex().lock();
      void new Condition(location).waitAsync(token, { timeoutMs: 1 });
    });
    expect(waited).toMatchObject({ sequence: 0, waiters: 1 });
  });

  test('what waits for a word', () => {
    expect(wordsAfter('Barrier', (location) => Barrier.create(3, location))).toMatchObject({ word: 0, parties: 3 });
    expect(wordsAfter('Latch', (location) => Latch.create(5, location))).toMatchObject({ count: 5 });
    expect(wordsAfter('Event', (location) => Event.create({ autoReset: true, location }).set())).toMatchObject({
      word: generated.EVENT_EPOCH | generated.EVENT_SET,
      mode: generated.EVENT_AUTO,
    });
    expect(wordsAfter('Parker', (location) => new Parker(location).unparker().unpark())).toMatchObject({
      state: generated.PARKER_NOTIFIED,
    });
    expect(wordsAfter('Once', (location) => new Once(location).call(() => {}))).toMatchObject({ word: generated.ONCE_COMPLETE });
    // The value is behind the once, at the first multiple of its alignment.
    const cell = new SharedArrayBuffer(1024);
    new OnceCell(u32, { buffer: cell, byteOffset: PLACE }).set(77);
    expect(source.read('Once', cell, PLACE)).toMatchObject({ word: generated.ONCE_COMPLETE });
    expect(new Uint32Array(cell, PLACE + generated.ONCE_SIZE, 1)[0]).toBe(77);
    expect(wordsAfter('WaitGroup', (location) => new WaitGroup(location).add(2))).toMatchObject({ word: 2 });
  });

  test('the order of locks', () => {
    const order = (location: { buffer: SharedArrayBuffer; byteOffset: number }) =>
      LockOrder.create(ThreadRegistry.create({ capacity: 1 }), { capacity: 1, location });
    const { LOCK_ORDER_MAGIC: magic } = generated;
    const full = (location: { buffer: SharedArrayBuffer; byteOffset: number }) => {
      for (const to of [8, 16]) order(location).add({ from: 4, to, token: 7 });
    };
    expect(wordsAfter('LockOrderHeader', full)).toMatchObject({ magic, capacity: 1, leftOut: 1 });
    const buffer = new SharedArrayBuffer(1024);
    full({ buffer, byteOffset: PLACE });
    expect(source.read('LockOrderLink', buffer, PLACE + generated.LOCK_ORDER_HEADER_SIZE)).toMatchObject({ from: 5, to: 9, token: 7 });
  });

  test('the registry', () => {
    const words = wordsAfter('RegistryHeader', (location) => ThreadRegistry.create({ capacity: 5, location }).allocate());
    const { REGISTRY_MAGIC: magic, REGISTRY_VERSION: version } = generated;
    expect(words).toMatchObject({ magic, version, capacity: 5, reaping: 0, deaths: 0, next: 1 });
    const buffer = new SharedArrayBuffer(1024);
    ThreadRegistry.create({ capacity: 5, location: { buffer, byteOffset: PLACE } }).allocate();
    const slot = source.read('RegistrySlot', buffer, PLACE + generated.REGISTRY_HEADER_SIZE);
    expect(slot).toMatchObject({ life: (1 << generated.OWNER_GENERATION_SHIFT) | generated.LIFE_LIVE });
  });
});
