/**
 * What a thread of a registry blocks on, for whoever lists the threads. A human reads it, and the wait may be over by then: nothing may be
 * decided by it.
 */
import {
  OWNER_GENERATION_MASK,
  OWNER_GENERATION_SHIFT,
  OWNER_SLOT_MASK,
  REGISTRY_HEADER_SIZE,
  REGISTRY_SLOT_SIZE,
  REGISTRY_SLOT_WAITING_FOR_OFFSET,
  REGISTRY_SLOT_WAITING_ON_OFFSET,
  WAITING_FOR_BARRIER,
  WAITING_FOR_CHANNEL,
  WAITING_FOR_CONDVAR,
  WAITING_FOR_EVENT,
  WAITING_FOR_LATCH,
  WAITING_FOR_MUTEX,
  WAITING_FOR_ONCE,
  WAITING_FOR_PARKER,
  WAITING_FOR_RW_LOCK,
  WAITING_FOR_SEMAPHORE,
  WAITING_FOR_WAIT_GROUP,
  WAITING_KIND_MASK,
  WAITING_ON_MUTEX,
  WAITING_ON_OWNER,
} from './layout.ts';

/** What is waited for; `word` where nobody has said. */
export type BlockingWaitKind =
  | 'mutex'
  | 'rw-lock'
  | 'condition'
  | 'semaphore'
  | 'once'
  | 'barrier'
  | 'latch'
  | 'wait-group'
  | 'event'
  | 'parker'
  | 'channel'
  | 'word';

/** A wait that blocks a thread. */
export interface BlockingWait {
  readonly kind: BlockingWaitKind;
  /** Byte address of the word that the thread sleeps on: a mutex's own, a word inside of other records. */
  readonly address: number;
  /** Slot and generation of whoever holds it, of a mutex or of what is done once. */
  readonly owner: { readonly slot: number; readonly generation: number } | undefined;
}

const KINDS: ReadonlyMap<number, BlockingWaitKind> = new Map([
  [WAITING_FOR_MUTEX, 'mutex'],
  [WAITING_FOR_RW_LOCK, 'rw-lock'],
  [WAITING_FOR_CONDVAR, 'condition'],
  [WAITING_FOR_SEMAPHORE, 'semaphore'],
  [WAITING_FOR_ONCE, 'once'],
  [WAITING_FOR_BARRIER, 'barrier'],
  [WAITING_FOR_LATCH, 'latch'],
  [WAITING_FOR_WAIT_GROUP, 'wait-group'],
  [WAITING_FOR_EVENT, 'event'],
  [WAITING_FOR_PARKER, 'parker'],
  [WAITING_FOR_CHANNEL, 'channel'],
]);

/** What a wait with a WAITING_FOR_ constant is for; a `word` for any other number. */
export function blockingWaitKind(purpose: number): BlockingWaitKind {
  return KINDS.get(purpose) ?? 'word';
}

/**
 * What the thread in `slot` blocks on; undefined where it doesn't.
 *
 * @param words the memory from its first byte
 * @param registry byte address of the registry in it
 */
export function blockingWaitOf(words: Int32Array, registry: number, slot: number): BlockingWait | undefined {
  const record = registry + REGISTRY_HEADER_SIZE + (slot - 1) * REGISTRY_SLOT_SIZE;
  const waitingOn = Atomics.load(words, (record + REGISTRY_SLOT_WAITING_ON_OFFSET) >>> 2) >>> 0;
  if (waitingOn === 0) return undefined;
  const purpose = Atomics.load(words, (record + REGISTRY_SLOT_WAITING_FOR_OFFSET) >>> 2);
  const owned = waitingOn & WAITING_KIND_MASK;
  const address = (waitingOn & ~WAITING_KIND_MASK) >>> 0;
  const kind = blockingWaitKind(purpose);
  const hasOwner = owned === WAITING_ON_MUTEX || owned === WAITING_ON_OWNER;
  const word = hasOwner && address >>> 2 < words.length ? Atomics.load(words, address >>> 2) : 0;
  const owner = word & OWNER_SLOT_MASK;
  const generation = (word & OWNER_GENERATION_MASK) >>> OWNER_GENERATION_SHIFT;
  return { kind, address, owner: owner === 0 ? undefined : { slot: owner, generation } };
}
