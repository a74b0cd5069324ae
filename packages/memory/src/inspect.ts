import { exportsOf, readContents, type Contents } from './internal/contents.ts';
import { KIND } from './internal/sections.ts';

/** How a module wants to be instantiated. */
export type Abi =
  /** Through the JavaScript that wasm-bindgen wrote beside it. */
  | 'wasm-bindgen'
  /** As the linker wrote it: C, C++, Zig, Rust without wasm-bindgen. */
  | 'bare'
  /** Against WASI, with `wasi.thread-spawn`: it gives its threads their stacks and thread-local storage itself. */
  | 'wasi-threads';

/** The limits of a memory, in pages of 64 KiB. */
export interface MemoryLimits {
  readonly initialPages: number;
  readonly maximumPages: number | undefined;
  readonly isShared: boolean;
}

/** A memory that a module imports. */
export interface ImportedMemory extends MemoryLimits {
  readonly module: string;
  readonly name: string;
}

/** The thread-local storage of one thread, in bytes. */
export interface TlsLayout {
  readonly size: number;
  readonly align: number;
}

/** Why a module can't have threads, and what to do about it. */
export interface Problem {
  readonly code:
    | 'MEMORY_NOT_IMPORTED'
    | 'MEMORY_NOT_SHARED'
    | 'MEMORY_OF_64_BITS'
    | 'SEVERAL_MEMORIES'
    | 'ACTIVE_SEGMENTS'
    | 'NO_TLS_EXPORTS'
    | 'NO_STACK_POINTER'
    | 'NO_THREAD_START';
  /** What is wrong. */
  readonly reason: string;
  /** What is wrong, and what to do about it. */
  readonly message: string;
}

/** What a module needs in order to run on many threads in one memory. */
export interface ModuleReport {
  readonly abi: Abi;
  /** The memory that it imports; undefined where it has its own. */
  readonly memory: ImportedMemory | undefined;
  /** The memory that it has itself; undefined where it imports one, or has none. */
  readonly ownMemory: MemoryLimits | undefined;
  /** Data segments that are copied at each instantiation, and those that are copied once, by the module itself. */
  readonly segments: { readonly active: number; readonly passive: number };
  /** How many segments the module announces before its code; undefined: it has no bulk memory instructions. */
  readonly dataCount: number | undefined;
  readonly hasStart: boolean;
  /** Whether `__wasm_init_tls`, `__tls_size` and `__tls_align` are exported. wasm-bindgen uses them up. */
  readonly exportsTls: boolean;
  /** The bytes and the alignment of each thread's thread-local storage; undefined where the module doesn't export them. */
  readonly tls: TlsLayout | undefined;
  readonly exportsStackPointer: boolean;
  /** What it has of wasi-threads, and which functions of WASI it imports. */
  readonly wasi: {
    readonly importsThreadSpawn: boolean;
    readonly exportsThreadStart: boolean;
    readonly functions: readonly string[];
  };
  /** What compiled it, in the order of its `producers` section: `{ field: 'language', name: 'Rust', version: '' }`. */
  readonly producers: readonly { readonly field: string; readonly name: string; readonly version: string }[];
  /** What its linker says it was compiled with, signs included: `+atomics`. */
  readonly targetFeatures: readonly string[];
  /** Imports as `module.name`, the memory excepted. */
  readonly imports: readonly string[];
  readonly exports: readonly string[];
  /** Empty: the module can have threads. */
  readonly problems: readonly Problem[];
}

/** Where modules import WASI's functions from. */
const WASI_MODULE = 'wasi_snapshot_preview1';

const LINK_FLAGS =
  'link it with --shared-memory --import-memory --max-memory=… --export=__wasm_init_tls --export=__tls_size --export=__tls_align ' +
  '--export=__tls_base --export=__stack_pointer, and compile everything in it, the standard library too, with atomics and bulk-memory';

/**
 * Reads what a module needs in order to run on many threads, without compiling it.
 *
 * @throws MemoryError `MALFORMED_MODULE` where the bytes are no module.
 */
export function inspect(source: ArrayBufferLike | Uint8Array): ModuleReport {
  const contents = readContents(source instanceof Uint8Array ? source : new Uint8Array(source));
  const exported = new Set(contents.exports.map(({ name }) => name));
  const functions = exportsOf(contents, KIND.function);
  const own = contents.memories.find(({ imported }) => !imported)?.type;
  const report = {
    abi: abiOf(contents, functions),
    memory: importedMemoryOf(contents),
    ownMemory: own && limitsOf(own),
    segments: { active: contents.active, passive: contents.passive },
    dataCount: contents.dataCount,
    hasStart: contents.start !== undefined,
    exportsTls: ['__wasm_init_tls', '__tls_size', '__tls_align'].every((name) => exported.has(name)),
    tls: tlsOf(contents),
    exportsStackPointer: exported.has('__stack_pointer'),
    wasi: {
      importsThreadSpawn: importsThreadSpawn(contents),
      exportsThreadStart: functions.has('wasi_thread_start'),
      functions: contents.imports.filter(({ module }) => module === WASI_MODULE).map(({ name }) => name),
    },
    producers: contents.producers,
    targetFeatures: contents.targetFeatures,
    imports: contents.imports.filter(({ memory }) => !memory).map(({ module, name }) => `${module}.${name}`),
    exports: contents.exports.map(({ name }) => name),
  };
  return { ...report, problems: [...memoryProblems(report, contents), ...threadProblems(report)] };
}

