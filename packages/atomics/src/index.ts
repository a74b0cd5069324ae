/**
 * Locks on fixed records in shared memory, the same in TypeScript and in Rust.
 *
 * A lock lives in a SharedArrayBuffer or in the memory of a Wasm module. What is posted to another thread is its handle,
 * reopened there with `from`. Every operation that waits has a blocking form for workers, an asynchronous form for every
 * thread, and one that doesn't wait.
 *
 * @module
 */
export {
  AtomicBool,
  AtomicF32,
  AtomicF64,
  AtomicI16,
  AtomicI32,
  AtomicI64,
  AtomicI8,
  AtomicU16,
  AtomicU32,
  AtomicU64,
  AtomicU8,
} from './Atomic.ts';
export { Barrier, type BarrierHandle, type BarrierWaitResult } from './Barrier.ts';
export { Condition, type ConditionHandle, type ConditionWaitOptions } from './Condition.ts';
export {
  AbortedError,
  AlreadyParkedError,
  AtomicsError,
  type AtomicsErrorCode,
  CountError,
  DeadlockError,
  HelperFailedError,
  InvalidArgumentError,
  InvalidRecordError,
  LockOrderError,
  MayNotBlockError,
  NotOwnerError,
  OncePoisonedError,
  PoisonedError,
  PoisonedRwLockError,
  ReadonlyViewError,
  RegistryFullError,
  TimeoutError,
  ViewRevokedError,
  WouldDeadlockError,
} from './errors.ts';
export { Event, type EventHandle, type EventOptions } from './Event.ts';
export { mayBlock, setMayBlock } from './internal/blocking.ts';
export { provideWaitAsync } from './internal/helper.ts';
export { nameLock, nameThread } from './naming.ts';
export { type DeadlockDetectionOptions, type LockOrderRecord, type OrderLink, enableDeadlockDetection } from './internal/deadlock.ts';
export type { Handle, SharedLocation } from './internal/location.ts';
export type { AtomicCell, AtomicInteger, CellLayout, WaitableInteger } from './internal/AtomicCell.ts';
export type { WaitResult } from './internal/futex.ts';
export type { WaitAsyncOptions, WaitOptions } from './internal/waiting.ts';
export { Latch, type LatchHandle } from './Latch.ts';
export { Lazy } from './Lazy.ts';
export { LockOrder, type LockOrderHandle, type LockOrderOptions } from './LockOrder.ts';
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
export { Once, type OnceHandle, type OnceState } from './Once.ts';
export { OnceCell, type OnceCellHandle } from './OnceCell.ts';
export { Parker, type ParkerHandle, Unparker } from './Parker.ts';
export {
  type AcquireOptions,
  type AsyncAcquireOptions,
  Permit,
  Semaphore,
  type SemaphoreHandle,
  type TryAcquireOptions,
} from './Semaphore.ts';
export { type Scalar, bool, f32, f64, i16, i32, i64, i8, u16, u32, u64, u8 } from './scalars.ts';
export {
  type InitOf,
  type PlainOf,
  type ReadonlyArrayView,
  type ReadonlyOf,
  type SharedType,
  type SnapshotOf,
  type ViewOf,
  snapshot,
} from './SharedType.ts';
export { ArrayView, BytesView, type StructType, array, bytes, struct } from './struct.ts';
export { ThreadRegistry, type ThreadRegistryHandle, type ThreadRegistryOptions, type ThreadToken } from './ThreadRegistry.ts';
export { Member, WaitGroup, type WaitGroupHandle } from './WaitGroup.ts';
