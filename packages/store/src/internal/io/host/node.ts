/** The I/O thread in Node: a worker thread over `node:fs`. */

import { parentPort, Worker } from 'node:worker_threads';
import type { IoOrder, IoReport, IoStart } from '../messages.ts';
import { openNodeFiles } from '../NodeFiles.ts';
import { Mailbox } from '../Mailbox.ts';
import type { CreateIoWorker, OpenFiles, OpenIoPort } from './types.ts';

export const createIoWorker: CreateIoWorker = () => {
  // Node finds no TypeScript behind the name of what will be built from it.
  const script = import.meta.url.endsWith('.ts') ? '../../io-worker.ts' : '../../io-worker.js';
  const worker = new Worker(new URL(script, import.meta.url), {
    name: 'heddle store I/O',
    ...inheritedOptions(),
    // Were its descriptors closed with a thread that dies, others that use them could hit another file by the same number.
    trackUnmanagedFds: false,
  });
  return {
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker's has no origin
    start: (start) => worker.postMessage(start),
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker's has no origin
    order: (order) => worker.postMessage(order),
    onReport: (listener) => worker.on('message', (report: IoReport) => listener(report)),
    onFailure: (listener) => {
      worker.on('error', listener);
      worker.on('exit', (code) => listener(new Error(`the I/O thread ended with code ${code}`)));
    },
    setKeepAlive: (isOn) => (isOn ? worker.ref() : worker.unref()),
    // Settles when the thread is gone, which `onFailure` tells as well.
    terminate: () => void worker.terminate(),
  };
};

/** This process's options without the one that says what a script on the command line is: a worker refuses it. */
function inheritedOptions(): { execArgv?: string[] } {
  const inherited = process.execArgv.filter((option) => !option.startsWith('--input-type'));
  // Inherited without being named, because V8's own, such as `--max-old-space-size`, are refused where they are.
  return inherited.length === process.execArgv.length ? {} : { execArgv: inherited };
}

export const openIoPort: OpenIoPort = () => {
  const port = parentPort;
  if (!port) throw new Error('the I/O thread runs in a worker only');
  const mailbox = new Mailbox<IoOrder>();
  return {
    onStart: (listener) =>
      port.once('message', (start: IoStart) => {
        port.on('message', (order: IoOrder) => mailbox.put(order));
        listener(start);
      }),
    nextOrder: () => mailbox.take(),
    report: (report) => port.postMessage(report),
    close: () => port.close(),
  };
};

export const openFiles: OpenFiles = openNodeFiles;
