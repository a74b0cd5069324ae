/**
 * Tasks of Rust where the engine has no `Atomics.waitAsync`, and helper workers stand in for it. In browsers: Node has always had it. Not in
 * Firefox, where `new Worker` in a worker may never return while the browser is driven or debugged, as it is here
 * (`canNestWorkers` in packages/thread/src/internal/platform/browser.ts).
 */
import { describe } from 'vitest';
import { setMayBlock } from '../src/index.ts';
import { WITHOUT_WAIT_ASYNC } from './support/engine.ts';
import { testTasks } from './support/tasks.ts';

setMayBlock(false);

describe.skipIf(navigator.userAgent.includes('Firefox'))(
  'not in Firefox, where a worker that starts one may hang while the browser is driven',
  () => {
    testTasks(WITHOUT_WAIT_ASYNC, 30_000);
  },
);
