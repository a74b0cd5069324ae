/**
 * The I/O thread's steps on the words that it shares with an engine. The store's interleavings are checked against these steps
 * (`crates/store/tests/interleavings`): whoever changes them here changes them there.
 */

import { readFileSync } from 'node:fs';
import { expect, onTestFinished, test, vi } from 'vitest';
import type { HostFiles } from '../src/internal/io/HostFiles.ts';
import { abandonQueue, closeQueue, fenceQueue, type IoEnd, type IoQueueLocation, IoServer } from '../src/internal/io/IoServer.ts';
import {
  IO_PENDING,
  IO_QUEUE_BELL_OFFSET,
  IO_QUEUE_DESCRIPTOR_USERS_OFFSET,
  IO_QUEUE_HEAD_OFFSET,
  IO_QUEUE_IS_WAITING_OFFSET,
  IO_QUEUE_SHARES_DESCRIPTORS_OFFSET,
  IO_QUEUE_STATE_OFFSET,
  IO_QUEUE_VERSION,
  IO_QUEUE_VERSION_OFFSET,
  IO_READ,
  IO_REQUEST_OPERATION_OFFSET,
  IO_REQUEST_STATE_OFFSET,
} from '../src/internal/layout.ts';

const QUEUE = 1024;
const REQUEST = 2048;

const NAMES = new Map([
  [QUEUE + IO_QUEUE_STATE_OFFSET, 'state'],
  [QUEUE + IO_QUEUE_BELL_OFFSET, 'bell'],
  [QUEUE + IO_QUEUE_IS_WAITING_OFFSET, 'waiting'],
  [QUEUE + IO_QUEUE_SHARES_DESCRIPTORS_OFFSET, 'shares'],
  [QUEUE + IO_QUEUE_HEAD_OFFSET, 'head'],
  [QUEUE + IO_QUEUE_DESCRIPTOR_USERS_OFFSET, 'users'],
  [REQUEST + IO_REQUEST_STATE_OFFSET, 'request'],
]);

/** The steps that both sides agree on, by what happens. */
const agreed = new Map(
  readFileSync(new URL('../../../crates/store/tests/interleavings/io_thread.steps', import.meta.url), 'utf8')
    .split('# ')
    .slice(1)
    .map((part) => {
      const [title = '', ...steps] = part.trim().split('\n');
      return [title, steps];
    }),
);

/** Runs a body on a queue with a request in it, and returns the steps that it takes. */
async function stepsOf(body: (location: IoQueueLocation) => Promise<unknown> | void): Promise<string[]> {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
  const view = new DataView(memory.buffer);
  view.setUint32(QUEUE + IO_QUEUE_VERSION_OFFSET, IO_QUEUE_VERSION, true);
  view.setUint32(QUEUE + IO_QUEUE_HEAD_OFFSET, REQUEST, true);
  view.setUint32(REQUEST + IO_REQUEST_STATE_OFFSET, IO_PENDING, true);
  view.setUint32(REQUEST + IO_REQUEST_OPERATION_OFFSET, IO_READ, true);
  const steps: string[] = [];
  const watched = { load: 'load', store: 'store', add: 'add', exchange: 'swap', compareExchange: 'exchange', notify: 'notify' } as const;
  onTestFinished(() => void vi.restoreAllMocks());
  const atomics = Atomics as unknown as Record<keyof typeof watched, (words: Int32Array, ...rest: number[]) => number>;
  for (const method of ['load', 'store', 'add', 'exchange', 'compareExchange', 'notify'] as const) {
    const original = atomics[method];
    vi.spyOn(atomics, method).mockImplementation((words, index = 0, ...rest) => {
      const name = NAMES.get(4 * index);
      if (name !== undefined) steps.push([watched[method], name, ...(method === 'store' ? rest : [])].join(' '));
      return original(words, index, ...rest);
    });
  }
  await body({ memory, queue: QUEUE });
  vi.restoreAllMocks();
  return steps;
}

/** A server whose files do something while they read. */
function serve(location: IoQueueLocation, meanwhile: () => void): Promise<IoEnd> {
  const read = (): number => {
    meanwhile();
    return 0;
  };
  const files = { sharesDescriptors: true, isSynchronous: true, read, dispose: () => undefined };
  return new IoServer(location, files as unknown as HostFiles).run();
}

test.each<[string, (location: IoQueueLocation) => Promise<unknown> | void]>([
  ['a request is served while the queue is closed', (location) => serve(location, () => closeQueue(location))],
  ['a request is served while its engine is fenced off', (location) => serve(location, () => fenceQueue(location))],
  [
    'a queue that was fenced off is started',
    async (location) => {
      fenceQueue(location);
      await serve(location, () => undefined);
    },
  ],
  ['a queue whose I/O thread has died is abandoned', abandonQueue],
])('%s, in the steps that are checked', async (title, body) => {
  expect(await stepsOf(body)).toEqual(agreed.get(title));
});
