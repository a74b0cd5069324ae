/**
 * TypeScript threads: a module's function, called in a worker of its own.
 *
 * No function is turned into a string: a thread is a module, so closures can't be captured by accident, source maps work, and a
 * strict Content-Security-Policy allows it. A worker whose thread has ended is kept for the next one of its name, with the modules
 * that it has imported.
 */
import { nextThreadId } from './internal/current.ts';
import { abortedError } from './internal/Job.ts';
import type { ModuleCall } from './internal/ModuleWorker.ts';
import { keepWorker, takeWorker } from './internal/spares.ts';
import { valueOf } from './internal/valueOf.ts';

/** A function that a thread can run: what it takes and returns must be clonable. */
// oxlint-disable-next-line typescript/no-explicit-any -- any function, whatever it takes
export type ThreadFunction = (...args: any[]) => unknown;

/** What a thread's function comes to. */
export type ThreadResult<F extends ThreadFunction> = Awaited<ReturnType<F>>;

/** A thread's properties. */
export interface BuilderOptions {
  /** The worker's name in developer tools. */
  readonly name?: string | undefined;
  /** The exported function to call; the default export where absent. */
  readonly exportName?: string | undefined;
  /** Ends the thread: its worker is terminated, and `join` rejects with `ABORTED`. */
  readonly signal?: AbortSignal | undefined;
  /** Arguments to hand over rather than to copy. */
  readonly transfer?: readonly Transferable[] | undefined;
}

/** A running TypeScript thread. */
export class Thread<Result> {
  readonly name: string;
  readonly #result: Promise<Result>;
  #isFinished = false;

  private constructor(name: string, result: Promise<Result>) {
    this.name = name;
    this.#result = result;
    const finish = (): void => {
      this.#isFinished = true;
    };
    // A thread that nobody joins must not count as an unhandled rejection: its owner has not asked.
    result.then(finish, finish);
  }

  /** @internal Made by `Builder.spawn`. */
  static run<Result>(call: ModuleCall, options: BuilderOptions): Thread<Result> {
    const name = options.name ?? call.exportName;
    return new Thread(name, runInWorker<Result>(call, name, options.signal));
  }

  /** Whether `join` would settle at once. */
  get isFinished(): boolean {
    return this.#isFinished;
  }

  /**
   * What the function returned.
   *
   * @throws ThreadError `THREAD_PANICKED` with what the function threw as `cause`, `START_FAILED` where the module can't be loaded
   *   or has no such function, `ABORTED`, `THREAD_TERMINATED`.
   */
  join(): Promise<Result> {
    return this.#result;
  }
}

async function runInWorker<Result>(call: ModuleCall, name: string, signal: AbortSignal | undefined): Promise<Result> {
  if (signal?.aborted) throw abortedError(`thread '${name}'`, signal);
  const worker = takeWorker(name);
  const abort = (): void => void worker.terminate();
  signal?.addEventListener('abort', abort);
  try {
    return valueOf(await worker.run(call), `thread '${name}'`) as Result;
  } catch (error) {
    throw signal?.aborted && worker.isGone ? abortedError(`thread '${name}'`, signal) : error;
  } finally {
    signal?.removeEventListener('abort', abort);
    keepWorker(worker);
  }
}

/** Starts TypeScript threads with properties of their own. */
export class Builder {
  readonly #options: BuilderOptions;

  constructor(options: BuilderOptions = {}) {
    this.#options = options;
  }

  /** Calls a function of `module` in a worker of its own; `F` is the function's type. */
  spawn<F extends ThreadFunction>(module: URL | string, ...args: Parameters<F>): Thread<ThreadResult<F>> {
    const href = module instanceof URL ? module.href : module;
    const { exportName = 'default', transfer } = this.#options;
    return Thread.run({ module: href, exportName, args, transfer, thread: nextThreadId() }, this.#options);
  }
}

/**
 * Calls the default export of `module` in a worker of its own.
 *
 * ```ts
 * import type sum from './sum.ts';
 *
 * const thread = spawn<typeof sum>(new URL('./sum.ts', import.meta.url), 1, 2);
 * await thread.join(); // => 3
 * ```
 */
export function spawn<F extends ThreadFunction>(module: URL | string, ...args: Parameters<F>): Thread<ThreadResult<F>> {
  return new Builder().spawn<F>(module, ...args);
}
