/** What a thread tells of the waits that block it, where somebody listens. The thread is this one, which a browser's main thread can't be. */
import { afterEach, expect, test } from 'vitest';
import { AtomicI32, Condition, Event, Mutex, RwLock, ThreadRegistry, TimeoutError } from '../src/index.ts';
import { agentOf, block, blockingWaitKind, blockingWaitOf, setOwnWaits } from '../src/internal/index.ts';

afterEach(() => setOwnWaits(undefined));

/** The time that a wait here has: over soon, as nothing ends the wait. */
const TIMEOUT_MS = 5;
/** How often a wait is made whose time is over before this thread sleeps, as that of a thread that had to wait for its processor may be. */
const ATTEMPTS_MAX = 100;

/** The waits that `wait` makes until its time runs out, with their memory. */
function waitsOf(wait: (timeoutMs: number) => unknown): { begun: string[]; buffers: ArrayBufferLike[]; endedCount: number } {
  const noted = { begun: [] as string[], buffers: [] as ArrayBufferLike[], endedCount: 0 };
  setOwnWaits({
    begin(purpose, buffer) {
      noted.begun.push(blockingWaitKind(purpose));
      noted.buffers.push(buffer);
    },
    end() {
      noted.endedCount += 1;
    },
  });
  for (let attempt = 0; attempt < ATTEMPTS_MAX && noted.begun.length === 0; attempt += 1) {
    expect(() => {
      if (wait(TIMEOUT_MS) === 'timed-out') throw new TimeoutError('waiting', TIMEOUT_MS);
    }).toThrow(TimeoutError);
  }
  return noted;
}

test('each wait is told before it begins, and that it is over, also where its time ran out', () => {
  const event = Event.create();
  const { begun, buffers, endedCount } = waitsOf((timeoutMs) => event.wait({ timeoutMs }));
  expect(new Set(begun)).toEqual(new Set(['event']));
  expect(new Set(buffers)).toEqual(new Set([event.handle().buffer]));
  expect(endedCount).toBe(begun.length);
});

test('a writer that waits for readers, and a wait for a condition, are told by what they are for, and a cell by its word', () => {
  const lock = new RwLock();
  using reading = lock.read();
  expect(waitsOf((timeoutMs) => lock.write({ timeoutMs })).begun).toContain('rw-lock');
  expect(reading).toBeDefined();
  const mutex = new Mutex();
  using token = mutex.lock();
  const condition = new Condition();
  const waitForNothing = (timeoutMs: number): string => (condition.waitFor(token, timeoutMs) ? 'ok' : 'timed-out');
  expect(waitsOf(waitForNothing).begun).toContain('condition');
  const cell = new AtomicI32();
  expect(waitsOf((timeoutMs) => cell.wait(0, { timeoutMs })).begun).toEqual(['word']);
});

test('where nobody listens, a wait is as long', () => {
  expect(() => Event.create().wait({ timeoutMs: 1 })).toThrow(TimeoutError);
});

/**
 * A select looks at its channels once more when the registry knows of its wait, and may have to wait for the lock of one. That wait, over, took
 * out what was known of the select's, so that it slept on where nobody would tell it of a death.
 */
test('a wait before which its thread has waited for something else is still known', () => {
  const registrySize = ThreadRegistry.byteLength(2);
  const buffer = new SharedArrayBuffer(registrySize + 64);
  const registry = ThreadRegistry.create({ capacity: 2, location: { buffer } });
  const { slot } = registry.enter();
  const [words, lock, events] = [new Int32Array(buffer), registrySize >> 2, (registrySize >> 2) + 1];
  const known: (number | undefined)[] = [];
  setOwnWaits({ begin: () => void known.push(blockingWaitOf(words, 0, slot)?.address), end: () => {} });
  let looks = 0;
  const look = (): boolean => {
    looks += 1;
    if (looks === 1) block(words, lock, 0, TIMEOUT_MS, agentOf(buffer), 0, 'locking');
    return true;
  };
  expect(block(words, events, 0, TIMEOUT_MS, agentOf(buffer), 0, 'waiting', look)).toBe('timed-out');
  expect(known).toEqual([lock * 4, events * 4]);
  expect(looks).toBe(2);
  expect(blockingWaitOf(words, 0, slot)).toBeUndefined();
  registry.leave();
});
