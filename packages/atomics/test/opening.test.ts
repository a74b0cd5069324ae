/**
 * Handles and records that nobody would make: opening them is refused with a typed error, or what was opened can be used without
 * harm to anything but itself.
 *
 * HEDDLE_SEED takes other cases; a case that made something fail goes into `corpus`.
 */
import { type Choices, fuzz } from '@heddle/tools/fuzz';
import { describe, expect, test } from 'vitest';
import {
  AtomicBool,
  AtomicF64,
  AtomicI32,
  AtomicsError,
  AtomicU64,
  AtomicU8,
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
  setMayBlock,
  ThreadRegistry,
  u32,
  WaitGroup,
} from '../src/index.ts';
import { environment, errorOf } from './support/spawn.ts';

setMayBlock(false);

const SEED = Number(environment('HEDDLE_SEED') ?? 1) >>> 0;
const COUNT = Number(environment('HEDDLE_LONG_MINUTES') ?? 0) > 0 ? 200_000 : 4000;

/** Cases that made something fail before. */
const corpus: readonly string[] = [
  // A registry that is larger than it was made.
  'a9bc5fa218a3630038d61a78fbcf7dd09c8370d32d6371ea09811301fa466777df7606a01e587621725c703705297e8a',
  // A memory that is null.
  '951f1cb07d010c370bf8ce868d6c2b76a6646b0ebfa9994b3486e77be2fb0ef02bdc993a739a8401951148f021f26239',
];

/** The same of {@link richerOpeners}. */
const richerCorpus: readonly string[] = [
  // A type that is a symbol, which no message can tell.
  'd1f684166617f09a05907df2f69e798ace386f6f0954b2c38d9ccaebb960e1b027bac686b15022a55122ae3a401b07be',
];

const BUFFER_BYTES = 512;
const RECORD = 64;
const REGISTRY = 256;

/** How a kind of record is made, opened, and used without waiting. */
interface Opener {
  readonly kind: string;
  readonly byteLength: number;
  readonly create: (location: { buffer: SharedArrayBuffer; byteOffset: number }) => unknown;
  readonly open: (handle: never) => unknown;
  /** What its handle tells beside the place. */
  readonly more?: Readonly<Record<string, unknown>>;
  readonly use: (opened: never) => void;
}

const plainOpeners: readonly Opener[] = [
  {
    kind: 'heddle.Mutex',
    byteLength: Mutex.byteLength,
    create: (location) => new Mutex(location).lock(),
    open: (handle) => Mutex.from(handle),
    use: (mutex: Mutex) => {
      mutex.tryLock()?.unlock();
      mutex.clearPoison();
    },
  },
  {
    kind: 'heddle.Condition',
    byteLength: Condition.byteLength,
    create: (location) => new Condition(location),
    open: (handle) => Condition.from(handle),
    use: (condition: Condition) => void condition.notify(),
  },
  {
    kind: 'heddle.Semaphore',
    byteLength: Semaphore.byteLength,
    create: (location) => Semaphore.create(2, location),
    open: (handle) => Semaphore.from(handle),
    use: (semaphore: Semaphore) => {
      semaphore.tryAcquire()?.release();
      semaphore.release(1);
    },
  },
  {
    kind: 'heddle.Barrier',
    byteLength: Barrier.byteLength,
    create: (location) => Barrier.create(3, location),
    open: (handle) => Barrier.from(handle),
    use: (barrier: Barrier) => void barrier.tryWait(),
  },
  {
    kind: 'heddle.Latch',
    byteLength: Latch.byteLength,
    create: (location) => Latch.create(3, location),
    open: (handle) => Latch.from(handle),
    use: (latch: Latch) => latch.countDown(2),
  },
  {
    kind: 'heddle.Event',
    byteLength: Event.byteLength,
    create: (location) => Event.create({ autoReset: true, location }),
    open: (handle) => Event.from(handle),
    use: (event: Event) => {
      event.set();
      event.tryWait();
      event.reset();
    },
  },
  {
    kind: 'heddle.Parker',
    byteLength: Parker.byteLength,
    create: (location) => new Parker(location),
    open: (handle) => Parker.from(handle),
    use: (parker: Parker) => {
      parker.unparker().unpark();
      parker.tryPark();
    },
  },
  {
    kind: 'heddle.Once',
    byteLength: Once.byteLength,
    create: (location) => new Once(location),
    open: (handle) => Once.from(handle),
    use: (once: Once) => void once.tryCall(() => {}),
  },
  {
    kind: 'heddle.WaitGroup',
    byteLength: WaitGroup.byteLength,
    create: (location) => new WaitGroup(location),
    open: (handle) => WaitGroup.from(handle),
    use: (group: WaitGroup) => {
      group.add();
      group.done();
      group.tryWait();
    },
  },
  {
    kind: 'heddle.ThreadRegistry',
    byteLength: ThreadRegistry.byteLength(4),
    create: (location) => ThreadRegistry.create({ capacity: 4, location }).allocate(),
    open: (handle) => ThreadRegistry.from(handle),
    use: (registry: ThreadRegistry) => {
      registry.isLive({ slot: 1, generation: 1 });
      registry.release(registry.allocate());
    },
  },
];

