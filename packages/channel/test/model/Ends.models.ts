/** Models of the counts of ends; Ends.node.test.ts runs them. They use the counts alone, so that every schedule can be looked at. */
import { ThreadRegistry } from '@heddle/atomics';
import type { Model, ModelThread } from '@heddle/tools/model';
import { channel, channelByteLength } from '../../src/index.ts';
import { Ends } from '../../src/internal/Ends.ts';
import {
  CHANNEL_HEADER_ENDS_OFFSET,
  CHANNEL_HEADER_SENDERS_OFFSET,
  END_COUNTS,
  END_COUNT_MAX,
  END_SENDERS_SHIFT,
} from '../../src/internal/layout.ts';
import { openRecord } from '../../src/internal/record.ts';

/** Set once a thread has an end of its own. */
const HAS_END = 0;
/** How many found a side without ends. */
const FOUND = 1;
const REGISTRY = 64;
const REGISTRY_ID = (REGISTRY + 12) >> 2;
const CHANNEL = 1024;
const RING_BYTES = 64;
const BYTES = CHANNEL + channelByteLength(RING_BYTES);
const SENDERS = (CHANNEL + CHANNEL_HEADER_SENDERS_OFFSET) >> 2;

const wordsOf = (memory: SharedArrayBuffer): Int32Array => new Int32Array(memory);
const entriesOf = (memory: SharedArrayBuffer): BigUint64Array =>
  new BigUint64Array(memory, CHANNEL + CHANNEL_HEADER_ENDS_OFFSET, END_COUNTS);
const endsOf = ({ memory }: ModelThread): Ends => new Ends(openRecord({ buffer: memory, byteOffset: CHANNEL }));

/** The entry of the thread with that index, with one sending end. */
const entryWithSender = (index: number): bigint => BigInt(((1 << 12) | (index + 1)) >>> 0) | (1n << BigInt(END_SENDERS_SHIFT));

// Registries are kept by their ids, and one execution must not find that of another.
let registryIdLast = 0;

/** A registry of so many threads, and a channel with one end of each side that is no thread's; `change` changes it. */
const withEnds = (threadCount: number, change: (memory: SharedArrayBuffer) => void = () => {}): Pick<Model, 'setUp' | 'beforeEach'> => ({
  setUp: (buffer) => {
    channel({ ringByteLength: RING_BYTES, location: { buffer, byteOffset: CHANNEL } });
    const registry = ThreadRegistry.create({ capacity: threadCount, location: { buffer, byteOffset: REGISTRY } });
    for (let i = 0; i < threadCount; i += 1) registry.allocate();
    change(buffer);
  },
  beforeEach: (memory) => {
    registryIdLast += 1;
    wordsOf(memory)[REGISTRY_ID] = registryIdLast;
  },
});

function enter(thread: ModelThread): ThreadRegistry {
  const registry = ThreadRegistry.at({ buffer: thread.memory, byteOffset: REGISTRY });
  registry.enter({ slot: thread.index + 1, generation: 1 });
  return registry;
}

/** The thread that has the one sender, in the second entry, so that whoever counts looks at the first one, too. It does nothing. */
const OWNER = 4;

function ownSender(memory: SharedArrayBuffer): void {
  wordsOf(memory)[SENDERS] = 0;
  entriesOf(memory)[1] = entryWithSender(OWNER);
}

/** One that was dead from the beginning, with a sender in the first entry. */
const DEAD = 3;

function leaveSender(buffer: SharedArrayBuffer): void {
  ownSender(buffer);
  entriesOf(buffer)[0] = entryWithSender(DEAD);
  ThreadRegistry.at({ buffer, byteOffset: REGISTRY }).reap(DEAD + 1);
}

function looks(thread: ModelThread): void {
  enter(thread);
  thread.assert(!endsOf(thread).isDeserted(), 'a channel with ends is taken for one without');
}

/** Opens a sender, and keeps it. */
function comes(thread: ModelThread): void {
  enter(thread);
  endsOf(thread).add('sender');
}

