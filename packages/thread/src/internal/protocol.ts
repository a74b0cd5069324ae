/** Messages between the main thread, the supervisor and the workers: only for beginnings and ends. */
import type { MemoryLimits } from '@heddle/memory';
import type { PostedError } from '../ThreadError.ts';
import type { DelegationReport, DelegationRequest } from './delegation.ts';

/** What the main thread wants started. */
export interface StartMessage {
  readonly type: 'start';
  readonly module: string | Uint8Array | WebAssembly.Module;
  readonly glue: string | undefined;
  readonly memory: WebAssembly.Memory | undefined;
  readonly memoryBytesMax: number | undefined;
  readonly threads: number;
  readonly threadsMax: number;
  readonly stackSize: number;
  readonly parallelism: number;
  readonly isTraced: boolean;
  readonly name: string;
  /** Whether the main thread creates the workers for the supervisor. */
  readonly isDelegating: boolean;
}

/** The main thread has had enough. Threads that still run after `graceMs` are terminated. */
export interface CloseMessage {
  readonly type: 'close';
  readonly graceMs: number;
}

export type ToSupervisor = StartMessage | CloseMessage | { readonly type: 'report'; readonly report: DelegationReport };

export type FromSupervisor =
  | {
      readonly type: 'started';
      readonly module: WebAssembly.Module;
      readonly memory: WebAssembly.Memory;
      /** What the memory was made by; undefined where it was given. */
      readonly limits: MemoryLimits | undefined;
      readonly control: number;
    }
  | { readonly type: 'failed'; readonly error: PostedError }
  /** A thread has trapped, or a worker is gone that was to stay. */
  | { readonly type: 'crashed'; readonly error: PostedError }
  | { readonly type: 'request'; readonly request: DelegationRequest }
  | { readonly type: 'closed' };

/** What a worker is. */
export interface WorkMessage {
  readonly type: 'work';
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
  readonly glue: string | undefined;
  readonly slot: number;
  readonly threadsMax: number;
  readonly callCount: number;
  readonly stackSize: number;
  readonly parallelism: number;
  readonly isTraced: boolean;
}

export type FromWorker =
  /** It waits for threads: the addresses of the runtime's record and of the registry of threads. */
  | { readonly type: 'ready'; readonly control: number; readonly registry: number }
  | { readonly type: 'failed'; readonly error: PostedError }
  /** Its thread trapped: it ends, and another is to take its place. */
  | { readonly type: 'trapped'; readonly message: string }
  /** The runtime is closing, and it ends. */
  | { readonly type: 'ended' };
