/** A thread of a bare program: takes what is spawned, each time in a stack and thread-local storage of its own. */
import { ownStart, tellReady } from '#workers';
import { Receiver, Sender } from '@heddle/channel';
import { instantiate, ThreadBlocks } from '@heddle/memory';
import type { Start } from './BareProgram.ts';

const { module, memory, jobs, toJobs, blocks: handle } = await ownStart<Start>();
const blocks = ThreadBlocks.from(handle);
const sender = Sender.from<number>(toJobs);
const imports = { host: { spawn: (thread: number) => sender.send(thread) } };

tellReady();
for (const thread of Receiver.from<number>(jobs)) {
  const { exports, block } = instantiate({ module, memory, imports, blocks });
  (exports['thread_main'] as (thread: number) => void)(thread);
  block?.free();
}
