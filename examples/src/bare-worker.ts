/** A thread of a bare program: takes what is spawned, each time in a stack and thread-local storage of its own. */
import { parentPort, workerData } from 'node:worker_threads';
import { Receiver, Sender } from '@heddle/channel';
import { instantiate, ThreadBlocks } from '@heddle/memory';
import type { Start } from './BareProgram.ts';

const { module, memory, jobs, toJobs, blocks: handle } = workerData as Start;
const blocks = ThreadBlocks.from(handle);
const sender = Sender.from<number>(toJobs);
const imports = { host: { spawn: (thread: number) => sender.send(thread) } };

// oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker's has no origin
parentPort?.postMessage('ready');
for (const thread of Receiver.from<number>(jobs)) {
  const { exports, block } = instantiate({ module, memory, imports, blocks });
  (exports['thread_main'] as (thread: number) => void)(thread);
  block?.free();
}
