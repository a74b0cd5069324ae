/**
 * The I/O thread's script: opens the directory, says so, and answers the requests of one engine after another, until it is told
 * to end or a queue is closed.
 */

import { openFiles, openIoPort } from '#io-host';
import { HostError, type HostFiles } from './io/HostFiles.ts';
import { IoServer, type IoQueueLocation } from './io/IoServer.ts';
import type { IoStart } from './io/messages.ts';
import { IO_ERROR_OTHER } from './layout.ts';

const port = openIoPort();

function reportFailure(error: unknown): void {
  const code = error instanceof HostError ? error.code : IO_ERROR_OTHER;
  port.report({ type: 'failed', code, message: error instanceof Error ? error.message : String(error) });
}

async function serve(start: IoStart): Promise<void> {
  const files = await openFiles(start.directory);
  let next: IoQueueLocation | undefined = start;
  do {
    port.report({ type: 'ready' });
    // oxlint-disable-next-line no-await-in-loop -- one engine after the other
    if ((await new IoServer(next, files).run()) === 'closed') return;
    port.report({ type: 'detached' });
    // oxlint-disable-next-line no-await-in-loop
    next = await nextQueue(files);
  } while (next);
}

/** The queue of the next engine, which opens its files anew; undefined where none comes and the files are closed. */
async function nextQueue(files: HostFiles): Promise<IoQueueLocation | undefined> {
  const order = await port.nextOrder();
  if (order.type === 'end') {
    files.dispose();
    return undefined;
  }
  await files.closeAll();
  return order;
}

async function run(start: IoStart): Promise<void> {
  try {
    await serve(start);
    port.report({ type: 'closed' });
  } catch (error) {
    reportFailure(error);
  } finally {
    port.close();
  }
}

port.onStart((start) => void run(start));
