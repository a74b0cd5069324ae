/** Models of the record of lock orders; LockOrder.node.test.ts runs them. */
import type { Model, ModelThread } from '@heddle/tools/model';
import { LockOrder, type LockOrderHandle, ThreadRegistry } from '../../src/index.ts';
import { REGISTRY, enter, withRegistry } from './registry.ts';

/** For each thread, 1 if it was told that its order is opposite to another, 2 if not. */
const TOLD = 0;
const ORDER = 512;

const { setUp, beforeEach } = withRegistry(3);
const registryOf = (memory: SharedArrayBuffer) => ThreadRegistry.at({ buffer: memory, byteOffset: REGISTRY });

/** So many threads, each of which takes one of as many locks while it holds the one before: a circle in all. */
function circle(count: number): Model {
  const take = (thread: ModelThread): void => {
    const handle = { kind: 'heddle.LockOrder', buffer: thread.memory, byteOffset: ORDER, registry: enter(thread).handle() };
    const [from, to] = [4 * thread.index, 4 * ((thread.index + 1) % count)];
    const back = LockOrder.from(handle as LockOrderHandle).add({ from, to, token: thread.index });
    new Int32Array(thread.memory)[(TOLD >> 2) + thread.index] = back === undefined ? 2 : 1;
  };
  return {
    byteLength: 1024,
    setUp: (memory) => {
      setUp!(memory);
      LockOrder.create(registryOf(memory), { capacity: count, location: { buffer: memory, byteOffset: ORDER } });
    },
    beforeEach: beforeEach!,
    threads: Array.from({ length: count }, () => take),
    check: (memory) => {
      if (!new Int32Array(memory, TOLD, count).includes(1)) throw new Error('nobody was told of the circle');
    },
  };
}

/** Two threads at once in opposite orders: each had looked for the other's before either had written its own. */
export const opposite: Model = circle(2);

export const three: Model = circle(3);
