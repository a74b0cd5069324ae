/** Waits with a time limit, of TypeScript and of Rust in Wasm, which has a clock and a way to sleep of its own. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { setMayBlock } from '../src/index.ts';
import { type Language, Side } from './support/Side.ts';
import { TIMED_WAITS, WAITS, WAIT_BYTE_LENGTH } from './support/waits.ts';
import { loadWasm } from './support/wasm.ts';

setMayBlock(false);

const LIMIT_MS = 15;
/** Longer than any machine takes. */
const LONG_MS = 600_000;

describe.each<[Language, Language]>([
  ['typescript', 'rust'],
  ['rust', 'typescript'],
  ['rust', 'rust'],
])('a thread of %s that waits for a while for one of %s', (first, second) => {
  let waiter: Side;
  let waker: Side;
  beforeAll(async () => {
    const program = await loadWasm();
    // The first instance copies the module's data.
    waiter = await Side.start(program, first);
    waker = await Side.start(program, second);
  }, 60_000);
  afterAll(() => Promise.all([waiter.kill(), waker.kill()]));

  test.each(TIMED_WAITS.map((kind) => [kind, WAITS[kind]]))('%i: gives %s up not too early, and takes what comes in time', async (kind) => {
    const at = await waker.allocate(WAIT_BYTE_LENGTH);
    await waker.do('wait_prepare', kind, at);
    expect(await waiter.do('wait_timed', kind, at, LIMIT_MS)).toBe(0);
    // Who gave up has left no trace.
    const waiting = waiter.do('wait_timed', kind, at, LONG_MS);
    await waiter.blocked();
    await waker.do('wait_wake', kind, at);
    expect(await waiting).toBe(1);
  });
});
