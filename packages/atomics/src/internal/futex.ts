/**
 * Sleeping until a word changes, in the three ways a thread can: blocking, asynchronously, or not at all.
 *
 * A wait compares and falls asleep as one step with respect to `Atomics.notify` of the same word. It may also end for no
 * reason: callers look at the word again.
 *
 * ## Asynchronous waits
 * 1. A pending one keeps Node alive (an `Atomics.waitAsync` alone doesn't).
 * 2. The platform can't withdraw one, and a withdrawn waiter that stays in the queue would swallow the wake-up of
 *    another. So giving up wakes everybody on that word: our own entry leaves the queue at once, and the others look again
 *    and sleep on.
 * 3. A thread that is about to block can't react to its own pending asynchronous waits, so before it blocks it takes those
 *    out of their queues in the same way ({@link leaveAsyncQueues}): a wake-up never goes to a thread that sleeps
 *    elsewhere. So it does with those of Rust's tasks.
 * 4. A reaper wakes those who block, since the dead may have changed a word without waking, or been woken in vain. Asynchronous
 *    waiters it doesn't know of: they look again after each death themselves.
 */
import { AbortedError, MayNotBlockError } from '../errors.ts';
import { type Agent } from './agent.ts';
import { mayBlock } from './blocking.ts';
import { type RawWait, waitAsyncByHelper } from './helper.ts';
import { WAITING_KIND_MASK } from './layout.ts';
import { ownWaits } from './ownWaits.ts';
import { checkTimeout } from './time.ts';

/** How a wait ended: woken or for no reason, the word had another value, or the time ran out. */
export type WaitResult = 'ok' | 'not-equal' | 'timed-out';

/** How long an asynchronous wait lasts, and what ends it early. */
export interface AsyncWaitOptions {
  /** Milliseconds, `Infinity` for no limit. */
  readonly timeoutMs: number;
  /** Gives the wait up. */
  readonly signal: AbortSignal | undefined;
  /** What is waited for, for the error. */
  readonly operation: string;
  /** Has the wait end, for no reason, whenever a thread of this agent's registry has died: it may have owed us the wake-up. */
  readonly agent?: Agent;
}

/** Words that can be waited on. */
export type WaitWords = Int32Array | BigInt64Array;

/** Has a wait end, for no reason. */
type Withdraw = () => void;

type RawWaitAsync = (words: WaitWords, index: number, expected: number | bigint, timeoutMs: number) => RawWait;

// The platform's types tell 32 and 64 bits apart; here the words and what is expected come together.
const notifyAll = Atomics.notify.bind(Atomics) as (words: WaitWords, index: number) => number;
const rawWait = Atomics.wait.bind(Atomics) as (words: WaitWords, index: number, expected: number | bigint, timeoutMs: number) => WaitResult;

const pendingWaits = new Set<Withdraw>();
/** Where each module of Rust whose tasks wait on this thread puts what takes them out of their queues: `crates/atomics/src/futex/promises.rs`. */
const scope = globalThis as { readonly heddleTaskQueues?: Set<Withdraw> };
const nativeWaitAsync = (Atomics as { waitAsync?: RawWaitAsync }).waitAsync?.bind(Atomics);
let rawWaitAsync: RawWaitAsync = nativeWaitAsync ?? waitAsyncByHelper;

/** Whether asynchronous waits go through helper threads, as on engines without `Atomics.waitAsync`; for tests. */
export function setWaitAsyncByHelper(byHelper: boolean): void {
  rawWaitAsync = byHelper || nativeWaitAsync === undefined ? waitAsyncByHelper : nativeWaitAsync;
}

/**
 * Blocks while `words[index]` is `expected`.
 *
 * @param kind what is told of the wait: one of the WAITING_FOR_ constants, and for the registry a WAITING_ON_ kind of the address; 0 for neither
 * @param shouldWait looked at after the registry was told and before the wait; `false` means don't wait
 * @throws MayNotBlockError `MAY_NOT_BLOCK` on a thread that may not block
 */
