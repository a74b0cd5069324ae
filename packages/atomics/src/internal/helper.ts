/**
 * `Atomics.waitAsync` for engines without it: a helper thread blocks in our place and posts how the wait ended.
 *
 * A helper serves one wait at a time and is kept for the next. Its wait begins a little later than it was asked for; it
 * compares the word then, so nothing is missed. A wait that is ended before its helper begins would stay in the queue
 * and swallow a wake-up, or sleep through a death, so `cancel` leaves a mark that the helper reads before and after its wait:
 * what it got in vain it passes on, without asking this thread.
 */
import { HelperFailedError } from '../errors.ts';

/** What `Atomics.waitAsync` returns, and how to give the wait up where that takes more than a notification. */
export interface RawWait {
  readonly async: boolean;
  readonly value: unknown;
  readonly cancel?: () => void;
}

/** What a helper is asked to wait for. */
export interface HelperTask {
  readonly words: Int32Array | BigInt64Array;
  readonly index: number;
  readonly expected: number | bigint;
  readonly timeoutMs: number;
  readonly control: Int32Array;
}

interface Helper {
  readonly worker: Worker;
  /** 1: the wait was given up. */
  readonly control: Int32Array;
  /** The wait that it serves. */
  outcome: PromiseWithResolvers<unknown> | undefined;
}

/** All there are, so that none is collected with the wait that it serves. */
const helpers = new Set<Helper>();
const idleHelpers: Helper[] = [];

function startHelper(): Helper {
  const worker = new Worker(new URL('./helper-worker.js', import.meta.url), { type: 'module', name: 'heddle-wait' });
  const helper: Helper = { worker, control: new Int32Array(new SharedArrayBuffer(4)), outcome: undefined };
  worker.addEventListener('message', (event: MessageEvent<unknown>) => {
    const { outcome } = helper;
    helper.outcome = undefined;
    idleHelpers.push(helper);
    outcome?.resolve(event.data);
  });
  worker.addEventListener('error', (event) => {
    // Who waits is told instead of the page.
    event.preventDefault();
    helpers.delete(helper);
    worker.terminate();
    helper.outcome?.reject(new HelperFailedError(event.message ?? ''));
  });
  helpers.add(helper);
  return helper;
}

/**
 * Lets Rust's tasks on this thread wait where the engine has no `Atomics.waitAsync`: their futures (`lock_async`, `recv_async`, …) call what
 * this gives them, which has helper workers wait, as the asynchronous forms of this package do. Does nothing where the engine needs none.
 *
 * Threads of `@heddle/thread` have it. Call it once on any other thread of a page that polls such futures; Node has `Atomics.waitAsync`
 * in every version that this package runs on.
 */
export function provideWaitAsync(): void {
  if ('waitAsync' in Atomics || typeof Worker !== 'function') return;
  // The name that `crates/atomics/src/futex/promises.rs` asks for.
  Object.defineProperty(globalThis, 'heddleWaitAsync', { value: waitAsyncByHelper, configurable: true });
}

/** As `Atomics.waitAsync`; the promise rejects with {@link HelperFailedError} where the helper can't be had. */
export function waitAsyncByHelper(words: Int32Array | BigInt64Array, index: number, expected: number | bigint, timeoutMs: number): RawWait {
  if (Atomics.load(words as Int32Array, index) !== expected) return { async: false, value: 'not-equal' };
  const helper = idleHelpers.pop() ?? startHelper();
  const { control } = helper;
  Atomics.store(control, 0, 0);
  helper.outcome = Promise.withResolvers();
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker's has no origin
  helper.worker.postMessage({ words, index, expected, timeoutMs, control } satisfies HelperTask);
  return { async: true, value: helper.outcome.promise, cancel: () => void Atomics.store(control, 0, 1) };
}
