/** Workers of Node for the examples' threads. */
import { once } from 'node:events';
import { parentPort, Worker } from 'node:worker_threads';

/** What a program does with a worker. */
export interface ThreadWorker {
  /** Resolves when the worker waits for threads. */
  readonly ready: Promise<void>;
  terminate(): Promise<void>;
}

/** A worker for threads of a bare program (`bare-worker.ts`). */
export const startBareWorker = (start: unknown): ThreadWorker => started(new Worker(new URL('./bare-worker.ts', import.meta.url)), start);

/** A worker for threads of WASI (`../wasi-threads/worker.ts`). */
export const startWasiWorker = (start: unknown): ThreadWorker =>
  started(new Worker(new URL('../wasi-threads/worker.ts', import.meta.url)), start);

function started(worker: Worker, start: unknown): ThreadWorker {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker's has no origin
  worker.postMessage(start);
  return {
    ready: once(worker, 'message').then(() => undefined),
    terminate: async () => void (await worker.terminate()),
  };
}

/** In a worker: what it begins with. */
export async function ownStart<Start>(): Promise<Start> {
  const [start] = (await once(parentPort!, 'message')) as [Start];
  return start;
}

/** In a worker: it waits for threads from here on. */
export function tellReady(): void {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker's has no origin
  parentPort?.postMessage('ready');
}
