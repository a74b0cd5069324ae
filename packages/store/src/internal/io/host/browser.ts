/** The I/O thread in a browser: a dedicated worker over the origin private file system. */

import type { IoOrder, IoReport, IoStart } from '../messages.ts';
import { Mailbox } from '../Mailbox.ts';
import { openOpfsFiles } from '../OpfsFiles.ts';
import { lockDirectory } from '../webLock.ts';
import type { CreateIoWorker, OpenFiles, OpenIoPort } from './types.ts';

export const createIoWorker: CreateIoWorker = () => {
  // The expression is literal, because bundlers look for exactly that.
  const worker = new Worker(new URL('../../io-worker.js', import.meta.url), { type: 'module', name: 'heddle store I/O' });
  return {
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker's has no origin
    start: (start) => worker.postMessage(start),
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker's has no origin
    order: (order) => worker.postMessage(order),
    onReport: (listener) => worker.addEventListener('message', ({ data }: MessageEvent<IoReport>) => listener(data)),
    onFailure: (listener) =>
      worker.addEventListener('error', (event) => {
        event.preventDefault();
        listener(new Error(event.message || 'the script of the I/O thread could not be loaded'));
      }),
    setKeepAlive: () => {},
    terminate: () => worker.terminate(),
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
  const onStart = (listener: (start: IoStart) => void) => (event: MessageEvent<IoStart>) => {
    scope.addEventListener('message', ({ data }: MessageEvent<IoOrder>) => mailbox.put(data));
    listener(event.data);
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
