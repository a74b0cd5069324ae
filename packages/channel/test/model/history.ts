/**
 * What the operations of a queue did and when, and whether some order of them, one at a time, would have done the same: linearizability.
 *
 * Each operation is stamped when it begins and when it ends, by one clock. One that ended before another began comes before it in every
 * order that is looked for. For queues whose values are told apart there is no need to look for it: there is one unless the history has one
 * of four patterns.
 *
 * ## Source
 * T. Henzinger, A. Sezgin, V. Vafeiadis, "Aspect-Oriented Linearizability Proofs" (CONCUR 2013): the patterns VFresh, VRepet, VOrd, VWit.
 */

/** What an operation did: it sent a value, received one, or found nothing. */
export type Did = 'send' | 'recv' | 'empty';

/** One operation that has ended. */
export interface Entry {
  readonly did: Did;
  /** The value that was sent or received. */
  readonly value: number;
  readonly begin: number;
  readonly end: number;
}

/** What is wrong with a history of complete operations; `undefined` if some order of them would have done the same. */
export function linearizabilityFault(history: readonly Entry[]): string | undefined {
  const sends = new Map(history.filter(({ did }) => did === 'send').map((entry) => [entry.value, entry]));
  const receptions = new Map<number, Entry>();
  for (const entry of history) {
    if (entry.did !== 'recv') continue;
    const sent = sends.get(entry.value);
    if (sent === undefined || entry.end < sent.begin) return `${entry.value} was received and never sent before`;
    if (receptions.has(entry.value)) return `${entry.value} was received twice`;
    receptions.set(entry.value, entry);
  }
  for (const [value, sent] of sends) {
    for (const [later, received] of receptions) {
      const isAfter = sent.end < sends.get(later)!.begin;
      const isOvertaken = isAfter && received.end < (receptions.get(value)?.begin ?? Infinity);
      if (isOvertaken) return `${value} was sent before ${later}, and ${later} was received before it`;
    }
  }
  // A value is there for certain from the end of its sending to the beginning of its reception.
  const stays = Array.from(sends, ([value, { end }]) => ({ from: end, to: receptions.get(value)?.begin ?? Infinity }));
  for (const { did, begin, end } of history) {
    if (did !== 'empty') continue;
    let moment = begin;
    for (let stay = stays.find(covers(moment)); stay !== undefined && moment < end; stay = stays.find(covers(moment))) moment = stay.to;
    if (moment >= end) return `nothing was found from ${begin} to ${end}, when something was there throughout`;
  }
  return undefined;
}

const covers =
  (moment: number) =>
  ({ from, to }: { readonly from: number; readonly to: number }): boolean =>
    from <= moment && moment < to;

const DIDS: readonly Did[] = ['send', 'recv', 'empty'];
const ENTRY_WORDS = 4;
const ENTRIES_MAX = 16;
const THREADS_MAX = 6;

/** The bytes that a history takes in shared memory. */
export const HISTORY_BYTES: number = 4 * (1 + THREADS_MAX * (1 + ENTRIES_MAX * ENTRY_WORDS));

/**
 * A history in shared memory, of which each thread writes its own entries. Threads of a model run one at a time, so the clock needs no
 * atomic operation, before which others could go first: an operation is not made to look longer than it was.
 */
export class History {
  readonly #clock: Int32Array;
  readonly #threads: readonly Int32Array[];

  constructor(memory: SharedArrayBuffer, byteOffset: number) {
    this.#clock = new Int32Array(memory, byteOffset, 1);
    const words = 1 + ENTRIES_MAX * ENTRY_WORDS;
    this.#threads = Array.from({ length: THREADS_MAX }, (_, i) => new Int32Array(memory, byteOffset + 4 * (1 + i * words), words));
  }

  /** The next moment. */
  tick(): number {
    this.#clock[0] += 1;
    return this.#clock[0];
  }

  /** Notes what thread `index` has just done. */
  add(index: number, did: Did, value: number, begin: number): void {
    const words = this.#threads[index];
    words.set([DIDS.indexOf(did), value, begin, this.tick()], 1 + words[0] * ENTRY_WORDS);
    words[0] += 1;
  }

  /** What all threads have noted. */
  get entries(): Entry[] {
    return this.#threads.flatMap((words) =>
      Array.from({ length: words[0] }, (_, i) => {
        const [did, value, begin, end] = words.subarray(1 + i * ENTRY_WORDS);
        return { did: DIDS[did], value, begin, end };
      }),
    );
  }
}
