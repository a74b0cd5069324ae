/** What both platforms have. */

/** A worker, as who started it sees it. */
export interface AgentWorker {
  post(message: unknown, transfer?: readonly Transferable[]): void;
  onMessage(listener: (message: unknown) => void): void;
  onError(listener: (reason: string) => void): void;
  terminate(): Promise<void>;
}

/** A worker's way to who started it. */
export interface AgentPort {
  post(message: unknown): void;
  onMessage(listener: (message: unknown) => void): void;
}
