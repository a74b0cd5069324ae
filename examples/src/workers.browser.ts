/** Web Workers for the examples' threads. The expressions are literal, because bundlers look for exactly that. */
import type { ThreadWorker } from './workers.node.ts';

/** A worker for threads of a bare program (`bare-worker.ts`). */
export const startBareWorker = (start: unknown): ThreadWorker =>
  started(new Worker(new URL('./bare-worker.ts', import.meta.url), { type: 'module' }), start);

/** A worker for threads of WASI (`../wasi-threads/worker.ts`). */
export const startWasiWorker = (start: unknown): ThreadWorker =>
  started(new Worker(new URL('../wasi-threads/worker.ts', import.meta.url), { type: 'module' }), start);

function started(worker: Worker, start: unknown): ThreadWorker {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker's has no origin
  worker.postMessage(start);
  const ready = new Promise<void>((resolve, reject) => {
    worker.addEventListener('message', () => resolve());
    worker.addEventListener('error', ({ message }) => reject(new Error(message)));
  });
  return { ready, terminate: async () => worker.terminate() };
}

/** In a worker: what it begins with. */
export function ownStart<Start>(): Promise<Start> {
  return new Promise((resolve) => {
    globalThis.addEventListener('message', ({ data }: MessageEvent<Start>) => resolve(data), { once: true });
  });
}

/** In a worker: it waits for threads from here on. */
export function tellReady(): void {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker's has no origin
  (globalThis as unknown as { postMessage(message: unknown): void }).postMessage('ready');
}
