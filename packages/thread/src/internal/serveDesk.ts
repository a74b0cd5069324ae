/**
 * How a worker of TypeScript's threads waits for calls on its desk.
 *
 * It waits on its event loop, for a word of its desk and for messages at once: a call of small values wakes it through shared memory, what
 * needs structured clone is posted, a function may be asynchronous, and what one has left behind goes on between calls. Blocked in
 * `Atomics.wait` a worker is woken sooner, but hears nothing else: so it blocks for a moment only, right after a call, when the next one is
 * likely to come, and turns to its event loop now and then while they keep coming.
 *
 * # Invariants
 * 1. A call that is laid is run once, and before the next one; one that is posted is left to its message.
 * 2. The creator that has posted a call wakes a worker that blocks: its message is heard at once, not after the blocking's time.
 */
import type { Desk } from './Desk.ts';

/** How long the worker blocks for the next call, in milliseconds. */
const LINGER_MS = 4;
/** How long calls may keep the worker from its event loop, in milliseconds. */
const BLOCKED_MS_MAX = 10;

/** A call that lay on the desk. */
export interface LaidCall {
  readonly number: number;
  readonly function: number;
  readonly thread: number;
  readonly args: readonly unknown[];
}

/** What is done for the desk. */
export interface DeskServer {
  /** Runs a call, and lays or posts what came out of it. */
  readonly call: (call: LaidCall) => void | Promise<void>;
  /** Resolves when the event loop has come round. */
  readonly turn: () => Promise<void>;
}

/** Runs the calls that are laid on a desk, for as long as the worker lives. */
export async function serveDesk(desk: Desk, { call, turn }: DeskServer): Promise<never> {
  let number = desk.call;
  let lastTurnMs = performance.now();
  desk.setReady();
  /* oxlint-disable no-await-in-loop -- one call after the other */
  for (;;) {
    if (desk.call === number) {
      await desk.waitForCall(number);
      lastTurnMs = performance.now();
      continue;
    }
    number = desk.call;
    const laid = desk.takeCall(number);
    // What was posted comes with its message.
    if (!laid) continue;
    const promised = call({ number, ...laid });
    if (promised) await promised;
    else if (performance.now() - lastTurnMs < BLOCKED_MS_MAX) desk.lingerForCall(number, LINGER_MS);
    else {
      await turn();
      lastTurnMs = performance.now();
    }
  }
  /* oxlint-enable no-await-in-loop */
}
