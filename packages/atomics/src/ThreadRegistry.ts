/**
 * Who lives: the threads of one shared memory, so that the death of one leaves nobody waiting.
 *
 * A registry is a record in the memory (`RegistryHeader`, `RegistrySlot` in docs/layout.md) that all threads share, Rust
 * ones too. A thread enters once; locks of that memory then carry its slot and generation. Whoever runs threads calls
 * `reap` when one has died: locks it held become free and poisoned, and those who waited for them wake up.
 *
 * ## State
 * | a slot's life, bits 0–1 | bits 12–29 | means |
 * | --- | --- | --- |
 * | FREE | generation of the last thread | nobody has the slot |
 * | LIVE | generation | a thread has it |
 * | DEAD | generation | the thread ended without leaving and is being reaped |
 *
 * ## Invariants
 * 1. A slot's generation changes only from FREE to LIVE: slot and generation name one thread, until the generation has gone
 *    round (2^18 threads in the same slot, and slots are handed out in turn).
 * 2. A thread in a blocking wait writes the address into its slot before it looks whether the owner lives, and takes it
 *    out after the wait. A reaper marks the slot dead before it reads the addresses. So either the waiter sees the death
 *    or the reaper sees the waiter.
 * 3. A waiter doesn't leave its wait while somebody reaps, as `reaping` says.
 * 4. An asynchronous waiter writes no address: its thread watches `deaths`, and looks at each of its locks when that
 *    changes.
 * 5. Who sleeps on a count of events may have looked at what they are of long before it says where it waits; a thread that dies
 *    between may have changed that and not counted it. So a reaper counts the death first and then reads the addresses, and a waiter
 *    writes its address and then looks whether there are more deaths than it knew: either the reaper sees the waiter, and changes what
 *    it sleeps on, or the waiter sees the death, and looks again.
 * 6. `reaping` names who reaps (internal/Reaper.ts). Who finds it taken by a thread that is dead, is being declared dead, or has reaped for 1 s
 *    takes it over and finishes what it finds: the slots that are DEAD. Each step of a burial may be done twice, and a reaper gives back
 *    only what is still its own, so that one that was merely slow does no harm: but its waiters aren't kept for it any more (invariant 3),
 *    so it goes on to no other.
 * 7. What a thread waits on carries the thread's generation, in the upper half. By the time a slow reaper takes out what a dead thread
 *    waited on, the slot may be another's, who waits on the same word: it has another generation, and stays.
 *
 * Every access is an `Atomics` call, hence SeqCst; invariant 2 needs that.
 */
import { InvalidArgumentError, InvalidRecordError, RegistryFullError } from './errors.ts';
import { type Agent, type AgentRegistry, agentOf, joinAgent } from './internal/agent.ts';
import type { WaitLink } from './internal/deadlock.ts';
import { mayBlock } from './internal/blocking.ts';
import { watchWord } from './internal/futex.ts';
import {
  GENERATION_MAX,
  LIFE_FREE,
  LIFE_LIVE,
  LIFE_STATE_MASK,
  OWNER_GENERATION_MASK,
  OWNER_GENERATION_SHIFT,
  OWNER_MASK,
  OWNER_SLOT_MASK,
  REGISTRY_HEADER_ALIGN,
  REGISTRY_HEADER_SIZE,
  REGISTRY_MAGIC,
  REGISTRY_SLOT_SIZE,
  REGISTRY_VERSION,
  SLOT_MAX,
  SLOT_UNREGISTERED,
  WAITING_KIND_MASK,
  WAITING_ON_MUTEX,
} from './internal/layout.ts';
import { Reaper } from './internal/Reaper.ts';
import {
  MAGIC,
  VERSION,
  CAPACITY,
  ID,
  REAPING,
  DEATHS,
  NEXT,
  lifeOf,
  waitingOnOf,
  waiterGenerationOf,
  waiterGeneration,
  waitingForOf,
  wordIndexOf,
  isLiveIn,
} from './internal/registryWords.ts';
import { type Handle, type ResolvedLocation, type SharedLocation, checkKind, handleOf, resolveLocation } from './internal/location.ts';

