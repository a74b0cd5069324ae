/**
 * Waiting for whichever of several channel operations is possible first.
 *
 * ## How it waits
 * A blocking select sleeps on the event count of one of its channels, and is a watcher in the others (Waiters.ts): who changes
 * one of those tells that count too. So all its channels must lie in one memory. Each has places for six watchers at each side; who
 * finds none is served all the same: it looks again every few milliseconds, also whether a place has become free. An asynchronous one
 * waits for the event counts of all of them at once, wherever they lie.
 *
 * ## Fairness
 * Each round of attempts starts at a random operation: of several that are possible, each is chosen with the same
 * probability, and none that stays possible is passed over for ever.
 *
 * ## Invariants
 * 1. A select counts itself with every channel, reads the event counts, then attempts all operations, then sleeps: a change
 *    after an attempt is one after the count was read, and the sleep ends at once.
 * 2. Every select that waits is told of every change, so that one which then chooses another operation keeps no wake-up from
 *    anybody.
 */
import { AbortedError, InvalidArgumentError, MayNotBlockError, mayBlock } from '@heddle/atomics';
import { type ResolvedLocation, deadlineAfter, remainingMs } from '@heddle/atomics/internal';
import { ChannelTimeoutError, NotSelectableError } from './errors.ts';
import { type Waiters } from './internal/Waiters.ts';
import type { BroadcastReceiver, BroadcastSender } from './Broadcast.ts';
import type { Receiver } from './Receiver.ts';
import type { AsyncWaitOptions, Sender, WaitOptions } from './Sender.ts';
import type { WatchReceiver } from './Watch.ts';

/** How long a select sleeps that a channel can't tell. */
const LOOK_AGAIN_MS = 5;

/** What an attempt came to. */
export interface Operation {
  readonly isDone: boolean;
  /** Whether another thread kept this one from attempting it; that one may tell nobody when it is done. */
  readonly isKept?: boolean;
  readonly value?: unknown;
  readonly error?: Error;
}

/** An operation on a channel as a select sees it. */
export interface Selectable {
  readonly location: ResolvedLocation;
  readonly waiters: Waiters;
  readonly attempt: () => Operation;
}

/**
 * One thing that a select waits for: to receive a message, from a watch channel a value that this end has not seen, or to send a value, to
 * a broadcast channel with back-pressure once the slowest receiver has left room. (One without always takes a value.)
 */
export type Case =
  // oxlint-disable-next-line typescript/no-explicit-any -- an end of whatever type
  | { readonly recv: Receiver<any> | BroadcastReceiver<any> | WatchReceiver<any> }
  // oxlint-disable-next-line typescript/no-explicit-any -- as above
  | { readonly send: Sender<any> | BroadcastSender<any>; readonly value: unknown };

type ValueOf<C> = C extends { readonly recv: infer Receiving }
  ? Receiving extends Receiver<infer T>
    ? T
    : Receiving extends BroadcastReceiver<infer T>
      ? T
      : Receiving extends WatchReceiver<infer T>
        ? T
        : never
  : undefined;

/** Which case was chosen, and the message if it was one that receives. */
export type Selected<Cases extends Readonly<Record<string, Case>>> = {
  [Name in keyof Cases]: { readonly chosen: Name; readonly value: ValueOf<Cases[Name]> };
}[keyof Cases];

/** An operation with its name. */
interface Named extends Selectable {
  readonly name: string;
}

/**
 * Does the first of several operations that is possible, blocking while none is. A closed channel makes its operation
 * possible: it throws what the operation would have thrown.
 *
 * ```ts
 * const got = select({ job: { recv: jobs }, stop: { recv: stops }, report: { send: reports, value: 'idle' } });
 * if (got.chosen === 'job') run(got.value);
 * ```
 *
 * Sending into a rendezvous meets receivers that wait in `recv`, not other selects.
 *
 * @throws MayNotBlockError `MAY_NOT_BLOCK` if none is possible and this thread may not block; use `selectAsync` there
 * @throws ChannelTimeoutError `TIMEOUT` if none was possible in time
 * @throws NotSelectableError `NOT_SELECTABLE` if it has to wait and the channels lie in several memories
 * @throws ClosedError, DecodeError, LaggedError, MessageTooLargeError as the operation that was chosen
 */
export function select<const Cases extends Readonly<Record<string, Case>>>(cases: Cases, options?: WaitOptions): Selected<Cases> {
  const operations = operationsOf(cases);
  const { selected: first } = attemptAll(operations);
  if (first !== undefined) return first as Selected<Cases>;
  const timeoutMs = options?.timeoutMs ?? Infinity;
  if (!mayBlock()) throw new MayNotBlockError('no operation is possible; use selectAsync or trySelect here');
  const home = homeOf(operations);
  const address = home.eventsAddress;
  const deadline = deadlineAfter(timeoutMs);
  const retirements: ((() => void) | undefined)[] = operations.map(() => undefined);
  try {
    for (;;) {
      for (const [i, { waiters }] of operations.entries()) retirements[i] ??= waiters.announceSelect(address);
      const isTold = !retirements.includes(undefined);
      const { ticket } = home;
      // Invariant 1.
      let { selected, isKept } = attemptAll(operations);
      // An attempt that others keep from looking has waited for them.
      const isIdle = (): boolean => selected === undefined && !isKept;
      const shouldWait = (): boolean => {
        ({ selected, isKept } = attemptAll(operations));
        return isIdle();
      };
      const left = remainingMs(deadline);
      if (isIdle()) home.sleep(ticket, isTold ? left : Math.min(left, LOOK_AGAIN_MS), shouldWait);
      if (selected !== undefined) return selected as Selected<Cases>;
      if (remainingMs(deadline) <= 0) throw timeoutOf(timeoutMs);
    }
  } finally {
    for (const retire of retirements) retire?.();
  }
}

