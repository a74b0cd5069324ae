/**
 * One shared WebAssembly.Memory for many threads: what a module needs for that, the memory, and an instance in each agent.
 *
 * @module
 */
export { adviceFor, toolchainOf, type Advice, type Toolchain } from './advice.ts';
export { createMemory, createMemoryFor, PAGE_SIZE, type CreateMemoryOptions } from './createMemory.ts';
export { formatReport } from './formatReport.ts';
export { inspect, type Abi, type ImportedMemory, type MemoryLimits, type ModuleReport, type Problem, type TlsLayout } from './inspect.ts';
export { instantiate, renew, type InstantiateOptions, type ThreadInstance, type WasmBindgenGlue } from './instantiate.ts';
export { MemoryError, type MemoryErrorCode } from './MemoryError.ts';
export { readModule } from './readModule.ts';
export { makePassive, type MakePassiveOptions, type PassiveModule } from './makePassive.ts';
export { RewriteError, type RewriteReason } from './RewriteError.ts';
export { compileForThreads, type CompiledModule } from './compileForThreads.ts';
export { MemoryViews } from './MemoryViews.ts';
export { ThreadBlock, ThreadBlocks, type BlockSizes, type ThreadBlocksHandle } from './ThreadBlocks.ts';
