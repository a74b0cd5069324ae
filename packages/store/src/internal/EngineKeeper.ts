/**
 * Keeps an engine running: when one stops by itself – a trap, the end of its stack, a worker that died – the next takes its place
 * over what is durable, as PostgreSQL does when a backend crashes.
 *
 * # State
 * *running* → the engine stops → *restarting* → *running* …, or → *failed*, for good: where nothing is durable, or engines keep
 * stopping without having answered anything, or where the files were removed: to go on with an empty database is not for this to decide.
 * `close` ends each of them.
 *
 * # Invariants
 * 1. Calls that had a thread of the engine that stopped reject at once. Calls that waited for one wait on, for the next engine's.
 * 2. The next engine starts when no thread of the one before runs any more.
 * 3. Once closing, nothing is started.
 */

import { HeddleStoreError } from '../HeddleStoreError.ts';
import type { ThreadActivity } from '../ThreadActivity.ts';
import type { Engine, EngineFailure } from './Engine.ts';
import { type EngineRestart, type Keeper, type Role, tell } from './Keeper.ts';
import { Scheduler } from './Scheduler.ts';
import { Stop } from './Stop.ts';

/** So many engines one after the other may stop, or not start, before one answers anything. */
const FRUITLESS_MAX = 3;

/** The pause before a start is tried again; it doubles. */
const PAUSE_MS = 100;

/** Keeps an engine running, and hands out its threads. */
export class EngineKeeper implements Keeper {
  readonly source: Scheduler = new Scheduler([]);
  readonly role: Role = 'leader';
  onStop: ((error: HeddleStoreError, isForGood: boolean) => void) | undefined;
  readonly #onRestart: ((restart: EngineRestart) => void) | undefined;
  /** The engine that runs, or ran last. */
  #engine: Engine;
  /** What its threads had answered when it was new. */
  #answersAtStart = 0;
  /** Engines in a row that answered nothing. */
  #fruitless = 0;
  #restarting: Promise<void> | undefined;
  #isAbandoned = false;
  /** Whether it is being closed, while calls still run. */
  #isEnding = false;
  readonly #giveUp = new AbortController();

  /** @param onRestart called when another engine has taken the place of one that stopped */
  constructor(engine: Engine, onRestart?: (restart: EngineRestart) => void) {
    this.#engine = engine;
    this.#onRestart = onRestart;
    this.#adopt(engine);
  }

  /** The engine that runs, or ran last. */
  get engine(): Engine {
    return this.#engine;
  }

