/** What the compiler infers, and what it must refuse: `check:types` fails when one of these changes. */
/* oxlint-disable typescript/unbound-method -- the types of methods are looked at, nothing is called */
import { describe, expectTypeOf, test } from 'vitest';
import {
  AtomicBool,
  AtomicF64,
  AtomicI32,
  AtomicI64,
  type ArrayView,
  Barrier,
  type BarrierWaitResult,
  type BytesView,
  Condition,
  Event,
  type Handle,
  type InitOf,
  Latch,
  Lazy,
  type Member,
  Mutex,
  Once,
  OnceCell,
  Parker,
  type Permit,
  type PlainOf,
  type ReadToken,
  RwLock,
  Semaphore,
  ThreadRegistry,
  type ThreadToken,
  type Unparker,
  type UnlockToken,
  type ViewOf,
  WaitGroup,
  array,
  bytes,
  f64,
  i64,
  snapshot,
  struct,
  u32,
  u8,
} from '../src/index.ts';

const Point = struct({ x: f64, y: f64 });
const Track = struct({ id: i64, name: bytes(16), start: Point, points: array(Point, 8), hits: u32 });

describe('a struct', () => {
  test('is inferred from its fields', () => {
    expectTypeOf<ViewOf<typeof Point>>().toEqualTypeOf<{ x: number; y: number }>();
    expectTypeOf<ViewOf<typeof Track>['id']>().toEqualTypeOf<bigint>();
    expectTypeOf<ViewOf<typeof Track>['name']>().toEqualTypeOf<BytesView>();
    expectTypeOf<ViewOf<typeof Track>['start']>().toEqualTypeOf<{ x: number; y: number }>();
    expectTypeOf<ViewOf<typeof Track>['points']>().toExtend<ArrayView<{ x: number; y: number }>>();
    expectTypeOf<InitOf<typeof Point>>().toEqualTypeOf<{ readonly x: number; readonly y: number }>();
    expectTypeOf<PlainOf<typeof Track>['points']>().toEqualTypeOf<{ x: number; y: number }[]>();
    expectTypeOf<PlainOf<typeof Track>['name']>().toEqualTypeOf<Uint8Array<ArrayBuffer>>();
    expectTypeOf(Track.offsets.hits).toBeNumber();
    // @ts-expect-error -- no such field
    void Track.offsets.miss;
    // @ts-expect-error -- a field is a type, not a value
    expectTypeOf(() => struct({ x: 1 })).toBeFunction();
  });
});

describe('a mutex', () => {
  test('gives what it guards through its token only', async () => {
    const mutex = new Mutex(Track);
    expectTypeOf(mutex).toEqualTypeOf<Mutex<ViewOf<typeof Track>>>();
    expectTypeOf(Mutex.guarding(Track)).toEqualTypeOf(mutex);
    expectTypeOf(Mutex.from(mutex.handle(), Track)).toEqualTypeOf(mutex);
    using lock = mutex.lock();
    expectTypeOf(lock.value.hits).toBeNumber();
    expectTypeOf(lock.value.points.get(0).x).toBeNumber();
    expectTypeOf(mutex.tryLock).returns.toEqualTypeOf<UnlockToken<ViewOf<typeof Track>> | undefined>();
    expectTypeOf(mutex.lockAsync).returns.resolves.toEqualTypeOf<UnlockToken<ViewOf<typeof Track>>>();
    expectTypeOf(Mutex.lock<ViewOf<typeof Track>>).returns.toEqualTypeOf<UnlockToken<ViewOf<typeof Track>>>();
    expectTypeOf(snapshot(lock.value).points).toEqualTypeOf<{ x: number; y: number }[]>();
    // @ts-expect-error -- the data are not the mutex's own
    void mutex.value;
    // @ts-expect-error -- a misspelt field
    void lock.value.hit;
    expectTypeOf(() => {
      // @ts-expect-error -- a bigint field is no number
      lock.value.id = 1;
      // @ts-expect-error -- an array is written through its view
      lock.value.points = [];
      // @ts-expect-error -- elements have the type of the array
      lock.value.points.set(0, { x: 1 });
    }).toBeFunction();
  });

  test('without data is as it was', () => {
    expectTypeOf(new Mutex()).toEqualTypeOf<Mutex>();
    expectTypeOf(new Mutex({ buffer: new SharedArrayBuffer(8) })).toEqualTypeOf<Mutex>();
    expectTypeOf(new Mutex().lock()).toEqualTypeOf<UnlockToken>();
    expectTypeOf<UnlockToken>().toHaveProperty('value').toBeUnknown();
    // What takes any mutex or token takes one with data, too.
    expectTypeOf<Mutex<{ x: number }>>().toExtend<Mutex>();
    expectTypeOf<UnlockToken<{ x: number }>>().toExtend<Parameters<Condition['wait']>[0]>();
    // @ts-expect-error -- a place has a buffer or a memory
    expectTypeOf(() => new Mutex({ byteOffset: 8 })).toBeFunction();
  });

  test('is not taken for one of other data', () => {
    expectTypeOf<Mutex<{ x: number }>>().not.toExtend<Mutex<{ y: number }>>();
    expectTypeOf<Mutex>().not.toExtend<Mutex<{ x: number }>>();
  });
});

