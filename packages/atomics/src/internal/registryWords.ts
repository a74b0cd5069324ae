/** Where things are in a registry's record, as indices of its words; ThreadRegistry.ts tells what they are. */
import {
  LIFE_LIVE,
  OWNER_GENERATION_MASK,
  OWNER_GENERATION_SHIFT,
  OWNER_SLOT_MASK,
  REGISTRY_HEADER_CAPACITY_OFFSET,
  REGISTRY_HEADER_DEATHS_OFFSET,
  REGISTRY_HEADER_ID_OFFSET,
  REGISTRY_HEADER_MAGIC_OFFSET,
  REGISTRY_HEADER_NEXT_OFFSET,
  REGISTRY_HEADER_REAPING_OFFSET,
  REGISTRY_HEADER_SIZE,
  REGISTRY_HEADER_VERSION_OFFSET,
  REGISTRY_SLOT_LIFE_OFFSET,
  REGISTRY_SLOT_SIZE,
  REGISTRY_SLOT_WAITING_FOR_OFFSET,
  REGISTRY_SLOT_WAITING_ON_OFFSET,
  SLOT_UNREGISTERED,
  WAITING_GENERATION_SHIFT,
} from './layout.ts';

const wordOf = (byteOffset: number): number => byteOffset >> 2;
export const MAGIC: number = wordOf(REGISTRY_HEADER_MAGIC_OFFSET);
export const VERSION: number = wordOf(REGISTRY_HEADER_VERSION_OFFSET);
export const CAPACITY: number = wordOf(REGISTRY_HEADER_CAPACITY_OFFSET);
export const ID: number = wordOf(REGISTRY_HEADER_ID_OFFSET);
export const REAPING: number = wordOf(REGISTRY_HEADER_REAPING_OFFSET);
export const DEATHS: number = wordOf(REGISTRY_HEADER_DEATHS_OFFSET);
export const NEXT: number = wordOf(REGISTRY_HEADER_NEXT_OFFSET);

/** The index of a slot's life word. */
export const lifeOf = (slot: number): number => wordOf(REGISTRY_HEADER_SIZE + (slot - 1) * REGISTRY_SLOT_SIZE + REGISTRY_SLOT_LIFE_OFFSET);
/** The index of what a slot's wait is for. */
export const waitingForOf = (slot: number): number =>
  wordOf(REGISTRY_HEADER_SIZE + (slot - 1) * REGISTRY_SLOT_SIZE + REGISTRY_SLOT_WAITING_FOR_OFFSET);
/** The index of the lower half of what a slot waits on: the address, which has 32 bits here. */
export const waitingOnOf = (slot: number): number =>
  wordOf(REGISTRY_HEADER_SIZE + (slot - 1) * REGISTRY_SLOT_SIZE + REGISTRY_SLOT_WAITING_ON_OFFSET);
/** The index of its upper half: the generation (invariant 7). */
export const waiterGenerationOf = (slot: number): number => waitingOnOf(slot) + 1;
/** The index of the two halves as one. */
export const wholeWaitingOnOf = (slot: number): number => waitingOnOf(slot) >> 1;

/** What stands above the address of a wait of this thread. */
export const waiterGeneration = (token: number): number => (token >>> OWNER_GENERATION_SHIFT) << (WAITING_GENERATION_SHIFT - 32);

/** The index of the word that somebody waits on, in the whole memory. */
export const wordIndexOf = (waitingOn: number): number => (waitingOn >>> 0) >>> 2;

/** Whether the thread that a token names is alive. Threads outside the registry always count as alive. */
export function isLiveIn(words: Int32Array, capacity: number, token: number): boolean {
  const slot = token & OWNER_SLOT_MASK;
  if (slot === SLOT_UNREGISTERED) return true;
  if (slot === 0 || slot > capacity) return false;
  return Atomics.load(words, lifeOf(slot)) === ((token & OWNER_GENERATION_MASK) | LIFE_LIVE);
}
