/**
 * A browser's main thread may not block. Node's may, so there it is made to behave: whatever of this package blocks the thread
 * that runs the test fails it.
 */
import { isNode } from './host.ts';

if (isNode) {
  Atomics.wait = () => {
    throw new Error('the main thread must not block');
  };
}
