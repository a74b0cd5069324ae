/** What a model is: a few threads over one memory. */

/** What the body of a thread has. */
export interface ModelThread {
  /** Its number, 0 and up. */
  readonly index: number;
  /** The memory that all threads of the model share. */
  readonly memory: SharedArrayBuffer;
  /** Others may go first here, as before an atomic operation: between the parts of what must look like one. */
  step(): void;
  /** Has nothing to do before another thread has made a step. */
  yield(): void;
  /** A later turn of this thread's event loop. */
  turn(): Promise<void>;
  /** 0 to `count` - 1, each of them in some execution. */
  choose(count: number): number;
  /** Waits until a thread has been killed: its number, or -1 when nobody else can go on. */
  awaitDeath(): number;
  /** The execution is wrong unless `condition`. */
  assert(condition: boolean, message: string): void;
}

/** A few threads over one memory, and what must hold of them in every execution. */
export interface Model {
  /** Bytes of memory. */
  readonly byteLength: number;
  /** What is in the memory before every execution. Called once. */
  readonly setUp?: (memory: SharedArrayBuffer) => void;
  /**
   * Changes the memory before each execution: a killed thread's worker lives on with what it had in mind, so what it keeps by
   * names in the memory needs other names.
   */
  readonly beforeEach?: (memory: SharedArrayBuffer, execution: number) => void;
  /** What each thread does, blocking or not. */
  readonly threads: readonly ((thread: ModelThread) => void | Promise<void>)[];
  /** The numbers of the threads that may be killed, at any atomic operation or wait. */
  readonly mortals?: readonly number[];
  /** Looks at the memory after every execution; throws if something is wrong. */
  readonly check?: (memory: SharedArrayBuffer) => void;
}
