/**
 * The I/O thread, as the thread that opens a database sees it.
 *
 * It owns the files of one directory and answers the engine's requests straight from and to the shared memory; nothing of that
 * passes through here. Nothing here blocks.
 */

import { createIoWorker } from '#io-host';
import { HostError } from './HostFiles.ts';
import { abandonQueue, closeQueue, type IoQueueLocation } from './IoServer.ts';
import type { IoWorker } from './host/types.ts';
import type { IoStart } from './messages.ts';

/** A running I/O thread. */
export class IoThread {
  /** Settles with the cause if the thread ends by itself. Every request fails from then on. */
  readonly failed: Promise<unknown>;
  readonly #worker: IoWorker;
  readonly #location: IoQueueLocation;
  readonly #closed: Promise<void>;
  readonly #end: () => void;

  private constructor(
    worker: IoWorker,
    location: IoQueueLocation,
    { closed, failed, end }: { closed: Promise<void>; failed: Promise<unknown>; end: () => void },
  ) {
    this.#worker = worker;
    this.#location = location;
    this.#closed = closed;
    this.#end = end;
    this.failed = failed;
  }

  /**
   * Starts a thread for a directory, creating the directory where it is absent, and takes the directory's lock.
   *
   * @throws {HostError} `IO_ERROR_LOCKED` where another process or page has the directory, `IO_ERROR_PERMISSION_DENIED` and others
   */
  static async start({ memory, queue, directory }: IoStart): Promise<IoThread> {
    const worker = createIoWorker();
    const location = { memory, queue };
    const ready = Promise.withResolvers<void>();
    const closed = Promise.withResolvers<void>();
    const failed = Promise.withResolvers<unknown>();
    let hasClosed = false;
    const end = (): void => {
      hasClosed = true;
      closed.resolve();
    };
    worker.onReport((report) => {
      if (report.type === 'failed') ready.reject(new HostError(report.code, report.message));
      if (report.type === 'ready') ready.resolve();
      else end();
    });
    worker.onFailure((cause) => {
      if (hasClosed) return;
      // Whoever waits for a file would wait for ever.
      abandonQueue(location);
      end();
      ready.reject(cause);
      failed.resolve(cause);
    });
    worker.start({ memory, queue, directory });
    await ready.promise;
    // An open database alone keeps no process alive.
    worker.setKeepAlive(false);
    return new IoThread(worker, location, { closed: closed.promise, failed: failed.promise, end });
  }

  /** Closes the files, lets go of the directory and ends the thread. Requests that come later fail. */
  async close(): Promise<void> {
    this.#worker.setKeepAlive(true);
    closeQueue(this.#location);
    await this.#closed;
  }

  /** The same without waiting, for a page that goes away: the thread closes its files by itself. */
  abandon(): void {
    closeQueue(this.#location);
  }

  /** Ends the thread at once, whatever it does. */
  terminate(): void {
    this.#worker.terminate();
    // A browser tells nobody that a worker was terminated.
    abandonQueue(this.#location);
    this.#end();
  }
}
