/** A bare program – as LLVM's linker wrote it – and workers for its threads. */
import { startBareWorker } from '#workers';
import { channel, jsonCodec, type ReceiverHandle, type SenderHandle } from '@heddle/channel';
import {
  compileForThreads,
  createMemoryFor,
  instantiate,
  readModule,
  ThreadBlocks,
  type ThreadBlock,
  type ThreadBlocksHandle,
} from '@heddle/memory';

/** What a thread's worker begins with. */
export interface Start {
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
  readonly blocks: ThreadBlocksHandle;
  /** Addresses of threads to run, and where further ones are put. */
  readonly jobs: ReceiverHandle;
  readonly toJobs: SenderHandle;
}

/** Where an example's program prints a line. */
export type Print = (line: string) => void;

/** A program that can spawn: it imports `host.spawn`, and exports `thread_main` for the threads to begin at. */
export interface BareProgram extends AsyncDisposable {
  /** Its exports that are functions of numbers, on the main thread. */
  readonly exports: Record<string, (...args: number[]) => number>;
  /** The main thread's stack. */
  readonly block: ThreadBlock;
  readonly blocks: ThreadBlocks;
}

/**
 * Instantiates a program on this thread, and starts so many workers for its threads.
 *
 * @throws MemoryError where it was not linked for threads
 */
export async function openBareProgram(file: URL, workerCount: number): Promise<BareProgram> {
  const { module, memory: limits, report } = await compileForThreads(await readModule(file));
  if (!report.tls) throw new Error('the program exports no thread-local storage');
  const memory = createMemoryFor(limits);
  const blocks = ThreadBlocks.create({ memory, stackSize: 128 * 1024, tls: report.tls });
  const { sender, receiver } = channel<number>({ codec: jsonCodec() });
  const start: Start = { module, memory, blocks: blocks.handle, jobs: receiver.handle(), toJobs: sender.handle() };
  const workers = Array.from({ length: workerCount }, () => startBareWorker(start));
  await Promise.all(workers.map(({ ready }) => ready));
  const imports = { host: { spawn: (thread: number) => sender.send(thread) } };
  const { exports, block } = instantiate({ module, memory, imports, blocks });
  if (!block) throw new Error('a bare program has a stack in memory');
  return {
    exports: exports as BareProgram['exports'],
    block,
    blocks,
    [Symbol.asyncDispose]: async () => void (await Promise.all(workers.map((worker) => worker.terminate()))),
  };
}