  threads(): ThreadActivity[] {
    return this.#engine.threads.map((thread) => {
      const { index, activity } = thread;
      const name = `SQL ${index + 1}`;
      if (this.#restarting) return { index, name, state: 'restarting', statements: 0 };
      const { statements } = thread.link.record;
      if (!activity) return { index, name, state: this.source.isFree(thread) ? 'idle' : 'reserved', statements };
      return { index, name, state: 'running', sql: activity.sql, sinceMs: performance.now() - activity.startMs, statements };
    });
  }

  get #isClosing(): boolean {
    return this.#isEnding || this.#giveUp.signal.aborted;
  }

  #adopt(engine: Engine): void {
    this.#engine = engine;
    this.#answersAtStart = answersOf(engine);
    engine.onFailure = (failure) => this.#onFailure(failure);
    this.source.add(engine.threads);
    const { failure } = engine;
    if (failure) queueMicrotask(() => this.#onFailure(failure));
  }

  #onFailure(failure: EngineFailure): void {
    const { threads, restart } = this.#engine;
    this.#fruitless = answersOf(this.#engine) > this.#answersAtStart ? 0 : this.#fruitless + 1;
    const isForGood = this.#isClosing || restart === undefined || this.#fruitless >= FRUITLESS_MAX || isRemoved(failure.error);
    const errorFor = (isCulprit: boolean): HeddleStoreError =>
      isForGood ? failedError(failure.error, restart !== undefined) : restartedError(failure.error, isCulprit);
    const error = errorFor(false);
    this.source.withdraw();
    for (const thread of threads) {
      const isCulprit = thread === failure.culprit;
      thread.fail(isCulprit ? errorFor(true) : error, { isCulprit });
    }
    if (isForGood) this.#fail(error);
    else {
      this.onStop?.(error, false);
      this.#restarting = this.#restart(this.#engine, failure.error);
    }
  }

  /** Never rejects. */
  async #restart(stopped: Engine, error: HeddleStoreError): Promise<void> {
    const startMs = performance.now();
    const next = await this.#startNext(stopped);
    this.#restarting = undefined;
    if (next === undefined) return;
    this.#adopt(next);
    if (this.#isAbandoned) next.abandon();
    if (this.#isClosing) return;
    tell(this.#onRestart, { error, durationMs: performance.now() - startMs });
  }

  /** The engine that takes the place of one that has stopped; undefined where there is none, for good. */
  async #startNext({ restart }: Engine): Promise<Engine | undefined> {
    for (;;) {
      try {
        // oxlint-disable-next-line no-await-in-loop -- one attempt after the other
        return await restart?.(this.#giveUp.signal);
      } catch (cause) {
        if (this.#isClosing) return undefined;
        this.#fruitless += 1;
        if (this.#fruitless >= FRUITLESS_MAX || isRemoved(cause)) {
          this.#fail(failedError(cause as HeddleStoreError, true));
          return undefined;
        }
      }
      // oxlint-disable-next-line no-await-in-loop
      await this.#pause();
    }
  }

  #pause(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, PAUSE_MS * 2 ** this.#fruitless);
    const { signal } = this.#giveUp;
    const end = (): void => {
      clearTimeout(timer);
      resolve();
    };
    signal.addEventListener('abort', end);
    return promise.finally(() => signal.removeEventListener('abort', end));
  }

  /** No engine any more. */
  #fail(error: HeddleStoreError): void {
    this.source.close(error);
    this.onStop?.(error, true);
    // Threads, memory and files are of no use any more; who closes the database waits for the same.
    if (!this.#isClosing) this.#engine.close().catch(() => undefined);
  }

  async close(error: HeddleStoreError, quiet: Promise<unknown>): Promise<void> {
    this.#isEnding = true;
    this.#engine.endHeedless?.();
    await quiet;
    this.#giveUp.abort(error);
    await this.#restarting;
    await this.#quiet();
    this.source.close(error);
    await this.#engine.close();
  }

  /** Resolves when every thread is free, or there is no engine. */
  async #quiet(): Promise<void> {
    if (this.#engine.failure) return;
    try {
      // oxlint-disable-next-line no-await-in-loop -- each is taken for good
      for (const _ of this.#engine.threads) await this.source.acquire(new Stop());
    } catch {
      // The engine stopped meanwhile.
    }
  }

  /** @param waiting what calls that wait for a thread get, where that is something else */
  abandon(error: HeddleStoreError, waiting: Error = error): void {
    this.#isAbandoned = true;
    this.#giveUp.abort(error);
    for (const thread of this.#engine.threads) thread.fail(error);
    this.source.close(waiting);
    this.#engine.abandon();
  }
}

function answersOf({ threads }: Engine): number {
  return threads.reduce((sum, { answers }) => sum + answers, 0);
}

/** Whether an engine stopped, or didn't start, because its files were removed. */
export function isRemoved(error: unknown): boolean {
  return error instanceof HeddleStoreError && error.code === 'NOT_FOUND';
}

const FATE =
  'What was acknowledged is safe; a commit that was under way is there whole or not at all, so look before you repeat it. ' +
  'Connections and temporary tables are gone';

/** What calls get that an engine took with it, where another follows. */
export function restartedError(cause: HeddleStoreError, isCulprit: boolean): HeddleStoreError {
  const subject = isCulprit ? 'this call stopped the engine' : 'the engine stopped';
  return new HeddleStoreError('ENGINE_RESTARTED', `${subject} (${cause.message}), and it is started again. ${FATE}`, { cause });
}

/** What calls get where none follows. */
export function failedError(cause: HeddleStoreError, isDurable: boolean): HeddleStoreError {
  let fate = isDurable ? `${FATE}. Close the database and open it again` : 'The database was in memory, and is gone';
  if (isRemoved(cause)) fate = 'All that was stored is gone. Close the database; opened again, it is empty';
  return new HeddleStoreError('ENGINE_FAILED', `the engine stopped (${cause.message}). ${fate}`, { cause });
}
