/** Models of the reader-writer lock; RwLock.node.test.ts runs them. */
import type { Model, ModelThread } from '@heddle/tools/model';
import { AbortedError, type ReadToken, RwLock, TimeoutError, type WriteToken } from '../../src/index.ts';
import { enter, supervise, withRegistry } from './registry.ts';

// Behind the registry.
const LOCK = 512;
/** Two numbers that agree whenever nobody writes. */
const FIRST = 8;
const SECOND = 12;
/** How many read, and how many write. */
const READERS = 16;
const WRITERS = 20;
const BYTES = 1024;

const lockOf = ({ memory }: ModelThread): RwLock => new RwLock({ buffer: memory, byteOffset: LOCK });

/** Looks at what is guarded while others may look, too, and nobody may write. */
function look(thread: ModelThread): void {
  const words = new Int32Array(thread.memory);
  words[READERS >> 2] += 1;
  thread.assert(words[WRITERS >> 2] === 0, 'somebody writes while another reads');
  const first = words[FIRST >> 2];
  thread.step();
  thread.assert(words[SECOND >> 2] === first, 'what is guarded changed under a reader');
  words[READERS >> 2] -= 1;
}

/** Changes what is guarded, alone. */
function change(thread: ModelThread): void {
  const words = new Int32Array(thread.memory);
  thread.assert(words[WRITERS >> 2] === 0 && words[READERS >> 2] === 0, 'a writer is not alone');
  words[WRITERS >> 2] = 1;
  const first = words[FIRST >> 2];
  words[FIRST >> 2] = first + 1;
  thread.step();
  words[SECOND >> 2] = first + 1;
  words[WRITERS >> 2] = 0;
}

function read(thread: ModelThread): void {
  using _ = lockOf(thread).read();
  look(thread);
}

function write(thread: ModelThread): void {
  using _ = lockOf(thread).write();
  change(thread);
}

async function readAsync(thread: ModelThread): Promise<void> {
  using _ = await lockOf(thread).readAsync();
  look(thread);
}

async function writeAsync(thread: ModelThread): Promise<void> {
  using _ = await lockOf(thread).writeAsync();
  change(thread);
}

const unlessGivenUp = (error: unknown): void => {
  if (!(error instanceof TimeoutError) && !(error instanceof AbortedError)) throw error;
};

function readSoon(thread: ModelThread): void {
  try {
    using _ = lockOf(thread).read({ timeoutMs: 5 });
    look(thread);
  } catch (error) {
    unlessGivenUp(error);
  }
}

/** Asks to write, and changes its mind some time later. */
async function writeAborted(thread: ModelThread): Promise<void> {
  const controller = new AbortController();
  const writing = lockOf(thread)
    .writeAsync({ signal: controller.signal, timeoutMs: 5 })
    .then((token) => {
      change(thread);
      token.unlock();
    })
    .catch(unlessGivenUp);
  await thread.turn();
  controller.abort();
  await writing;
}

function downgrade(thread: ModelThread): void {
  const written = lockOf(thread).write();
  change(thread);
  using _ = written.downgrade();
  look(thread);
}

const checkFree = (memory: SharedArrayBuffer): void => {
  const lock = new RwLock({ buffer: memory, byteOffset: LOCK });
  if (lock.isRead || lock.isWritten) throw new Error('the lock is still taken');
};

const checkWritten =
  (times: number) =>
  (memory: SharedArrayBuffer): void => {
    checkFree(memory);
    const written = new Int32Array(memory)[FIRST >> 2];
    if (written !== times) throw new Error(`${times} wrote, and ${written} are counted`);
  };

export const one: Model = { byteLength: BYTES, threads: [read, write], check: checkWritten(1) };

export const readers: Model = { byteLength: BYTES, threads: [read, read, write], check: checkWritten(1) };

export const writers: Model = { byteLength: BYTES, threads: [write, write, read], check: checkWritten(2) };

export const asynchronous: Model = { byteLength: BYTES, threads: [readAsync, writeAsync, read, write], check: checkWritten(2) };

export const downgraded: Model = { byteLength: BYTES, threads: [downgrade, read, write], check: checkWritten(2) };

export const cancelled: Model = { byteLength: BYTES, threads: [readSoon, writeAborted, write, read], check: checkFree };

const registered =
  (body: (thread: ModelThread) => void | Promise<void>) =>
  (thread: ModelThread): void | Promise<void> => {
    enter(thread);
    return body(thread);
  };

/** The same with threads that are known by name. */
export const seated: Model = {
  byteLength: BYTES,
  ...withRegistry(3),
  threads: [registered(read), registered(read), registered(write)],
  check: checkWritten(1),
};

/** After a death: what the dead was about is made good by whoever is told. */
function mend(thread: ModelThread, token: ReadToken | WriteToken): void {
  if (!token.poisoned) return;
  const words = new Int32Array(thread.memory);
  words[WRITERS >> 2] = 0;
  words[SECOND >> 2] = words[FIRST >> 2];
}

function writeAfterDeath(thread: ModelThread): void {
  using token = lockOf(thread).write({ acceptPoisoned: true });
  // A reader may have died, too: it only looked.
  new Int32Array(thread.memory)[READERS >> 2] = 0;
  mend(thread, token);
  change(thread);
}

async function writeAfterDeathAsync(thread: ModelThread): Promise<void> {
  using token = await lockOf(thread).writeAsync({ acceptPoisoned: true });
  new Int32Array(thread.memory)[READERS >> 2] = 0;
  mend(thread, token);
  change(thread);
}

/** A reader dies anywhere: the writers get in all the same. */
export const deathOfReader: Model = {
  byteLength: BYTES,
  ...withRegistry(4),
  threads: [supervise, registered(read), registered(writeAfterDeath), registered(writeAfterDeath)],
  mortals: [1],
};

/** A writer dies anywhere: the others get in, and are told if it may have written. */
export const deathOfWriter: Model = {
  byteLength: BYTES,
  ...withRegistry(4),
  threads: [supervise, registered(writeAfterDeath), registered(writeAfterDeath), registered(writeAfterDeath)],
  mortals: [1],
};

export const deathAsync: Model = {
  byteLength: BYTES,
  ...withRegistry(4),
  threads: [supervise, registered(writeAfterDeathAsync), registered(writeAfterDeathAsync), registered(writeAfterDeath)],
  mortals: [1, 2],
};
