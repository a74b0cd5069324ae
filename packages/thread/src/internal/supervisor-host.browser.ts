/**
 * Starts the supervisor. The expression is literal, because bundlers look for exactly that. The script lies beside this file for those
 * that don't: what they make of both lies in one folder, too.
 */
import { wrapWorker } from './platform/browser.ts';
import type { WorkerHandle } from './platform/types.ts';

export function startSupervisor(name: string): WorkerHandle {
  return wrapWorker(() => new Worker(new URL('./supervisor.js', import.meta.url), { type: 'module', name }));
}
