/**
 * A session with the tab that leads, as its follower sees it: a source of threads.
 *
 * # State
 * *open* → `end`, when the leader is gone or this tab goes. In between, the leader's engines come and go: `stopped`, then threads of the
 * next.
 *
 * # Invariants
 * 1. When the session ends, nothing that was sent is sent again: what had a thread rejects, what waited for one asks elsewhere.
 */

import type { HeddleStoreError } from '../../HeddleStoreError.ts';
import type { ThreadActivity } from '../../ThreadActivity.ts';
import type { EngineRestart } from '../Keeper.ts';
import type { SqlThread } from '../SqlThread.ts';
import type { Stop } from '../Stop.ts';
import type { ThreadSource } from '../ThreadSource.ts';
import { BorrowedEngine } from './BorrowedThread.ts';
import { SourceGone } from './CurrentSource.ts';
import { errorFrom, type Grant, type ToFollower, type ToLeader } from './messages.ts';
import type { Port } from './Port.ts';

/** Who is told of what the leader says. */
export interface FollowingEvents {
  /** The leader lives. */
  readonly onMessage: () => void;
  /** The leader's engine has stopped; it starts another. */
  readonly onStop: (error: HeddleStoreError) => void;
  /** It has started another. */
  readonly onRestart: (restart: EngineRestart) => void;
  /** The leader gives up. */
  readonly onLeave: () => void;
  /** The files were removed: the database has ended in all tabs. */
  readonly onRemoved: (error: HeddleStoreError) => void;
}

interface Waiter {
  readonly resolve: (thread: SqlThread) => void;
  readonly reject: (error: Error) => void;
}

/** A picture of the threads older than this is taken anew. */
const THREADS_AGE_MS_MAX = 50;

/** A session with the tab that leads. */
export class Following implements ThreadSource {
  readonly #port: Port<ToFollower, ToLeader>;
  readonly #events: FollowingEvents;
  readonly #waiting = new Map<number, Waiter>();
  readonly #borrowed = new Map<number, SqlThread>();
  readonly #tickets = new Map<SqlThread, number>();
  #engine: BorrowedEngine | undefined;
  #ticketLast = 0;
  #threads: readonly ThreadActivity[];
  #threadsMs = performance.now();
  #isLooking = false;
  #hasEnded = false;

  constructor(port: Port<ToFollower, ToLeader>, threads: readonly ThreadActivity[], events: FollowingEvents) {
    this.#port = port;
    this.#threads = threads;
    this.#events = events;
    port.onMessage = (message) => this.#hear(message);
  }

  async acquire(stop: Stop): Promise<SqlThread> {
    if (stop.error) throw stop.error;
    if (this.#hasEnded) throw new SourceGone();
    const ticket = ++this.#ticketLast;
    this.#port.post({ type: 'acquire', ticket });
    return new Promise((resolve, reject) => {
      this.#waiting.set(ticket, {
        resolve: (thread) => {
          stop.listen(undefined);
          resolve(thread);
        },
        reject: (error) => {
          stop.listen(undefined);
          reject(error);
        },
      });
      stop.listen((error) => {
        this.#waiting.delete(ticket);
        this.#port.post({ type: 'withdraw', ticket });
        reject(error);
      });
    });
  }

  release(thread: SqlThread): void {
    const ticket = this.#tickets.get(thread);
    if (ticket === undefined) return;
    this.#tickets.delete(thread);
    this.#borrowed.delete(ticket);
    this.#port.post({ type: 'release', ticket });
  }

  /** Whether calls wait for the leader. */
  get isNeeded(): boolean {
    return this.#waiting.size > 0 || this.#borrowed.size > 0;
  }

  /** Asks the leader for a sign of life. */
  ping(): void {
    this.#port.post({ type: 'ping' });
  }

  #hear(message: ToFollower): void {
    this.#events.onMessage();
    const thread = 'ticket' in message ? this.#borrowed.get(message.ticket) : undefined;
    switch (message.type) {
      case 'granted':
        this.#granted(message);
        break;
      case 'refused':
        this.#settle(message.ticket)?.reject(errorFrom(message.error));
        break;
      case 'accepted':
        if (thread) this.#engine?.accepted(thread);
        break;
      case 'response':
        if (thread) this.#engine?.arrive(thread, message.bytes);
        break;
      case 'written':
        if (message.engine === this.#engine?.number) this.#engine.written();
        break;
      case 'stopped': {
        const error = errorFrom(message.error);
        this.#stopped(error, message.culprit && { index: message.culprit.index, error: errorFrom(message.culprit.error) });
        this.#events.onStop(error);
        break;
      }
      case 'restarted':
        this.#look();
        this.#events.onRestart({ error: errorFrom(message.error), durationMs: message.durationMs });
        break;
      case 'threads':
        this.#threads = message.threads;
        this.#threadsMs = performance.now();
        this.#isLooking = false;
        break;
      case 'removed':
        this.#events.onRemoved(errorFrom(message.error));
        break;
      case 'leaving':
        this.#events.onLeave();
        break;
      default:
        break;
    }
  }

  #granted(grant: Grant): void {
    const { ticket, engine } = grant;
    const waiter = this.#settle(ticket);
    if (!waiter) {
      // Given up while the answer was on its way.
      this.#port.post({ type: 'release', ticket });
      return;
    }
    if (this.#engine?.number !== engine) this.#engine = new BorrowedEngine(engine, (message) => this.#port.post(message));
    const thread = this.#engine.lend(grant);
    this.#borrowed.set(ticket, thread);
    this.#tickets.set(thread, ticket);
    waiter.resolve(thread);
  }

  #settle(ticket: number): Waiter | undefined {
    const waiter = this.#waiting.get(ticket);
    this.#waiting.delete(ticket);
    return waiter;
  }

  #stopped(error: HeddleStoreError, culprit?: { readonly index: number; readonly error: HeddleStoreError }): void {
    this.#threads = this.#threads.map(({ index, name }) => ({ index, name, state: 'restarting', statements: 0 }));
    this.#engine?.fail(error, culprit);
    this.#engine = undefined;
  }

  /** What the leader's threads did a moment ago. */
  threads(): ThreadActivity[] {
    const ageMs = performance.now() - this.#threadsMs;
    if (ageMs > THREADS_AGE_MS_MAX) this.#look();
    return this.#threads.map((thread) => ({ ...thread, sinceMs: thread.sinceMs === undefined ? undefined : thread.sinceMs + ageMs }));
  }

  #look(): void {
    if (this.#isLooking || this.#hasEnded) return;
    this.#isLooking = true;
    this.#port.post({ type: 'look' });
  }

  /** Ends the session: calls that have a thread reject with the error, those that wait for one ask elsewhere. */
  end(error: HeddleStoreError): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#port.post({ type: 'bye' });
    this.#port.close();
    this.#stopped(error);
    this.#borrowed.clear();
    this.#tickets.clear();
    const gone = new SourceGone();
    for (const { reject } of this.#waiting.values()) reject(gone);
    this.#waiting.clear();
  }
}