export function block(
  words: WaitWords,
  index: number,
  expected: number | bigint,
  timeoutMs: number,
  agent: Agent,
  kind: number,
  operation: string,
  shouldWait?: () => boolean,
): WaitResult {
  checkTimeout(timeoutMs);
  if (timeoutMs <= 0) return 'timed-out';
  if (!mayBlock()) throw new MayNotBlockError(operation);
  if (pendingWaits.size > 0) leaveAsyncQueues();
  if (scope.heddleTaskQueues !== undefined) leaveTaskQueues(scope.heddleTaskQueues);
  const purpose = kind & ~WAITING_KIND_MASK;
  const { registry } = agent;
  if (registry === undefined) return sleep(words, index, expected, timeoutMs, purpose);
  const address = (words.byteOffset + index * words.BYTES_PER_ELEMENT) | (kind & WAITING_KIND_MASK);
  try {
    // A look that had to wait itself, for a lock, has taken out what was said of this wait: then it is said again, and looked again.
    do {
      if (!registry.beginWait(address, purpose)) return 'ok';
      if (shouldWait !== undefined && !shouldWait()) return 'ok';
    } while (!registry.isInWait(address));
    return sleep(words, index, expected, timeoutMs, purpose);
  } finally {
    registry.endWait();
  }
}

/** Sleeps, and tells of it if somebody listens. */
function sleep(words: WaitWords, index: number, expected: number | bigint, timeoutMs: number, purpose: number): WaitResult {
  const listener = ownWaits();
  if (listener === undefined) return rawWait(words, index, expected, timeoutMs);
  listener.begin(purpose, words.buffer);
  try {
    return rawWait(words, index, expected, timeoutMs);
  } finally {
    listener.end();
  }
}

/**
 * Waits without blocking while `words[index]` is `expected`.
 *
 * @returns at once how it ended if it didn't have to wait, or a promise of it
 * @throws AbortedError `ABORTED` (also through the promise) when the signal gives it up
 */
export function waitAsync(
  words: WaitWords,
  index: number,
  expected: number | bigint,
  options: AsyncWaitOptions,
): WaitResult | Promise<WaitResult> {
  const { timeoutMs, signal, operation, agent } = options;
  if (signal?.aborted === true) throw new AbortedError(operation, signal.reason);
  checkTimeout(timeoutMs);
  if (timeoutMs <= 0) return 'timed-out';
  // First: of a death before, the compare sees the changes of the word, and the watch all others: it begins with the deaths that this
  // thread knows.
  let cancel: Withdraw = () => {};
  const withdraw = (): void => {
    cancel();
    notifyAll(words, index);
  };
  const stopWatching = agent?.registry?.watchDeaths(withdraw);
  const raw = rawWaitAsync(words, index, expected, timeoutMs);
  cancel = raw.cancel ?? cancel;
  if (!raw.async) {
    stopWatching?.();
    return raw.value as WaitResult;
  }

  pendingWaits.add(withdraw);
  retainProcess();
  const settle = (): void => {
    pendingWaits.delete(withdraw);
    stopWatching?.();
    releaseProcess();
  };
  const result = raw.value as Promise<WaitResult>;
  if (signal === undefined) return result.finally(settle);
  return withAbort(result, signal, operation, withdraw).finally(settle);
}

/** `result`, unless `signal` comes first: then `withdraw` is called. */
async function withAbort(result: Promise<WaitResult>, signal: AbortSignal, operation: string, withdraw: () => void): Promise<WaitResult> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => {
    // First: an engine may end the wait within the notification that withdraws it.
    reject(new AbortedError(operation, signal.reason));
    withdraw();
  };
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([result, aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

/** Waits asynchronously without keeping the process alive and without being withdrawn: for watching, not for work. */
export function watchWord(words: Int32Array, index: number, expected: number, onChange: () => void): void {
  const raw = rawWaitAsync(words, index, expected, Infinity);
  if (raw.async) void (raw.value as Promise<WaitResult>).then(onChange);
  else queueMicrotask(onChange);
}

/** Takes this thread's pending asynchronous waits out of their queues; they look again when the thread is back. */
function leaveAsyncQueues(): void {
  for (const withdraw of pendingWaits) withdraw();
}

/** {@link leaveAsyncQueues} for Rust's tasks. */
function leaveTaskQueues(queues: Set<Withdraw>): void {
  for (const withdraw of queues) {
    try {
      withdraw();
    } catch {
      // Its module has trapped, and has no tasks any more.
      queues.delete(withdraw);
    }
  }
}

// A timer that never fires in practice, while anything is pending.
const KEEP_ALIVE_INTERVAL_MS = 2 ** 30;
let retainCount = 0;
let keepAliveTimer: ReturnType<typeof setInterval> | undefined;

function retainProcess(): void {
  retainCount += 1;
  keepAliveTimer ??= setInterval(() => {}, KEEP_ALIVE_INTERVAL_MS);
}

function releaseProcess(): void {
  retainCount -= 1;
  if (retainCount === 0) {
    clearInterval(keepAliveTimer);
    keepAliveTimer = undefined;
  }
}
