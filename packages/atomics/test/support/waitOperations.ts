/** The operations that wait, and records on which they have to: what a test of all of them and its worker agree on. */
import {
  Barrier,
  Event,
  type Handle,
  Latch,
  Lazy,
  Mutex,
  Once,
  OnceCell,
  Parker,
  RwLock,
  Semaphore,
  type WaitAsyncOptions,
  type WaitOptions,
  WaitGroup,
  f64,
} from '../../src/index.ts';

/** A record on which an operation has to wait. */
export interface Obstacle {
  readonly handle: Handle<string>;
  /** Makes an end of the waiting. */
  readonly remove: () => void;
}

/** An operation that waits, on a record that is reopened for it. */
export interface Wait {
  readonly make: () => Obstacle;
  readonly block: (handle: Handle<string>, options?: WaitOptions) => void;
  readonly wait: (handle: Handle<string>, options?: WaitAsyncOptions) => Promise<unknown>;
  /** The form that doesn't wait: whether it succeeded. */
  readonly attempt: (handle: Handle<string>) => boolean;
}

/** What is let go of. */
interface Token {
  unlock(): unknown;
}

/** The waits of what `from` reopens. */
function waitsOf<Opened>(
  from: (handle: never) => Opened,
  make: () => Obstacle,
  forms: {
    readonly block: (opened: Opened, options?: WaitOptions) => unknown;
    readonly wait: (opened: Opened, options?: WaitAsyncOptions) => Promise<unknown>;
    readonly attempt: (opened: Opened) => boolean;
  },
): Wait {
  const open = (handle: Handle<string>): Opened => from(handle as never);
  return {
    make,
    block: (handle, options) => void forms.block(open(handle), options),
    wait: (handle, options) => forms.wait(open(handle), options),
    attempt: (handle) => forms.attempt(open(handle)),
  };
}

const letGo = (token: Token | undefined): boolean => token?.unlock() !== undefined;

const lockedMutex = (): Obstacle => {
  const mutex = new Mutex();
  const token = mutex.lock();
  return { handle: mutex.handle(), remove: () => void token.unlock() };
};

const writtenLock = (): Obstacle => {
  const rwLock = new RwLock();
  const token = rwLock.write();
  return { handle: rwLock.handle(), remove: () => void token.unlock() };
};

const readLock = (): Obstacle => {
  const rwLock = new RwLock();
  const token = rwLock.read();
  return { handle: rwLock.handle(), remove: () => void token.unlock() };
};

/** What is being made, until it is told to be done. */
const running = (): Obstacle => {
  const once = new Once();
  const gate = Promise.withResolvers<void>();
  void once.callAsync(() => gate.promise);
  return { handle: once.handle(), remove: () => gate.resolve() };
};

const beingMade = (): Obstacle => {
  const cell = new OnceCell(f64);
  const gate = Promise.withResolvers<number>();
  void cell.getOrInitAsync(() => gate.promise);
  return { handle: cell.handle(), remove: () => gate.resolve(0.5) };
};

const neverRun = (): never => {
  throw new Error('what is being made was made a second time');
};

const openCell = (handle: never): OnceCell<number> => OnceCell.from(handle, f64);
const openLazy = (handle: never): Lazy<number, number> => new Lazy(OnceCell.from(handle, f64) as never, neverRun);

