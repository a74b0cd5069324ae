/** Names for locks and threads in the reports of `enableDeadlockDetection`. Each thread keeps its own: its reports are what it tells. */
import { InvalidArgumentError } from './errors.ts';
import { agentOf } from './internal/agent.ts';
import { keepLockName, keepThreadName } from './internal/deadlock.ts';
import { OWNER_GENERATION_SHIFT } from './internal/layout.ts';
import type { Handle } from './internal/location.ts';
import type { ThreadToken } from './ThreadRegistry.ts';

/** What the thread that `token` names is called in this thread's reports. */
export function nameThread({ slot, generation }: ThreadToken, name: string): void {
  keepThreadName((generation << OWNER_GENERATION_SHIFT) | slot, name);
}

/**
 * What a mutex or reader-writer lock is called in this thread's reports, from before it is taken. With a `LockOrder`, the orders of
 * locks with a name are kept.
 *
 * @throws InvalidArgumentError `INVALID_ARGUMENT` if its memory has no thread registry: nothing is reported there
 */
export function nameLock(lock: { handle(): Handle<string> }, name: string): void {
  const { memory, buffer, byteOffset } = lock.handle();
  const { registry } = agentOf((memory ?? buffer)!);
  if (registry === undefined) throw new InvalidArgumentError('only locks in a memory with a thread registry are reported');
  keepLockName(registry, byteOffset, name);
}
