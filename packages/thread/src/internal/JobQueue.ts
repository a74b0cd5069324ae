/**
 * What waits for a worker, in the order in which it is to run: higher priorities first, and among equals who came first.
 *
 * A binary heap whose entries know their place, so that one can be withdrawn from the middle: each operation takes logarithmic time.
 */

/** What can wait here, in one queue at a time. */
export interface Queued {
  readonly priority: number;
}

interface Entry<Job> {
  readonly job: Job;
  readonly priority: number;
  /** Counts the jobs as they come. */
  readonly arrival: number;
  place: number;
}

export class JobQueue<Job extends Queued> {
  readonly #heap: Entry<Job>[] = [];
  readonly #entries = new Map<Job, Entry<Job>>();
  #arrivals = 0;

  get size(): number {
    return this.#heap.length;
  }

  push(job: Job): void {
    const entry: Entry<Job> = { job, priority: job.priority, arrival: this.#arrivals, place: this.#heap.length };
    this.#arrivals += 1;
    this.#entries.set(job, entry);
    this.#heap.push(entry);
    this.#rise(entry);
  }

  /** All of them, in the order in which they are to run. */
  jobs(): Job[] {
    return this.#heap.toSorted((a, b) => (comesBefore(a, b) ? -1 : 1)).map(({ job }) => job);
  }

  /** The job that is to run next, if any. */
  peek(): Job | undefined {
    return this.#heap[0]?.job;
  }

  /** Takes out the job that is to run next. */
  pop(): Job | undefined {
    const first = this.#heap[0];
    if (first) this.#takeOut(first);
    return first?.job;
  }

  /** Takes out a job; `false` if it isn't there. */
  withdraw(job: Job): boolean {
    const entry = this.#entries.get(job);
    if (!entry) return false;
    this.#takeOut(entry);
    return true;
  }

  #takeOut(entry: Entry<Job>): void {
    this.#entries.delete(entry.job);
    const last = this.#heap.pop()!;
    if (last === entry) return;
    this.#put(last, entry.place);
    this.#rise(last);
    this.#sink(last);
  }

  #put(entry: Entry<Job>, place: number): void {
    entry.place = place;
    this.#heap[place] = entry;
  }

  #rise(entry: Entry<Job>): void {
    while (entry.place > 0) {
      const { place } = entry;
      const above = this.#heap[(place - 1) >> 1]!;
      if (comesBefore(above, entry)) return;
      this.#put(entry, above.place);
      this.#put(above, place);
    }
  }

  #sink(entry: Entry<Job>): void {
    for (;;) {
      const { place } = entry;
      const left = this.#heap[2 * place + 1];
      const right = this.#heap[2 * place + 2];
      const below = right && left && comesBefore(right, left) ? right : left;
      if (!below || comesBefore(entry, below)) return;
      this.#put(entry, below.place);
      this.#put(below, place);
    }
  }
}

function comesBefore<Job>(a: Entry<Job>, b: Entry<Job>): boolean {
  return a.priority === b.priority ? a.arrival < b.arrival : a.priority > b.priority;
}
