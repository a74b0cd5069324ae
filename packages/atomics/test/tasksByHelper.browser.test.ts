/**
 * Tasks of Rust where the engine has no `Atomics.waitAsync`, and helper workers stand in for it. In browsers: Node has always had it.
 */
import { setMayBlock } from '../src/index.ts';
import { WITHOUT_WAIT_ASYNC } from './support/engine.ts';
import { testTasks } from './support/tasks.ts';

setMayBlock(false);

testTasks(WITHOUT_WAIT_ASYNC, 30_000);
