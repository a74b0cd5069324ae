/** The thread registry of the models: thread n is in slot n + 1. */
import type { Model, ModelThread } from '@heddle/tools/model';
import { ThreadRegistry } from '../../src/index.ts';
import { REGISTRY_HEADER_ID_OFFSET } from '../../src/internal/layout.ts';

/** Where the registry is. */
export const REGISTRY = 64;

// Registries are kept by their ids, and one execution must not find that of another.
let idLast = 0;

/** What makes a registry for a model of so many threads. */
export function withRegistry(threadCount: number): Pick<Model, 'setUp' | 'beforeEach'> {
  return {
    setUp: (memory) => {
      const registry = ThreadRegistry.create({ capacity: threadCount, location: { buffer: memory, byteOffset: REGISTRY } });
      for (let i = 0; i < threadCount; i += 1) registry.allocate();
    },
    beforeEach: (memory) => {
      idLast += 1;
      new Int32Array(memory)[(REGISTRY + REGISTRY_HEADER_ID_OFFSET) >> 2] = idLast;
    },
  };
}

/** Makes a thread known to the locks. */
export function enter(thread: ModelThread): ThreadRegistry {
  const registry = ThreadRegistry.at({ buffer: thread.memory, byteOffset: REGISTRY });
  registry.enter({ slot: thread.index + 1, generation: 1 });
  return registry;
}

/** What a supervisor does: it reaps who has died. */
export function supervise(thread: ModelThread): void {
  const registry = enter(thread);
  for (let dead = thread.awaitDeath(); dead !== -1; dead = thread.awaitDeath()) registry.reap(dead + 1);
}
