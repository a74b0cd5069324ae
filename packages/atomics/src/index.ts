/**
 * Locks on fixed records in shared memory, the same in TypeScript and in Rust.
 *
 * A lock lives in a SharedArrayBuffer or in the memory of a Wasm module. What is posted to another thread is its handle,
 * reopened there with `from`. Every operation that waits has a blocking form for workers, an asynchronous form for every
 * thread, and one that doesn't wait.
 *
 * @module
 */
export { Condition, type ConditionHandle, type ConditionWaitOptions } from './Condition.ts';
export {
  AbortedError,
  AtomicsError,
  type AtomicsErrorCode,
  InvalidArgumentError,
  InvalidRecordError,
  MayNotBlockError,
  NotOwnerError,
  PoisonedError,
  PoisonedRwLockError,
  RegistryFullError,
  TimeoutError,
  WouldDeadlockError,
} from './errors.ts';
export { mayBlock, setMayBlock } from './internal/blocking.ts';
export type { Handle, SharedLocation } from './internal/location.ts';
export { type AsyncLockOptions, type LockOptions, Mutex, type MutexHandle, UnlockToken } from './Mutex.ts';
export {
  type AsyncRwLockOptions,
  ReadToken,
  RwLock,
  type RwLockHandle,
  type RwLockOptions,
  type TryRwLockOptions,
  WriteToken,
} from './RwLock.ts';
export { type AcquireOptions, type AsyncAcquireOptions, Permit, Semaphore, type SemaphoreHandle } from './Semaphore.ts';
export { ThreadRegistry, type ThreadRegistryHandle, type ThreadRegistryOptions, type ThreadToken } from './ThreadRegistry.ts';
