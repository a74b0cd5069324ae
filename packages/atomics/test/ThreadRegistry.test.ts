import { describe, expect, test } from 'vitest';
import { ThreadRegistry } from '../src/index.ts';
import {
  CONDVAR_SIZE,
  MUTEX_SIZE,
  OWNER_GENERATION_MASK,
  OWNER_MASK,
  OWNER_SLOT_MASK,
  POISONED,
  REGISTRY_HEADER_SIZE,
  REGISTRY_SLOT_SIZE,
  SEMAPHORE_SIZE,
} from '../src/internal/layout.ts';
import { errorOf, spawn } from './support/spawn.ts';

describe('a thread registry', () => {
  test('names each thread once', async () => {
    const registry = ThreadRegistry.create({ capacity: 4 });
    const workers = await Promise.all([spawn(), spawn()]);
    const tokens = await Promise.all(
      workers.map((worker) => worker.call<{ slot: number; generation: number }>('enter', registry.handle())),
    );
    tokens.push(registry.enter());
    expect(new Set(tokens.map(({ slot }) => slot)).size).toBe(3);
    expect(tokens.every((token) => registry.isLive(token))).toBe(true);
    expect(registry.current).toEqual(tokens[2]);
    registry.leave();
    expect([registry.current, registry.isLive(tokens[2])]).toEqual([undefined, false]);
  });

  test('gives a slot another generation', () => {
    const registry = ThreadRegistry.create({ capacity: 1 });
    const first = registry.allocate();
    registry.release(first);
    const second = registry.allocate();
    expect([second.slot, registry.isLive(first), registry.isLive(second)]).toEqual([first.slot, false, true]);
    registry.release(first);
    expect(registry.isLive(second)).toBe(true);
    expect(registry.reap(first)).toBe(false);
    expect(registry.reap(second.slot)).toBe(true);
    expect(registry.reap(second.slot)).toBe(false);
  });

  test('says when it is full', () => {
    const registry = ThreadRegistry.create({ capacity: 2 });
    registry.allocate();
    registry.allocate();
    expect(errorOf(() => registry.allocate()).code).toBe('REGISTRY_FULL');
  });

  test('is one object however often it is opened', () => {
    const registry = ThreadRegistry.create();
    expect(ThreadRegistry.from(registry.handle())).toBe(registry);
    expect(ThreadRegistry.from(structuredClone(registry.handle()))).toBe(registry);
  });

  test('is refused where there is none, or none that fits', () => {
    const buffer = new SharedArrayBuffer(ThreadRegistry.byteLength(2));
    expect(errorOf(() => ThreadRegistry.at({ buffer })).code).toBe('INVALID_RECORD');
    expect(errorOf(() => ThreadRegistry.create({ capacity: 3, location: { buffer } })).code).toBe('INVALID_RECORD');
    ThreadRegistry.create({ capacity: 2, location: { buffer } });
    new Int32Array(buffer)[1] = 99;
    expect(errorOf(() => ThreadRegistry.at({ buffer })).code).toBe('INVALID_RECORD');
  });

  test.each([0, 4095, 1.5])('refuses a capacity of %d', (capacity) => {
    expect(errorOf(() => ThreadRegistry.create({ capacity })).code).toBe('INVALID_ARGUMENT');
  });

  test.each([
    { slot: 0, generation: 1 },
    { slot: 65, generation: 1 },
    { slot: 1, generation: -1 },
    { slot: 1, generation: 2 ** 18 },
  ])('refuses to enter as $slot.$generation', (token) => {
    expect(errorOf(() => ThreadRegistry.create().enter(token)).code).toBe('INVALID_ARGUMENT');
  });
});

test('the layout is the one that this package was written for', () => {
  expect({ MUTEX_SIZE, CONDVAR_SIZE, SEMAPHORE_SIZE, REGISTRY_HEADER_SIZE, REGISTRY_SLOT_SIZE }).toEqual({
    MUTEX_SIZE: 8,
    CONDVAR_SIZE: 8,
    SEMAPHORE_SIZE: 24,
    REGISTRY_HEADER_SIZE: 64,
    REGISTRY_SLOT_SIZE: 16,
  });
  expect(OWNER_SLOT_MASK | OWNER_GENERATION_MASK).toBe(OWNER_MASK);
  expect(OWNER_MASK & POISONED).toBe(0);
});
