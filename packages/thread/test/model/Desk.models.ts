/** Models of the desk between a worker of TypeScript's threads and its creator; Desk.node.test.ts runs them. */
import type { Model, ModelThread } from '@heddle/tools/model';
import { Desk } from '../../src/internal/Desk.ts';
import { DESK_DIED, DESK_POSTED, DESK_RETURNED, DESK_SIZE } from '../../src/internal/layout.ts';
import { serveDesk } from '../../src/internal/serveDesk.ts';
import { waitWhile } from '../../src/internal/wait.ts';

/** How many messages there have been: they arrive on the worker's event loop. Behind the desk, as all words here. */
const TO_WORKER = DESK_SIZE >> 2;
/** The number of the call that the last message to the worker is of. */
const POSTED_CALL = TO_WORKER + 1;
/** How many messages the worker has posted. */
const TO_CREATOR = TO_WORKER + 2;
/** How many calls have run, a bit each. */
const RUN = TO_WORKER + 3;
/** 1 once the host has noticed that the worker is dead. */
const IS_DEAD = TO_WORKER + 4;
const BYTES = DESK_SIZE + 64;

const wordsOf = ({ memory }: ModelThread): Int32Array => new Int32Array(memory);

/** The worker has nothing to do any more. */
class Over extends Error {}

/** Runs a call: notes that it did so, which only happens once, and computes. */
function run(thread: ModelThread, number: number, value: number): number {
  const before = Atomics.or(wordsOf(thread), RUN, 1 << number);
  thread.assert((before & (1 << number)) === 0, `call ${number} ran twice`);
  return value * 2;
}

interface ServerOptions {
  readonly count: number;
  /** Whether a function makes a promise. */
  readonly isAsync?: boolean;
  /** Whether what comes out is too large for the desk. */
  readonly posts?: boolean;
}

/** A worker, until so many calls have run: those that are laid, and those that come by message. */
const serve =
  ({ count, isAsync = false, posts = false }: ServerOptions) =>
  async (thread: ModelThread): Promise<void> => {
    const desk = new Desk(thread.memory);
    const words = wordsOf(thread);
    const over = Promise.withResolvers<never>();
    let left = count;
    const end = (number: number, value: number): void => {
      left -= 1;
      if (!posts) thread.assert(desk.layOutcome(number, DESK_RETURNED, value), 'a number has room');
      else {
        Atomics.add(words, TO_CREATOR, 1);
        Atomics.notify(words, TO_CREATOR);
        desk.layEnd(number, DESK_POSTED);
      }
      if (left === 0) throw new Over();
    };
    const hear = async (): Promise<never> => {
      for (let heard = 0; ; heard += 1) {
        // oxlint-disable-next-line no-await-in-loop -- one message after the other
        while (Atomics.load(words, TO_WORKER) === heard) await waitWhile(words, TO_WORKER, heard);
        const number = Atomics.load(words, POSTED_CALL);
        desk.hear(number);
        end(number, run(thread, number, 100));
      }
    };
    const call = ({ number, args }: { number: number; args: readonly unknown[] }): void | Promise<void> => {
      const value = run(thread, number, args[0] as number);
      if (isAsync) return thread.turn().then(() => end(number, value));
      end(number, value);
    };
    const serving = serveDesk(desk, { call, turn: () => thread.turn() });
    // What the last call throws may come from either of them.
    serving.catch(over.reject);
    hear().catch(over.reject);
    try {
      await over.promise;
    } catch (error) {
      if (!(error instanceof Over)) throw error;
    }
  };

/** A call is laid only after one that came by message, which names the function: the worker serves its desk by then. */
function awaitReady(thread: ModelThread, desk: Desk): void {
  while (!desk.isReady) thread.yield();
}

function lay(thread: ModelThread, desk: Desk, number: number): void {
  thread.assert(desk.layCall({ number, function: 0, thread: 1, args: [number] }), 'a number has room');
}

/** Posts a call, as `ModuleWorker` does: the message first. */
function postCall(thread: ModelThread, desk: Desk, number: number): void {
  const words = wordsOf(thread);
  Atomics.store(words, POSTED_CALL, number);
  Atomics.add(words, TO_WORKER, 1);
  Atomics.notify(words, TO_WORKER);
  desk.tellPosted(number);
}

function checkResult(thread: ModelThread, desk: Desk, expected: number): void {
  const { outcome, value } = desk.takeOutcome();
  thread.assert(outcome === DESK_RETURNED && value === expected, `the call came to ${String(value)}, not ${expected}`);
}

const never = (): boolean => false;

