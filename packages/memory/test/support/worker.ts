/** A worker of a test: instantiates a module and calls an export so many times, as soon as all workers are there. */
import { instantiate, ThreadBlocks, type ThreadBlocksHandle } from '../../src/index.ts';
import { hostPort } from './port.ts';

/** What a worker is told to do. */
export interface Job {
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
  readonly abi?: 'plain';
  readonly blocks?: ThreadBlocksHandle;
  readonly name: string;
  readonly times: number;
  /** How often to instantiate anew, freeing the block each time; once where absent. */
  readonly instances?: number;
  /** Counts who is there: all begin when there are `workers`. */
  readonly gate: Int32Array;
  readonly workers: number;
}

function run({ module, memory, abi, blocks, name, times, instances = 1, gate, workers }: Job): number[] {
  const list = blocks && ThreadBlocks.from(blocks);
  if (Atomics.add(gate, 0, 1) + 1 === workers) Atomics.notify(gate, 0);
  for (let here = Atomics.load(gate, 0); here < workers; here = Atomics.load(gate, 0)) Atomics.wait(gate, 0, here);
  const results: number[] = [];
  for (let n = 0; n < instances; n += 1) {
    const { exports, block } = instantiate({ module, memory, abi, blocks: list });
    const call = exports[name] as () => number;
    for (let i = 0; i < times; i += 1) results.push(call());
    block?.free();
  }
  return results;
}

const port = await hostPort();
port.listen((job) => {
  try {
    port.post({ results: run(job as Job) });
  } catch (error) {
    port.post({ error: String(error) });
  }
});
port.post('ready');