const KIND = 'heddle.ThreadRegistry';

/** What is posted of a registry; reopen it with {@link ThreadRegistry.from}. */
export type ThreadRegistryHandle = Handle<typeof KIND>;

/** Names one thread of a registry. */
export interface ThreadToken {
  /** The thread's slot, 1–4094. */
  readonly slot: number;
  /** How often the slot was handed out before, modulo 2^18. */
  readonly generation: number;
}

/** How a registry is made. */
export interface ThreadRegistryOptions {
  /** How many threads it has room for, 1–4094; 64 if not given. */
  readonly capacity?: number;
  /** Where it is made, zeroed bytes aligned to 8; a SharedArrayBuffer of its own if not given. */
  readonly location?: SharedLocation;
}

const tokenBits = ({ slot, generation }: ThreadToken): number => (generation << OWNER_GENERATION_SHIFT) | slot;

const registriesById = new Map<number, ThreadRegistry>();

/** The threads of one shared memory. */
export class ThreadRegistry implements AgentRegistry {
  readonly #words: Int32Array;
  readonly #reaper: Reaper;
  readonly #location: ResolvedLocation;
  readonly #agent: Agent;
  readonly #deathWatchers = new Set<() => void>();
  #isWatching = false;
  /** The deaths that this thread has looked after: what it saw before the last of them it doesn't rely on any more (invariant 5). */
  #deathsSeen: number;

  /** How many threads the registry has room for. */
  readonly capacity: number;

  private constructor(location: ResolvedLocation, words: Int32Array, capacity: number) {
    this.#location = location;
    this.#words = words;
    this.#reaper = new Reaper(words, capacity, () => this.#memoryWords());
    this.capacity = capacity;
    this.#agent = agentOf(location.memory ?? location.buffer);
    this.#agent.registry = this;
    this.#deathsSeen = Atomics.load(words, DEATHS);
  }

  /** The bytes that a registry of `capacity` threads takes. */
  static byteLength(capacity: number): number {
    return REGISTRY_HEADER_SIZE + capacity * REGISTRY_SLOT_SIZE;
  }

  /**
   * Makes a registry.
   *
   * @throws InvalidArgumentError `INVALID_ARGUMENT` for a capacity out of range
   * @throws InvalidRecordError `INVALID_RECORD` for a place where it can't be
   */
  static create(options: ThreadRegistryOptions = {}): ThreadRegistry {
    const capacity = options.capacity ?? 64;
    if (!Number.isInteger(capacity) || capacity < 1 || capacity > SLOT_MAX) {
      throw new InvalidArgumentError(`the capacity of a thread registry is 1 to ${SLOT_MAX}, not ${String(capacity)}`);
    }
    const size = ThreadRegistry.byteLength(capacity);
    const location = resolveLocation(
      options.location ?? { buffer: new SharedArrayBuffer(size) },
      'a thread registry',
      size,
      REGISTRY_HEADER_ALIGN,
    );
    const header = new Int32Array(location.buffer, location.byteOffset, REGISTRY_HEADER_SIZE >> 2);
    Atomics.store(header, VERSION, REGISTRY_VERSION);
    Atomics.store(header, CAPACITY, capacity);
    // Last: who sees the magic sees the rest.
    Atomics.store(header, MAGIC, REGISTRY_MAGIC);
    return ThreadRegistry.#open(location);
  }

  /**
   * Opens the registry that a handle names. Opening the same one again on a thread gives the same object.
   *
   * @throws InvalidRecordError `INVALID_RECORD` if there is none that this version understands
   */
  static from(handle: ThreadRegistryHandle): ThreadRegistry {
    checkKind(handle, KIND);
    return ThreadRegistry.at(handle);
  }