/**
 * Does one of the operations that are possible, if any is: {@link select} with a default. "Not possible" can also mean that another thread is
 * in the middle of a long copy, or has a place reserved or a message borrowed.
 *
 * @returns `undefined` if none is possible
 */
export function trySelect<const Cases extends Readonly<Record<string, Case>>>(cases: Cases): Selected<Cases> | undefined {
  return attemptAll(operationsOf(cases)).selected as Selected<Cases> | undefined;
}

/**
 * {@link select} without blocking the thread; its channels may lie in any memories.
 *
 * @throws ChannelTimeoutError `TIMEOUT` if none was possible in time
 * @throws AbortedError `ABORTED` if the signal gave the wait up; its reason is the `cause`
 */
export async function selectAsync<const Cases extends Readonly<Record<string, Case>>>(
  cases: Cases,
  options: AsyncWaitOptions = {},
): Promise<Selected<Cases>> {
  const { timeoutMs = Infinity, signal } = options;
  if (signal?.aborted === true) throw new AbortedError('selecting', signal.reason);
  const operations = operationsOf(cases);
  const deadline = deadlineAfter(timeoutMs);
  // Each sleeps on the events of its own channel, where there is a place for everybody.
  const retirements = operations.map(({ waiters }) => waiters.announceSelect(waiters.eventsAddress)!);
  const stopWatching = operations.map(({ waiters }) => waiters.watchDeaths());
  try {
    for (;;) {
      const tickets = operations.map(({ waiters }) => waiters.ticket);
      // Invariant 1.
      const { selected, isKept } = attemptAll(operations);
      if (selected !== undefined) return selected as Selected<Cases>;
      const left = remainingMs(deadline);
      if (left <= 0) throw timeoutOf(timeoutMs);
      // oxlint-disable-next-line no-await-in-loop -- one wait after the other
      await waitForAny(operations, tickets, isKept ? Math.min(left, LOOK_AGAIN_MS) : left, signal);
    }
  } finally {
    for (const retire of retirements) retire();
    for (const stop of stopWatching) stop();
  }
}

/** Waits until something is told to one of the operations' waiters, and takes the other waits back. */
async function waitForAny(
  operations: readonly Named[],
  tickets: readonly number[],
  timeoutMs: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  const over = new AbortController();
  const anySignal = signal === undefined ? over.signal : AbortSignal.any([signal, over.signal]);
  const waits = operations.map(async ({ waiters }, i) =>
    waiters.waitForSelect(tickets[i]!, { timeoutMs, signal: anySignal, operation: 'selecting' }),
  );
  try {
    await Promise.race(waits);
  } finally {
    over.abort();
    await Promise.allSettled(waits);
  }
}

function operationsOf(cases: Readonly<Record<string, Case>>): Named[] {
  const operations = Object.entries(cases).map(([name, choice]) => ({
    name,
    ...('recv' in choice ? choice.recv.forSelect() : choice.send.forSelect(choice.value)),
  }));
  if (operations.length === 0) throw new InvalidArgumentError('a select needs an operation to wait for');
  return operations;
}

/** What a round of attempts came to. */
interface Round {
  readonly selected: { readonly chosen: string; readonly value: unknown } | undefined;
  /** Whether an operation couldn't be attempted; see {@link Operation}. */
  readonly isKept: boolean;
}

function attemptAll(operations: readonly Named[]): Round {
  const start = Math.floor(Math.random() * operations.length);
  let isAnyKept = false;
  for (let i = 0; i < operations.length; i += 1) {
    const { name, attempt } = operations[(start + i) % operations.length]!;
    const { isDone, isKept, value, error } = attempt();
    if (error !== undefined) throw error;
    if (isDone) return { selected: { chosen: name, value }, isKept: false };
    isAnyKept ||= isKept === true;
  }
  return { selected: undefined, isKept: isAnyKept };
}

/** Where a blocking select sleeps. */
function homeOf(operations: readonly Named[]): Waiters {
  const [{ location, waiters }] = operations as [Named];
  const isOneMemory = operations.every(({ location: other }) =>
    location.memory === undefined ? other.buffer === location.buffer : other.memory === location.memory,
  );
  if (isOneMemory) return waiters;
  throw new NotSelectableError(
    'a blocking select can wait only for channels in one memory: make them at locations in one SharedArrayBuffer or WebAssembly.Memory, or use selectAsync',
  );
}

const timeoutOf = (timeoutMs: number): ChannelTimeoutError => new ChannelTimeoutError(`no operation was possible for ${timeoutMs} ms`);
