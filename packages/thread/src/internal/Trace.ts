/**
 * What a runtime's threads do, for whoever observes them: a ring of events in the memory (`TraceHeader`, `TraceEvent` in docs/layout.md).
 *
 * # Invariants
 * 1. Whoever writes an event has taken its number, and writes `number` last. An observer believes what it read if it found the number
 *    that it expected before and after.
 * 2. There is no room to wait for: an observer that was more than TRACE_CAPACITY events behind goes on with the oldest one that is left,
 *    and tells how many it has missed.
 */
import type { SharedRecords } from './SharedRecords.ts';
import {
  TRACE_CAPACITY,
  TRACE_EVENT_KIND_OFFSET,
  TRACE_EVENT_NAME_OFFSET,
  TRACE_EVENT_NAME_SIZE_OFFSET,
  TRACE_EVENT_NUMBER_OFFSET,
  TRACE_EVENT_OTHER_ID_OFFSET,
  TRACE_EVENT_SIZE,
  TRACE_EVENT_THREAD_ID_OFFSET,
  TRACE_EVENT_TIME_MS_OFFSET,
  TRACE_HEADER_SIZE,
  TRACE_HEADER_TAKEN_OFFSET,
  TRACE_HEADER_WRITTEN_OFFSET,
} from './layout.ts';
import { waitWhile } from './wait.ts';

/** Bytes of a name in an event. */
const NAME_SIZE_MAX: number = TRACE_EVENT_SIZE - TRACE_EVENT_NAME_OFFSET;

/** What a thread has done. */
export interface ThreadEvent {
  /**
   * Somebody spawned the thread; a worker began to run it; it returned or panicked (or found no memory for its stack); it trapped; its
   * worker is gone. `missed` is no thread's: the observer was too slow for `missedCount` events.
   */
  readonly type: 'spawned' | 'started' | 'ended' | 'trapped' | 'terminated' | 'missed';
  /** When, in milliseconds since `performance.timeOrigin`, as `performance.now()` has it. */
  readonly timeMs: number;
  /** The thread's id. */
  readonly threadId: number;
  /** The thread's name, cut at 36 bytes. */
  readonly name: string | undefined;
  /** Of `spawned`: the id of the thread that spawned it; undefined where it was no thread of the runtime. */
  readonly spawnerId: number | undefined;
  /** Of all others: the worker's place in the pool. */
  readonly worker: number | undefined;
  /** Of `missed`. */
  readonly missedCount: number;
}

const TYPES = [undefined, 'spawned', 'started', 'ended', 'trapped', 'terminated'] as const;

/** An event to be noted. */
export interface NewEvent {
  readonly kind: number;
  readonly threadId: number;
  readonly otherId: number;
  readonly name: string;
}

export class Trace {
  readonly #records: SharedRecords;
  readonly #address: number;

  constructor(records: SharedRecords, address: number) {
    this.#records = records;
    this.#address = address;
  }

  #placeOf(number: number): number {
    return this.#address + TRACE_HEADER_SIZE + (number % TRACE_CAPACITY) * TRACE_EVENT_SIZE;
  }

  /** The number of the next event. */
  get next(): number {
    return this.#records.load(this.#address + TRACE_HEADER_TAKEN_OFFSET);
  }

  /** Notes what a thread has done. */
  note({ kind, threadId, otherId, name }: NewEvent): void {
    const records = this.#records;
    const number = records.add(this.#address + TRACE_HEADER_TAKEN_OFFSET, 1);
    const place = this.#placeOf(number);
    records.store(place + TRACE_EVENT_NUMBER_OFFSET, 0);
    records.store(place + TRACE_EVENT_KIND_OFFSET, kind);
    records.view(place, TRACE_EVENT_SIZE).setFloat64(TRACE_EVENT_TIME_MS_OFFSET, performance.timeOrigin + performance.now(), true);
    records.store(place + TRACE_EVENT_THREAD_ID_OFFSET, threadId);
    records.store(place + TRACE_EVENT_OTHER_ID_OFFSET, otherId);
    const size = records.writeText(place + TRACE_EVENT_NAME_OFFSET, name, NAME_SIZE_MAX);
    records.store(place + TRACE_EVENT_NAME_SIZE_OFFSET, size);
    records.store(place + TRACE_EVENT_NUMBER_OFFSET, number + 1);
    records.add(this.#address + TRACE_HEADER_WRITTEN_OFFSET, 1);
    this.wakeObservers();
  }

  wakeObservers(): void {
    this.#records.notify(this.#address + TRACE_HEADER_WRITTEN_OFFSET);
  }

  /** Tells `listener` of each event from number `from` on, until the signal comes; what is there by then is told. */
  async follow(from: number, signal: AbortSignal, listener: (event: ThreadEvent) => void): Promise<void> {
    const written = this.#address + TRACE_HEADER_WRITTEN_OFFSET;
    for (let number = from; ;) {
      const seen = this.#records.load(written);
      // Before the look: what was noted before the end is told.
      const isLast = signal.aborted;
      number = this.#tell(number, listener);
      if (isLast) return;
      // oxlint-disable-next-line no-await-in-loop -- woken or not, look again
      await waitWhile(this.#records.words(written), written >>> 2, seen | 0);
    }
  }

  /** Tells of the events from `number` on that are there; returns the number of the next one. */
  #tell(number: number, listener: (event: ThreadEvent) => void): number {
    for (let expected = number; ; expected = (expected + 1) >>> 0) {
      const behind = (this.next - expected) >>> 0;
      if (behind > TRACE_CAPACITY) {
        // A little later than the oldest: that one is about to be overwritten.
        const missedCount = behind - TRACE_CAPACITY / 2;
        listener({ ...NOTHING, timeMs: performance.now(), missedCount });
        expected = (expected + missedCount - 1) >>> 0;
        continue;
      }
      if (behind === 0) return expected;
      const event = this.#read(expected);
      if (!event) return expected;
      listener(event);
    }
  }

  /** The event with that number; undefined while it is being written. */
  #read(number: number): ThreadEvent | undefined {
    const records = this.#records;
    const place = this.#placeOf(number);
    const isThere = (): boolean => records.load(place + TRACE_EVENT_NUMBER_OFFSET) === (number + 1) >>> 0;
    if (!isThere()) return undefined;
    const type = TYPES[records.load(place + TRACE_EVENT_KIND_OFFSET)] ?? 'ended';
    const timeMs = records.view(place, TRACE_EVENT_SIZE).getFloat64(TRACE_EVENT_TIME_MS_OFFSET, true) - performance.timeOrigin;
    const threadId = records.load(place + TRACE_EVENT_THREAD_ID_OFFSET);
    const otherId = records.load(place + TRACE_EVENT_OTHER_ID_OFFSET);
    const name = records.text(place + TRACE_EVENT_NAME_OFFSET, records.load(place + TRACE_EVENT_NAME_SIZE_OFFSET), NAME_SIZE_MAX);
    if (!isThere()) return undefined;
    const isSpawn = type === 'spawned';
    return {
      type,
      timeMs,
      threadId,
      name: name || undefined,
      spawnerId: isSpawn ? otherId || undefined : undefined,
      worker: isSpawn ? undefined : otherId,
      missedCount: 0,
    };
  }
}

const NOTHING = { type: 'missed', threadId: 0, name: undefined, spawnerId: undefined, worker: undefined } as const;
