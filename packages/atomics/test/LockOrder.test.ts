/** Locks that are taken in opposite orders, told in words although nobody waits. */
import { beforeEach, describe, expect, test } from 'vitest';
import {
  LockOrder,
  LockOrderError,
  Mutex,
  RwLock,
  ThreadRegistry,
  type ThreadToken,
  enableDeadlockDetection,
  nameLock,
  nameThread,
  setMayBlock,
} from '../src/index.ts';
import { errorOf, spawn } from './support/spawn.ts';

setMayBlock(false);

/** A memory with a registry that this thread is in, an order, and locks by name. */
function setUp(capacity?: number) {
  const registryByteLength = ThreadRegistry.byteLength(8);
  const buffer = new SharedArrayBuffer(registryByteLength + 4 * Mutex.byteLength + RwLock.byteLength);
  const registry = ThreadRegistry.create({ capacity: 8, location: { buffer } });
  nameThread(registry.enter(), 'main');
  const at = (index: number) => ({ buffer, byteOffset: registryByteLength + index * Mutex.byteLength });
  const locks = { accounts: new Mutex(at(0)), journal: new Mutex(at(1)), ledger: new Mutex(at(2)), index: new RwLock(at(4)) };
  for (const [name, lock] of Object.entries(locks)) nameLock(lock, name);
  const order = LockOrder.create(registry, capacity === undefined ? {} : { capacity });
  enableDeadlockDetection({ order });
  return { ...locks, unnamed: new Mutex(at(3)), registry, order };
}

interface Lock {
  unlock(): boolean;
}

/** Takes the locks, each while it holds those before, and lets go of them all. */
function nest(...takes: (() => Lock)[]): void {
  const held: Lock[] = [];
  try {
    for (const take of takes) held.push(take());
  } finally {
    for (const lock of held) lock.unlock();
  }
}

function orderErrorOf(action: () => unknown): LockOrderError {
  const error = errorOf(action);
  expect(error).toBeInstanceOf(LockOrderError);
  return error as LockOrderError;
}

describe('threads that take the same locks', () => {
  test('in opposite orders are told so, though neither waits', async () => {
    const { accounts, journal, registry, order } = setUp();
    const worker = await spawn();
    const teller = await worker.call<ThreadToken>('enter', registry.handle());
    nameThread(teller, 'teller');
    const names = [
      [accounts.handle(), 'accounts'],
      [journal.handle(), 'journal'],
    ];
    expect(await worker.call('takeInOrder', order.handle(), names)).toBe('done');
    const error = orderErrorOf(() =>
      nest(
        () => journal.lock(),
        () => accounts.lock(),
      ),
    );
    const { slot, generation } = registry.current!;
    expect([error.code, error.message]).toEqual([
      'LOCK_ORDER',
      `lock order: thread ${slot}.${generation} 'main' takes the lock 'accounts' while it holds the lock 'journal', but ` +
        `thread ${teller.slot}.${teller.generation} 'teller' took the lock 'journal' while it held the lock 'accounts'`,
    ]);
    expect(error.orders.map(({ from, to }) => [from, to])).toEqual([
      [journal.byteOffset, accounts.byteOffset],
      [accounts.byteOffset, journal.byteOffset],
    ]);
    // Nothing was taken, and the order that was there is the one that counts.
    expect([accounts.isLocked, journal.isLocked]).toEqual([false, false]);
    expect(await worker.call('takeInOrder', order.handle(), names)).toBe('done');
    expect(await worker.call('takeInOrder', order.handle(), names.toReversed())).toMatch(/^lock order: .*'journal', but .*'accounts'$/u);
  });

  test('in one order are told nothing, however many they are', async () => {
    const { accounts, journal, ledger, index, registry, order } = setUp();
    const all = Object.entries({ accounts, journal, ledger, index }).map(([name, lock]) => [lock.handle(), name]);
    const subsets = [
      [0, 1, 2, 3],
      [0, 2],
      [1, 3],
      [0, 3],
      [1, 2],
      [2, 3],
      [0, 1],
    ].map((subset) => subset.map((i) => all[i]));
    const workers = await Promise.all([spawn(), spawn(), spawn()]);
    await Promise.all(workers.map((worker) => worker.call('enter', registry.handle())));
    const ended = await Promise.all(
      workers.flatMap((worker) => subsets.map((subset) => worker.call('takeInOrder', order.handle(), subset, 50))),
    );
    expect(new Set(ended)).toEqual(new Set(['done']));
    expect(order.leftOut).toBe(0);
  });

  test('in a circle of three are told all of it', () => {
    const { accounts, journal, index, registry } = setUp();
    nest(
      () => accounts.lock(),
      () => index.read(),
    );
    nest(
      () => index.write(),
      () => journal.lock(),
    );
    const { message, orders } = orderErrorOf(() =>
      nest(
        () => journal.lock(),
        () => accounts.lock(),
      ),
    );
    const { slot, generation } = registry.current!;
    const main = `thread ${slot}.${generation} 'main'`;
    expect(message).toContain(
      `but ${main} took the lock 'index' while it held the lock 'accounts', and ${main} took the lock 'journal' while it held the lock 'index'`,
    );
    expect(orders).toHaveLength(3);
    // A read is as much of an order as a write.
    expect(
      orderErrorOf(() =>
        nest(
          () => index.read(),
          () => accounts.lock(),
        ),
      ).orders,
    ).toHaveLength(2);
    expect([accounts.isLocked, journal.isLocked, index.isRead, index.isWritten]).toEqual([false, false, false, false]);
  });
});

