/** What went wrong, for programs. */
export type MemoryErrorCode =
  /** Nothing could be read where the module should be. */
  | 'MODULE_UNREADABLE'
  /** The bytes are no WebAssembly module, or a broken one. */
  | 'MALFORMED_MODULE'
  /** The module was not linked for threads; the message says what is missing and how to add it. */
  | 'MODULE_NOT_THREADED'
  /** The engine gives no shared memory of the asked size, whatever the maximum; or what was asked for is no size. */
  | 'MEMORY_REFUSED'
  /** The module can't be rewritten for threads; the error is a RewriteError, whose `reason` says why. */
  | 'MODULE_NOT_REWRITABLE'
  /** An import that the module asks for is missing. */
  | 'IMPORT_MISSING'
  /** Another instance's start function failed while it initialised the memory. */
  | 'INIT_FAILED'
  /** The memory has no room for another thread's stack. */
  | 'OUT_OF_MEMORY'
  /** The handle names no record of the kind that was expected. */
  | 'BAD_HANDLE'
  /** A thread wrote beyond its stack: what lay there is damaged. */
  | 'STACK_OVERFLOW'
  /** The program has no function to begin at. */
  | 'NO_ENTRY'
  /** The glue is not what wasm-bindgen writes for `--target web`. */
  | 'BAD_GLUE';

/** An error of this package; told apart by `code`. */
export class MemoryError extends Error {
  readonly code: MemoryErrorCode;

  constructor(code: MemoryErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'MemoryError';
    this.code = code;
  }
}
