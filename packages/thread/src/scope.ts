/** Threads that end before the block that spawned them does. */
import { Builder, type BuilderOptions, type Thread, type ThreadFunction, type ThreadResult } from './Thread.ts';
import { abortedError } from './internal/Job.ts';

/** How a scope ends. */
export interface ScopeOptions {
  /** Terminates the threads of the scope, which rejects with `ABORTED`. */
  readonly signal?: AbortSignal | undefined;
  /** Whether the first thread that fails, or the body, terminates all others; where absent they run to their ends. */
  readonly abortsOnError?: boolean | undefined;
}

/** Spawns the threads of a scope. */
export class Scope {
  readonly #controller: AbortController;
  readonly #abortsOnError: boolean;
  readonly #threads: Thread<unknown>[] = [];
  readonly #failures: { readonly thread: Thread<unknown>; readonly error: unknown }[] = [];
  #isOver = false;

  /** @internal Made by `scope`. */
  constructor(controller: AbortController, abortsOnError: boolean) {
    this.#controller = controller;
    this.#abortsOnError = abortsOnError;
  }

  /** Aborted when the threads of the scope are terminated. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** As the function `spawn`. */
  spawn<F extends ThreadFunction>(module: URL | string, ...args: Parameters<F>): Thread<ThreadResult<F>> {
    return this.spawnWith<F>({}, module, ...args);
  }

  /** As `Builder.spawn`. */
  spawnWith<F extends ThreadFunction>(options: BuilderOptions, module: URL | string, ...args: Parameters<F>): Thread<ThreadResult<F>> {
    if (this.#isOver) throw new TypeError('the scope is over: its threads have ended');
    const signal = options.signal ? AbortSignal.any([options.signal, this.signal]) : this.signal;
    const thread = new Builder({ ...options, signal }).spawn<F>(module, ...args);
    this.#threads.push(thread);
    void thread.ended.then(() => {
      if (thread.failure) this.#note(thread, thread.failure.error);
    });
    return thread;
  }

  #note(thread: Thread<unknown>, error: unknown): void {
    this.#failures.push({ thread, error });
    if (this.#abortsOnError) this.#controller.abort(error);
  }

  /** @internal Resolves when all threads have ended, those too that were spawned meanwhile. */
  async end(): Promise<void> {
    for (const thread of this.#threads) {
      // oxlint-disable-next-line no-await-in-loop -- what is spawned meanwhile comes behind
      await thread.ended;
    }
    this.#isOver = true;
  }

  /** @internal The first error that was nobody's: of a thread that nobody has joined, or, where it has ended all others, of any. */
  failure(): { readonly error: unknown } | undefined {
    return this.#failures.find(({ thread }) => this.#abortsOnError || !thread.isJoined);
  }
}

/**
 * Calls `body` with a scope whose threads have all ended when it resolves, with what `body` returned.
 *
 * It rejects with what `body` threw, or with the first error of a thread that nobody has joined; in a scope that aborts on errors, with the first
 * of any thread. As with every thread, arguments are copied or shared: nothing of the block itself is.
 *
 * ```ts
 * const halves = await scope(async (s) => {
 *   const left = s.spawn<typeof sum>(url, numbers.slice(0, half));
 *   const right = s.spawn<typeof sum>(url, numbers.slice(half));
 *   return [await left.join(), await right.join()];
 * });
 * ```
 *
 * @throws ThreadError `ABORTED`
 */
export async function scope<Result>(body: (scope: Scope) => Result | PromiseLike<Result>, options: ScopeOptions = {}): Promise<Result> {
  const { signal, abortsOnError = false } = options;
  if (signal?.aborted) throw abortedError('the scope', signal);
  const controller = new AbortController();
  const abort = (): void => controller.abort(signal?.reason);
  signal?.addEventListener('abort', abort);
  const threads = new Scope(controller, abortsOnError);
  try {
    const [ending] = await Promise.allSettled([call(body, threads)]);
    // What comes after it, where it ends the others, is only their end.
    const hasFailedFirst = ending.status === 'rejected' && !threads.failure();
    if (hasFailedFirst && abortsOnError) controller.abort(ending.reason);
    await threads.end();
    const failure = hasFailedFirst ? undefined : threads.failure();
    if (signal?.aborted && (failure || ending.status === 'rejected')) throw abortedError('the scope', signal);
    // In a scope that aborts, the body may have failed because of the thread.
    if (failure && (abortsOnError || ending.status === 'fulfilled')) throw failure.error;
    if (ending.status === 'rejected') throw ending.reason;
    return ending.value;
  } finally {
    signal?.removeEventListener('abort', abort);
  }
}

/** What the body comes to, also where it throws at once. */
async function call<Result>(body: (scope: Scope) => Result | PromiseLike<Result>, threads: Scope): Promise<Result> {
  return await body(threads);
}
