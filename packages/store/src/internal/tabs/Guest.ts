/**
 * A follower, as the leader sees it: what it has borrowed, and what it waits for.
 *
 * # Invariants
 * 1. Whatever a follower has – threads, transactions, memory for a file – it has through its guest, and loses with that: by `bye`, with the
 *    lock that it holds as long as it lives, or because the leader gives up.
 * 2. A follower writes into memory that it has allocated, in the engine that it means, and nowhere else.
 */

import { HeddleStoreError } from '../../HeddleStoreError.ts';
import type { ThreadActivity } from '../../ThreadActivity.ts';
import type { EngineMemory, SqlThread } from '../SqlThread.ts';
import { Stop } from '../Stop.ts';
import type { ThreadSource } from '../ThreadSource.ts';
import { Loan } from './Loan.ts';
import { plainError, type ToFollower, type ToLeader } from './messages.ts';
import type { Port } from './Port.ts';

/** The leader's engines, as its guests need them. */
export interface Host {
  readonly source: ThreadSource;
  readonly threads: () => readonly ThreadActivity[];
  /** The number of a thread's engine. */
  readonly engineOf: (thread: SqlThread) => number;
  /** The guest ends. */
  readonly onEnd: () => void;
}

/** Memory that a follower has allocated. */
interface Region {
  readonly size: number;
  readonly engine: number;
  readonly memory: EngineMemory;
}

/** A follower that this tab's engine serves. */
export class Guest {
  readonly #port: Port<ToLeader, ToFollower>;
  readonly #host: Host;
  readonly #waiting = new Map<number, Stop>();
  readonly #loans = new Map<number, Loan>();
  /** By address. */
  readonly #regions = new Map<number, Region>();
  #ended: Promise<void> | undefined;

  constructor(port: Port<ToLeader, ToFollower>, host: Host) {
    this.#port = port;
    this.#host = host;
    port.onMessage = (message) => this.#hear(message);
  }

  /** Says something to the follower. */
  post(message: ToFollower): void {
    this.#port.post(message);
  }

  #hear(message: ToLeader): void {
    if (this.#ended) return;
    const loan = 'ticket' in message ? this.#loans.get(message.ticket) : undefined;
    switch (message.type) {
      case 'acquire':
        void this.#lend(message.ticket);
        break;
      case 'withdraw':
        this.#waiting.get(message.ticket)?.stop(new HeddleStoreError('ABORTED', 'the tab no longer asks'));
        break;
      case 'release':
        if (loan) void this.#takeBack(message.ticket, loan);
        break;
      case 'request':
        loan?.request(message.bytes);
        break;
      case 'interrupt':
        loan?.interrupt(message.id);
        break;
      case 'taken':
        loan?.taken(message.size);
        break;
      case 'write':
        this.#write(message.engine, message.address, message.bytes);
        this.post({ type: 'written', engine: message.engine });
        break;
      case 'look':
        this.post({ type: 'threads', threads: this.#host.threads() });
        break;
      case 'ping':
        this.post({ type: 'pong' });
        break;
      case 'bye':
        void this.end();
        break;
    }
  }

  async #lend(ticket: number): Promise<void> {
    const { source, engineOf } = this.#host;
    const stop = new Stop();
    this.#waiting.set(ticket, stop);
    try {
      const thread = await source.acquire(stop);
      if (stop.error) {
        source.release(thread);
        return;
      }
      const engine = engineOf(thread);
      const onRegion = (op: 'alloc' | 'free', address: number, size: number): void => {
        if (op === 'alloc') this.#regions.set(address, { size, engine, memory: thread.link.memory });
        else this.#regions.delete(address);
      };
      this.#loans.set(ticket, new Loan(thread, ticket, { post: (message) => this.post(message), onRegion }));
      this.post({ type: 'granted', ticket, engine, index: thread.index, lastId: thread.lastId });
    } catch (error) {
      if (!stop.error) this.post({ type: 'refused', ticket, error: plainError(error) });
    } finally {
      this.#waiting.delete(ticket);
    }
  }

  /** A follower gives threads back quiet. One that doesn't is not trusted with the rest, either. */
  async #takeBack(ticket: number, loan: Loan): Promise<void> {
    this.#loans.delete(ticket);
    if (loan.isBusy) await loan.end();
    else loan.finish();
    this.#host.source.release(loan.thread);
  }

  #write(engine: number, address: number, bytes: Uint8Array): void {
    for (const [start, region] of this.#regions) {
      const isInside = region.engine === engine && address >= start && address + bytes.length <= start + region.size;
      if (isInside) void region.memory.write(address, bytes);
    }
  }

  /** The engine has stopped, and nothing of it is kept. Whose request stopped it is told so by another error. */
  stopped(error: HeddleStoreError, culpritError: HeddleStoreError): void {
    const culprit = [...this.#loans.values()].find(({ thread }) => thread.isCulprit);
    const told = culprit && { index: culprit.thread.index, error: plainError(culpritError) };
    this.post({ type: 'stopped', error: plainError(error), culprit: told });
    for (const loan of this.#loans.values()) loan.finish();
    this.#loans.clear();
    this.#regions.clear();
  }

  /** Takes back whatever the follower has. Never rejects. */
  end(): Promise<void> {
    this.#ended ??= this.#end();
    return this.#ended;
  }

  async #end(): Promise<void> {
    this.#host.onEnd();
    this.#port.close();
    for (const stop of this.#waiting.values()) stop.stop(new HeddleStoreError('ABORTED', 'the tab no longer asks'));
    await Promise.all(
      [...this.#loans].map(async ([ticket, loan]) => {
        await loan.end();
        this.#loans.delete(ticket);
        this.#host.source.release(loan.thread);
      }),
    );
    for (const [address, { size, memory }] of this.#regions) {
      // oxlint-disable-next-line no-await-in-loop -- a tab that is gone has no need of several threads
      await this.#free(address, size, memory).catch(() => undefined);
    }
    this.#regions.clear();
  }

  /** Where this fails, the engine has stopped, and its memory goes with it. */
  async #free(address: number, size: number, memory: EngineMemory): Promise<void> {
    const { source } = this.#host;
    const thread = await source.acquire(new Stop());
    try {
      if (thread.link.memory === memory) await thread.request({ op: 'free', address, size }, undefined);
    } finally {
      source.release(thread);
    }
  }
}
