/** What a runtime is started with, checked and as its supervisor gets it. */
import { canNestWorkers, lifeLine, parallelism } from '#platform';
import type { CompiledModule } from '@heddle/memory';
import { ThreadError } from '../ThreadError.ts';
import type { WasiProgram, WasmRuntimeOptions } from '../WasmRuntime.ts';
import { isCount, threadCounts } from './checks.ts';
import { hrefOf } from './location.ts';
import type { HostOptions, PostedWasi, StartMessage } from './protocol.ts';

const STACK_SIZE = 1024 * 1024;
const THREADS_MAX = 16;

/** What 32-bit addresses reach. */
const BYTES_MAX = 2 ** 32;

/** The options, with the module and the memory that a runtime which is used again stands for. */
export type StartOptions = Omit<WasmRuntimeOptions, 'module'> & {
  readonly module: Exclude<WasmRuntimeOptions['module'], { spawnWith: unknown }>;
};

/** @throws ThreadError `BAD_ARGUMENT` for what can't be meant */
export function startMessage(options: StartOptions): StartMessage {
  checkNumbers(options);
  const { memory } = options;
  if (memory && !(memory.buffer instanceof SharedArrayBuffer)) {
    throw new ThreadError('BAD_ARGUMENT', 'the memory is not shared: make it with shared: true, or leave it to the runtime');
  }
  const cpus = parallelism();
  const { threads, threadsMax } = threadCounts(options, { threads: cpus, threadsMax: Math.max(THREADS_MAX, 4 * cpus) });
  return {
    type: 'start',
    module: moduleOf(options.module),
    glue: hrefOfOptional(options.glue),
    host: hostOptions(options),
    memory,
    memoryBytesMax: options.memoryBytesMax,
    // Somebody has to call what is spawned first.
    threads: Math.max(1, threads),
    threadsMax,
    stackSize: options.stackSize ?? STACK_SIZE,
    parallelism: cpus,
    isTraced: options.isTraced ?? false,
    name: options.name ?? 'wasm thread',
    isDelegating: !canNestWorkers(),
    lifeLine: lifeLine(),
  };
}

/** A number that isn't one would be waited for, or be another one in the module's 32 bits. */
function checkNumbers({ stackSize = 0, memoryBytesMax = 0 }: StartOptions): void {
  if (!isCount(stackSize) || stackSize >= BYTES_MAX || !isCount(memoryBytesMax)) {
    throw new ThreadError('BAD_ARGUMENT', 'stackSize and memoryBytesMax are numbers of bytes, and a stack has less than 4 GiB');
  }
}

function moduleOf(module: StartOptions['module']): StartMessage['module'] {
  if (module instanceof ArrayBuffer) return new Uint8Array(module);
  if (module instanceof Uint8Array || module instanceof WebAssembly.Module || isCompiled(module)) return module;
  return hrefOf(module);
}

const isCompiled = (module: URL | string | CompiledModule): module is CompiledModule =>
  typeof module === 'object' && module !== null && 'report' in module;

const hrefOfOptional = (location: URL | string | undefined): string | undefined => (location === undefined ? undefined : hrefOf(location));

function hostOptions({ abi, imports, importsData, wasi }: StartOptions): HostOptions {
  return { abi, imports: hrefOfOptional(imports), importsData, wasi: wasi && postedWasi(wasi) };
}

function postedWasi({ args = [], env = {}, folders, stdout, stderr }: WasiProgram): PostedWasi {
  return { args, env, folders, isHeard: { stdout: stdout !== undefined, stderr: stderr !== undefined } };
}
