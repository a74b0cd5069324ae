/**
 * Tasks of Rust where the engine has no `Atomics.waitAsync`, and helper workers stand in for it. In browsers: Node has always had it. Not in
 * Firefox, where these threads hang behind those of other files in the same page, though not by themselves: why is not known.
 */
import { describe } from 'vitest';
import { setMayBlock } from '../src/index.ts';
import { WITHOUT_WAIT_ASYNC } from './support/engine.ts';
import { testTasks } from './support/tasks.ts';

setMayBlock(false);

describe.skipIf(navigator.userAgent.includes('Firefox'))('not in Firefox, where they hang behind other files', () => {
  testTasks(WITHOUT_WAIT_ASYNC, 30_000);
});
