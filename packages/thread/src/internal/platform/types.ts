/** What the two halves of `#platform` and of the worker hosts have in common. */

/** A worker, as its creator sees it. */
export interface WorkerHandle {
  post(message: unknown, transfer?: readonly Transferable[]): void;
  onMessage(listener: (message: unknown) => void): void;
  /** The worker could not be loaded, or threw outside of any message. */
  onError(listener: (message: string) => void): void;
  /** The worker ended. Browsers never tell, so don't rely on it. */
  onExit(listener: () => void): void;
  /** Whether the worker keeps its creator's process alive. Browsers have no such thing. */
  setKeepAlive(keepAlive: boolean): void;
  /** Ends the worker in the middle of whatever it does. Resolves when it is gone; in browsers, which never tell, at once. */
  terminate(): Promise<void>;
}

/** This worker's way to its creator. */
export interface OwnPort {
  post(message: unknown, transfer?: readonly Transferable[]): void;
  onMessage(listener: (message: unknown) => void): void;
  /** Lets this worker end, once it has nothing left to do. */
  close(): void;
}
