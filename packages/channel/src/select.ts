/**
 * Waiting for whichever of several channel operations is possible first.
 *
 * ## How it waits
 * A blocking select sleeps on the event count of one of its channels, and is a watcher in the others (Waiters.ts): who changes
 * one of those tells that count too. So all its channels must lie in one memory. An asynchronous one waits for the event
 * counts of all of them at once, wherever they lie.
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
import type { Receiver } from './Receiver.ts';
import type { AsyncWaitOptions, Sender, WaitOptions } from './Sender.ts';

/** What an attempt came to. */
export interface Operation {
  readonly isDone: boolean;
  readonly value?: unknown;
  readonly error?: Error;
}

/** An operation on a channel as a select sees it. */
export interface Selectable {
  readonly location: ResolvedLocation;
  readonly waiters: Waiters;
  readonly attempt: () => Operation;
}

/** One thing that a select waits for: to receive a message, or to send a value. */
// oxlint-disable-next-line typescript/no-explicit-any -- an end of whatever type
export type Case = { readonly recv: Receiver<any> } | { readonly send: Sender<any>; readonly value: unknown };

type ValueOf<C> = C extends { readonly recv: Receiver<infer T> } ? T : undefined;

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
 * @throws NotSelectableError `NOT_SELECTABLE` if it has to wait and the channels lie in several memories, or if too many selects
 *   wait for one of them
 * @throws ClosedError, DecodeError, MessageTooLargeError as the operation that was chosen
 */
export function select<const Cases extends Readonly<Record<string, Case>>>(cases: Cases, options?: WaitOptions): Selected<Cases> {
  const operations = operationsOf(cases);
  const first = attemptAll(operations);
  if (first !== undefined) return first as Selected<Cases>;
  const timeoutMs = options?.timeoutMs ?? Infinity;
  if (!mayBlock()) throw new MayNotBlockError('no operation is possible; use selectAsync or trySelect here');
  const home = homeOf(operations);
  const address = home.eventsAddress;
  const deadline = deadlineAfter(timeoutMs);
  const announced: Waiters[] = [];
  try {
    for (const { waiters } of operations) {
      if (!waiters.announceSelect(address)) throw new NotSelectableError('too many selects wait for one of the channels');
      announced.push(waiters);
    }
    for (;;) {
      const { ticket } = home;
      // Invariant 1.
      let selected = attemptAll(operations);
      const shouldWait = (): boolean => (selected = attemptAll(operations)) === undefined;
      const result = selected === undefined ? home.sleep(ticket, remainingMs(deadline), shouldWait) : 'ok';
      if (selected !== undefined) return selected as Selected<Cases>;
      if (result === 'timed-out') throw timeoutOf(timeoutMs);
    }
  } finally {
    for (const waiters of announced) waiters.retireSelect(address);
  }
}

/**
 * Does one of the operations that are possible, if any is: {@link select} with a default.
 *
 * @returns `undefined` if none is possible
 */
export function trySelect<const Cases extends Readonly<Record<string, Case>>>(cases: Cases): Selected<Cases> | undefined {
  return attemptAll(operationsOf(cases)) as Selected<Cases> | undefined;
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
  const announced: Waiters[] = [];
  const stopWatching = operations.map(({ waiters }) => waiters.watchDeaths());
  try {
    for (const { waiters } of operations) {
      waiters.announceSelect(waiters.eventsAddress);
      announced.push(waiters);
    }
    for (;;) {
      const tickets = operations.map(({ waiters }) => waiters.ticket);
      // Invariant 1.
      const selected = attemptAll(operations);
      if (selected !== undefined) return selected as Selected<Cases>;
      const left = remainingMs(deadline);
      if (left <= 0) throw timeoutOf(timeoutMs);
      // oxlint-disable-next-line no-await-in-loop -- one wait after the other
      await waitForAny(operations, tickets, left, signal);
    }
  } finally {
    for (const waiters of announced) waiters.retireSelect(waiters.eventsAddress);
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

function attemptAll(operations: readonly Named[]): { chosen: string; value: unknown } | undefined {
  const start = Math.floor(Math.random() * operations.length);
  for (let i = 0; i < operations.length; i += 1) {
    const { name, attempt } = operations[(start + i) % operations.length]!;
    const { isDone, value, error } = attempt();
    if (error !== undefined) throw error;
    if (isDone) return { chosen: name, value };
  }
  return undefined;
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
