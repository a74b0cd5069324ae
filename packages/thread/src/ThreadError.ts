/** What went wrong, for programs. */
export type ThreadErrorCode =
  /** The thread panicked (Rust) or threw (TypeScript); `message` is the panic's, `cause` the error where there is one. */
  | 'THREAD_PANICKED'
  /** The engine trapped: unreachable, out of bounds, its own stack's end. What the thread had half changed stays so. */
  | 'THREAD_TRAPPED'
  /** The thread wrote beyond its stack in shared memory. What it overwrote nobody knows. */
  | 'THREAD_STACK_OVERFLOW'
  /** There was no memory for the thread's stack. */
  | 'THREAD_OUT_OF_MEMORY'
  /** The thread's worker was terminated, or died. */
  | 'THREAD_TERMINATED'
  /** As many threads are alive as may be, or as many results wait to be collected. */
  | 'POOL_EXHAUSTED'
  /** The module has no exported function of that name. */
  | 'UNKNOWN_EXPORT'
  /** An argument that can't be passed, or an option that can't be meant: a count that is none, a location that is relative. */
  | 'BAD_ARGUMENT'
  /** The page may not share memory; the message says which headers are missing. */
  | 'NOT_CROSS_ORIGIN_ISOLATED'
  /** The module can't have threads; the message says why and what to do. */
  | 'MODULE_UNFIT'
  /** A worker, the module or its glue could not be loaded. */
  | 'START_FAILED'
  /** This agent may not block: a browser's main thread. */
  | 'WOULD_BLOCK'
  /** The time ran out. */
  | 'TIMEOUT'
  /** The signal was aborted. */
  | 'ABORTED'
  /** The runtime keeps no note of what its threads do: it was started without `isTraced`. */
  | 'NOT_TRACED'
  /** The runtime has been closed. */
  | 'CLOSED';

/** An error of this package; told apart by `code`. */
export class ThreadError extends Error {
  readonly code: ThreadErrorCode;

  constructor(code: ThreadErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'ThreadError';
    this.code = code;
  }
}

/** An error as it is posted between agents. */
export interface PostedError {
  readonly code: ThreadErrorCode;
  readonly message: string;
}

/** What of an unknown error can be posted; errors of other kinds get `code`. */
export function toPosted(error: unknown, code: ThreadErrorCode): PostedError {
  if (error instanceof ThreadError) return { code: error.code, message: error.message };
  return { code, message: error instanceof Error ? error.message : String(error) };
}
