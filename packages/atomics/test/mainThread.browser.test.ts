/**
 * Rust on the main thread of a page, where the engine traps whoever blocks: it panics instead, says for what it would have waited, and goes
 * on. This test itself runs there.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ThreadRegistry } from '../src/index.ts';
import { Side } from './support/Side.ts';
import { errorOf } from './support/spawn.ts';
import { TEXT_BYTE_LENGTH, WAITS, WAIT_BYTE_LENGTH } from './support/waits.ts';
import { type Exports, type WasmProgram, instantiateWasm, loadWasm, textIn } from './support/wasm.ts';

/** What the panic calls it. */
const NAMES: Record<(typeof WAITS)[number], string> = {
  'a mutex': 'Mutex<u32> at 0x',
  'the turn to read': 'RwLock<u32> at 0x',
  'the turn to write': 'RwLock<u32> at 0x',
  'a condition': 'a condition variable at 0x',
  'a semaphore': 'a semaphore at 0x',
  'a barrier': 'a barrier at 0x',
  'a latch': 'a latch at 0x',
  'an event': 'an event at 0x',
  'a parker': 'a parker at 0x',
  'a once': 'a once at 0x',
  'a wait group': 'a wait group at 0x',
  'a once cell': 'a once at 0x',
};

describe('Rust on the main thread of a page', () => {
  let program: WasmProgram;
  let page: Exports;
  let worker: Side;
  beforeAll(async () => {
    program = await loadWasm();
    page = await instantiateWasm(program);
    const registry = ThreadRegistry.at({ memory: program.memory, byteOffset: page['__heddle_registry']() });
    const { slot, generation } = registry.enter();
    page['__heddle_enter'](slot, generation, 0);
    worker = await Side.start(program, 'typescript');
  }, 60_000);
  afterAll(() => worker.kill());

  test('is one that may not block', () => {
    expect(errorOf(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 0))).toBeInstanceOf(TypeError);
  });

  test.each(WAITS.map((name, kind) => [name, kind] as const))('panics instead of waiting for %s, and goes on', async (name, kind) => {
    const [at, textAt] = [page['allocate'](WAIT_BYTE_LENGTH), page['allocate'](TEXT_BYTE_LENGTH)];
    await worker.do('wait_prepare', kind, at);
    const message = textIn(program.memory, textAt, page['wait_caught'](kind, at, textAt));
    expect(message).toContain('this thread may not block');
    expect(message).toContain(NAMES[name]);
    expect(message).toContain('use an asynchronous form here');
    // What can be had at once is had, and nothing is poisoned.
    const woken = worker.do('wait_wake', kind, at);
    if (name === 'a barrier') await worker.blocked();
    else await woken;
    expect(page['wait_caught'](kind, at, textAt)).toBe(0);
    await woken;
  });
});
