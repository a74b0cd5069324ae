import { describe, expect, test } from 'vitest';
import { Mutex, ThreadRegistry, type ThreadToken } from '../src/index.ts';
import {
  CONDVAR_SIZE,
  LIFE_DEAD,
  MUTEX_SIZE,
  OWNER_GENERATION_SHIFT,
  OWNER_GENERATION_MASK,
  OWNER_MASK,
  OWNER_SLOT_MASK,
  POISONED,
  REGISTRY_HEADER_REAPING_OFFSET,
  REGISTRY_HEADER_SIZE,
  REGISTRY_SLOT_LIFE_OFFSET,
  REGISTRY_SLOT_SIZE,
  SEMAPHORE_SIZE,
  SLOT_UNREGISTERED,
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

/**
 * A worker that reaped was terminated in the middle. The next one to reap – for the dead reaper itself, say – spun for ever, and who waited
 * for the first dead thread's lock was never woken.
 */
describe('a reaper that dies while it reaps', () => {
  const bitsOf = ({ slot, generation }: ThreadToken): number => (generation << OWNER_GENERATION_SHIFT) | slot;

  /** A registry as such a reaper leaves it: `dead` is marked, its lock isn't freed, and a worker waits for that. */
  async function halfReaped(): Promise<{ registry: ThreadRegistry; header: Int32Array; dead: ThreadToken; waiting: Promise<string> }> {
    const registryByteLength = ThreadRegistry.byteLength(8);
    const buffer = new SharedArrayBuffer(registryByteLength + Mutex.byteLength);
    const registry = ThreadRegistry.create({ capacity: 8, location: { buffer } });
    const mutex = new Mutex({ buffer, byteOffset: registryByteLength });
    const [owner, waiter] = await Promise.all([spawn(), spawn()]);
    const dead = await owner.call<ThreadToken>('enter', registry.handle());
    await owner.call('keep', mutex.handle());
    await owner.kill();
    await waiter.call('enter', registry.handle());
    const waiting = waiter.call<string>('lock', mutex.handle());
    // It says that it waits as its last step before it sleeps.
    const slots = new Int32Array(buffer, REGISTRY_HEADER_SIZE, (8 * REGISTRY_SLOT_SIZE) >> 2);
    while (!slots.some((word, i) => i % (REGISTRY_SLOT_SIZE >> 2) === 2 && word !== 0)) await new Promise((go) => setTimeout(go, 1));
    const life = ((dead.slot - 1) * REGISTRY_SLOT_SIZE + REGISTRY_SLOT_LIFE_OFFSET) >> 2;
    Atomics.store(slots, life, (bitsOf(dead) & OWNER_GENERATION_MASK) | LIFE_DEAD);
    return { registry, header: new Int32Array(buffer, 0, REGISTRY_HEADER_SIZE >> 2), dead, waiting };
  }

  test.each([
    { how: 'is declared dead itself', freeSlots: 6 },
    { how: 'was declared dead', freeSlots: 7 },
    { how: 'is in no registry', freeSlots: 6 },
  ])('is followed by the next one: it $how', async ({ how, freeSlots }) => {
    const { registry, header, dead, waiting } = await halfReaped();
    const reaper = registry.allocate();
    const reaping = REGISTRY_HEADER_REAPING_OFFSET >> 2;
    if (how === 'was declared dead') registry.reap(reaper);
    Atomics.store(header, reaping, how === 'is in no registry' ? SLOT_UNREGISTERED : bitsOf(reaper));
    const another = registry.allocate();
    expect(registry.reap(how === 'is declared dead itself' ? reaper : another)).toBe(true);
    expect(await waiting).toBe('poisoned');
    expect([Atomics.load(header, reaping), registry.isLive(dead), registry.reap(dead)]).toEqual([0, false, false]);
    // All but the waiter's, and that of the second one if it lives still.
    for (let count = 0; count < freeSlots; count += 1) registry.allocate();
    expect(errorOf(() => registry.allocate()).code).toBe('REGISTRY_FULL');
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
