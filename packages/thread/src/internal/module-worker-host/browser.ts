/** Starts a worker for a TypeScript thread. The expression is literal, because bundlers look for exactly that. */
import { wrapWorker } from '../platform/browser.ts';
import type { WorkerHandle } from '../platform/types.ts';

export function startModuleWorker(name: string): WorkerHandle {
  return wrapWorker(new Worker(new URL('../module-worker.js', import.meta.url), { type: 'module', name }));
}
