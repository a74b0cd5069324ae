/** A thread of the WASI program, for each that it asks for. */
import { parentPort, workerData } from 'node:worker_threads';
import { Receiver } from '@heddle/channel';
import { instantiate } from '@heddle/memory';
import { Wasi } from '@heddle/memory/wasi';
import type { Start } from './main.ts';

const { module, memory, jobs, descriptors } = workerData as Start;
// oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker's has no origin
parentPort?.postMessage('ready');
for (const [id, argument] of Receiver.from<[number, number]>(jobs)) {
  const wasi = new Wasi({ memory, descriptors });
  const { exports } = instantiate({ module, memory, imports: wasi.imports });
  wasi.startThread(exports, id, argument);
}
