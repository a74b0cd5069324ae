/** The I/O thread's script: opens the directory, says so, and answers requests until the queue is closed. */

import { openFiles, openIoPort } from '#io-host';
import { HostError, type HostFiles } from './io/HostFiles.ts';
import { IoServer } from './io/IoServer.ts';
import type { IoStart } from './io/messages.ts';
import { IO_ERROR_OTHER } from './layout.ts';

const port = openIoPort();

async function open({ directory }: IoStart): Promise<HostFiles | undefined> {
  try {
    return await openFiles(directory);
  } catch (error) {
    const code = error instanceof HostError ? error.code : IO_ERROR_OTHER;
    port.report({ type: 'failed', code, message: error instanceof Error ? error.message : String(error) });
    return undefined;
  }
}

async function run(start: IoStart): Promise<void> {
  const files = await open(start);
  if (files) {
    port.report({ type: 'ready' });
    await new IoServer(start, files).run();
    port.report({ type: 'closed' });
  }
  port.close();
}

port.onStart((start) => void run(start));
