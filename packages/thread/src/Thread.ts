/**
 * TypeScript threads: a module's function, called in a worker of its own.
 *
 * No function is turned into a string: a thread is a module, so closures can't be captured by accident, source maps work, and a
 * strict Content-Security-Policy allows it.
 */
import { startModuleWorker } from '#module-worker-host';
import type { ModuleResult, RunMessage } from './internal/module-worker.ts';
import type { WorkerHandle } from './internal/platform/types.ts';
import { ThreadError } from './ThreadError.ts';

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
  static run<Result>(message: RunMessage, options: BuilderOptions): Thread<Result> {
    const name = options.name ?? message.exportName;
    return new Thread(name, runInWorker<Result>(message, name, options));
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

async function runInWorker<Result>(message: RunMessage, name: string, { signal, transfer }: BuilderOptions): Promise<Result> {
  if (signal?.aborted) throw aborted(name, signal);
  const worker = startModuleWorker(name);
  const result = Promise.withResolvers<ModuleResult>();
  // Also where nobody awaits it, because posting failed: then the worker's end is no news.
  result.promise.catch(() => {});
  worker.onMessage((posted) => result.resolve(posted as ModuleResult));
  worker.onError((text) => result.reject(new ThreadError('START_FAILED', `thread '${name}' failed: ${text}`)));
  worker.onExit(() => result.reject(new ThreadError('THREAD_TERMINATED', `the worker of thread '${name}' ended without a result`)));
  const abort = (): void => result.reject(aborted(name, signal));
  signal?.addEventListener('abort', abort);
  try {
    postRun(worker, message, transfer);
    return unwrap(await result.promise, name) as Result;
  } catch (error) {
    void worker.terminate();
    throw error;
  } finally {
    signal?.removeEventListener('abort', abort);
  }
}

function postRun(worker: WorkerHandle, message: RunMessage, transfer: readonly Transferable[] | undefined): void {
  try {
    worker.post(message, transfer);
  } catch (cause) {
    throw new ThreadError(
      'BAD_ARGUMENT',
      "an argument can't be passed to a thread: only what structured clone copies, and what is transferred",
      { cause },
    );
  }
}

function unwrap(result: ModuleResult, name: string): unknown {
  if (result.type === 'returned') return result.value;
  if (result.type === 'unloadable') throw new ThreadError('START_FAILED', `thread '${name}' did not start: ${result.message}`);
  const cause = result.error;
  const text = cause instanceof Error ? cause.message : String(cause);
  throw new ThreadError('THREAD_PANICKED', `thread '${name}' threw: ${text}`, { cause });
}

function aborted(name: string, signal: AbortSignal | undefined): ThreadError {
  return new ThreadError('ABORTED', `thread '${name}' was aborted`, { cause: signal?.reason });
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
    return Thread.run({ module: href, exportName: this.#options.exportName ?? 'default', args }, this.#options);
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
