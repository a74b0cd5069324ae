/**
 * Tasks of Rust where the engine has no `Atomics.waitAsync`, and helper workers stand in for it. In browsers: Node has always had it. Not in
 * Firefox, where the first of them hangs in one of five runs of the whole suite, and those behind it with it, though never by itself: why is
 * not known.
 */
import { describe } from 'vitest';
import { setMayBlock } from '../src/index.ts';
import { WITHOUT_WAIT_ASYNC } from './support/engine.ts';
import { testTasks } from './support/tasks.ts';

setMayBlock(false);

describe.skipIf(navigator.userAgent.includes('Firefox'))('not in Firefox, where they hang now and then behind other files', () => {
  testTasks(WITHOUT_WAIT_ASYNC, 30_000);
});
