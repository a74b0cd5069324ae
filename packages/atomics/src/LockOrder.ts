/**
 * In which orders the threads of one memory take their locks: what `enableDeadlockDetection` needs to tell of two threads that take the
 * same locks in opposite orders although neither has ever waited for the other.
 *
 * It is a record in shared memory (`LockOrderHeader`, `LockOrderLink` in docs/layout.md) that all threads share: one link says that somebody
 * took the lock `to` while it held the lock `from`.
 *
 * ## State
 * | a link's `from` | `to` | means |
 * | --- | --- | --- |
 * | 0 | 0 | the place is free |
 * | address + 1 | 0 | somebody is writing it, or died doing so |
 * | address + 1 | address + 1 | the order is known |
 *
 * ## Invariants
 * 1. The known links have no circle. A thread writes its link before it looks for a way back along the links of others, and takes it
 *    out again if there is one: of two threads that write opposite links at once, at least one sees the other's.
 * 2. Links are never forgotten otherwise: an order that was right once is to be kept for good.
 * 3. There is room for so many links. One that finds none is counted in `leftOut`; the lock that is taken is still held against the links
 *    that are known.
 *
 * Every access is an `Atomics` call, hence SeqCst, which invariant 1 needs. `to` is written last, and publishes the link.
 *
 * ## Source
 * Linux's lockdep (I. Molnár, A. van de Ven, "Runtime locking correctness validator"), for single locks rather than classes of them.
 */
import { InvalidArgumentError, InvalidRecordError } from './errors.ts';
import type { LockOrderRecord, OrderLink } from './internal/deadlock.ts';
import {
  LOCK_ORDER_HEADER_ALIGN,
  LOCK_ORDER_HEADER_CAPACITY_OFFSET,
  LOCK_ORDER_HEADER_LEFT_OUT_OFFSET,
  LOCK_ORDER_HEADER_MAGIC_OFFSET,
  LOCK_ORDER_HEADER_SIZE,
  LOCK_ORDER_LINK_FROM_OFFSET,
  LOCK_ORDER_LINK_SIZE,
  LOCK_ORDER_LINK_TOKEN_OFFSET,
  LOCK_ORDER_LINK_TO_OFFSET,
  LOCK_ORDER_LINKS_MAX,
  LOCK_ORDER_MAGIC,
} from './internal/layout.ts';
import { type Handle, type ResolvedLocation, type SharedLocation, checkKind, handleOf, resolveLocation } from './internal/location.ts';
import { ThreadRegistry, type ThreadRegistryHandle } from './ThreadRegistry.ts';

const KIND = 'heddle.LockOrder';

/** What is posted of a record of orders; reopen it with {@link LockOrder.from}. */
export interface LockOrderHandle extends Handle<typeof KIND> {
  /** The registry of the memory whose locks these are. */
  readonly registry: ThreadRegistryHandle;
}

/** How a record of orders is made. */
export interface LockOrderOptions {
  /** For how many pairs of locks it has room, 1–65536; 256 if not given. */
  readonly capacity?: number;
  /** Where it is made, zeroed bytes aligned to 4; a SharedArrayBuffer of its own if not given. */
  readonly location?: SharedLocation;
}

const wordOf = (byteOffset: number): number => byteOffset >> 2;
const MAGIC = wordOf(LOCK_ORDER_HEADER_MAGIC_OFFSET);
const CAPACITY = wordOf(LOCK_ORDER_HEADER_CAPACITY_OFFSET);
const LEFT_OUT = wordOf(LOCK_ORDER_HEADER_LEFT_OUT_OFFSET);
const FROM = wordOf(LOCK_ORDER_LINK_FROM_OFFSET);
const TO = wordOf(LOCK_ORDER_LINK_TO_OFFSET);
const TOKEN = wordOf(LOCK_ORDER_LINK_TOKEN_OFFSET);
const LINKS = wordOf(LOCK_ORDER_HEADER_SIZE);
const LINK = wordOf(LOCK_ORDER_LINK_SIZE);

/** An address as it stands in a link: a lock is aligned to 4, and 0 is free. */
const encode = (address: number): number => (address + 1) | 0;
const decode = (word: number): number => (word - 1) >>> 0;

/** The orders in which the threads of one memory take their locks. */
export class LockOrder implements LockOrderRecord {
  readonly #words: Int32Array;
  readonly #location: ResolvedLocation;
  /** What this thread has found or written among the links, so that it needn't look again. */
  readonly #known = new Set<string>();
  /** What this thread has counted as left out. */
  readonly #leftOut = new Set<string>();

  /** The registry of the memory whose locks these are. */
  readonly registry: ThreadRegistry;
  /** For how many pairs of locks it has room. */
  readonly capacity: number;

  private constructor(registry: ThreadRegistry, location: ResolvedLocation, capacity: number) {
    this.registry = registry;
    this.capacity = capacity;
    this.#location = location;
    this.#words = new Int32Array(location.buffer, location.byteOffset, wordOf(LockOrder.byteLength(capacity)));
  }

  /** The bytes that a record of `capacity` orders takes. */
  static byteLength(capacity: number): number {
    return LOCK_ORDER_HEADER_SIZE + capacity * LOCK_ORDER_LINK_SIZE;
  }