/** A creator that lays so many calls, one after the other, and awaits each. */
const layCalls =
  (count: number) =>
  async (thread: ModelThread): Promise<void> => {
    const desk = new Desk(thread.memory);
    awaitReady(thread, desk);
    for (let number = 1; number <= count; number += 1) {
      lay(thread, desk, number);
      desk.spinForResult(number - 1);
      // oxlint-disable-next-line no-await-in-loop -- one call after the other
      thread.assert(await desk.waitForEnd(number, never), 'nobody is gone');
      checkResult(thread, desk, number * 2);
    }
  };

/** {@link layCalls}, blocking for each. */
const layCallsBlocking =
  (count: number) =>
  (thread: ModelThread): void => {
    const desk = new Desk(thread.memory);
    awaitReady(thread, desk);
    for (let number = 1; number <= count; number += 1) {
      lay(thread, desk, number);
      thread.assert(desk.waitForEndBlocking(number, Infinity), 'there is no limit');
      checkResult(thread, desk, number * 2);
    }
  };

const model = (threads: Model['threads'], rest: Partial<Model> = {}): Model => ({ byteLength: BYTES, threads, ...rest });

export const laid: Model = model([layCalls(3), serve({ count: 3 })]);

export const laidBlocking: Model = model([layCallsBlocking(3), serve({ count: 3 })]);

/** Functions that make promises: the event loop runs meanwhile. */
export const asynchronous: Model = model([layCalls(2), serve({ count: 2, isAsync: true })]);

/**
 * The first call comes by message, perhaps before the worker serves its desk, and so does one that the desk can't hold, between two that it
 * holds: the worker may block then, and is to hear it.
 *
 * A worker that came back from its event loop, on which it had run a call that was posted, took the next one, which the creator was just laying: it
 * ran under the number of the one before, perhaps with half of its arguments, and then again.
 */
export const posted: Model = model([
  async (thread) => {
    const desk = new Desk(thread.memory);
    postCall(thread, desk, 1);
    await desk.waitForEnd(1, never);
    checkResult(thread, desk, 200);
    lay(thread, desk, 2);
    await desk.waitForEnd(2, never);
    checkResult(thread, desk, 4);
    postCall(thread, desk, 3);
    await desk.waitForEnd(3, never);
    checkResult(thread, desk, 200);
  },
  serve({ count: 3 }),
]);

/** What comes out by message: it was posted before the desk tells the end. */
export const postedResult: Model = model([
  async (thread) => {
    const desk = new Desk(thread.memory);
    awaitReady(thread, desk);
    for (let number = 1; number <= 2; number += 1) {
      lay(thread, desk, number);
      // oxlint-disable-next-line no-await-in-loop -- one call after the other
      await desk.waitForEnd(number, never);
      thread.assert(desk.takeOutcome().outcome === DESK_POSTED, 'it was posted');
      thread.assert(Atomics.load(wordsOf(thread), TO_CREATOR) === number, 'the message is on its way');
    }
  },
  serve({ count: 2, posts: true }),
]);

/** A worker that ends itself within its function lays that end: a creator that blocks hears nothing else. */
export const ownEnd: Model = model([
  (thread) => {
    const desk = new Desk(thread.memory);
    awaitReady(thread, desk);
    lay(thread, desk, 1);
    thread.assert(desk.waitForEndBlocking(1, Infinity), 'there is no limit');
    thread.assert(desk.takeOutcome().outcome === DESK_DIED, 'the worker has ended');
  },
  async (thread) => {
    const desk = new Desk(thread.memory);
    const call = ({ number }: { number: number }): never => {
      desk.layEnd(number, DESK_DIED);
      throw new Over();
    };
    await serveDesk(desk, { call, turn: () => thread.turn() }).catch((error: unknown) => {
      if (!(error instanceof Over)) throw error;
    });
  },
]);

/** A worker dies anywhere: its creator, whose event loop the host tells, waits no longer; a result that lies there counts. */
export const death: Model = model(
  [
    async (thread) => {
      const desk = new Desk(thread.memory);
      const words = wordsOf(thread);
      let isGone = false;
      const watching = waitWhile(words, IS_DEAD, 0).then(() => {
        isGone = Atomics.load(words, IS_DEAD) === 1;
        desk.wakeCreator();
      });
      postCall(thread, desk, 1);
      if (await desk.waitForEnd(1, () => isGone)) {
        checkResult(thread, desk, 200);
        lay(thread, desk, 2);
        if (await desk.waitForEnd(2, () => isGone)) checkResult(thread, desk, 4);
      }
      await watching;
    },
    serve({ count: 2 }),
    (thread) => {
      thread.awaitDeath();
      Atomics.store(wordsOf(thread), IS_DEAD, 1);
      Atomics.notify(wordsOf(thread), IS_DEAD);
    },
  ],
  { mortals: [1] },
);
