/** One end of a channel between tabs. */

/** Sends and hears messages. */
export interface Port<In, Out> {
  /** Called with each message, in the order in which they were sent. */
  onMessage: ((message: In) => void) | undefined;
  /** Called when a message came that can't be read: something is missing from then on. */
  onBroken: (() => void) | undefined;
  /** Sends a message; a copy of it. A closed port sends nothing. */
  post(message: Out): void;
  /** Hears nothing any more. Again, it changes nothing. */
  close(): void;
}

/** Joins the channel of a name. */
export function openPort<In, Out>(name: string): Port<In, Out> {
  return new BroadcastPort(name);
}

class BroadcastPort<In, Out> implements Port<In, Out> {
  onMessage: ((message: In) => void) | undefined;
  onBroken: (() => void) | undefined;
  readonly #channel: BroadcastChannel;
  #isClosed = false;

  constructor(name: string) {
    this.#channel = new BroadcastChannel(name);
    this.#channel.addEventListener('message', ({ data }: MessageEvent<In>) => {
      if (!this.#isClosed) this.onMessage?.(data);
    });
    this.#channel.addEventListener('messageerror', () => this.onBroken?.());
  }

  post(message: Out): void {
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a channel has no other origin
    if (!this.#isClosed) this.#channel.postMessage(message);
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#channel.close();
  }
}
