/**
 * TypeScript threads: a module's function, called in a worker of its own.
 *
 * No function is turned into a string: a thread is a module, so closures can't be captured by accident, source maps work, and a
 * strict Content-Security-Policy allows it. A worker whose thread has ended is kept for the next one of its name, with the modules
 * that it has imported.
 */
import { mayBlock } from '#platform';
import { checkTimeout } from './internal/checks.ts';
import { nextThreadId } from './internal/current.ts';
import { abortedError } from './internal/Job.ts';
import type { ModuleCall, ModuleWorker } from './internal/ModuleWorker.ts';
import { keepWorker, takeWorker } from './internal/spares.ts';
import { valueOf } from './internal/valueOf.ts';
import type { ModuleWaitKind } from './internal/waits.ts';
import { ThreadError } from './ThreadError.ts';
import { ThreadRef } from './ThreadRef.ts';

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

/** How long a thread is waited for. */
export interface JoinBlockingOptions {
  /** The longest wait in milliseconds; no limit where absent. */
  readonly timeoutMs?: number | undefined;
}

/** How a thread ended. */
type Outcome<Result> = { readonly value: Result } | { readonly error: unknown };

/** A TypeScript thread, for who has spawned it. */
export class Thread<Result> {
  readonly name: string;
  /** Resolves when the thread's worker runs; rejects with `START_FAILED` if it never does. */
  readonly started: Promise<void>;
  /** Resolves when the thread has ended, however it did. */
  readonly ended: Promise<void>;
  readonly #worker: ModuleWorker;
  readonly #thread: ThreadRef;
  readonly #result: Promise<Result>;
  #outcome: Outcome<Result> | undefined;
  #isJoined = false;

  private constructor(call: ModuleCall & { readonly thread: number }, { name = call.exportName, signal }: BuilderOptions) {
    this.name = name;
    this.#worker = takeWorker(name);
    this.started = this.#worker.ready;
    this.#thread = ThreadRef.at({ id: call.thread, name }, this.#worker.parker);
    this.#result = this.#run(call, signal);
    // A thread that nobody joins must not count as an unhandled rejection: its owner has not asked.
    this.ended = this.#result.then(
      () => {},
      () => {},
    );
  }

  /** @internal Made by `Builder.spawn`. */
  static run<Result>(call: ModuleCall & { readonly thread: number }, options: BuilderOptions): Thread<Result> {
    return new Thread(call, options);
  }

  /** The thread that runs here: on a main thread, too, and in workers that this package hasn't started. */
  static get current(): ThreadRef {
    return ThreadRef.current();
  }

  async #run(call: ModuleCall, signal: AbortSignal | undefined): Promise<Result> {
    const worker = this.#worker;
    const abort = (): void => void worker.terminate();
    try {
      if (signal?.aborted) throw abortedError(`thread '${this.name}'`, signal);
      signal?.addEventListener('abort', abort);
      const value = valueOf(await worker.run(call), `thread '${this.name}'`) as Result;
      this.#outcome = { value };
      return value;
    } catch (failure) {
      const error = signal?.aborted && worker.isGone ? abortedError(`thread '${this.name}'`, signal) : failure;
      this.#outcome = { error };
      throw error;
    } finally {
      signal?.removeEventListener('abort', abort);
      // After the outcome is known: the desk is the next thread's from here on.
      keepWorker(worker);
    }
  }

  /** Who the thread is, for other threads. */
  get thread(): ThreadRef {
    return this.#thread;
  }

  /** Whether `join` would settle at once. */
  get isFinished(): boolean {
    return this.#outcome !== undefined;
  }

  /**
   * What the thread waits for: to be unparked, for another one's end, for a lock or a channel of this family of packages that blocks it, or for its
   * event loop, whatever its function awaits there. Undefined where it computes, waits for anything else or has ended, and where memory can't be
   * shared. A look from outside: it may have what it waited for by now.
   */
  get waitsFor(): ModuleWaitKind | undefined {
    return this.isFinished ? undefined : this.#worker.waitsFor;
  }

  /** @internal Whether somebody has asked for the result. */
  get isJoined(): boolean {
    return this.#isJoined;
  }

  /** @internal What the thread threw, or undefined; of a thread that has ended. */
  get failure(): { readonly error: unknown } | undefined {
    return this.#outcome && 'error' in this.#outcome ? this.#outcome : undefined;
  }

  /** Ends the thread's `park`, or lets its next one through. */
  unpark(): void {
    this.#thread.unpark();
  }

  /**
   * What the function returned.
   *
   * @throws ThreadError `THREAD_PANICKED` with what the function threw as `cause`, `START_FAILED` where the module can't be loaded
   *   or has no such function, `ABORTED`, `THREAD_TERMINATED`, `BAD_ARGUMENT`.
   */
  join(): Promise<Result> {
    this.#isJoined = true;
    return this.#result;
  }

  /**
   * As `join`, blocking this agent meanwhile. Only small values come back without the event loop: what `JSON` could hold, bigints, errors,
   * some 8 KiB of them together.
   *
   * @throws ThreadError `WOULD_BLOCK` on a main thread that must not block, for a result that comes by message, and in browsers before
   *   the worker has `started`; `TIMEOUT`; and what `join` throws.
   */
  joinBlocking({ timeoutMs = Infinity }: JoinBlockingOptions = {}): Result {
    checkTimeout(timeoutMs);
    this.#isJoined = true;
    if (!this.#outcome) {
      if (!mayBlock()) throw new ThreadError('WOULD_BLOCK', 'this is a main thread, which must not block: await join()');
      return valueOf(this.#worker.waitBlocking(timeoutMs), `thread '${this.name}'`) as Result;
    }
    if ('error' in this.#outcome) throw this.#outcome.error;
    return this.#outcome.value;
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
