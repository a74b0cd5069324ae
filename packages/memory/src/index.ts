/**
 * One shared WebAssembly.Memory for many threads: what a module needs for that, the memory, and an instance in each agent.
 *
 * @module
 */
export { createMemory, createMemoryFor, PAGE_SIZE, type CreateMemoryOptions } from './createMemory.ts';
export { inspect, type Abi, type ImportedMemory, type MemoryLimits, type ModuleReport, type Problem } from './inspect.ts';
export { instantiate, type InstantiateOptions, type ThreadInstance, type WasmBindgenGlue } from './instantiate.ts';
export { MemoryError, type MemoryErrorCode } from './MemoryError.ts';
export { readModule } from './readModule.ts';
