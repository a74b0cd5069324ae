/**
 * What a tab does while it leads: it keeps the engine, for itself and for its guests.
 *
 * # Invariants
 * 1. Guests are served from when the engine runs until `retire` or `abandon`. Who greets before is served then.
 * 2. A guest whose tab is gone – its lock is free – ends, and with it whatever it has.
 * 3. `retire` returns when nothing of a guest is left: then the engine can be closed.
 */

import type { HeddleStoreError } from '../../HeddleStoreError.ts';
import type { Engine } from '../Engine.ts';
import { EngineKeeper, isRemoved, restartedError } from '../EngineKeeper.ts';
import { type EngineRestart, tell } from '../Keeper.ts';
import type { EngineMemory, SqlThread } from '../SqlThread.ts';
import { Deputy } from './deputy.ts';
import { Guest } from './Guest.ts';
import { tabLock, whenFree } from './locks.ts';
import { plainError, type ToFollower, type ToLeader } from './messages.ts';
import { openPort } from './Port.ts';

/** What a leadership begins with. */
export interface LeadershipOptions {
  readonly engine: Engine;
  readonly directory: string;
  /** This tab. */
  readonly tab: string;
  /** The name of a session's channel. */
  readonly channelOf: (session: string) => string;
  readonly onStop: (error: HeddleStoreError, isForGood: boolean) => void;
  /** This tab hung, and others have gone on without it. */
  readonly onDeposed: () => void;
  readonly onRestart: ((restart: EngineRestart) => void) | undefined;
}

/** Keeps the engine for all tabs. */
export class Leadership {
  readonly keeper: EngineKeeper;
  readonly #options: LeadershipOptions;
  /** By session. */
  readonly #guests = new Map<string, { readonly guest: Guest; readonly tab: string }>();
  readonly #over = new AbortController();
  /** Numbers of engines, by what only they have. Keeps no memory of one that is gone. */
  readonly #engines = new WeakMap<EngineMemory, number>();
  #engineLast = 0;
  /** For a tab that is alone it would be a worker for nothing. */
  #deputy: Deputy | undefined;

  constructor(options: LeadershipOptions) {
    this.#options = options;
    this.keeper = new EngineKeeper(options.engine, (restart) => this.#onRestart(restart));
    this.keeper.onStop = (error, isForGood) => {
      const reason = error.cause as HeddleStoreError;
      if (isRemoved(reason)) this.#post({ type: 'removed', error: plainError(reason) });
      // Otherwise it is for good in this tab only.
      for (const { guest } of this.#guests.values()) guest.stopped(restartedError(reason, false), restartedError(reason, true));
      options.onStop(error, isForGood);
    };
  }

  #onRestart(restart: EngineRestart): void {
    const { durationMs } = restart;
    this.#deputy?.guard(this.keeper.engine.queue);
    this.#post({ type: 'restarted', error: plainError(restart.error), durationMs });
    tell(this.#options.onRestart, restart);
  }

  #post(message: ToFollower): void {
    for (const { guest } of this.#guests.values()) guest.post(message);
  }

  /** Opens a session, if it is not open. */
  welcome(tab: string, session: string): void {
    if (this.#over.signal.aborted || this.#guests.has(session)) return;
    // A tab has one session: another one means that it has given the one before up.
    for (const [name, { guest, tab: other }] of this.#guests) if (other === tab) this.#end(name, guest);
    const { channelOf, directory, tab: leader } = this.#options;
    const { source, engine } = this.keeper;
    this.#deputy ??= new Deputy(directory, engine.queue, this.#options.onDeposed);
    const guest = new Guest(openPort<ToLeader, ToFollower>(channelOf(session)), {
      source,
      threads: () => this.keeper.threads(),
      engineOf: (thread) => this.#engineOf(thread),
      onEnd: () => this.#guests.delete(session),
    });
    this.#guests.set(session, { guest, tab });
    guest.post({ type: 'welcome', tab: leader, threads: this.keeper.threads() });
    void whenFree(tabLock(tab), this.#over.signal).then((isGone) => {
      if (!isGone) return;
      // A tab that lives nevertheless greets again: its lock was stolen.
      guest.post({ type: 'leaving' });
      this.#end(session, guest);
    });
  }

  #end(session: string, guest: Guest): void {
    this.#guests.delete(session);
    void guest.end();
  }

  #engineOf({ link: { memory } }: SqlThread): number {
    const known = this.#engines.get(memory);
    if (known !== undefined) return known;
    this.#engineLast += 1;
    this.#engines.set(memory, this.#engineLast);
    return this.#engineLast;
  }

  /** Serves guests no longer: they look for another leader. Returns when nothing of theirs is left. */
  async retire(): Promise<void> {
    this.#over.abort();
    this.#deputy?.end();
    this.#post({ type: 'leaving' });
    const guests = [...this.#guests.values()];
    this.#guests.clear();
    await Promise.all(guests.map(({ guest }) => guest.end()));
  }

  /** Lets go of everything at once. What is under way here rejects with the error, what waits for a thread with the other. */
  abandon(error: HeddleStoreError, waiting: Error): void {
    void this.retire();
    this.keeper.abandon(error, waiting);
  }
}
