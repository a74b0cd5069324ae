/**
 * One module, one memory, an instance in each agent.
 *
 * The data segments are passive: the module copies them itself, once, under a flag in the memory. What every instance needs
 * of its own is a stack and thread-local storage, or two agents would write the same frames.
 */
import { MemoryError } from './MemoryError.ts';
import { PAGE_SIZE } from './createMemory.ts';
import type { Abi } from './inspect.ts';

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
  /** Bytes of stack, rounded up to pages of 64 KiB; 1 MiB where absent. */
  readonly stackSize?: number | undefined;
}

/** A module's instance in this agent. */
export interface ThreadInstance {
  readonly abi: Abi;
  /** The raw exports, without the wrappers that wasm-bindgen puts around them. */
  readonly exports: WebAssembly.Exports;
  readonly memory: WebAssembly.Memory;
}

const STACK_SIZE = 1024 * 1024;

/**
 * Instantiates a module in this agent over a memory that other agents share, with a stack and thread-local storage of its own.
 * Call it in workers: on a browser's main thread the module may have to wait for another agent, which the engine forbids there.
 *
 * @throws MemoryError `MODULE_NOT_THREADED` where the module can't have a stack or thread-local storage of its own,
 *   `BAD_GLUE` where the glue is no wasm-bindgen glue.
 */
export function instantiate({ module, memory, glue, imports, stackSize = STACK_SIZE }: InstantiateOptions): ThreadInstance {
  refreshSize(memory);
  const stackPages = Math.max(1, Math.ceil(stackSize / PAGE_SIZE));
  if (glue) {
    if (typeof glue.initSync !== 'function') {
      throw new MemoryError('BAD_GLUE', 'the glue has no initSync: write it with wasm-bindgen --target web');
    }
    const exports = glue.initSync({ module, memory, thread_stack_size: stackPages * PAGE_SIZE });
    return { abi: 'wasm-bindgen', exports, memory };
  }
  const memoryImport = WebAssembly.Module.imports(module).find((entry) => entry.kind === 'memory');
  if (!memoryImport) throw new MemoryError('MODULE_NOT_THREADED', 'the module imports no memory; inspect(bytes) says how to link it');
  const instance = new WebAssembly.Instance(module, {
    ...imports,
    [memoryImport.module]: { ...imports?.[memoryImport.module], [memoryImport.name]: memory },
  });
  giveStack(instance.exports, memory, stackPages);
  return { abi: 'bare', exports: instance.exports, memory };
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

/** Gives a fresh instance pages of its own: thread-local storage at their start, the stack behind it, growing down. */
function giveStack(exports: WebAssembly.Exports, memory: WebAssembly.Memory, stackPages: number): void {
  const { __stack_pointer: stackPointer, __wasm_init_tls: initTls, __tls_size: tlsSize } = exports;
  if (!(stackPointer instanceof WebAssembly.Global) || typeof initTls !== 'function' || !(tlsSize instanceof WebAssembly.Global)) {
    throw new MemoryError(
      'MODULE_NOT_THREADED',
      'the module exports no stack pointer or no thread-local storage; inspect(bytes) says how to link it',
    );
  }
  const tlsPages = Math.ceil(Number(tlsSize.value) / PAGE_SIZE);
  // Growing is atomic, and what it returns is this caller's alone. A page's start suits every alignment.
  const base = memory.grow(tlsPages + stackPages) * PAGE_SIZE;
  initTls(base);
  stackPointer.value = base + (tlsPages + stackPages) * PAGE_SIZE;
}