test('locks may be let go of in any order, and are held no longer than that', () => {
  const { accounts, journal, ledger, index } = setUp();
  const first = accounts.lock();
  const second = journal.lock();
  first.unlock();
  second.unlock();
  // Nothing is held before this one.
  nest(() => ledger.lock());
  nest(
    () => ledger.lock(),
    () => accounts.lock(),
  );
  const reading = index.write().downgrade();
  nest(() => journal.lock());
  reading.unlock();
  nest(() => accounts.lock());
  nest(
    () => accounts.lock(),
    () => index.read(),
  );
  const opposite = orderErrorOf(() =>
    nest(
      () => journal.lock(),
      () => index.read(),
    ),
  );
  expect(opposite.orders).toHaveLength(2);
});

test('what is tried, has a limit or is awaited counts as held, and is no order', async () => {
  const { accounts, journal, ledger, index } = setUp();
  nest(
    () => accounts.lock(),
    () => journal.lock(),
    () => index.read(),
  );
  nest(
    () => journal.lock(),
    () => accounts.tryLock()!,
  );
  nest(
    () => journal.lock(),
    () => Mutex.lockIfAvailable(accounts)!,
  );
  nest(
    () => journal.lock(),
    () => accounts.lock({ timeoutMs: 1000 }),
  );
  nest(
    () => index.tryWrite()!,
    () => accounts.lock({ timeoutMs: 1000 }),
  );
  const held = journal.lock();
  (await accounts.lockAsync()).unlock();
  held.unlock();
  nest(
    () => index.write({ timeoutMs: 1000 }),
    () => ledger.lock(),
  );
  orderErrorOf(() =>
    nest(
      () => journal.tryLock()!,
      () => accounts.lock(),
    ),
  );
  orderErrorOf(() =>
    nest(
      () => ledger.lock({ timeoutMs: 1000 }),
      () => index.write(),
    ),
  );
  const awaited = await ledger.lockAsync();
  expect(orderErrorOf(() => index.read()).orders).toHaveLength(2);
  awaited.unlock();
});

test('locks without a name are not watched', () => {
  const { accounts, unnamed, order } = setUp();
  nest(
    () => accounts.lock(),
    () => unnamed.lock(),
  );
  nest(
    () => unnamed.lock(),
    () => accounts.lock(),
  );
  expect([accounts.isLocked, unnamed.isLocked, order.leftOut]).toEqual([false, false, 0]);
});

test('a record that is full says so, and still knows what it has', () => {
  const { accounts, journal, ledger, order } = setUp(1);
  nest(
    () => accounts.lock(),
    () => journal.lock(),
  );
  expect(order.leftOut).toBe(0);
  for (let time = 0; time < 2; time += 1)
    nest(
      () => journal.lock(),
      () => ledger.lock(),
    );
  expect(order.leftOut).toBe(1);
  // The opposite of one that found no room.
  nest(
    () => ledger.lock(),
    () => journal.lock(),
  );
  expect(order.leftOut).toBe(2);
  expect(
    orderErrorOf(() =>
      nest(
        () => journal.lock(),
        () => accounts.lock(),
      ),
    ).message,
  ).toMatch(/'journal', but .*'accounts' \(2 orders found no room and aren't known\)$/u);
});

describe('a record of orders', () => {
  let registry: ThreadRegistry;
  beforeEach(() => (registry = ThreadRegistry.create({ capacity: 1 })));

  test('is opened by its handle', () => {
    const order = LockOrder.from(structuredClone(LockOrder.create(registry, { capacity: 3 }).handle()));
    expect([order.capacity, order.leftOut, order.registry]).toEqual([3, 0, registry]);
  });

  test('is refused where it is not or can not be', () => {
    expect(errorOf(() => LockOrder.from(registry.handle() as never)).code).toBe('INVALID_RECORD');
    const { kind } = LockOrder.create(registry).handle();
    const nothing = { kind, buffer: new SharedArrayBuffer(64), byteOffset: 0, registry: registry.handle() };
    expect(errorOf(() => LockOrder.from(nothing)).code).toBe('INVALID_RECORD');
    expect(errorOf(() => LockOrder.create(registry, { location: { buffer: new SharedArrayBuffer(64) } })).code).toBe('INVALID_RECORD');
    for (const capacity of [0, 1.5, 65_537]) {
      expect(errorOf(() => LockOrder.create(registry, { capacity })).code).toBe('INVALID_ARGUMENT');
    }
  });
});