/** Records whose handles tell more, and cells of any bytes. A list of their own: what a case of the corpus is depends on the list. */
const richerOpeners: readonly Opener[] = [
  {
    kind: 'heddle.RwLock',
    byteLength: RwLock.byteLength,
    create: (location) => new RwLock(location).read(),
    open: (handle) => RwLock.from(handle),
    use: (rwLock: RwLock) => {
      rwLock.tryRead()?.unlock();
      rwLock.tryWrite()?.unlock();
      rwLock.clearPoison();
    },
  },
  {
    kind: 'heddle.OnceCell',
    byteLength: OnceCell.byteLengthOf(u32),
    create: (location) => new OnceCell(u32, location).set(7),
    open: (handle) => OnceCell.from(handle, u32),
    more: { type: u32.signature },
    use: (cell: OnceCell<number>) => {
      cell.get();
      cell.trySet(8);
      cell.tryGetOrInit(() => 9);
    },
  },
  {
    kind: 'heddle.LockOrder',
    byteLength: LockOrder.byteLength(4),
    create: (location) =>
      LockOrder.create(ThreadRegistry.create({ capacity: 1 }), { capacity: 4, location }).add({ from: 4, to: 8, token: 1 }),
    open: (handle: { readonly buffer: SharedArrayBuffer }) =>
      LockOrder.from({ registry: { kind: 'heddle.ThreadRegistry', buffer: handle?.buffer, byteOffset: REGISTRY }, ...handle } as never),
    use: (order: LockOrder) => void order.add({ from: 8, to: 4, token: 2 }),
  },
  ...[AtomicBool, AtomicU8, AtomicI32, AtomicU64, AtomicF64].map((Cell): Opener => ({
    kind: Cell.layout.kind,
    byteLength: Cell.layout.size,
    create: (location) => new Cell(location),
    open: (handle) => (Cell as unknown as { from(handle: never): unknown }).from(handle),
    use: (cell: { load(): never; store(value: never): void; exchange(value: never): unknown }) => {
      cell.store(cell.load());
      cell.exchange(cell.load());
    },
  })),
];

/** What stands where a buffer, a memory or a number should. */
const oddValues = (choices: Choices): unknown =>
  choices.of([
    undefined,
    null,
    0,
    1,
    -1,
    0.5,
    NaN,
    Infinity,
    2 ** 53,
    8n,
    '8',
    '',
    true,
    {},
    [],
    () => 8,
    Symbol('8'),
    Object.create(null),
  ]);

const oddBuffers = (choices: Choices): unknown =>
  choices.of([
    new ArrayBuffer(BUFFER_BYTES),
    new SharedArrayBuffer(0),
    new SharedArrayBuffer(7),
    new Uint8Array(new SharedArrayBuffer(BUFFER_BYTES)),
    new WebAssembly.Memory({ initial: 1 }),
    oddValues(choices),
  ]);

/** An offset that is near a bound, or no offset at all. */
const offset = (choices: Choices): unknown =>
  choices.of([
    RECORD,
    REGISTRY,
    RECORD + 1,
    RECORD + 2,
    RECORD + 4,
    BUFFER_BYTES - 8,
    BUFFER_BYTES,
    choices.word(),
    -choices.word(),
    oddValues(choices),
  ]);

/** Changes some words of a range. */
function mutateWords(choices: Choices, buffer: SharedArrayBuffer, from: number, byteLength: number): void {
  const words = new Uint32Array(buffer, from, byteLength >> 2);
  for (let i = choices.below(4); i > 0; i -= 1) {
    const index = choices.below(Math.min(words.length, 16));
    words[index] = choices.once(2) ? words[index] ^ (1 << choices.below(32)) : choices.word();
  }
}

