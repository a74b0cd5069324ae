/**
 * A tab's part in a database that the tabs of one origin share: it leads, with an engine of its own, or follows the tab that does.
 *
 * # State
 * Each tab stands for the lead as long as it has the database open: it queues for one Web Lock, which makes its holder the leader. Until
 * then it greets the leader and follows it. When that is gone, the next in the queue leads, and the others greet again.
 *
 * ```
 * greeting → following → (the leader goes) → greeting …
 *     └──────────┴─→ (the lock is ours) → starting → leading → (frozen, or the lock was taken away) → greeting …
 * ```
 *
 * # Invariants
 * 1. Only who holds the leader's lock starts an engine; and an engine has its files only with the directory's own lock, which its I/O
 *    thread holds (`io/webLock.ts`). So two engines never have one directory, whatever became of the leader's lock.
 * 2. A tab that can't run stands for nothing: while it is frozen, it neither leads nor queues.
 * 3. A tab holds a lock of its own from before its first greeting to its end. That it is free says that the tab is gone. A tab from which
 *    it is stolen takes it back.
 * 4. Tabs of different versions don't talk: whoever comes second gets `VERSION_MISMATCH`. Neither do those that mean different things by an
 *    acknowledged commit.
 */

import { onFreeze } from '#platform';
import { HeddleStoreError } from '../../HeddleStoreError.ts';
import type { ThreadActivity } from '../../ThreadActivity.ts';
import type { Engine } from '../Engine.ts';
import { failedError, restartedError } from '../EngineKeeper.ts';
import { directoryLock } from '../io/webLock.ts';
import { type EngineRestart, type Keeper, type Role, tell } from '../Keeper.ts';
import { Stop } from '../Stop.ts';
import { CurrentSource, SourceGone } from './CurrentSource.ts';
import { Following } from './Following.ts';
import { Leadership } from './Leadership.ts';
import { LeaderWatch } from './LeaderWatch.ts';
import { type HeldLock, leaderLock, stealLock, tabLock, takeLock, whenFree } from './locks.ts';
import { type Greeting, rendezvousChannel, type Terms, type ToFollower, type ToLeader } from './messages.ts';
import { openPort, type Port } from './Port.ts';

/** What a tab brings with it. */
export interface MembershipOptions {
  readonly directory: string;
  /** Tabs of the same terms share the database. */
  readonly terms: Terms;
  /** Starts an engine over the directory. */
  readonly startEngine: (signal: AbortSignal) => Promise<Engine>;
  readonly onRestart: ((restart: EngineRestart) => void) | undefined;
  readonly onRole: ((role: Role) => void) | undefined;
}

/** Between two greetings that nobody answers. */
const GREETING_PAUSE_MS = 1000;

/** How often a tab that has come to lead tries to start an engine. */
const STARTS_MAX = 3;
const START_PAUSE_MS = 200;

/** How long the calls of a follower that is closed may take to end. */
const QUIET_MS_MAX = 2000;

interface Session {
  readonly name: string;
  readonly port: Port<ToFollower, ToLeader>;
  readonly timer: ReturnType<typeof setInterval>;
  readonly watch: LeaderWatch;
}

/** A tab's part in a shared database. */
export class Membership implements Keeper {
  readonly source: CurrentSource = new CurrentSource();
  onStop: ((error: HeddleStoreError, isForGood: boolean) => void) | undefined;
  readonly #options: MembershipOptions;
  readonly #tab = crypto.randomUUID();
  readonly #channel: string;
  readonly #ready = Promise.withResolvers<void>();
  readonly #over = new AbortController();
  readonly #ends: (() => void)[] = [];
  #rendezvous: Port<Greeting, Greeting> | undefined;
  /** Says that this tab is not gone. */
  #life: HeldLock | undefined;
  /** Gives up queueing for the lead, or the lead. */
  #candidacy: AbortController | undefined;
  #lock: HeldLock | undefined;
  #leadership: Leadership | undefined;
  /** Settles when this tab leads or has given that up. */
  #starting: Promise<void> | undefined;
  /** Followers that greeted before the engine ran: their tabs by their sessions. */
  readonly #early = new Map<string, string>();
  #greeting: Session | undefined;
  #following: { readonly session: Following; readonly leader: string; readonly over: AbortController } | undefined;
  #lost: { readonly error: HeddleStoreError; readonly startMs: number } | undefined;
  #threads: ThreadActivity[] = [];
  #left: Promise<void> | undefined;

