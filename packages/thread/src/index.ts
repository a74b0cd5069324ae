/**
 * Threads for WebAssembly and TypeScript: spawn, join, a pool of workers that grows on demand.
 *
 * @module
 */
export type { Durations } from './internal/Histogram.ts';
export type { PerformanceTrackOptions } from './internal/performanceTracks.ts';
export type { WasmHost, WasmImports } from './internal/HostedWorker.ts';
export type { ThreadEvent } from './internal/Trace.ts';
export type { ThreadStatus, ThreadWait, WorkerState } from './internal/Control.ts';
export type { JobWaitKind } from './internal/Job.ts';
export type { ModuleWaitKind } from './internal/waits.ts';
export { park, parkAsync, parkTimeout } from './park.ts';
export { scope, type Scope, type ScopeOptions } from './scope.ts';
export { Builder, type BuilderOptions, type JoinBlockingOptions, spawn, Thread, type ThreadFunction, type ThreadResult } from './Thread.ts';
export { ThreadLocal } from './ThreadLocal.ts';
export { ThreadError, type ThreadErrorCode } from './ThreadError.ts';
export { type ThreadHandle, ThreadRef } from './ThreadRef.ts';
export {
  type JobStatus,
  type MapOptions,
  type RunOptions,
  ThreadPool,
  type ThreadPoolOptions,
  type ThreadPoolStatistics,
} from './ThreadPool.ts';
export {
  WasmRuntime,
  type CloseOptions,
  type WasiProgram,
  type WasmRuntimeHandle,
  type WasmRuntimeOptions,
  type WasmThreadOptions,
} from './WasmRuntime.ts';
export { WasmThread, type WasmValue } from './WasmThread.ts';
