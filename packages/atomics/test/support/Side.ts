/** A worker of which each side of a pairing is one. */
import type { ThreadRegistryHandle, ThreadToken } from '../../src/index.ts';
import { blockingWaitOf } from '../../src/internal/index.ts';
import type { TestWorker } from './rpc.ts';
import { sleep, startWorker } from './spawn.ts';
import type { WasmProgram } from './wasm.ts';

/** What a thread's steps are written in. */
export type Language = 'typescript' | 'rust';

/** A thread that does its steps in one language. */
export class Side {
  readonly language: Language;
  readonly #worker: TestWorker;
  readonly token: ThreadToken;
  readonly registry: ThreadRegistryHandle;
  readonly #memory: WebAssembly.Memory;

  private constructor({ memory }: WasmProgram, language: Language, worker: TestWorker, token: ThreadToken, registry: ThreadRegistryHandle) {
    this.#memory = memory;
    this.language = language;
    this.#worker = worker;
    this.token = token;
    this.registry = registry;
  }

  static async start(program: WasmProgram, language: Language, workerName?: string): Promise<Side> {
    const worker = await startWorker(workerName);
    const { token, registry } = await worker.call<{ token: ThreadToken; registry: ThreadRegistryHandle }>(
      'instantiate',
      program.glueUrl,
      program.module,
      program.memory,
    );
    return new Side(program, language, worker, token, registry);
  }

  do(step: string, ...args: number[]): Promise<number> {
    return this.#worker.call<number>('step', this.language, step, ...args);
  }

  /** A step in TypeScript, also on a thread that does its own in Rust. */
  doInTypeScript(step: string, ...args: number[]): Promise<number> {
    return this.#worker.call<number>('step', 'typescript', step, ...args);
  }

  /** Resolves when the thread has said that it blocks: it sleeps, or is just about to. */
  async blocked(): Promise<void> {
    const { byteOffset } = this.registry;
    while (!blockingWaitOf(new Int32Array(this.#memory.buffer), byteOffset ?? 0, this.token.slot)) await sleep(1);
  }

  allocate(size: number): Promise<number> {
    return this.#worker.call<number>('step', 'rust', 'allocate', size);
  }

  kill(): Promise<void> {
    return this.#worker.kill();
  }
}
