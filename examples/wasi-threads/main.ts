/** Runs a program of wasi-threads, and ends with what it ends with. */
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { Worker } from 'node:worker_threads';
import { channel, jsonCodec, type ReceiverHandle } from '@heddle/channel';
import { compileForThreads, createMemoryFor, instantiate } from '@heddle/memory';
import { Wasi } from '@heddle/memory/wasi';

/** What a thread's worker begins with. */
export interface Start {
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
  readonly descriptors: SharedArrayBuffer;
  /** Numbers and arguments of threads to run. */
  readonly jobs: ReceiverHandle;
}

const [, , file = 'program.wasm'] = process.argv;
const { module, memory: limits } = await compileForThreads(await readFile(file));
const memory = createMemoryFor(limits);
const { sender, receiver } = channel<[number, number]>({ codec: jsonCodec() });

let threads = 0;
const spawn = (argument: number): number => {
  threads += 1;
  sender.send([threads, argument]);
  return threads;
};
const wasi = new Wasi({ memory, args: ['program'], spawn });
const start: Start = { module, memory, descriptors: wasi.descriptors, jobs: receiver.handle() };
const workers = Array.from({ length: 3 }, () => new Worker(new URL('./worker.ts', import.meta.url), { workerData: start }));
await Promise.all(workers.map((worker) => once(worker, 'message')));

const { exports } = instantiate({ module, memory, imports: wasi.imports });
process.exitCode = wasi.start(exports);
await Promise.all(workers.map((worker) => worker.terminate()));