  /**
   * Opens the registry at a place: a Wasm module tells its own by the export `__heddle_registry`.
   *
   * @throws InvalidRecordError `INVALID_RECORD` if there is none that this version understands
   */
  static at(place: SharedLocation | ThreadRegistryHandle): ThreadRegistry {
    return ThreadRegistry.#open(resolveLocation(place, 'a thread registry', REGISTRY_HEADER_SIZE, REGISTRY_HEADER_ALIGN));
  }

  static #open(location: ResolvedLocation): ThreadRegistry {
    const header = new Int32Array(location.buffer, location.byteOffset, REGISTRY_HEADER_SIZE >> 2);
    if (Atomics.load(header, MAGIC) !== REGISTRY_MAGIC) {
      throw new InvalidRecordError(`there is no thread registry at ${location.byteOffset}`);
    }
    if (Atomics.load(header, VERSION) !== REGISTRY_VERSION) {
      throw new InvalidRecordError(
        `the thread registry at ${location.byteOffset} has layout ${Atomics.load(header, VERSION)}, this is ${REGISTRY_VERSION}`,
      );
    }
    const capacity = Atomics.load(header, CAPACITY);
    if (capacity < 1 || capacity > SLOT_MAX) {
      throw new InvalidRecordError(`the thread registry at ${location.byteOffset} claims room for ${capacity} threads`);
    }
    resolveLocation(location, 'a thread registry', ThreadRegistry.byteLength(capacity), REGISTRY_HEADER_ALIGN);
    // A memory arrives as several objects when it is posted several times; the id tells that they are one.
    let id = Atomics.load(header, ID);
    while (id === 0) {
      Atomics.compareExchange(header, ID, 0, (Math.random() * 2 ** 32) | 0);
      id = Atomics.load(header, ID);
    }
    const known = registriesById.get(id);
    if (known !== undefined) {
      joinAgent(location.memory ?? location.buffer, known.#agent);
      return known;
    }
    const words = new Int32Array(location.buffer, location.byteOffset, ThreadRegistry.byteLength(capacity) >> 2);
    const registry = new ThreadRegistry(location, words, capacity);
    registriesById.set(id, registry);
    return registry;
  }

