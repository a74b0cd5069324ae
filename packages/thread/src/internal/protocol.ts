/** Messages between the main thread, the supervisor and the workers: only for beginnings and ends. */
import type { Abi, CompiledModule, MemoryLimits, ThreadBlocksHandle } from '@heddle/memory';
import type { PostedError } from '../ThreadError.ts';
import type { DelegationReport, DelegationRequest } from './delegation.ts';

/** What a program of WASI is given, as it is posted. */
export interface PostedWasi {
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Folders of the host, by what the program calls them. */
  readonly folders: Readonly<Record<string, string>> | undefined;
  /** Whether the agent that started the runtime wants the lines; else they go to the host's own streams. */
  readonly isHeard: Readonly<Record<StreamName, boolean>>;
}

/** The streams that a program writes. */
export type StreamName = 'stdout' | 'stderr';

/** A line that a program of WASI has printed. */
export interface PrintedLine {
  readonly type: 'printed';
  readonly stream: StreamName;
  readonly line: string;
}

/** How a module without heddle-thread is to be hosted. */
export interface HostOptions {
  /** Found out where absent. */
  readonly abi: Abi | 'plain' | undefined;
  /** Where the module is whose `imports` makes those of an instance. */
  readonly imports: string | undefined;
  readonly importsData: unknown;
  readonly wasi: PostedWasi | undefined;
}

/** A module without heddle-thread: its records lie in a memory of their own, and its workers wait in TypeScript. */
export interface HostedModule extends Omit<HostOptions, 'wasi' | 'abi'> {
  readonly records: WebAssembly.Memory;
  /** Address of the Control record. */
  readonly control: number;
  readonly abi: Abi | 'plain';
  /** Where a bare module's threads have their stacks and thread-local storage. */
  readonly blocks: ThreadBlocksHandle | undefined;
  /** Of a program of WASI, whose threads share descriptors. */
  readonly wasi: (PostedWasi & { readonly descriptors: SharedArrayBuffer }) | undefined;
}

/** What the main thread wants started. */
export interface StartMessage {
  readonly type: 'start';
  readonly module: string | Uint8Array | WebAssembly.Module | CompiledModule;
  readonly host: HostOptions;
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
  /** What a browser tells the supervisor's end by. */
  readonly lifeLine: string | undefined;
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
      /** Of a module without heddle-thread: what was compiled, and where the records are. */
      readonly hosted: { readonly compiled: CompiledModule; readonly records: WebAssembly.Memory } | undefined;
    }
  | PrintedLine
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
  readonly hosted: HostedModule | undefined;
  readonly slot: number;
  readonly threadsMax: number;
  readonly callCount: number;
  readonly stackSize: number;
  readonly parallelism: number;
  readonly isTraced: boolean;
  /** What tells that the worker lives, where its end makes no event. */
  readonly lifeLine: string | undefined;
}

export type FromWorker =
  /** It waits for threads: the addresses of the runtime's record and of the registry of threads. */
  | { readonly type: 'ready'; readonly control: number; readonly registry: number }
  | { readonly type: 'failed'; readonly error: PostedError }
  /** Its thread trapped: it ends, and another is to take its place. */
  | { readonly type: 'trapped'; readonly message: string }
  | PrintedLine
  /** A thread has ended the program, all of whose threads are to end. */
  | { readonly type: 'exited'; readonly exitCode: number }
  /** The runtime is closing, and it ends. */
  | { readonly type: 'ended' };
