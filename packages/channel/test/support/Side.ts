/** A worker of which each side of a pairing is one. */
import { ThreadRegistry, type ThreadToken } from '@heddle/atomics';
import { blockingWaitOf } from '@heddle/atomics/internal';
import type { TestWorker } from './rpc.ts';
import { sleep, startWorker } from './spawn.ts';
import type { WasmProgram } from './wasm.ts';

/** What a thread's steps are written in. */
export type Language = 'typescript' | 'rust';

/** A thread that does its steps in one language. */
export class Side {
  readonly language: Language;
  readonly token: ThreadToken;
  readonly registry: ThreadRegistry;
  readonly #worker: TestWorker;
  readonly #memory: WebAssembly.Memory;

  private constructor(language: Language, worker: TestWorker, token: ThreadToken, registry: ThreadRegistry, memory: WebAssembly.Memory) {
    this.language = language;
    this.token = token;
    this.registry = registry;
    this.#worker = worker;
    this.#memory = memory;
  }

  static async start({ glueUrl, module, memory }: WasmProgram, language: Language): Promise<Side> {
    const worker = await startWorker();
    const token = await worker.call<ThreadToken>('instantiate', glueUrl, module, memory);
    const registry = ThreadRegistry.at({ memory, byteOffset: await worker.call<number>('wasm', '__heddle_registry') });
    return new Side(language, worker, token, registry, memory);
  }

  do(step: string, ...args: number[]): Promise<number> {
    return this.#worker.call<number>('step', this.language, step, ...args);
  }

  /** A step that Rust alone has. */
  doInRust(step: string, ...args: number[]): Promise<number> {
    return this.#worker.call<number>('step', 'rust', step, ...args);
  }

  /** Makes a channel, and gives the other side the sending end and this one the receiving one. */
  async channelFrom(sender: Side, capacity: number, ringByteLength: number): Promise<number> {
    const at = await this.doInRust('pair_create', capacity, ringByteLength);
    await sender.do('sender_open', at);
    await this.do('receiver_open', at);
    await this.doInRust('sender_drop', at);
    if (this.language !== 'rust') await this.doInRust('receiver_drop', at);
    return at;
  }

  /** Resolves when the thread has said that it blocks: it sleeps, or is just about to. */
  async blocked(): Promise<void> {
    const { byteOffset } = this.registry;
    while (!blockingWaitOf(new Int32Array(this.#memory.buffer), byteOffset, this.token.slot)) await sleep(1);
  }

  kill(): Promise<void> {
    return this.#worker.kill();
  }
}
