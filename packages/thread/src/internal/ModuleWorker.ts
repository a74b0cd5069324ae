/**
 * A worker for TypeScript's threads, seen from the agent that started it: runs calls one after the other, in microseconds where they are
 * small, and tells when it is gone.
 *
 * # Invariants
 * 1. One call at a time: whoever runs a call awaits the one before.
 * 2. A worker that is gone stays gone: its call rejects, and so does every further one.
 */
import { lifeLine, PARKED_END_MS, startsWithoutCreator, watchLifeLine, workersKeepAlive } from '#platform';
import { startModuleWorker } from '#module-worker-host';
import { ThreadError } from '../ThreadError.ts';
import { currentThread, nextThreadId } from './current.ts';
import { Desk } from './Desk.ts';
import { DESK_DIED, DESK_POSTED, DESK_RETURNED } from './layout.ts';
import { checkLocation } from './location.ts';
import type { FromModuleWorker, ModuleResult, OpenMessage, RunMessage, ToModuleWorker } from './module-worker.ts';
import type { WorkerHandle } from './platform/types.ts';
import type { ModuleWaitKind } from './waits.ts';

export type { ModuleResult } from './module-worker.ts';

/** A function of a module, and what to call it with. */
export interface ModuleCall {
  readonly module: string;
  readonly exportName: string;
  readonly args: readonly unknown[];
  readonly transfer?: readonly Transferable[] | undefined;
  /** The id of the thread that the call is; the worker's own where absent. */
  readonly thread?: number;
}

export interface ModuleWorkerOptions {
  readonly name: string;
  /** Whether each call is a thread of its own. */
  readonly isThreadEachCall: boolean;
}

/** How long a worker has nothing to do before it is asked whether it may be left alone, in milliseconds. */
const REST_DELAY_MS = 5;

export class ModuleWorker {
  readonly name: string;
  /** The id of the worker as a thread. */
  readonly thread: number = nextThreadId();
  /** Resolves when the worker waits for calls; rejects with `START_FAILED` if it never will. */
  readonly ready: Promise<void>;
  /** Resolves when the worker is gone or useless, with the reason. */
  readonly gone: Promise<string>;
  readonly #handle: WorkerHandle;
  readonly #desk = Desk.create();
  readonly #gone = Promise.withResolvers<string>();
  readonly #watching = new AbortController();
  /** The functions that the worker knows, by module and name. */
  readonly #functions = new Map<string, number>();
  #calls = 0;
  #isReady = false;
  #isNeeded = true;
  #idleSinceMs = 0;
  #ended: Promise<void> | undefined;
  #restTimer: ReturnType<typeof setTimeout> | undefined;
  /** What a call gets of a worker that is gone. */
  #loss: ThreadError | undefined;
  /** The call that runs. */
  #running: PromiseWithResolvers<ModuleResult> | undefined;

  constructor({ name, isThreadEachCall }: ModuleWorkerOptions) {
    this.name = name;
    this.gone = this.#gone.promise;
    this.#handle = startModuleWorker(name);
    const line = lifeLine();
    const ready = Promise.withResolvers<void>();
    this.ready = ready.promise;
    // Also where nobody waits for it.
    this.ready.catch(() => {});
    this.#handle.onMessage((heard) => {
      const message = heard as FromModuleWorker;
      if (message.type === 'ready') {
        this.#isReady = true;
        if (line !== undefined) watchLifeLine(line, this.#watching.signal, () => this.#leave('it ended by itself'));
        ready.resolve();
      } else if (message.type !== 'rested') this.#running?.resolve(message);
      else if (!this.#isNeeded) this.#handle.setKeepAlive(false);
    });
    this.#handle.onError((text) => this.#leave(text));
    this.#handle.onExit(() => this.#leave('it ended by itself'));
    void this.gone.then((reason) => ready.reject(new ThreadError('START_FAILED', `the worker '${name}' did not start: ${reason}`)));
    const { ids } = currentThread();
    this.#handle.post({ type: 'open', name, desk: this.#desk?.buffer, ids, isThreadEachCall, lifeLine: line } satisfies OpenMessage);
  }

  /** Whether the worker may still be called. */
  get isGone(): boolean {
    return this.#loss !== undefined;
  }

  /** What the call that runs waits for; undefined where it computes, and where this agent can't share memory. */
  get waitsFor(): ModuleWaitKind | undefined {
    return this.isGone ? undefined : this.#desk?.waitsFor;
  }

  /** Where the worker's thread parks, in an agent that can share memory. */
  get parker(): Desk['parker'] | undefined {
    return this.#desk?.parker;
  }

  #leave(reason: string): void {
    if (this.#loss) return;
    this.#loss = this.#isReady
      ? new ThreadError('THREAD_TERMINATED', `the worker '${this.name}' is gone: ${reason}`)
      : new ThreadError('START_FAILED', `the worker '${this.name}' did not start: ${reason}`);
    this.#watching.abort();
    clearTimeout(this.#restTimer);
    this.#gone.resolve(reason);
    this.#running?.reject(this.#loss);
    this.#desk?.wakeCreator();
    void this.#end();
  }

  /** Ends what is left of it: where it ended by itself, nothing. */
  async #end(): Promise<void> {
    this.#ended ??= this.#terminate();
    await this.#ended;
  }

