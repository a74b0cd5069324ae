/** One call that a pool has been asked for, until it is settled. */
import { ThreadError } from '../ThreadError.ts';
import type { WasmRuntime } from '../WasmRuntime.ts';
import type { WasmValue } from '../WasmThread.ts';
import type { ThreadWait } from './Control.ts';
import type { Queued } from './JobQueue.ts';
import type { ModuleWaitKind } from './waits.ts';

/** What is to be called. */
export type Work =
  | {
      readonly type: 'module';
      readonly module: string;
      readonly exportName: string;
      readonly args: readonly unknown[];
      readonly transfer: readonly Transferable[] | undefined;
    }
  | { readonly type: 'wasm'; readonly runtime: WasmRuntime; readonly exportName: string; readonly args: readonly WasmValue[] };

export interface JobOptions {
  readonly name: string;
  readonly priority: number;
  readonly signal: AbortSignal | undefined;
  readonly work: Work;
}

/** What a job waits for. */
export type JobWaitKind = ModuleWaitKind | ThreadWait['kind'];

/** How a job was settled. */
export type JobEnd = 'completed' | 'failed' | 'aborted';

export class Job implements Queued {
  readonly name: string;
  readonly priority: number;
  readonly work: Work;
  /** What the job comes to. */
  readonly promise: Promise<unknown>;
  /** When it was asked for. */
  readonly askedMs: number = performance.now();
  readonly #settled = Promise.withResolvers<unknown>();
  readonly #signal: AbortSignal | undefined;
  readonly #onAbort: () => void;
  #end: JobEnd | undefined;
  /** Tells what the job waits for, while it runs. */
  waitsFor: (() => JobWaitKind | undefined) | undefined;
  /** Told once, when the job is settled before it has come to its end by itself. */
  onGivenUp: (() => void) | undefined;

  constructor({ name, priority, signal, work }: JobOptions) {
    this.name = name;
    this.priority = priority;
    this.work = work;
    this.promise = this.#settled.promise;
    this.#signal = signal;
    this.#onAbort = () => this.giveUp(abortedError(`the job '${name}'`, signal));
    if (signal?.aborted) this.#onAbort();
    else signal?.addEventListener('abort', this.#onAbort);
  }

  /** How it was settled; undefined while it isn't. */
  get end(): JobEnd | undefined {
    return this.#end;
  }

  complete(value: unknown): void {
    if (this.#settle('completed')) this.#settled.resolve(value);
  }

  fail(error: unknown): void {
    const end = error instanceof ThreadError && error.code === 'ABORTED' ? 'aborted' : 'failed';
    if (this.#settle(end)) this.#settled.reject(error);
  }

  /** Fails it from outside, and has whoever keeps or runs it know. */
  giveUp(error: ThreadError): void {
    if (this.#end) return;
    this.fail(error);
    this.onGivenUp?.();
  }

  #settle(end: JobEnd): boolean {
    if (this.#end) return false;
    this.#end = end;
    this.#signal?.removeEventListener('abort', this.#onAbort);
    return true;
  }
}

/** The error of what a signal has ended. */
export function abortedError(what: string, signal: AbortSignal | undefined): ThreadError {
  return new ThreadError('ABORTED', `${what} was aborted`, { cause: signal?.reason });
}
