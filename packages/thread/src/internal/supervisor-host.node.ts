/** Starts the supervisor. */
import { Worker } from 'node:worker_threads';
import { workerOptions, wrapWorker } from './platform/node.ts';
import type { WorkerHandle } from './platform/types.ts';

export function startSupervisor(name: string): WorkerHandle {
  // Node finds no TypeScript behind the name of what will be built from it.
  const script = import.meta.url.endsWith('.ts') ? './supervisor.ts' : './supervisor.js';
  return wrapWorker(new Worker(new URL(script, import.meta.url), workerOptions(name)));
}