  /**
   * Makes a record of the orders in which the threads of `registry` take the locks of its memory.
   *
   * @throws InvalidArgumentError `INVALID_ARGUMENT` for a capacity out of range
   * @throws InvalidRecordError `INVALID_RECORD` for a place where it can't be
   */
  static create(registry: ThreadRegistry, options: LockOrderOptions = {}): LockOrder {
    const capacity = options.capacity ?? 256;
    if (!Number.isInteger(capacity) || capacity < 1 || capacity > LOCK_ORDER_LINKS_MAX) {
      throw new InvalidArgumentError(`the capacity of a lock order is 1 to ${LOCK_ORDER_LINKS_MAX}, not ${String(capacity)}`);
    }
    const size = LockOrder.byteLength(capacity);
    const place = options.location ?? { buffer: new SharedArrayBuffer(size) };
    const order = new LockOrder(registry, resolveLocation(place, 'a lock order', size, LOCK_ORDER_HEADER_ALIGN), capacity);
    Atomics.store(order.#words, CAPACITY, capacity);
    // Last: who sees the magic sees the rest.
    Atomics.store(order.#words, MAGIC, LOCK_ORDER_MAGIC);
    return order;
  }

  /**
   * Opens the record that a handle names.
   *
   * @throws InvalidRecordError `INVALID_RECORD` if there is none
   */
  static from(handle: LockOrderHandle): LockOrder {
    checkKind(handle, KIND);
    const location = resolveLocation(handle, 'a lock order', LOCK_ORDER_HEADER_SIZE, LOCK_ORDER_HEADER_ALIGN);
    const header = new Int32Array(location.buffer, location.byteOffset, wordOf(LOCK_ORDER_HEADER_SIZE));
    const capacity = Atomics.load(header, CAPACITY);
    if (Atomics.load(header, MAGIC) !== LOCK_ORDER_MAGIC || capacity < 1 || capacity > LOCK_ORDER_LINKS_MAX) {
      throw new InvalidRecordError(`there is no lock order at ${location.byteOffset}`);
    }
    resolveLocation(location, 'a lock order', LockOrder.byteLength(capacity), LOCK_ORDER_HEADER_ALIGN);
    return new LockOrder(ThreadRegistry.from(handle.registry), location, capacity);
  }

  /** What to post to another thread. */
  handle(): LockOrderHandle {
    return { ...handleOf(KIND, this.#location, undefined), registry: this.registry.handle() };
  }

  /** How many orders found no room, by the count of each thread: opposite ones of those aren't noticed. */
  get leftOut(): number {
    return Atomics.load(this.#words, LEFT_OUT) >>> 0;
  }

  /**
   * Notes that `link.token` takes `link.to` while it holds `link.from`; `enableDeadlockDetection` has the locks do so.
   *
   * @returns what others have done before, from `link.to` back to `link.from`, if the order is opposite to that: then it isn't noted
   */
  add(link: OrderLink): OrderLink[] | undefined {
    const key = `${link.from} ${link.to}`;
    if (this.#known.has(key)) return undefined;
    const found = this.#find(link);
    const written = found === undefined ? this.#write(link) : undefined;
    const back = this.#wayBack(link);
    if (back !== undefined) {
      if (written !== undefined) this.#free(written);
      return back;
    }
    if (found !== undefined || written !== undefined) this.#known.add(key);
    else if (!this.#leftOut.has(key)) {
      this.#leftOut.add(key);
      Atomics.add(this.#words, LEFT_OUT, 1);
    }
    return undefined;
  }

  /** Where the link is. */
  #find({ from, to }: OrderLink): number | undefined {
    for (let at = LINKS; at < this.#words.length; at += LINK) {
      if (Atomics.load(this.#words, at + TO) === encode(to) && Atomics.load(this.#words, at + FROM) === encode(from)) return at;
    }
    return undefined;
  }

  /** Writes the link into a free place, if there is one. */
  #write({ from, to, token }: OrderLink): number | undefined {
    const words = this.#words;
    for (let at = LINKS; at < words.length; at += LINK) {
      if (Atomics.compareExchange(words, at + FROM, 0, encode(from)) !== 0) continue;
      Atomics.store(words, at + TOKEN, token);
      Atomics.store(words, at + TO, encode(to));
      return at;
    }
    return undefined;
  }

  #free(at: number): void {
    Atomics.store(this.#words, at + TO, 0);
    Atomics.store(this.#words, at + FROM, 0);
  }

  /** The shortest way from `to` to `from`. */
  #wayBack({ from, to }: OrderLink): OrderLink[] | undefined {
    const links = this.#links();
    const ways = new Map<number, OrderLink[]>([[to, []]]);
    for (const [at, way] of ways) {
      for (const link of links) {
        if (link.from !== at || ways.has(link.to)) continue;
        if (link.to === from) return [...way, link];
        ways.set(link.to, [...way, link]);
      }
    }
    return undefined;
  }

  #links(): OrderLink[] {
    const words = this.#words;
    const links: OrderLink[] = [];
    for (let at = LINKS; at < words.length; at += LINK) {
      const to = Atomics.load(words, at + TO);
      if (to === 0) continue;
      links.push({ from: decode(Atomics.load(words, at + FROM)), to: decode(to), token: Atomics.load(words, at + TOKEN) });
    }
    return links;
  }
}