function tlsOf({ exports, globals }: Contents): ModuleReport['tls'] {
  const valueOf = (name: string): number | undefined => {
    const entry = exports.find((candidate) => candidate.name === name && candidate.kind === KIND.global);
    return entry && globals.get(entry.index);
  };
  const size = valueOf('__tls_size');
  return size === undefined ? undefined : { size, align: Math.max(1, valueOf('__tls_align') ?? 1) };
}

function importsThreadSpawn({ imports }: Contents): boolean {
  return imports.some(({ module, name }) => module === 'wasi' && name === 'thread-spawn');
}

function abiOf(contents: Contents, functions: ReadonlySet<string>): Abi {
  if (functions.has('__wbindgen_start') || functions.has('__wbindgen_malloc')) return 'wasm-bindgen';
  return importsThreadSpawn(contents) || functions.has('wasi_thread_start') ? 'wasi-threads' : 'bare';
}

function importedMemoryOf({ memories }: Contents): ImportedMemory | undefined {
  for (const { type, imported } of memories) {
    if (imported) return { module: imported.module, name: imported.name, ...limitsOf(type) };
  }
  return undefined;
}

const limitsOf = ({ initialPages, maximumPages, isShared }: MemoryLimits): MemoryLimits => ({ initialPages, maximumPages, isShared });

/** A problem that the linker's flags would mend, unless something else would. */
function problem(code: Problem['code'], reason: string, remedy: string = LINK_FLAGS): Problem {
  return { code, reason, message: `${reason}; ${remedy}` };
}

/** What is wrong with the memory and what is put into it. */
function memoryProblems({ memory, ownMemory, segments }: Omit<ModuleReport, 'problems'>, { memories }: Contents): Problem[] {
  const problems: Problem[] = [];
  if (!memory) {
    const reason = ownMemory ? 'the module has a memory of its own instead of importing one' : 'the module imports no memory, and has none';
    problems.push(problem('MEMORY_NOT_IMPORTED', reason));
  } else if (!memory.isShared) problems.push(problem('MEMORY_NOT_SHARED', 'the module imports a memory that is not shared'));
  if (memories.some(({ type }) => type.is64Bit || type.hasPageSize)) {
    const reason = 'the memory has addresses of 64 bits, or pages of another size';
    problems.push(problem('MEMORY_OF_64_BITS', reason, 'compile it for wasm32'));
  }
  if (memories.length > 1) {
    problems.push(
      problem('SEVERAL_MEMORIES', `the module has ${memories.length} memories`, 'threads share one: compile it without multi-memory'),
    );
  }
  if (segments.active > 0) {
    const which = segments.active === 1 ? 'a data segment is' : `${segments.active} data segments are`;
    const reason = `${which} active: each further thread's instance would overwrite live memory with ${segments.active === 1 ? 'it' : 'them'}`;
    problems.push(problem('ACTIVE_SEGMENTS', reason, `rewrite it (makePassive, heddle-inspect --rewrite), or ${LINK_FLAGS}`));
  }
  return problems;
}

/** What a thread would have to do without. */
function threadProblems(report: Omit<ModuleReport, 'problems'>): Problem[] {
  if (report.abi === 'wasm-bindgen') {
    if (report.exports.includes('__wbindgen_thread_destroy')) return [];
    const remedy = `${LINK_FLAGS}, then run wasm-bindgen --target web`;
    return [problem('NO_THREAD_START', 'wasm-bindgen did not prepare the module for threads', remedy)];
  }
  if (report.abi === 'wasi-threads') {
    if (report.wasi.exportsThreadStart) return [];
    const reason = 'the module imports wasi.thread-spawn and exports no wasi_thread_start for a thread to begin at';
    return [problem('NO_THREAD_START', reason, 'link it with a C library that has threads')];
  }
  const problems: Problem[] = [];
  if (!report.exportsTls) {
    problems.push(problem('NO_TLS_EXPORTS', "the module doesn't export what gives a thread its thread-local storage"));
  }
  if (!report.exportsStackPointer) {
    problems.push(problem('NO_STACK_POINTER', "the module doesn't export __stack_pointer, so that all threads would share one stack"));
  }
  return problems;
}