/** The operations, by name. */
export const WAITS: Readonly<Record<string, Wait>> = {
  'Mutex.lock': waitsOf((handle: never) => Mutex.from(handle), lockedMutex, {
    block: (mutex, options) => mutex.lock(options).unlock(),
    wait: async (mutex, options) => (await mutex.lockAsync(options)).unlock(),
    attempt: (mutex) => letGo(mutex.tryLock()),
  }),
  'RwLock.read': waitsOf((handle: never) => RwLock.from(handle), writtenLock, {
    block: (rwLock, options) => rwLock.read(options).unlock(),
    wait: async (rwLock, options) => (await rwLock.readAsync(options)).unlock(),
    attempt: (rwLock) => letGo(rwLock.tryRead()),
  }),
  'RwLock.write': waitsOf((handle: never) => RwLock.from(handle), readLock, {
    block: (rwLock, options) => rwLock.write(options).unlock(),
    wait: async (rwLock, options) => (await rwLock.writeAsync(options)).unlock(),
    attempt: (rwLock) => letGo(rwLock.tryWrite()),
  }),
  'Semaphore.acquire': waitsOf(
    (handle: never) => Semaphore.from(handle),
    () => {
      const semaphore = Semaphore.create(0);
      return { handle: semaphore.handle(), remove: () => semaphore.release() };
    },
    {
      block: (semaphore, options) => semaphore.acquire(options).release(),
      wait: async (semaphore, options) => (await semaphore.acquireAsync(options)).release(),
      attempt: (semaphore) => {
        const permit = semaphore.tryAcquire();
        permit?.release();
        return permit !== undefined;
      },
    },
  ),
  'Barrier.wait': waitsOf(
    (handle: never) => Barrier.from(handle),
    () => {
      const barrier = Barrier.create(2);
      return { handle: barrier.handle(), remove: () => void barrier.waitAsync() };
    },
    {
      block: (barrier, options) => barrier.wait(options),
      wait: (barrier, options) => barrier.waitAsync(options),
      attempt: (barrier) => barrier.tryWait() !== undefined,
    },
  ),
  'Latch.wait': waitsOf(
    (handle: never) => Latch.from(handle),
    () => {
      const latch = Latch.create(1);
      return { handle: latch.handle(), remove: () => latch.countDown() };
    },
    {
      block: (latch, options) => latch.wait(options),
      wait: (latch, options) => latch.waitAsync(options),
      attempt: (latch) => latch.tryWait(),
    },
  ),
  'WaitGroup.wait': waitsOf(
    (handle: never) => WaitGroup.from(handle),
    () => {
      const group = new WaitGroup();
      const member = group.member();
      return { handle: group.handle(), remove: () => member.done() };
    },
    {
      block: (group, options) => group.wait(options),
      wait: (group, options) => group.waitAsync(options),
      attempt: (group) => group.tryWait(),
    },
  ),
  ...Object.fromEntries(
    [false, true].map((autoReset) => [
      `Event.wait, ${autoReset ? 'auto' : 'manual'}`,
      waitsOf(
        (handle: never) => Event.from(handle),
        () => {
          const event = Event.create({ autoReset });
          return { handle: event.handle(), remove: () => void event.set() };
        },
        {
          block: (event, options) => event.wait(options),
          wait: (event, options) => event.waitAsync(options),
          attempt: (event) => event.tryWait(),
        },
      ),
    ]),
  ),
  'Parker.park': waitsOf(
    (handle: never) => Parker.from(handle),
    () => {
      const parker = new Parker();
      return { handle: parker.handle(), remove: () => parker.unparker().unpark() };
    },
    {
      block: (parker, options) => parker.park(options),
      wait: (parker, options) => parker.parkAsync(options),
      attempt: (parker) => parker.tryPark(),
    },
  ),
  'Once.call': waitsOf((handle: never) => Once.from(handle), running, {
    block: (once, options) => once.call(neverRun, options),
    wait: (once, options) => once.callAsync(neverRun, options),
    attempt: (once) => once.tryCall(neverRun),
  }),
  'Once.callForce': waitsOf((handle: never) => Once.from(handle), running, {
    block: (once, options) => once.callForce(neverRun, options),
    wait: (once, options) => once.callForceAsync(neverRun, options),
    attempt: (once) => once.tryCallForce(neverRun),
  }),
  'Once.wait': waitsOf((handle: never) => Once.from(handle), running, {
    block: (once, options) => once.wait(options),
    wait: (once, options) => once.waitAsync(options),
    attempt: (once) => once.isCompleted,
  }),
  'OnceCell.getOrInit': waitsOf(openCell, beingMade, {
    block: (cell, options) => cell.getOrInit(neverRun, options),
    wait: (cell, options) => cell.getOrInitAsync(neverRun, options),
    attempt: (cell) => cell.tryGetOrInit(neverRun) !== undefined,
  }),
  'OnceCell.set': waitsOf(openCell, beingMade, {
    block: (cell, options) => cell.set(2, options),
    wait: (cell, options) => cell.setAsync(2, options),
    attempt: (cell) => cell.trySet(2) !== undefined,
  }),
  'Lazy.force': waitsOf(openLazy, beingMade, {
    block: (lazy, options) => lazy.force(options),
    wait: (lazy, options) => lazy.forceAsync(options),
    attempt: (lazy) => lazy.tryForce() !== undefined,
  }),
};
