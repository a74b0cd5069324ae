/**
 * Workers whose thread has ended, kept for the next one: a spawn then takes microseconds rather than what a worker's start does.
 *
 * A worker's name in developer tools can't be changed, so a spare serves threads of its own name only. Spares don't keep Node's process
 * alive, the oldest gives way where there are too many, and after a while each ends.
 */
import { parallelism } from '#platform';
import { ModuleWorker } from './ModuleWorker.ts';

/** How long a spare is kept, in milliseconds. */
const KEPT_MS = 10_000;
const SPARES_MIN = 4;

interface Spare {
  readonly worker: ModuleWorker;
  readonly timer: ReturnType<typeof setTimeout>;
}

/** The oldest first. */
let spares: Spare[] = [];

/** A worker with this name that runs nothing; a new one where there is no spare. */
export function takeWorker(name: string): ModuleWorker {
  const spare = spares.findLast(({ worker }) => worker.name === name && !worker.isGone);
  if (!spare) return new ModuleWorker({ name, isThreadEachCall: true });
  forget(spare);
  spare.worker.setKeepAlive(true);
  return spare.worker;
}

/** Keeps a worker whose thread has ended. */
export function keepWorker(worker: ModuleWorker): void {
  if (worker.isGone) return;
  worker.setKeepAlive(false);
  const spare: Spare = { worker, timer: setTimeout(() => end(spare), KEPT_MS) };
  // Where timers keep a process alive, this one is no reason to.
  (spare.timer as { unref?: () => void }).unref?.();
  spares.push(spare);
  if (spares.length > Math.max(SPARES_MIN, parallelism())) end(spares[0]!);
}

function forget(spare: Spare): void {
  clearTimeout(spare.timer);
  spares = spares.filter((other) => other !== spare);
}

function end(spare: Spare): void {
  forget(spare);
  void spare.worker.terminate();
}
