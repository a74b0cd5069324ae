/**
 * The workers of a pool of TypeScript threads: as many as its minimum, more on demand up to its limit, fewer again after a while, and
 * another one for each that is gone.
 *
 * # Invariants
 * 1. A worker is in `#all` from its start until it is gone; it is starting, idle, or taken by a job.
 * 2. Node's process is kept alive by workers that start or run, not by idle ones.
 */
import { ThreadError } from '../ThreadError.ts';
import { ModuleWorker } from './ModuleWorker.ts';

export interface PoolWorkersOptions {
  readonly name: string;
  readonly threadsMin: number;
  readonly threadsMax: number;
  readonly idleTimeoutMs: number;
  /** A worker has become idle. */
  readonly onIdle: () => void;
  /** A worker could not be started, and there is no other one. */
  readonly onStartFailed: (error: ThreadError) => void;
}

export class PoolWorkers {
  readonly #options: PoolWorkersOptions;
  readonly #all = new Set<ModuleWorker>();
  readonly #starting = new Set<ModuleWorker>();
  /** Workers without a job, and since when. The last one is taken first: its caches are warm, and the first may end. */
  #idle: { readonly worker: ModuleWorker; readonly sinceMs: number }[] = [];
  #started = 0;
  #idleTimer: ReturnType<typeof setTimeout> | undefined;
  #isClosed = false;

  constructor(options: PoolWorkersOptions) {
    this.#options = options;
  }

  get count(): number {
    return this.#all.size;
  }

  get idleCount(): number {
    return this.#idle.length;
  }

  /** Starts as many as there are always. */
  async start(): Promise<void> {
    const { threadsMin } = this.#options;
    await Promise.all(Array.from({ length: threadsMin }, () => this.#startOne().ready));
  }

  /** An idle worker, which is the caller's until it is given back; undefined if there is none. */
  take(): ModuleWorker | undefined {
    for (;;) {
      const worker = this.#idle.pop()?.worker;
      if (!worker) return undefined;
      if (worker.isGone) continue;
      worker.setKeepAlive(true);
      return worker;
    }
  }

  /** Gives a worker back that has ended its job. */
  giveBack(worker: ModuleWorker): void {
    if (worker.isGone || this.#isClosed) return;
    worker.setKeepAlive(false);
    this.#idle.push({ worker, sinceMs: performance.now() });
    this.#watchIdle();
  }

  /** Sees to it that `wanted` jobs, for which there is no idle worker, find one: as far as there may be so many. */
  startFor(wanted: number): void {
    while (!this.#isClosed && this.#starting.size < wanted && this.#all.size < this.#options.threadsMax) this.#startOne();
  }

  #startOne(): ModuleWorker {
    this.#started += 1;
    const worker = new ModuleWorker({ name: `${this.#options.name} ${this.#started}`, isThreadEachCall: false });
    this.#all.add(worker);
    this.#starting.add(worker);
    worker.ready.then(
      () => {
        this.#starting.delete(worker);
        this.giveBack(worker);
        this.#options.onIdle();
      },
      (error: unknown) => this.#lose(worker, error as ThreadError),
    );
    void worker.gone.then(() => this.#lose(worker));
    return worker;
  }

  /** Forgets a worker that is gone. One that could not be started is not replaced before somebody asks again. */
  #lose(worker: ModuleWorker, startError?: ThreadError): void {
    if (!this.#all.delete(worker)) return;
    this.#idle = this.#idle.filter((idle) => idle.worker !== worker);
    const wasStarting = this.#starting.delete(worker);
    if (this.#isClosed) return;
    if (!wasStarting) {
      if (this.#all.size < this.#options.threadsMin) this.#startOne();
      this.#options.onIdle();
    } else if (this.#all.size === 0) {
      this.#options.onStartFailed(startError ?? new ThreadError('START_FAILED', `the worker '${worker.name}' did not start`));
    }
  }

  /** Ends workers beyond the minimum that have been idle for too long, and comes back for the others. */
  #watchIdle(): void {
    const { threadsMin, idleTimeoutMs } = this.#options;
    if (this.#idleTimer !== undefined || this.#all.size <= threadsMin || idleTimeoutMs === Infinity) return;
    const timer = setTimeout(() => {
      this.#idleTimer = undefined;
      const endedMs = performance.now() - idleTimeoutMs;
      for (const { worker } of this.#idle.filter(({ sinceMs }) => sinceMs <= endedMs)) {
        if (this.#all.size <= threadsMin) break;
        void worker.terminate();
        this.#lose(worker);
      }
      if (this.#idle.length > 0) this.#watchIdle();
    }, idleTimeoutMs);
    // Where timers keep a process alive, this one is no reason to.
    (timer as { unref?: () => void }).unref?.();
    this.#idleTimer = timer;
  }

  /** Ends all of them, in the middle of whatever they run. */
  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#idleTimer);
    await Promise.all([...this.#all].map((worker) => worker.terminate()));
  }
}
