/** Models of the registry itself; ThreadRegistry.node.test.ts runs them. */
import type { Model, ModelThread } from '@heddle/tools/model';
import { ThreadRegistry } from '../../src/index.ts';
import {
  LIFE_DEAD,
  LIFE_STATE_MASK,
  OWNER_GENERATION_SHIFT,
  REGISTRY_HEADER_SIZE,
  REGISTRY_SLOT_LIFE_OFFSET,
  REGISTRY_SLOT_SIZE,
  REGISTRY_SLOT_WAITING_ON_OFFSET,
  WAITING_ON_SEQUENCE,
} from '../../src/internal/layout.ts';
import { REGISTRY, withRegistry } from './registry.ts';

/** The slots of the threads: the dead one has no thread, and the newcomer's is the one that the dead one had. */
const REAPER = 1;
const NEXT_REAPER = 2;
const DEAD = 3;
/** What the dead one waited on, and the newcomer waits on. */
const ADDRESS = 8 | WAITING_ON_SEQUENCE;
/** Whether the newcomer found the slot free. */
const CAME = 16 >> 2;

const wordOf = (slot: number, offset: number): number => (REGISTRY + REGISTRY_HEADER_SIZE + (slot - 1) * REGISTRY_SLOT_SIZE + offset) >> 2;
const LIFE = wordOf(DEAD, REGISTRY_SLOT_LIFE_OFFSET);
const WAITING_ON = wordOf(DEAD, REGISTRY_SLOT_WAITING_ON_OFFSET);
const wordsOf = (memory: SharedArrayBuffer): Int32Array => new Int32Array(memory);

/** A thread that nobody has declared dead yet has the token of slot 3, and has waited. */
const registry = withRegistry(3);

const reap =
  (slot: number, dead: number) =>
  (thread: ModelThread): void => {
    const own = ThreadRegistry.at({ buffer: thread.memory, byteOffset: REGISTRY });
    own.enter({ slot, generation: 1 });
    own.reap({ slot: dead, generation: 1 });
  };

/** Takes the slot of the dead if it is free, and waits on what the dead one waited on. */
function come(thread: ModelThread): void {
  const words = wordsOf(thread.memory);
  const life = Atomics.load(words, LIFE);
  if ((life & LIFE_STATE_MASK) !== 0) return;
  const own = ThreadRegistry.at({ buffer: thread.memory, byteOffset: REGISTRY });
  const generation = (life >>> OWNER_GENERATION_SHIFT) + 1;
  // As `allocate` does it, of which another slot might come as well.
  if (Atomics.compareExchange(words, LIFE, life, (generation << OWNER_GENERATION_SHIFT) | 1) !== life) return;
  own.enter({ slot: DEAD, generation });
  own.beginWait(ADDRESS);
  words[CAME] = 1;
}

/**
 * A reaper that was slow – so slow that it was taken for dead, and another took over – cleared what the dead thread had waited on
 * after the slot was given to a newcomer that waited on the same word: nobody knew any more who waits.
 */
export const slowReaper: Model = {
  byteLength: 1024,
  ...registry,
  setUp: (memory) => {
    registry.setUp?.(memory);
    const owner = ThreadRegistry.at({ buffer: memory, byteOffset: REGISTRY });
    owner.enter({ slot: DEAD, generation: 1 });
    owner.beginWait(ADDRESS);
  },
  threads: [reap(REAPER, DEAD), reap(NEXT_REAPER, REAPER), come],
  check: (memory) => {
    const words = wordsOf(memory);
    if ((words[LIFE] & LIFE_STATE_MASK) === LIFE_DEAD) throw new Error('the slot of the dead is not free');
    const isThere = words[WAITING_ON] === ADDRESS;
    if (isThere !== (words[CAME] === 1)) throw new Error(isThere ? 'the dead one still waits' : 'nobody knows that the newcomer waits');
  },
};
