/**
 * One module, one memory, an instance in each agent.
 *
 * The data segments are passive: the module copies them itself, once, under a flag in the memory. What every instance needs
 * of its own is a stack and thread-local storage, or two agents would write the same frames.
 */
import { MemoryError } from './MemoryError.ts';
import { PAGE_SIZE } from './createMemory.ts';
import type { Abi } from './inspect.ts';
import { InitFlag } from './internal/InitFlag.ts';
import { takeSingleBlock, type BlockSizes, type ThreadBlock, type ThreadBlocks } from './ThreadBlocks.ts';

/** The JavaScript that wasm-bindgen writes for `--target web`, as imported. */
export interface WasmBindgenGlue {
  initSync(options: { module: WebAssembly.Module; memory: WebAssembly.Memory; thread_stack_size?: number }): WebAssembly.Exports;
}

/** What to instantiate. */
export interface InstantiateOptions {
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
  /** wasm-bindgen's JavaScript, for a module that has some. One imported glue serves one instance. */
  readonly glue?: WasmBindgenGlue | undefined;
  /** Imports of a module without glue, besides its memory. */
  readonly imports?: WebAssembly.Imports | undefined;
  /** Bytes of stack, rounded up to pages of 64 KiB; where absent those of the blocks, or else 1 MiB. */
  readonly stackSize?: number | undefined;
  /** Where a bare module's stack and thread-local storage come from and go back to; pages that are not given back where absent. */
  readonly blocks?: ThreadBlocks | undefined;
  /**
   * How the module is to be instantiated; found out where absent. `plain`: it keeps nothing of a thread's in memory – no stack, no
   * thread-local storage –, as what is written by hand.
   */
  readonly abi?: Abi | 'plain' | undefined;
}

/** A module's instance in this agent. */
export interface ThreadInstance {
  readonly abi: Abi | 'plain';
  /** The raw exports, without the wrappers that wasm-bindgen puts around them. */
  readonly exports: WebAssembly.Exports;
  readonly memory: WebAssembly.Memory;
  /** A bare module's stack and thread-local storage. Free it when the instance is not called any more. */
  readonly block: ThreadBlock | undefined;
}

const STACK_SIZE = 1024 * 1024;

/**
 * Instantiates a module in this agent over a memory that other agents share, with a stack and thread-local storage of its own.
 * Call it in workers: on a browser's main thread the module may have to wait for another agent, which the engine forbids there.
 *
 * @throws MemoryError `MODULE_NOT_THREADED` where the module can't have a stack or thread-local storage of its own,
 *   `BAD_GLUE` where the glue is no wasm-bindgen glue, `IMPORT_MISSING`, `OUT_OF_MEMORY`, `INIT_FAILED` where the start function
 *   failed in the instance that came first.
 */
export function instantiate(options: InstantiateOptions): ThreadInstance {
  const { module, memory, glue, stackSize = STACK_SIZE } = options;
  refreshSize(memory);
  const abi = options.abi ?? (glue ? 'wasm-bindgen' : abiOf(module));
  if (abi === 'wasm-bindgen') {
    if (typeof glue?.initSync !== 'function') {
      throw new MemoryError('BAD_GLUE', 'the glue has no initSync: write it with wasm-bindgen --target web');
    }
    const stackPages = Math.max(1, Math.ceil(stackSize / PAGE_SIZE));
    const exports = initialising(module, memory, () => glue.initSync({ module, memory, thread_stack_size: stackPages * PAGE_SIZE }));
    return { abi, exports, memory, block: undefined };
  }
  const imports = importsOf(options);
  const { exports } = initialising(module, memory, () => new WebAssembly.Instance(module, imports));
  const block = abi === 'bare' ? giveBlock(exports, options) : undefined;
  return { abi, exports, memory, block };
}

/**
 * Has an instance whose thread has ended serve another one, with a block of that one's own and thread-local storage as at first: takes
 * microseconds where an instance of its own takes longer. Its stack has `stackSize` bytes at least, those of the blocks where that is
 * absent. What the module keeps in other globals stays as it is: LLVM's linker makes none.
 *
 * @throws MemoryError `MODULE_NOT_THREADED` for instances without a block, `OUT_OF_MEMORY`, `BAD_HANDLE` where the blocks are those of
 *   another module.
 */