  private constructor(options: MembershipOptions) {
    this.#options = options;
    this.#channel = rendezvousChannel(options.directory);
    this.#ready.promise.catch(() => undefined);
  }

  /** Joins the tabs of a database: as their leader where there is none. */
  static async join(options: MembershipOptions, signal: AbortSignal | undefined): Promise<Membership> {
    const membership = new Membership(options);
    const stop = new Stop({ signal });
    try {
      if (stop.error) throw stop.error;
      stop.listen((error) => membership.#ready.reject(error));
      await membership.#enter();
      return membership;
    } catch (error) {
      await membership.#leave(error as HeddleStoreError);
      throw error;
    } finally {
      stop.dispose();
    }
  }

  async #enter(): Promise<void> {
    this.#live(await takeLock(tabLock(this.#tab), this.#over.signal));
    this.#rendezvous = openPort<Greeting, Greeting>(this.#channel);
    this.#rendezvous.onMessage = (greeting) => this.#hear(greeting);
    const stopListening = onFreeze(
      () => this.#onFreeze(),
      () => this.#stand(),
    );
    this.#ends.push(
      stopListening,
      () => this.#rendezvous?.close(),
      () => this.#life?.release(),
    );
    this.#stand();
    await this.#ready.promise;
  }

  /** Its workers are frozen with this tab: what they have, nobody else gets. */
  #onFreeze(): void {
    this.#leadership?.keeper.engine.abandonBeforeFreezing();
    this.#stepAside(new HeddleStoreError('ENGINE_FAILED', 'the page was frozen'));
  }

  #live(life: HeldLock): void {
    this.#life = life;
    if (this.#over.signal.aborted) life.release();
    life.lost.addEventListener('abort', () => {
      if (this.#over.signal.aborted) return;
      stealLock(tabLock(this.#tab)).then(
        (again) => this.#live(again),
        () => undefined,
      );
    });
  }

  get role(): Role {
    return this.#leadership ? 'leader' : 'follower';
  }

  threads(): ThreadActivity[] {
    const now = this.#leadership?.keeper.threads() ?? this.#following?.session.threads();
    if (now) this.#threads = now;
    return now ?? this.#threads.map(({ index, name }) => ({ index, name, state: 'restarting', statements: 0 }));
  }

  /** Queues for the lead, and looks for whoever has it. */
  #stand(): void {
    if (this.#candidacy || this.#over.signal.aborted) return;
    this.#greet();
    this.#run((signal) => takeLock(leaderLock(this.#options.directory), signal));
  }

  /** Takes the lead from a tab that hangs, and has lost its files. */
  #seize(): void {
    if (!this.#candidacy || this.#lock) return;
    this.#candidacy.abort();
    this.#run(() => stealLock(leaderLock(this.#options.directory)));
  }

  #run(take: (signal: AbortSignal) => Promise<HeldLock>): void {
    const candidacy = new AbortController();
    this.#candidacy = candidacy;
    this.#starting = this.#queue(candidacy, take(candidacy.signal));
  }

  /** Never rejects. */
  async #queue(candidacy: AbortController, taking: Promise<HeldLock>): Promise<void> {
    let lock: HeldLock;
    try {
      lock = await taking;
    } catch (cause) {
      if (!candidacy.signal.aborted) this.#fail(new HeddleStoreError('ENGINE_FAILED', 'this tab can take no lock', { cause }));
      return;
    }
    if (candidacy.signal.aborted) {
      lock.release();
      return;
    }
    this.#lock = lock;
    await this.#lead(lock, candidacy);
  }

  async #lead(lock: HeldLock, candidacy: AbortController): Promise<void> {
    const { terms, onRestart, onRole } = this.#options;
    this.#loseLeader(new HeddleStoreError('ENGINE_FAILED', 'the tab that ran it is gone'));
    this.#endGreeting();
    lock.lost.addEventListener('abort', () => this.#onLockLost(lock));
    // Who follows the one before need not wait to hear of its end.
    this.#rendezvous?.post({ type: 'lead', tab: this.#tab, terms });
    const engine = await this.#startEngine(candidacy.signal);
    if (!engine) return;
    if (candidacy.signal.aborted) {
      engine.abandon();
      return;
    }
    const leadership = new Leadership({
      engine,
      directory: this.#options.directory,
      tab: this.#tab,
      channelOf: (session) => `${this.#channel}:${session}`,
      onStop: (error, isForGood) => (isForGood ? this.#fail(error) : this.onStop?.(error, false)),
      onDeposed: () => this.#onLockLost(lock),
      onRestart,
    });
    this.#leadership = leadership;
    this.source.set(leadership.keeper.source);
    for (const [session, tab] of this.#early) leadership.welcome(tab, session);
    this.#early.clear();
    tell(onRole, 'leader');
    this.#arrive();
  }

  /** An engine; undefined where there is none, or it is no longer wanted. */
  async #startEngine(signal: AbortSignal): Promise<Engine | undefined> {
    for (let start = 1; ; start++) {
      try {
        // Its predecessor may be stopped, and keep the files for long. To try meanwhile would be vain.
        // oxlint-disable-next-line no-await-in-loop
        if (this.#lost) await whenFree(directoryLock(this.#options.directory), signal);
        // oxlint-disable-next-line no-await-in-loop -- one attempt after the other
        return await this.#options.startEngine(signal);
      } catch (error) {
        if (signal.aborted) return undefined;
        if (this.#lost === undefined) {
          this.#ready.reject(error);
          return undefined;
        }
        if ((error as HeddleStoreError).code === 'LOCKED') start -= 1;
        if (start >= STARTS_MAX) {
          this.#fail(failedError(error as HeddleStoreError, true));
          return undefined;
        }
      }
      // oxlint-disable-next-line no-await-in-loop
      await new Promise((resolve) => setTimeout(resolve, START_PAUSE_MS));
    }
  }

  #hear(greeting: Greeting): void {
    const { type, tab, terms } = greeting;
    const dispute = this.#dispute(terms);
    if (type === 'hello') {
      if (!this.#lock || this.#over.signal.aborted) return;
      if (dispute) this.#refuse(greeting.session);
      else if (this.#leadership) this.#leadership.welcome(tab, greeting.session);
      else this.#early.set(greeting.session, tab);
      return;
    }
    if (!this.#candidacy || this.#lock || tab === this.#following?.leader) return;
    if (dispute) this.#fail(dispute);
    else if (this.#following) this.#onLeaderGone();
    else if (this.#greeting) this.#hello(this.#greeting.name);
  }

  #refuse(session: string): void {
    const port = openPort<ToLeader, ToFollower>(`${this.#channel}:${session}`);
    port.post({ type: 'refusal', terms: this.#options.terms });
    port.close();
  }

  /** Why this tab can't share the database with another, if it can't. */
  #dispute({ version, durability }: Terms): HeddleStoreError | undefined {
    const own = this.#options.terms;
    if (version !== own.version) {
      const message = `another tab has this database open with version ${version} of @heddle/store, this one is ${own.version}`;
      return new HeddleStoreError('VERSION_MISMATCH', `${message}: reload the older`);
    }
    if (durability === own.durability) return undefined;
    return new HeddleStoreError('MISUSE', `another tab has this database open with durability "${durability}", not "${own.durability}"`);
  }

  #greet(): void {
    const name = crypto.randomUUID();
    const port = openPort<ToFollower, ToLeader>(`${this.#channel}:${name}`);
    const watch = new LeaderWatch({
      directory: this.#options.directory,
      session: name,
      isNeeded: () => this.#following?.session.isNeeded ?? true,
      ask: () => this.#following?.session.ping(),
      onVacant: () => this.#seize(),
      onSilence: () => this.#onLeaderGone(new HeddleStoreError('ENGINE_FAILED', 'the tab that runs it does not answer')),
    });
    this.#greeting = { name, port, watch, timer: setInterval(() => this.#hello(name), GREETING_PAUSE_MS) };
    port.onMessage = (message) => {
      if (message.type === 'welcome') this.#follow(message.tab, message.threads);
      const dispute = message.type === 'refusal' && this.#dispute(message.terms);
      if (dispute) this.#fail(dispute);
    };
    this.#hello(name);
  }

  #hello(session: string): void {
    this.#rendezvous?.post({ type: 'hello', tab: this.#tab, session, terms: this.#options.terms });
  }

  #endGreeting(): void {
    if (!this.#greeting) return;
    clearInterval(this.#greeting.timer);
    this.#greeting.watch.end();
    this.#greeting.port.close();
    this.#greeting = undefined;
  }

  #follow(leader: string, threads: readonly ThreadActivity[]): void {
    if (!this.#greeting) return;
    const { port, timer, watch } = this.#greeting;
    clearInterval(timer);
    this.#greeting = undefined;
    port.onBroken = () => this.#onLeaderGone();
    const session: Following = new Following(port, threads, {
      onMessage: () => watch.heard(),
      onStop: (error) => this.onStop?.(error, false),
      onRestart: (restart) => tell(this.#options.onRestart, restart),
      onLeave: () => this.#onLeaderGone(),
      onRemoved: (error) => this.#fail(failedError(error, true)),
    });
    const over = new AbortController();
    over.signal.addEventListener('abort', () => watch.end());
    this.#following = { session, leader, over };
    this.source.set(session);
    void whenFree(tabLock(leader), over.signal).then((isGone) => isGone && this.#onLeaderGone());
    this.#arrive();
  }

  /** There is an engine within reach. */
  #arrive(): void {
    this.#ready.resolve();
    const lost = this.#lost;
    this.#lost = undefined;
    if (lost) tell(this.#options.onRestart, { error: lost.error, durationMs: performance.now() - lost.startMs });
  }

  #onLeaderGone(cause: HeddleStoreError = new HeddleStoreError('ENGINE_FAILED', 'the tab that ran it is gone')): void {
    if (!this.#following) return;
    this.#loseLeader(cause);
    if (!this.#lock && this.#candidacy) this.#greet();
  }

  /** Ends the session with the leader, if there is one. */
  #loseLeader(cause: HeddleStoreError): void {
    if (!this.#following) return;
    const { session, over } = this.#following;
    this.threads();
    this.#following = undefined;
    over.abort();
    this.#loseEngine(cause, (error) => session.end(error));
    this.source.unset(session);
  }

  /** No engine is within reach, until there is another. */
  #loseEngine(cause: HeddleStoreError, end: (error: HeddleStoreError) => void): void {
    const error = restartedError(cause, false);
    this.#lost ??= { error: cause, startMs: performance.now() };
    end(error);
    this.onStop?.(error, false);
  }

  #onLockLost(lock: HeldLock): void {
    if (this.#lock !== lock || this.#over.signal.aborted) return;
    this.#stepAside(new HeddleStoreError('ENGINE_FAILED', 'this tab did not answer for long, and another took the lead'));
    this.#stand();
  }

  /** Neither leads nor follows nor queues, until it stands again. */
  #stepAside(cause: HeddleStoreError): void {
    this.#candidacy?.abort();
    this.#candidacy = undefined;
    this.#endGreeting();
    this.#loseLeader(cause);
    const leadership = this.#leadership;
    if (leadership) {
      this.threads();
      this.#leadership = undefined;
      this.source.unset(leadership.keeper.source);
      this.#loseEngine(cause, (error) => leadership.abandon(error, new SourceGone()));
      tell(this.#options.onRole, 'follower');
    }
    this.#releaseLead();
  }

  #releaseLead(): void {
    this.#early.clear();
    this.#lock?.release();
    this.#lock = undefined;
  }

  /** This tab's database has failed for good; others go on without it. */
  #fail(error: HeddleStoreError): void {
    this.#ready.reject(error);
    this.source.close(error);
    this.onStop?.(error, true);
    void this.#leave(error);
  }

  async close(error: HeddleStoreError, quiet: Promise<unknown>): Promise<void> {
    // It goes, and takes over from nobody any more.
    if (!this.#lock) this.#candidacy?.abort();
    const patience = new Promise((resolve) => setTimeout(resolve, QUIET_MS_MAX));
    await (this.#leadership ? Promise.all([quiet, this.#leadership.retire()]) : Promise.race([quiet, patience]));
    this.source.close(error);
    await this.#leave(error);
  }

  /** Ends it, and returns when the files are released. Again, it waits for the same. */
  #leave(error: HeddleStoreError): Promise<void> {
    this.#left ??= this.#leaveOnce(error);
    return this.#left;
  }

  async #leaveOnce(error: HeddleStoreError): Promise<void> {
    this.#over.abort();
    this.#candidacy?.abort();
    this.#endGreeting();
    this.#following?.over.abort();
    this.#following?.session.end(error);
    await this.#starting;
    const leadership = this.#leadership;
    if (leadership) {
      await leadership.retire();
      await leadership.keeper.close(error, Promise.resolve());
    }
    this.#end();
  }

  #end(): void {
    this.#releaseLead();
    for (const end of this.#ends.splice(0)) end();
  }

  abandon(error: HeddleStoreError): void {
    this.#over.abort();
    this.#candidacy?.abort();
    this.#endGreeting();
    this.#following?.over.abort();
    this.#following?.session.end(error);
    this.#leadership?.abandon(error, error);
    this.source.close(error);
    this.#end();
  }
}
