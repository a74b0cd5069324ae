/**
 * The I/O thread, as the thread that opens a database sees it.
 *
 * It owns the files of one directory and answers an engine's requests straight from and to the shared memory; nothing of that
 * passes through here. Nothing here blocks. It outlives an engine that has failed: cut off from that, it serves the next, and the
 * directory is held all the while.
 *
 * # State
 * *serving* → `fence` → *detached*, when nothing of the old engine is under way → `serve` → *serving* with no file open. From each
 * of the two, `close` and `abandon` end it.
 */

import { createIoWorker } from '#io-host';
import { IO_ERROR_CLOSED } from '../layout.ts';
import type { Stop } from '../Stop.ts';
import { HostError } from './HostFiles.ts';
import { abandonQueue, closeQueue, fenceQueue, type IoQueueLocation, spinUntilClosed } from './IoServer.ts';
import type { IoWorker } from './host/types.ts';
import type { IoReport, IoStart } from './messages.ts';

/** How long a page that is about to be frozen waits for its files to be closed. */
const FREEZING_MS_MAX = 500;

/** A running I/O thread. */
export class IoThread {
  /** Called with the cause if the thread ends by itself. Every request fails from then on. */
  onFailure: ((cause: unknown) => void) | undefined;
  readonly #worker: IoWorker = createIoWorker();
  readonly #closed = Promise.withResolvers<void>();
  #ready = Promise.withResolvers<void>();
  #detached = Promise.withResolvers<void>();
  #location: IoQueueLocation;
  #isFenced = false;
  #hasClosed = false;
  #failure: unknown;

  private constructor(location: IoQueueLocation) {
    this.#location = location;
    this.#worker.onReport((report) => this.#hear(report));
    this.#worker.onFailure((cause) => this.#fail(cause));
  }

  /**
   * Starts a thread for a directory, creating the directory where it is absent, and takes the directory's lock.
   *
   * @throws {HostError} `IO_ERROR_LOCKED` where another process or page has the directory, `IO_ERROR_PERMISSION_DENIED` and others
   * @throws {HeddleStoreError} the reason to stop, where there is one before the thread is ready
   */
  static async start({ memory, queue, directory }: IoStart, stop?: Stop): Promise<IoThread> {
    const thread = new IoThread({ memory, queue });
    thread.#worker.start({ memory, queue, directory });
    // A worker that a browser ends before it has said anything is heard of by nothing else.
    stop?.listen(() => thread.terminate());
    try {
      await thread.#ready.promise;
    } catch (error) {
      throw stop?.error ?? error;
    } finally {
      stop?.listen(undefined);
    }
    // An open database alone keeps no process alive.
    thread.#worker.setKeepAlive(false);
    return thread;
  }

  /** Whether it has not ended. */
  get isAlive(): boolean {
    return !this.#hasClosed;
  }

  /** Why it ended by itself, where it has. */
  get failure(): unknown {
    return this.#failure;
  }

  #hear(report: IoReport): void {
    if (report.type === 'failed') this.#fail(new HostError(report.code, report.message));
    else if (report.type === 'ready') this.#ready.resolve();
    else if (report.type === 'detached') this.#detached.resolve();
    else this.#end();
  }

  #end(error: unknown = new HostError(IO_ERROR_CLOSED, 'the files are closed')): void {
    this.#hasClosed = true;
    this.#closed.resolve();
    // Nobody waits in vain for what no longer happens.
    for (const { promise, reject } of [this.#ready, this.#detached]) {
      promise.catch(() => undefined);
      reject(error);
    }
  }

  #fail(cause: unknown): void {
    if (this.#hasClosed) return;
    this.#failure = cause;
    // Whoever waits for a file would wait for ever.
    if (!this.#isFenced) abandonQueue(this.#location);
    this.#end(cause);
    this.onFailure?.(cause);
  }

  /** Cuts the engine off its files, at once. What it is reading or writing at this moment is done. */
  fence(): void {
    if (this.#isFenced || this.#hasClosed) return;
    this.#isFenced = true;
    fenceQueue(this.#location);
  }

  /**
   * Serves another engine after {@link fence}; the files of the one before are closed. Called when all its threads are gone: its
   * descriptors' numbers are given to other files.
   */
  async serve(location: IoQueueLocation): Promise<void> {
    this.#worker.setKeepAlive(true);
    try {
      await this.#detached.promise;
      // Since then, perhaps: it answers nothing any more.
      if (this.#hasClosed) throw this.#failure ?? new HostError(IO_ERROR_CLOSED, 'the files are closed');
      this.#detached = Promise.withResolvers();
      this.#ready = Promise.withResolvers();
      this.#isFenced = false;
      this.#location = location;
      this.#worker.order({ type: 'serve', ...location });
      await this.#ready.promise;
    } finally {
      this.#worker.setKeepAlive(false);
    }
  }

  /** Closes the files, lets go of the directory and ends the thread. Requests that come later fail. */
  async close(): Promise<void> {
    this.#worker.setKeepAlive(true);
    this.abandon();
    await this.#closed.promise;
  }

  /** The same without waiting, for a page that goes away: the thread closes its files by itself. */
  abandon(): void {
    // For a thread that is detached; one that serves looks at its queue only.
    this.#worker.order({ type: 'end' });
    if (!this.#isFenced) closeQueue(this.#location);
  }

  /**
   * The same for a page that is about to be frozen, and this thread with it, wherever it is: returns when the files are closed, or after
   * the time that a page may be busy then.
   */
  abandonBeforeFreezing(): void {
    this.abandon();
    // Its locks go with it, in case that it is stopped before it has said so.
    if (!this.#isFenced && spinUntilClosed(this.#location, FREEZING_MS_MAX)) this.terminate();
  }

  /** Ends the thread at once, whatever it does. */
  terminate(): void {
    this.#worker.terminate();
    // A browser tells nobody that a worker was terminated.
    abandonQueue(this.#location);
    this.#end();
  }
}