export function renew({ abi, exports, memory, block }: ThreadInstance, blocks: ThreadBlocks, stackSize?: number): ThreadInstance {
  if (!block) throw new MemoryError('MODULE_NOT_THREADED', `an instance of the kind ${abi} has no block: instantiate another one`);
  return { abi, exports, memory, block: giveBlock(exports, { memory, blocks, stackSize }) };
}

/** How a module without glue is instantiated: one that gives its threads their stacks itself has a function for them to begin at. */
function abiOf(module: WebAssembly.Module): Abi {
  return WebAssembly.Module.exports(module).some(({ name }) => name === 'wasi_thread_start') ? 'wasi-threads' : 'bare';
}

/** The imports with the memory; all that the module asks for are there. */
function importsOf({ module, memory, imports }: InstantiateOptions): WebAssembly.Imports {
  const entries = WebAssembly.Module.imports(module);
  const memoryImport = entries.find((entry) => entry.kind === 'memory');
  if (!memoryImport) throw new MemoryError('MODULE_NOT_THREADED', 'the module imports no memory; inspect(bytes) says how to link it');
  const all = { ...imports, [memoryImport.module]: { ...imports?.[memoryImport.module], [memoryImport.name]: memory } };
  const missing = entries.filter((entry) => all[entry.module]?.[entry.name] === undefined);
  if (missing.length > 0) {
    const names = missing.map((entry) => `${entry.module}.${entry.name}`).join(', ');
    throw new MemoryError('IMPORT_MISSING', `the module asks for imports that are not there: ${names}`);
  }
  return all;
}

/** Instantiates a module that may have to initialise the memory, or to wait until another instance has. */
function initialising<T>(module: WebAssembly.Module, memory: WebAssembly.Memory, instantiated: () => T): T {
  const flag = InitFlag.of(module, memory);
  flag?.wait();
  try {
    return instantiated();
  } catch (error) {
    // Imports of the wrong type are found before the start function runs.
    if (!(error instanceof WebAssembly.LinkError)) flag?.fail();
    throw error;
  }
}

/**
 * Has this agent take notice of the memory's size.
 *
 * V8 tells agents that a memory has grown once they have received it. What other agents add while a message with the memory is
 * being read is missed, and until the next growth bulk instructions on the new pages trap ("memory access out of bounds").
 * Growing by nothing looks at the size again.
 */
function refreshSize(memory: WebAssembly.Memory): void {
  memory.grow(0);
}

/** Gives a fresh instance a block of its own. */
function giveBlock(
  exports: WebAssembly.Exports,
  { memory, blocks, stackSize }: Pick<InstantiateOptions, 'memory' | 'blocks' | 'stackSize'>,
): ThreadBlock {
  const { __stack_pointer: stackPointer, __wasm_init_tls: initTls } = exports;
  const sizes = sizesOf(exports, stackSize ?? STACK_SIZE);
  if (!(stackPointer instanceof WebAssembly.Global) || typeof initTls !== 'function' || !sizes) {
    throw new MemoryError(
      'MODULE_NOT_THREADED',
      'the module exports no stack pointer or no thread-local storage; inspect(bytes) says how to link it',
    );
  }
  const block = blocks ? blocks.take(stackSize) : takeSingleBlock(memory, sizes);
  if (block.address + block.size - block.tlsBase < sizes.tls.size || block.tlsBase % sizes.tls.align !== 0) {
    throw new MemoryError('BAD_HANDLE', `the blocks have no room for the ${sizes.tls.size} bytes of this module's thread-local storage`);
  }
  initTls(block.tlsBase);
  stackPointer.value = block.stackTop;
  return block;
}

/** How big the blocks of a bare module's threads have to be, from what an instance exports. */
function sizesOf({ __tls_size: size, __tls_align: align }: WebAssembly.Exports, stackSize: number): BlockSizes | undefined {
  if (!(size instanceof WebAssembly.Global)) return undefined;
  const tlsAlign = align instanceof WebAssembly.Global ? Number(align.value) : PAGE_SIZE;
  return { stackSize, tls: { size: Number(size.value), align: Math.max(1, tlsAlign) } };
}
