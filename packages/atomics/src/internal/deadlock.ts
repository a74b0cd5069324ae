/**
 * Help with deadlocks, for development: who waits for whom, in words.
 *
 * Once detection is on, a registered thread that is about to block for a mutex, or for the turn to read or write, follows who holds it,
 * what that thread waits for, who holds that, and so on. If it meets itself the wait would never end, and it throws. Of the threads of a
 * circle at least the last to fall asleep sees it, for each says what it waits for before it looks.
 *
 * It costs nothing while it is off but one test before each sleep, and nothing where a lock is free either way. It sees waits without
 * a time limit (others in the circle may have one) that block: asynchronous ones hold up no thread, and are in no registry.
 */
import { DeadlockError } from '../errors.ts';
import type { AgentRegistry } from './agent.ts';
import { OWNER_GENERATION_SHIFT, OWNER_SLOT_MASK } from './layout.ts';

let isEnabled = false;
const threadNames = new Map<number, string>();
const lockNames = new WeakMap<AgentRegistry, Map<number, string>>();

/** Has this thread look for circles before it blocks, from now on; each thread decides for itself. */
export function enableDeadlockDetection(): void {
  isEnabled = true;
}

/** Keeps what a thread is called in this thread's reports. */
export function keepThreadName(token: number, name: string): void {
  threadNames.set(token, name);
}

/** Keeps what the lock at `address` is called in this thread's reports. */
export function keepLockName(registry: AgentRegistry, address: number, name: string): void {
  const names = lockNames.get(registry) ?? new Map<number, string>();
  lockNames.set(registry, names.set(address, name));
}

/** One thread of a circle, and what it waits for. */
export interface WaitLink {
  /** The token of the thread that waits. */
  readonly token: number;
  /** Where the lock that it waits for is in the memory, in bytes. */
  readonly address: number;
}

/**
 * Looks whether this thread, which has said that it waits for the lock at `address`, would wait for itself.
 *
 * @throws DeadlockError `DEADLOCK` if so
 */
export function checkDeadlock(registry: AgentRegistry | undefined, token: number, address: number): void {
  if (!isEnabled || registry === undefined) return;
  const circle = registry.waitCircle(token, address);
  if (circle === undefined) return;
  const names = lockNames.get(registry);
  const lockAt = (at: number): string => (names?.has(at) === true ? `the lock '${names.get(at)!}'` : `the lock at byte ${at}`);
  const links = circle.map((link) => `${threadOf(link.token)} waits for ${lockAt(link.address)}`);
  const words = `${links.join(', which is held by ')}, which is held by ${threadOf(token)}`;
  throw new DeadlockError(words, circle);
}

function threadOf(token: number): string {
  const name = threadNames.get(token);
  const thread = `thread ${token & OWNER_SLOT_MASK}.${token >>> OWNER_GENERATION_SHIFT}`;
  return name === undefined ? thread : `${thread} '${name}'`;
}
