/** A runtime's threads as they are seen from outside: what each waits for, what it does, its track in the performance panel. */
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { type ThreadEvent, type ThreadStatus, WasmRuntime, type WasmThread } from '../src/index.ts';
import { modules } from './modules.ts';

let runtime: WasmRuntime;

beforeAll(async () => {
  runtime = await WasmRuntime.start({ ...modules.threadTesting, threads: 3, maxThreads: 6, isTraced: true });
});

afterAll(() => runtime.close());

const turn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 1));

/** Looks at the threads until one is as wanted. */
async function threadThat(isWanted: (status: ThreadStatus) => boolean): Promise<ThreadStatus> {
  for (;;) {
    const found = runtime.threads().find(isWanted);
    if (found) return found;
    await turn();
  }
}

async function newGate(): Promise<{ address: number; open: () => void }> {
  const address = Number(await runtime.spawn('new_word', 0).join());
  const words = new Int32Array(runtime.memory.buffer);
  const open = (): void => {
    Atomics.store(words, address >>> 2, 1);
    Atomics.notify(words, address >>> 2);
  };
  return { address, open };
}

const KINDS = [
  'park',
  'join',
  'sleep',
  'scope',
  'mutex',
  'rw-lock',
  'condition',
  'semaphore',
  'once',
  'barrier',
  'latch',
  'wait-group',
  'event',
  'parker',
  'channel',
  'channel',
];

describe('the list of threads', () => {
  test.each([...KINDS.entries()])('tells what thread %i waits for: %s', async (number, kind) => {
    const gate = await newGate();
    const thread = runtime.spawnWith({ name: 'waiter' }, 'wait_for', number, gate.address);
    const { waitsFor } = await threadThat(({ threadId, waitsFor: wait }) => threadId === thread.id && wait?.kind === kind);
    const nameOf = (id: number | undefined): string | undefined => runtime.threads().find(({ threadId }) => threadId === id)?.name;
    if (waitsFor?.kind === 'join') {
      // It may still be on its way to a worker.
      while (nameOf(waitsFor.threadId) === undefined) await turn();
      expect(nameOf(waitsFor.threadId)).toBe('helper');
    }
    if (waitsFor && 'ownerId' in waitsFor) {
      expect(nameOf(waitsFor.ownerId)).toBe(kind === 'mutex' || kind === 'once' ? 'helper' : undefined);
      expect(waitsFor.address).toBeGreaterThan(0);
    }
    gate.open();
    const address = Number(await thread.join()) >>> 0;
    if (address !== 0) expect(waitsFor).toMatchObject({ address });
  });

  test('tells of a thread whose future waits', async () => {
    const own = await WasmRuntime.start({ ...modules.threadTesting, threads: 1 });
    onTestFinished(() => own.close({ graceMs: 0 }));
    await own.spawn('leave_a_future_waiting').join();
    const waiting = (): ThreadStatus | undefined => own.threads().find(({ waitsFor }) => waitsFor?.kind === 'event-loop');
    while (!waiting()) await turn();
    expect(waiting()).toMatchObject({ name: 'heald', state: 'running' });
  });

  test('tells nothing of a wait that nobody has noted', async () => {
    const gate = await newGate();
    const thread = runtime.spawn('wait_while', gate.address, 0);
    const status = await threadThat(({ threadId }) => threadId === thread.id);
    expect(status).toMatchObject({ state: 'running', waitsFor: undefined });
    gate.open();
    await thread.join();
  });
});