const senderCountOf = (memory: SharedArrayBuffer, index: number): number => {
  const token = Number(entryWithSender(index) & 0xffff_ffffn);
  const own = entriesOf(memory).find((entry) => Number(entry & 0xffff_ffffn) === token) ?? 0n;
  return Number(own >> BigInt(END_SENDERS_SHIFT)) & END_COUNT_MAX;
};

function checkBoth(memory: SharedArrayBuffer): void {
  const counts = [senderCountOf(memory, 0), senderCountOf(memory, OWNER)];
  if (counts.some((count) => count !== 1)) throw new Error(`of one sender each are counted: ${counts.join(' and ')}`);
}

/** Two find the entry of a dead thread while another takes it: it must keep its end. */
export const entryOfTheDead: Model = {
  byteLength: BYTES,
  ...withEnds(5, leaveSender),
  threads: [comes, looks, looks],
  check: checkBoth,
};

/** The same while the thread dies, at any step of coming and going, and its supervisor says so. */
export const deathOfAnEnd: Model = {
  byteLength: BYTES,
  ...withEnds(5, ownSender),
  threads: [
    comes,
    (thread) => {
      enter(thread);
      const ends = endsOf(thread);
      const counted = ends.add('sender');
      thread.assert(!ends.remove('sender', counted), 'the last sender of two');
    },
    looks,
    (thread) => {
      const registry = enter(thread);
      for (let dead = thread.awaitDeath(); dead !== -1; dead = thread.awaitDeath()) registry.reap(dead + 1);
      thread.assert(!endsOf(thread).isDeserted(), 'a channel with ends is taken for one without');
    },
  ],
  mortals: [1],
  check: checkBoth,
};

/** A sender that is counted in one place opens another, in another place, and goes: at any time there is one. */
export const handedOver: Model = {
  byteLength: BYTES,
  ...withEnds(3, (memory) => {
    wordsOf(memory)[SENDERS] = 0;
    entriesOf(memory)[0] = entryWithSender(0);
  }),
  threads: [
    (thread) => {
      enter(thread);
      while (Atomics.load(wordsOf(thread.memory), HAS_END) === 0) thread.yield();
      const token = Number(entryWithSender(0) & 0xffff_ffffn);
      thread.assert(!endsOf(thread).remove('sender', token), 'the last sender of two');
    },
    // Outside the registry.
    (thread) => {
      endsOf(thread).add('sender');
      Atomics.store(wordsOf(thread.memory), HAS_END, 1);
    },
    looks,
  ],
};

const found = ({ memory }: ModelThread): void => void Atomics.add(wordsOf(memory), FOUND, 1);

/** All senders go at the same time, one of them by dying: somebody finds that none is left. */
export const lastOneOut: Model = {
  byteLength: BYTES,
  ...withEnds(4, (memory) => {
    entriesOf(memory)[0] = entryWithSender(1);
    entriesOf(memory)[1] = entryWithSender(2);
  }),
  threads: [
    // Outside the registry, which it knows.
    (thread) => {
      ThreadRegistry.at({ buffer: thread.memory, byteOffset: REGISTRY });
      if (endsOf(thread).remove('sender', undefined)) found(thread);
    },
    (thread) => {
      enter(thread);
      if (endsOf(thread).remove('sender', Number(entryWithSender(1) & 0xffff_ffffn))) found(thread);
    },
    (thread) => {
      enter(thread);
      if (endsOf(thread).remove('sender', Number(entryWithSender(2) & 0xffff_ffffn))) found(thread);
    },
    (thread) => {
      const registry = enter(thread);
      for (let dead = thread.awaitDeath(); dead !== -1; dead = thread.awaitDeath()) {
        registry.reap(dead + 1);
        // As who slept, and was told of the death.
        if (endsOf(thread).isDeserted()) found(thread);
      }
    },
  ],
  mortals: [2],
  check: (memory) => {
    if (wordsOf(memory)[FOUND] === 0) throw new Error('nobody found that no sender is left');
  },
};