  /** What to post to another thread. */
  handle(): ThreadRegistryHandle {
    return handleOf(KIND, this.#location, undefined);
  }

  /** Where the registry starts in its memory, in bytes. */
  get byteOffset(): number {
    return this.#location.byteOffset;
  }

  /** The agent of this thread, for the locks of the same memory. */
  get agent(): Agent {
    return this.#agent;
  }

  /** This thread's token, `undefined` before it has entered. */
  get current(): ThreadToken | undefined {
    const { token } = this.#agent;
    const slot = token & OWNER_SLOT_MASK;
    return slot === SLOT_UNREGISTERED ? undefined : { slot, generation: token >>> OWNER_GENERATION_SHIFT };
  }

  /**
   * Takes a free slot for a thread that is about to start. It counts as alive from here on: it should
   * {@link ThreadRegistry.enter} with the token, and in the end be released or reaped.
   *
   * @throws RegistryFullError `REGISTRY_FULL` when all slots are taken
   */
  allocate(): ThreadToken {
    const words = this.#words;
    const start = Atomics.add(words, NEXT, 1) >>> 0;
    for (let i = 0; i < this.capacity; i += 1) {
      const slot = ((start + i) % this.capacity) + 1;
      const life = Atomics.load(words, lifeOf(slot));
      if ((life & LIFE_STATE_MASK) !== LIFE_FREE) continue;
      const generationBits = (life + (1 << OWNER_GENERATION_SHIFT)) & OWNER_GENERATION_MASK;
      if (Atomics.compareExchange(words, lifeOf(slot), life, generationBits | LIFE_LIVE) === life) {
        return { slot, generation: generationBits >>> OWNER_GENERATION_SHIFT };
      }
    }
    throw new RegistryFullError(this.capacity);
  }

  /**
   * Makes this thread the one that `token` names, or takes a free slot for it: locks of this memory that it takes from now
   * on know it.
   *
   * @returns the thread's token
   * @throws RegistryFullError `REGISTRY_FULL` when all slots are taken
   * @throws InvalidArgumentError `INVALID_ARGUMENT` for a token out of range
   */
  enter(token: ThreadToken = this.allocate()): ThreadToken {
    this.#checkToken(token);
    const bits = tokenBits(token);
    // Invariant 7.
    Atomics.store(this.#words, waiterGenerationOf(token.slot), waiterGeneration(bits));
    this.#agent.token = bits;
    return token;
  }

  /** Takes this thread out again: the regular end. Locks it still holds count as abandoned. */
  leave(): void {
    const token = this.current;
    if (token === undefined) return;
    this.#agent.token = SLOT_UNREGISTERED;
    this.release(token);
  }

  /** Gives back the slot of a thread that has ended regularly; nothing happens if the token is of the past. */
  release(token: ThreadToken): void {
    this.#checkToken(token);
    const generationBits = tokenBits(token) & OWNER_GENERATION_MASK;
    Atomics.compareExchange(this.#words, lifeOf(token.slot), generationBits | LIFE_LIVE, generationBits | LIFE_FREE);
  }

  /** Whether the thread that `token` names is alive. */
  isLive(token: ThreadToken): boolean {
    this.#checkToken(token);
    return this.isLiveToken(tokenBits(token));
  }

  /** Whether the owner in a lock word is alive. Threads outside the registry always count as alive. */
  isLiveToken(token: number): boolean {
    return isLiveIn(this.#words, this.capacity, token);
  }

  /**
   * Declares a thread dead: locks it held that somebody waits for become free and poisoned, and whoever waits for anything
   * looks again, since the dead may have owed or swallowed a wake-up. Locks that nobody waits for are found abandoned by their
   * next locker.
   *
   * Only whoever runs threads knows that one has died, so that one must not block for what the dead may hold: it uses the asynchronous forms,
   * those that try, or a `timeoutMs`.
   *
   * @param thread the thread, or a slot for whoever lives in it
   * @returns whether it was alive by the registry's books
   */
  reap(thread: ThreadToken | number): boolean {
    let token: ThreadToken;
    if (typeof thread === 'number') {
      if (!Number.isInteger(thread) || thread < 1 || thread > this.capacity) return false;
      const life = Atomics.load(this.#words, lifeOf(thread));
      token = { slot: thread, generation: (life & OWNER_GENERATION_MASK) >>> OWNER_GENERATION_SHIFT };
    } else {
      this.#checkToken(thread);
      token = thread;
    }
    return this.#reaper.reap(tokenBits(token), this.#agent.token);
  }

  /** Calls `onDeath` after each death from now on, until the returned function is called. */
  watchDeaths(onDeath: () => void): () => void {
    this.#deathWatchers.add(onDeath);
    if (!this.#isWatching) this.#watch();
    return () => void this.#deathWatchers.delete(onDeath);
  }

  #watch(): void {
    this.#isWatching = true;
    watchWord(this.#words, DEATHS, this.#deathsSeen, () => {
      this.#isWatching = false;
      this.#deathsSeen = Atomics.load(this.#words, DEATHS);
      // First the new watch, so that a death meanwhile is seen too.
      if (this.#deathWatchers.size > 0) this.#watch();
      for (const onDeath of this.#deathWatchers) onDeath();
    });
  }

  /**
   * Says that this thread's blocking wait is on `address`, and what it is for; the locks call it.
   *
   * @param purpose one of the WAITING_FOR_ constants; 0 for whoever doesn't say
   * @returns `false` if a thread has died since this one looked last, so that it should look again rather than wait (invariant 5)
   */
  beginWait(address: number, purpose: number = 0): boolean {
    const slot = this.#agent.token & OWNER_SLOT_MASK;
    if (slot === SLOT_UNREGISTERED) return true;
    // For whoever lists the threads, and nobody decides anything by it. The address behind it publishes it.
    this.#words[waitingForOf(slot)] = purpose;
    Atomics.store(this.#words, waitingOnOf(slot), address);
    const deaths = Atomics.load(this.#words, DEATHS);
    if (deaths === this.#deathsSeen) return true;
    this.#deathsSeen = deaths;
    return false;
  }

  /** Whether what {@link ThreadRegistry.beginWait} has said still stands: not once another wait of this thread is over; the locks call it. */
  isInWait(address: number): boolean {
    const slot = this.#agent.token & OWNER_SLOT_MASK;
    return slot === SLOT_UNREGISTERED || Atomics.load(this.#words, waitingOnOf(slot)) === (address | 0);
  }

  /** Who would wait for whom if `token` slept for the lock at `address`; the locks call it, see internal/deadlock.ts. */
  waitCircle(token: number, address: number): WaitLink[] | undefined {
    const circle = this.#follow(token, address);
    // A link may have been let go of while the next one was read. Who sleeps lets go of nothing: a circle is there again.
    const again = circle === undefined ? undefined : this.#follow(token, address);
    const isSame = circle?.length === again?.length && circle?.every(({ address: at }, i) => at === again?.[i]?.address);
    return isSame === true ? circle : undefined;
  }

  #follow(token: number, address: number): WaitLink[] | undefined {
    const memoryWords = this.#memoryWords();
    const links: WaitLink[] = [{ token, address }];
    for (let at = address; ;) {
      const index = wordIndexOf(at);
      const holder = index < memoryWords.length ? Atomics.load(memoryWords, index) & OWNER_MASK : 0;
      if (holder === token) return links;
      // Circles that this thread isn't in are for the others to find.
      const isSeen = links.some((link) => link.token === holder);
      const slot = holder & OWNER_SLOT_MASK;
      if (isSeen || slot === SLOT_UNREGISTERED || !this.isLiveToken(holder)) return undefined;
      const waitingOn = Atomics.load(this.#words, waitingOnOf(slot));
      if ((waitingOn & WAITING_KIND_MASK) !== WAITING_ON_MUTEX) return undefined;
      at = (waitingOn & ~WAITING_KIND_MASK) >>> 0;
      links.push({ token: holder, address: at });
    }
  }

  /** Says that this thread's blocking wait is over; the locks call it. */
  endWait(): void {
    const slot = this.#agent.token & OWNER_SLOT_MASK;
    if (slot === SLOT_UNREGISTERED) return;
    const words = this.#words;
    Atomics.store(words, waitingOnOf(slot), 0);
    // Invariant 3; the limit is for a reaper that was killed.
    for (let reaper = Atomics.load(words, REAPING); reaper !== 0 && mayBlock(); reaper = Atomics.load(words, REAPING)) {
      if (Atomics.wait(words, REAPING, reaper, 100) === 'timed-out') break;
    }
  }

  /** The whole memory as it is now, since a waiter's address may lie anywhere in it. */
  #memoryWords(): Int32Array {
    const buffer = this.#location.memory?.buffer ?? this.#location.buffer;
    return new Int32Array(buffer, 0, buffer.byteLength >> 2);
  }

  #checkToken(token: ThreadToken): void {
    const { slot, generation } = token;
    if (!Number.isInteger(slot) || slot < 1 || slot > this.capacity || !Number.isInteger(generation)) {
      throw new InvalidArgumentError(`a thread's slot is 1 to ${this.capacity}, not ${String(slot)}`);
    }
    if (generation < 0 || generation > GENERATION_MAX) {
      throw new InvalidArgumentError(`a thread's generation is 0 to ${GENERATION_MAX}, not ${generation}`);
    }
  }
}