  async #terminate(): Promise<void> {
    if (this.#desk?.wakeToEnd() && PARKED_END_MS > 0) await new Promise((resolve) => setTimeout(resolve, PARKED_END_MS));
    await this.#handle.terminate();
  }

  /**
   * Calls a function.
   *
   * @throws ThreadError `BAD_ARGUMENT`, `START_FAILED`, `THREAD_TERMINATED`
   */
  async run(call: ModuleCall): Promise<ModuleResult> {
    if (this.#loss) throw this.#loss;
    // As the words of the desk count.
    this.#calls = (this.#calls + 1) | 0;
    const number = this.#calls;
    const { thread = this.thread } = call;
    const key = `${call.exportName} ${call.module}`;
    const index = this.#functions.get(key);
    if (index === undefined) checkLocation(call.module);
    const isLaid =
      index !== undefined && !call.transfer?.length && this.#desk?.layCall({ number, function: index, thread, args: call.args });
    if (!isLaid) this.#post(call, { number, thread, function: index ?? this.#functions.size });
    // A promise of each call's own: a race with the worker's end would leave something at that promise with every call.
    const running = Promise.withResolvers<ModuleResult>();
    this.#running = running;
    if (this.#desk) void this.#watchDesk(this.#desk, number, running.resolve);
    const result = await running.promise;
    if (index === undefined && result.type !== 'unloadable') this.#functions.set(key, this.#functions.size);
    return result;
  }

  #post({ module, exportName, args, transfer }: ModuleCall, call: Pick<RunMessage, 'number' | 'thread' | 'function'>): void {
    try {
      this.#handle.post({ type: 'run', ...call, module, exportName, args } satisfies RunMessage, transfer);
    } catch (cause) {
      throw new ThreadError(
        'BAD_ARGUMENT',
        "an argument can't be passed to a thread: only what structured clone copies, and what is transferred",
        { cause },
      );
    }
    this.#desk?.tellPosted(call.number);
  }

  async #watchDesk(desk: Desk, number: number, resolve: (result: ModuleResult) => void): Promise<void> {
    // A small call ends within microseconds, which an asynchronous wait takes several times over.
    desk.spinForResult(desk.result);
    if (!(await desk.waitForEnd(number, () => this.isGone))) return;
    const result = resultOn(desk);
    // What was posted comes as a message, and an end as an event.
    if (typeof result !== 'string') resolve(result);
  }

  /**
   * What the call that runs comes to, blocking this agent meanwhile.
   *
   * @throws ThreadError `WOULD_BLOCK` where it comes by message, which only the event loop hears, and where the worker couldn't start;
   *   `TIMEOUT`, `THREAD_TERMINATED`
   */
  waitBlocking(timeoutMs: number): ModuleResult {
    if (this.#loss) throw this.#loss;
    const desk = this.#desk;
    if (!desk) throw new ThreadError('NOT_CROSS_ORIGIN_ISOLATED', 'without shared memory a result comes by message: await join()');
    if (!desk.isReady && !startsWithoutCreator) {
      throw new ThreadError(
        'WOULD_BLOCK',
        'the worker has not started yet, for which its creator must not block: await started, or join()',
      );
    }
    if (!desk.waitForEndBlocking(this.#calls, timeoutMs))
      throw new ThreadError('TIMEOUT', `the thread has not ended within ${timeoutMs} ms`);
    const result = resultOn(desk);
    if (result === 'posted') {
      throw new ThreadError(
        'WOULD_BLOCK',
        'what the thread left is more than some 8 KiB, or of a kind that comes by message: await join(), or have it written into shared memory',
      );
    }
    if (result === 'died') throw new ThreadError('THREAD_TERMINATED', `the worker '${this.name}' is gone: it ended by itself`);
    return result;
  }

  /**
   * Whether the worker keeps its creator's process alive. It goes on to do so for a moment: until what its calls have printed is on
   * its way, which takes its event loop and its creator's.
   */
  setKeepAlive(isOn: boolean): void {
    this.#isNeeded = isOn;
    if (!workersKeepAlive) return;
    if (isOn) this.#handle.setKeepAlive(true);
    else {
      this.#idleSinceMs = performance.now();
      // One timer for many calls that follow each other.
      this.#restTimer ??= setTimeout(() => this.#askToRest(), REST_DELAY_MS);
    }
  }

  #askToRest(): void {
    this.#restTimer = undefined;
    if (this.#isNeeded || this.isGone) return;
    const leftMs = this.#idleSinceMs + REST_DELAY_MS - performance.now();
    if (leftMs > 0) this.#restTimer = setTimeout(() => this.#askToRest(), leftMs);
    else this.#handle.post({ type: 'rest' } satisfies ToModuleWorker);
  }

  /** Ends the worker in the middle of whatever it does; its call rejects with `THREAD_TERMINATED`. */
  terminate(): Promise<void> {
    // Its end was asked for, whether or not it had started.
    this.#isReady = true;
    this.#leave('it was terminated');
    return this.#end();
  }
}

/** What a call has left on the desk, or where else it is told. */
function resultOn(desk: Desk): ModuleResult | 'posted' | 'died' {
  const { outcome, value } = desk.takeOutcome();
  if (outcome === DESK_POSTED) return 'posted';
  if (outcome === DESK_DIED) return 'died';
  return outcome === DESK_RETURNED ? { type: 'returned', value } : { type: 'threw', error: value };
}
