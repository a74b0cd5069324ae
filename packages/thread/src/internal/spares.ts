/**
 * Workers whose thread has ended, kept for the next one: a spawn then takes microseconds rather than what a worker's start does.
 *
 * A worker's name in developer tools can't be changed, so a spare serves threads of its own name only. Spares don't keep Node's process
 * alive, the oldest gives way where there are too many, and after a while each ends.
 */
import { parallelism } from '#platform';
import { ModuleWorker } from './ModuleWorker.ts';

/** How long a spare is kept at least, in milliseconds; at most twice as long. */
const KEPT_MS = 10_000;
/** Asked once: Node asks the system each time, for longer than a spawn takes. */
const SPARES_MAX = Math.max(4, parallelism());

interface Spare {
  readonly worker: ModuleWorker;
  readonly sinceMs: number;
}

/** The oldest first. */
let spares: Spare[] = [];
let timer: ReturnType<typeof setTimeout> | undefined;

/** A worker with this name that runs nothing; a new one where there is no spare. */
export function takeWorker(name: string): ModuleWorker {
  const index = spares.findLastIndex(({ worker }) => worker.name === name && !worker.isGone);
  if (index === -1) return new ModuleWorker({ name, isThreadEachCall: true });
  const { worker } = spares.splice(index, 1)[0]!;
  worker.setKeepAlive(true);
  return worker;
}

/** Keeps a worker whose thread has ended. */
export function keepWorker(worker: ModuleWorker): void {
  if (worker.isGone) return;
  worker.setKeepAlive(false);
  spares.push({ worker, sinceMs: performance.now() });
  if (spares.length > SPARES_MAX) void spares.shift()!.worker.terminate();
  // One timer for all, set again when it has fired: a thread that takes microseconds should not set its own.
  timer ??= sweepLater();
}

function sweepLater(): ReturnType<typeof setTimeout> {
  const next = setTimeout(sweep, KEPT_MS);
  // Where timers keep a process alive, this one is no reason to.
  (next as { unref?: () => void }).unref?.();
  return next;
}

/** Ends what has been there for long. */
function sweep(): void {
  const keptMs = performance.now() - KEPT_MS;
  for (const { worker, sinceMs } of spares) if (sinceMs <= keptMs) void worker.terminate();
  spares = spares.filter(({ worker }) => !worker.isGone);
  timer = spares.length > 0 ? sweepLater() : undefined;
}