/** All bytes but those that a record may change. */
const outside = (bytes: Uint8Array, from: number, byteLength: number): string =>
  [...bytes.subarray(0, from), ...bytes.subarray(from + byteLength)].join(' ');

function runCase(choices: Choices, openers: readonly Opener[]): boolean {
  const opener = choices.of(openers);
  const buffer = new SharedArrayBuffer(BUFFER_BYTES);
  const withRegistry = choices.once(3);
  opener.create({ buffer, byteOffset: RECORD });
  if (withRegistry) ThreadRegistry.create({ capacity: 4, location: { buffer, byteOffset: REGISTRY } });
  mutateWords(choices, buffer, RECORD, opener.byteLength);
  if (withRegistry) mutateWords(choices, buffer, REGISTRY, 64);

  const handle: Record<string, unknown> = { kind: opener.kind, buffer, byteOffset: RECORD, ...opener.more };
  if (withRegistry) handle['registryByteOffset'] = REGISTRY;
  const isOdd = choices.once(2);
  if (isOdd) {
    if (choices.once(6)) handle['kind'] = choices.once(2) ? choices.of(openers).kind : oddValues(choices);
    if (choices.once(6)) handle['buffer'] = oddBuffers(choices);
    if (choices.once(6)) handle['memory'] = oddBuffers(choices);
    if (choices.once(4)) handle['byteOffset'] = offset(choices);
    if (choices.once(4)) handle['registryByteOffset'] = offset(choices);
    for (const key of Object.keys(opener.more ?? {})) if (choices.once(4)) handle[key] = oddValues(choices);
  }
  const before = new Uint8Array(buffer).slice();
  const given: unknown = choices.once(40) ? oddValues(choices) : handle;
  let opened: unknown;
  try {
    opened = opener.open(given as never);
  } catch (error) {
    expectTyped(error);
    // What was refused was not touched, but for a sound registry's name.
    if (!withRegistry && opener.kind !== 'heddle.ThreadRegistry') expect(new Uint8Array(buffer).slice()).toEqual(before);
    return false;
  }
  try {
    opener.use(opened as never);
  } catch (error) {
    expectTyped(error);
  }
  // Elsewhere nothing has changed: where the handle said that the record is, with no registry beside it.
  if (!isOdd && !withRegistry) {
    const byteLength = opened instanceof ThreadRegistry ? ThreadRegistry.byteLength(opened.capacity) : opener.byteLength;
    expect(outside(new Uint8Array(buffer).slice(), RECORD, byteLength)).toBe(outside(before, RECORD, byteLength));
  }
  return true;
}

function expectTyped(error: unknown): void {
  if (!(error instanceof AtomicsError)) throw error;
}

describe('what opens handles and records', () => {
  test.each([
    { what: 'plain', openers: plainOpeners, cases: corpus },
    { what: 'richer', openers: richerOpeners, cases: richerCorpus },
  ])('refuses nonsense with typed errors, and harms nobody: $what', { timeout: 60_000 + COUNT }, ({ openers, cases }) => {
    const acceptedCount = fuzz({ seed: SEED, count: COUNT, corpus: cases, run: (choices) => runCase(choices, openers) });
    expect(acceptedCount).toBeGreaterThan(COUNT / 10);
    expect(acceptedCount).toBeLessThan((COUNT * 9) / 10);
  });

  test('refuses records of another version', () => {
    for (const [opener, words] of [
      [plainOpeners.find(({ kind }) => kind === 'heddle.ThreadRegistry')!, 2],
      [richerOpeners.find(({ kind }) => kind === 'heddle.LockOrder')!, 1],
    ] as const) {
      for (let word = 0; word < words; word += 1) {
        const buffer = new SharedArrayBuffer(BUFFER_BYTES);
        ThreadRegistry.create({ capacity: 4, location: { buffer, byteOffset: REGISTRY } });
        opener.create({ buffer, byteOffset: RECORD });
        const handle = { kind: opener.kind, buffer, byteOffset: RECORD };
        opener.open(handle as never);
        // The magic, and what says the version.
        new Uint32Array(buffer, RECORD)[word] += 1;
        expect(errorOf(() => opener.open(handle as never)).code, `${opener.kind}, word ${word}`).toBe('INVALID_RECORD');
      }
    }
  });
});