describe('a reader-writer lock', () => {
  test('gives what it guards to readers for reading', () => {
    const rwLock = new RwLock(Track);
    expectTypeOf(RwLock.from(rwLock.handle(), Track)).toEqualTypeOf(rwLock);
    expectTypeOf(rwLock.write).returns.toHaveProperty('value').toEqualTypeOf<ViewOf<typeof Track>>();
    expectTypeOf(new RwLock()).toEqualTypeOf<RwLock>();
    expectTypeOf<RwLock<{ x: number }>>().toExtend<RwLock>();
    const read = (token: ReadToken<ViewOf<typeof Track>>): void => {
      expectTypeOf(token.value.points.get(0).x).toBeNumber();
      // @ts-expect-error -- for reading
      token.value.hits = 1;
      // @ts-expect-error -- for reading
      token.value = new RwLock(Track).write().value;
    };
    expectTypeOf(read).toBeFunction();
  });
});

describe('cells, handles and waits', () => {
  test('are of their kind', () => {
    expectTypeOf(AtomicI32.create(1)).toEqualTypeOf<AtomicI32>();
    expectTypeOf(new AtomicI64().add).toEqualTypeOf<(value: bigint) => bigint>();
    expectTypeOf(new AtomicBool().load()).toBeBoolean();
    expectTypeOf(AtomicF64.from(new AtomicF64().handle())).toEqualTypeOf<AtomicF64>();
    expectTypeOf(() => {
      // @ts-expect-error -- a number is no bigint
      new AtomicI64().store(1);
      // @ts-expect-error -- a float has no bits to mask
      new AtomicF64().and(1);
      // @ts-expect-error -- nobody can wait for a byte
      new AtomicBool().wait(true);
      // @ts-expect-error -- the handle of another kind
      Latch.from(new Mutex().handle());
      // @ts-expect-error -- the handle of another kind of cell
      AtomicI64.from(new AtomicI32().handle());
      // @ts-expect-error -- a blocking wait can't be aborted
      Latch.create(1).wait({ signal: AbortSignal.abort() });
    }).toBeFunction();
    expectTypeOf(Barrier.create(1).wait).returns.toEqualTypeOf<BarrierWaitResult>();
    expectTypeOf(new Parker().unparker()).toEqualTypeOf<Unparker>();
    expectTypeOf(new Once().handle()).toEqualTypeOf<Handle<'heddle.Once'>>();
    expectTypeOf(new Once().callAsync).returns.resolves.toBeBoolean();
  });

  test('are refused where they are of another kind', () => {
    const [mutex, rwLock, semaphore] = [new Mutex(), new RwLock(), Semaphore.create(1)];
    expectTypeOf(semaphore.tryAcquire).returns.toEqualTypeOf<Permit | undefined>();
    expectTypeOf(semaphore.acquireAsync).returns.resolves.toEqualTypeOf<Permit>();
    expectTypeOf(new Condition().waitFor).returns.toBeBoolean();
    expectTypeOf(new WaitGroup().member()).toEqualTypeOf<Member>();
    expectTypeOf(Event.create().waitAsync).returns.resolves.not.toBeAny();
    expectTypeOf<ThreadToken>().toEqualTypeOf<{ readonly slot: number; readonly generation: number }>();
    expectTypeOf(() => {
      // @ts-expect-error -- a condition is waited for with a mutex
      new Condition().wait(rwLock.read());
      // @ts-expect-error -- the mutex's token, not the mutex
      new Condition().wait(mutex);
      // @ts-expect-error -- a permit is no lock
      mutex.lock().acquire();
      // @ts-expect-error -- a semaphore has a number of permits from the beginning
      Semaphore.create();
      // @ts-expect-error -- who reads can't downgrade
      rwLock.read().downgrade();
      // @ts-expect-error -- who has a token of one lock has none of another
      rwLock.downgrade(mutex.lock());
      // @ts-expect-error -- an event resets itself or not
      Event.create({ autoReset: 'auto' });
      // @ts-expect-error -- a member is done once, and waits for nobody
      new WaitGroup().member().wait();
      // @ts-expect-error -- an unparker doesn't park
      new Parker().unparker().park();
      // @ts-expect-error -- what is done once is a function
      new Once().call(1);
      // @ts-expect-error -- slots have numbers
      ThreadRegistry.create().isLive('1');
      // @ts-expect-error -- the handle of another kind
      RwLock.from(semaphore.handle());
      // @ts-expect-error -- a timeout is a number of milliseconds
      mutex.lock({ timeoutMs: '1' });
      // @ts-expect-error -- a blocking wait can't be aborted
      rwLock.write({ signal: AbortSignal.abort() });
    }).toBeFunction();
  });

  test('of a once cell are for reading', () => {
    const cell = new OnceCell(Track);
    expectTypeOf(cell.set).parameter(0).toEqualTypeOf<InitOf<typeof Track>>();
    expectTypeOf(new Lazy(new OnceCell(f64), () => 1).get()).toEqualTypeOf<number | undefined>();
    const read = (value: NonNullable<ReturnType<typeof cell.get>>): void => {
      expectTypeOf(value.points.get(0).x).toBeNumber();
      expectTypeOf(snapshot(value).name).toEqualTypeOf<Uint8Array<ArrayBuffer>>();
      // @ts-expect-error -- for reading
      value.hits = 1;
      // @ts-expect-error -- for reading, also further in
      value.start.x = 1;
      // @ts-expect-error -- for reading
      value.points.set(0, { x: 1, y: 1 });
      // @ts-expect-error -- for reading
      value.name.set([1]);
    };
    expectTypeOf(read).toBeFunction();
    // @ts-expect-error -- what a cell is set to has all fields
    expectTypeOf(() => new OnceCell(struct({ a: u8, b: u8 })).set({ a: 1 })).toBeFunction();
  });
});