describe('an observer', () => {
  /** What is told of a thread and of those that it spawned, until it has ended. */
  async function eventsOf(spawn: () => WasmThread): Promise<ThreadEvent[]> {
    const events: ThreadEvent[] = [];
    const observer = runtime.observe((event) => events.push(event));
    const thread = spawn();
    await thread.join().catch(() => undefined);
    const isEnd = ({ threadId, type }: ThreadEvent): boolean => threadId === thread.id && !['spawned', 'started'].includes(type);
    while (!events.some(isEnd)) await turn();
    observer[Symbol.dispose]();
    return events;
  }

  test('is told who spawned whom, when a worker began, and when it ended', async () => {
    const beforeMs = performance.now();
    const events = await eventsOf(() => runtime.spawnWith({ name: 'nester' }, 'nest', 1));
    const outer = events.filter(({ name }) => name === 'nester');
    expect(outer.map(({ type }) => type)).toEqual(['spawned', 'started', 'ended']);
    const inner = events.filter(({ threadId }) => threadId !== outer[0]?.threadId);
    expect(inner.map(({ type }) => type)).toEqual(['spawned', 'started', 'ended']);
    expect(inner[0]).toMatchObject({ spawnerId: outer[0]?.threadId, worker: undefined });
    expect(outer[0]?.spawnerId).toBeUndefined();
    expect(inner[1]?.worker).not.toBe(outer[1]?.worker);
    // Browsers coarsen their clocks, each worker's by itself.
    for (const { timeMs } of events) expect(timeMs).toBeGreaterThan(beforeMs - 50);
  });

  test('is told of a trap and of threads that are futures', async () => {
    expect((await eventsOf(() => runtime.spawn('trap_now'))).at(-1)).toMatchObject({ type: 'trapped', name: 'trap_now' });
    const names = (await eventsOf(() => runtime.spawn('await_timers'))).map(({ type, name }) => `${name} ${type}`);
    expect(names).toEqual(expect.arrayContaining(['beam spawned', 'beam started', 'beam ended']));
  });

  test('is told how many events it has missed, and goes on', async () => {
    const events: ThreadEvent[] = [];
    const observer = runtime.observe((event) => events.push(event));
    const thread = runtime.spawn('spawn_join', 1600);
    // No event loop: nothing is told meanwhile.
    while (!thread.isFinished);
    expect(await thread.join()).toBe(1_280_800);
    while (!events.some(({ type, threadId }) => type === 'ended' && threadId === thread.id)) await turn();
    observer[Symbol.dispose]();
    const missed = events.reduce((sum, { missedCount }) => sum + missedCount, 0);
    expect(missed).toBeGreaterThan(0);
    // Three of each thread, and of the one that spawned them.
    const told = events.filter(({ type }) => type !== 'missed').length;
    expect(told + missed).toBe(3 * 1601);
  });

  test('is refused where no note is kept', async () => {
    const own = await WasmRuntime.start({ ...modules.threadTesting, threads: 1 });
    onTestFinished(() => own.close());
    expect(() => own.observe(() => {})).toThrow(expect.objectContaining({ code: 'NOT_TRACED' }));
  });

  test('is told of a worker that was terminated, before its runtime has closed', async () => {
    const own = await WasmRuntime.start({ ...modules.threadTesting, threads: 1, isTraced: true });
    const events: ThreadEvent[] = [];
    own.observe((event) => events.push(event));
    const word = Number(await own.spawn('new_word', 0).join());
    const stuck = own.spawnWith({ name: 'stuck' }, 'wait_while', word, 0);
    while (!events.some(({ type, threadId }) => type === 'started' && threadId === stuck.id)) await turn();
    await own.close({ graceMs: 0 });
    await expect(stuck.join()).rejects.toMatchObject({ code: 'THREAD_TERMINATED' });
    while (!events.some(({ type }) => type === 'terminated')) await turn();
    expect(events.at(-1)).toMatchObject({ type: 'terminated', name: 'stuck', worker: 0 });
  });
});

test('each thread is a measure on the track of its worker', async () => {
  performance.clearMeasures();
  const measuring = runtime.measure({ group: 'Loom' });
  await runtime.spawnWith({ name: 'shuttle' }, 'spin_ms', 5).join();
  const measures = (): PerformanceEntryList => performance.getEntriesByName('shuttle', 'measure');
  while (measures().length === 0) await turn();
  measuring[Symbol.dispose]();
  const [measure] = measures() as PerformanceMeasure[];
  const devtools = { dataType: 'track-entry', trackGroup: 'Loom', track: expect.stringMatching(/^worker \d+$/) as string };
  expect(measure?.detail).toMatchObject({ devtools });
  performance.clearMeasures();
});
