import { MemoryError } from './MemoryError.ts';
import { inspect, type ImportedMemory, type ModuleReport } from './inspect.ts';
import { makePassive, type MakePassiveOptions } from './makePassive.ts';

/** A module that is ready for threads. */
export interface CompiledModule {
  readonly module: WebAssembly.Module;
  /** What it is now, after it was rewritten if that was needed. */
  readonly report: ModuleReport;
  /** The memory that it imports: for `createMemoryFor`. */
  readonly memory: ImportedMemory;
}

/** What rewriting mends. */
const MENDED: ReadonlySet<string> = new Set(['ACTIVE_SEGMENTS', 'MEMORY_NOT_IMPORTED', 'MEMORY_NOT_SHARED']);

/** What a module without a stack in memory doesn't need: the caller says so with `abi: 'plain'` when it instantiates. */
const OF_STACKS: ReadonlySet<string> = new Set(['NO_TLS_EXPORTS', 'NO_STACK_POINTER']);

/**
 * Inspects a module, rewrites it where its data segments are active, and compiles it.
 *
 * @throws RewriteError where it can't be made safe, MemoryError `MODULE_NOT_THREADED` where it lacks what can't be added,
 *   `MALFORMED_MODULE`
 */
export async function compileForThreads(
  bytes: Uint8Array<ArrayBuffer>,
  { abi, ...rewriting }: MakePassiveOptions & { readonly abi?: 'plain' | undefined } = {},
): Promise<CompiledModule> {
  const before = inspect(bytes);
  const rewritten = before.problems.some(({ code }) => MENDED.has(code)) ? makePassive(bytes, rewriting).bytes : bytes;
  const report = rewritten === bytes ? before : inspect(rewritten);
  const problems = abi === 'plain' ? report.problems.filter(({ code }) => !OF_STACKS.has(code)) : report.problems;
  const { memory } = report;
  if (problems.length > 0 || !memory) {
    throw new MemoryError('MODULE_NOT_THREADED', problems.map(({ message }) => message).join('\n'));
  }
  return { module: await WebAssembly.compile(rewritten), report, memory };
}
