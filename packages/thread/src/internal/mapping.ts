/**
 * Calls for each item of a source, so many at once, as a stream of results that goes no faster than who reads it.
 *
 * # Invariants
 * 1. An item takes a place from when the source is asked for it until its result has been read: the source is asked for no more than
 *    there are places.
 * 2. In order, a result's place in the line is its item's; otherwise a result enters the line when it is there.
 */

/** One call that was begun. */
export interface Begun<Result> {
  readonly promise: Promise<Result>;
  /** Takes the call back, if it hasn't begun to run. */
  withdraw(): void;
}

export interface MappingOptions<Item, Result> {
  readonly source: Iterable<Item> | AsyncIterable<Item>;
  /** Begins the call for an item, as soon as there is room. */
  readonly begin: (item: Item) => Promise<Begun<Result>>;
  /** How many items are at once between being asked for and being read. */
  readonly concurrency: number;
  readonly isOrdered: boolean;
  readonly signal: AbortSignal | undefined;
  /** The error of an aborted signal. */
  readonly aborted: () => Error;
}

class Mapping<Item, Result> {
  readonly #options: MappingOptions<Item, Result>;
  readonly #iterator: Iterator<Item> | AsyncIterator<Item>;
  /** What is to be read next; calls that still run are there if results come in order. */
  readonly #line: Promise<Result>[] = [];
  /** Calls that haven't ended. */
  readonly #begun = new Set<Begun<Result>>();
  /** Items whose results nobody has read. */
  #unread = 0;
  #hasEnded = false;
  #isStopped = false;
  /** Resolved, and made anew, whenever one of the above has changed. */
  #changed = Promise.withResolvers<void>();

  constructor(options: MappingOptions<Item, Result>) {
    this.#options = options;
    const { source } = options;
    this.#iterator = Symbol.asyncIterator in source ? source[Symbol.asyncIterator]() : source[Symbol.iterator]();
  }

  #change(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }

  #enter(result: Promise<Result>): void {
    // It may stand in the line for a while before somebody reads it.
    result.catch(() => {});
    this.#line.push(result);
    this.#change();
  }

  /** Asks the source and begins calls, as long as there are places. */
  async #pump(): Promise<void> {
    const { begin, concurrency, isOrdered } = this.#options;
    /* oxlint-disable no-await-in-loop -- one item after the other */
    try {
      for (;;) {
        while (this.#unread >= concurrency && !this.#isStopped) await this.#changed.promise;
        if (this.#isStopped) return;
        const next = await this.#iterator.next();
        if (next.done === true || this.#isStopped) return;
        this.#unread += 1;
        const begun = await begin(next.value);
        if (this.#isStopped) begun.withdraw();
        this.#begun.add(begun);
        const leave = (): void => {
          this.#begun.delete(begun);
          if (!isOrdered) this.#enter(begun.promise);
        };
        begun.promise.then(leave, leave);
        if (isOrdered) this.#enter(begun.promise);
      }
    } catch (error) {
      this.#unread += 1;
      this.#enter(Promise.reject(error));
    } finally {
      this.#hasEnded = true;
      this.#change();
    }
    /* oxlint-enable no-await-in-loop */
  }

  async *results(): AsyncGenerator<Result, void, undefined> {
    const { signal, aborted } = this.#options;
    const onAbort = (): void => this.#change();
    signal?.addEventListener('abort', onAbort);
    void this.#pump();
    /* oxlint-disable no-await-in-loop -- one result after the other */
    try {
      for (;;) {
        if (signal?.aborted === true) throw aborted();
        const result = this.#line.shift();
        if (result) {
          yield await result;
          this.#unread -= 1;
          this.#change();
        } else if (this.#hasEnded && this.#begun.size === 0) return;
        else await this.#changed.promise;
      }
    } finally {
      signal?.removeEventListener('abort', onAbort);
      this.#stop();
    }
    /* oxlint-enable no-await-in-loop */
  }

  /** Nobody reads any more. What runs may end; what waits need not begin. */
  #stop(): void {
    this.#isStopped = true;
    for (const begun of this.#begun) begun.withdraw();
    if (!this.#hasEnded) void closeIterator(this.#iterator);
    this.#change();
  }
}

/** Tells a source that nothing more is wanted. Not awaited: it may be in the middle of an item that never comes. */
async function closeIterator(iterator: Iterator<unknown> | AsyncIterator<unknown>): Promise<void> {
  try {
    await iterator.return?.();
  } catch {
    // There is nobody left to tell.
  }
}

/** The results of a call for each item. */
export function mapping<Item, Result>(options: MappingOptions<Item, Result>): AsyncGenerator<Result, void, undefined> {
  return new Mapping(options).results();
}
