/** The I/O thread in a browser: a dedicated worker over the origin private file system. */

import type { IoOrder, IoReport, IoStart } from '../messages.ts';
import { takeLock, whenFree } from '../../tabs/locks.ts';
import { Mailbox } from '../Mailbox.ts';
import { openOpfsFiles } from '../OpfsFiles.ts';
import { lockDirectory } from '../webLock.ts';
import type { CreateIoWorker, OpenFiles, OpenIoPort } from './types.ts';

/** How long the last report of a worker may take that has gone, in milliseconds. */
const LAST_WORDS_MS = 50;

/** To the worker, once. */
interface Start {
  readonly start: IoStart;
  /** A Web Lock that the worker holds as long as it lives: nothing else tells of its end. */
  readonly lifeLine: string;
}

export const createIoWorker: CreateIoWorker = () => {
  // The expression is literal, because bundlers look for exactly that.
  const worker = new Worker(new URL('../../io-worker.js', import.meta.url), { type: 'module', name: 'heddle store I/O' });
  const lifeLine = `heddle-store-io:${crypto.randomUUID()}`;
  const watching = new AbortController();
  /** Once the worker holds its life line. Another page may have stolen that: then this ends the worker, which has the directory. */
  const watch = async (onEnd: () => void): Promise<void> => {
    if (!(await whenFree(lifeLine, watching.signal))) return;
    worker.terminate();
    setTimeout(onEnd, LAST_WORDS_MS);
  };
  return {
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker's has no origin
    start: (start) => worker.postMessage({ start, lifeLine } satisfies Start),
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker's has no origin
    order: (order) => worker.postMessage(order),
    onReport: (listener) => worker.addEventListener('message', ({ data }: MessageEvent<IoReport>) => listener(data)),
    onFailure: (listener) => {
      worker.addEventListener('error', (event) => {
        event.preventDefault();
        listener(new Error(event.message || 'the script of the I/O thread could not be loaded'));
      });
      // Its first report comes behind its lock.
      const gone = (): void => listener(new Error('the I/O thread ended by itself'));
      // What a browser refuses is asked by a page that goes.
      worker.addEventListener('message', () => void watch(gone).catch(() => undefined), { once: true });
    },
    setKeepAlive: () => {},
    terminate: () => {
      watching.abort();
      worker.terminate();
    },
  };
};

/** A worker's global scope, as far as it is used here: the DOM's types have only the page's. */
interface WorkerScope {
  postMessage(message: IoReport): void;
  addEventListener(type: 'message', listener: (event: MessageEvent) => void, options?: { once: true }): void;
  close(): void;
}

export const openIoPort: OpenIoPort = () => {
  const scope = globalThis as unknown as WorkerScope;
  const mailbox = new Mailbox<IoOrder>();
  const onStart = (listener: (start: IoStart) => void) => (event: MessageEvent<Start>) => {
    scope.addEventListener('message', ({ data }: MessageEvent<IoOrder>) => mailbox.put(data));
    const { start, lifeLine } = event.data;
    const begin = (): void => listener(start);
    // Where there are no locks, the directory can't be opened either, and that is told.
    takeLock(lifeLine).then(begin, begin);
  };
  return {
    onStart: (listener) => scope.addEventListener('message', onStart(listener), { once: true }),
    nextOrder: () => mailbox.take(),
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker's has no origin
    report: (report) => scope.postMessage(report),
    close: () => scope.close(),
  };
};

export const openFiles: OpenFiles = async (directory) => openOpfsFiles(directory, await lockDirectory(directory));
