/** Runs a program of wasi-threads, and ends with what it ends with. */
import { startWasiWorker } from '#workers';
import { channel, jsonCodec, type ReceiverHandle } from '@heddle/channel';
import { compileForThreads, createMemoryFor, instantiate, readModule } from '@heddle/memory';
import { linesTo, Wasi } from '@heddle/memory/wasi';
import type { Print } from '../src/BareProgram.ts';

/** What a thread's worker begins with. */
export interface Start {
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
  readonly descriptors: SharedArrayBuffer;
  /** Numbers and arguments of threads to run. */
  readonly jobs: ReceiverHandle;
}

/** What it ends with. The agent that calls this blocks: a worker, in a page. */
export async function run(file: URL, print: Print): Promise<number> {
  const { module, memory: limits } = await compileForThreads(await readModule(file));
  const memory = createMemoryFor(limits);
  const { sender, receiver } = channel<[number, number]>({ codec: jsonCodec() });

  let threads = 0;
  const spawn = (argument: number): number => {
    threads += 1;
    sender.send([threads, argument]);
    return threads;
  };
  const wasi = new Wasi({ memory, args: ['program'], spawn, streams: { stdout: linesTo(print) } });
  const start: Start = { module, memory, descriptors: wasi.descriptors, jobs: receiver.handle() };
  const workers = Array.from({ length: 3 }, () => startWasiWorker(start));
  await Promise.all(workers.map(({ ready }) => ready));

  const { exports } = instantiate({ module, memory, imports: wasi.imports });
  const exitCode = wasi.start(exports);
  await Promise.all(workers.map((worker) => worker.terminate()));
  return exitCode;
}
