/** The flag of a rewritten module, seen from outside: see `makePassive.ts`. */
import { MemoryError } from '../MemoryError.ts';
import { MemoryViews } from '../MemoryViews.ts';
import { INIT_FAILED, INIT_RUNNING } from './layout.ts';
import { Reader } from './reader.ts';

/** The custom section of a rewritten module: the address of its flag, as an unsigned number. */
export const FLAG_SECTION = 'heddle.init_flag';

/** Which instance initialises a memory. */
export class InitFlag {
  readonly #views: MemoryViews;
  readonly #index: number;

  private constructor(memory: WebAssembly.Memory, address: number) {
    this.#views = new MemoryViews(memory);
    this.#index = address / 4;
  }

  /** The flag of a module that was rewritten; undefined for others. */
  static of(module: WebAssembly.Module, memory: WebAssembly.Memory): InitFlag | undefined {
    const [section] = WebAssembly.Module.customSections(module, FLAG_SECTION);
    if (!section) return undefined;
    const address = new Reader(new Uint8Array(section)).unsigned();
    if (address % 4 !== 0 || address + 4 > memory.buffer.byteLength) {
      throw new MemoryError('MALFORMED_MODULE', `the module's flag can't lie at ${address}`);
    }
    return new InitFlag(memory, address);
  }

  /**
   * Waits while another agent's instance initialises the memory.
   *
   * @throws MemoryError `INIT_FAILED`
   */
  wait(): void {
    for (;;) {
      const { words } = this.#views;
      // Pairs with the module's store of INIT_DONE, and with `fail`.
      const state = Atomics.load(words, this.#index);
      if (state === INIT_FAILED) throw new MemoryError('INIT_FAILED', 'the start function failed in the instance that came first');
      if (state !== INIT_RUNNING) return;
      sleepOrSpin(words, this.#index);
    }
  }

  /** Tells the others that this agent's instance, which was to initialise the memory, failed. */
  fail(): void {
    const { words } = this.#views;
    // Who waits for another instance doesn't fail while it does: if the memory is being initialised, it was by this one.
    if (Atomics.compareExchange(words, this.#index, INIT_RUNNING, INIT_FAILED) === INIT_RUNNING) Atomics.notify(words, this.#index);
  }
}

/** Sleeps until the word is another; where an agent may not block, that is a look at it. */
function sleepOrSpin(words: Int32Array, index: number): void {
  try {
    Atomics.wait(words, index, INIT_RUNNING);
  } catch {
    // A browser's main thread. Copying takes microseconds.
  }
}
