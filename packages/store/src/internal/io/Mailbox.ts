/** What was sent to one who may not be looking yet. */
export class Mailbox<T> {
  readonly #items: T[] = [];
  #arrival: (() => void) | undefined;

  put(item: T): void {
    this.#items.push(item);
    this.#arrival?.();
  }

  /** The oldest item, when there is one. For one taker at a time. */
  async take(): Promise<T> {
    while (this.#items.length === 0) {
      // oxlint-disable-next-line no-await-in-loop -- one arrival after the other
      await new Promise<void>((resolve) => {
        this.#arrival = resolve;
      });
    }
    this.#arrival = undefined;
    return this.#items.shift() as T;
  }
}
