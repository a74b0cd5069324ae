import { MemoryError } from './MemoryError.ts';
import { Reader } from './internal/reader.ts';

/** How a module wants to be instantiated. */
export type Abi =
  /** Through the JavaScript that wasm-bindgen wrote beside it. */
  | 'wasm-bindgen'
  /** As the linker wrote it: C, C++, Zig, Rust without wasm-bindgen. */
  | 'bare';

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

/** Why a module can't have threads, and what to do about it. */
export interface Problem {
  readonly code:
    | 'MEMORY_NOT_IMPORTED'
    | 'MEMORY_NOT_SHARED'
    | 'ACTIVE_SEGMENTS'
    | 'NO_TLS_EXPORTS'
    | 'NO_STACK_POINTER'
    | 'NO_THREAD_START';
  readonly message: string;
}

/** What a module needs in order to run on many threads in one memory. */
export interface ModuleReport {
  readonly abi: Abi;
  /** The memory that it imports; undefined where it has its own. */
  readonly memory: ImportedMemory | undefined;
  /** Data segments that are copied at each instantiation, and those that are copied once, by the module itself. */
  readonly segments: { readonly active: number; readonly passive: number };
  readonly hasStart: boolean;
  /** Whether `__wasm_init_tls`, `__tls_size` and `__tls_align` are exported. wasm-bindgen uses them up. */
  readonly exportsTls: boolean;
  readonly exportsStackPointer: boolean;
  /** Imports as `module.name`, the memory excepted. */
  readonly imports: readonly string[];
  readonly exports: readonly string[];
  /** Empty: the module can have threads. */
  readonly problems: readonly Problem[];
}

const SECTION = { import: 2, memory: 5, export: 7, start: 8, data: 11 } as const;
const KIND = { function: 0, table: 1, memory: 2, global: 3, tag: 4 } as const;

const LINK_FLAGS =
  'link it with --shared-memory --import-memory --max-memory=… --export=__wasm_init_tls --export=__tls_size --export=__tls_align ' +
  '--export=__tls_base --export=__stack_pointer, and compile everything in it, the standard library too, with atomics and bulk-memory';

/** What the sections say, before it is judged. */
interface Contents {
  imported: ImportedMemory | undefined;
  ownMemories: number;
  imports: string[];
  exports: string[];
  hasStart: boolean;
  active: number;
  passive: number;
}

/**
 * Reads what a module needs in order to run on many threads, without compiling it.
 *
 * @throws MemoryError `MALFORMED_MODULE` where the bytes are no module.
 */
export function inspect(source: ArrayBufferLike | Uint8Array): ModuleReport {
  const bytes = source instanceof Uint8Array ? source : new Uint8Array(source);
  const contents = readContents(bytes);
  const exported = new Set(contents.exports);
  const abi: Abi = exported.has('__wbindgen_start') || exported.has('__wbindgen_malloc') ? 'wasm-bindgen' : 'bare';
  const report = {
    abi,
    memory: contents.imported,
    segments: { active: contents.active, passive: contents.passive },
    hasStart: contents.hasStart,
    exportsTls: ['__wasm_init_tls', '__tls_size', '__tls_align'].every((name) => exported.has(name)),
    exportsStackPointer: exported.has('__stack_pointer'),
    imports: contents.imports,
    exports: contents.exports,
  };
  return { ...report, problems: problemsOf(report, exported) };
}

function problemsOf(report: Omit<ModuleReport, 'problems'>, exported: ReadonlySet<string>): Problem[] {
  const problems: Problem[] = [];
  if (!report.memory) {
    problems.push({ code: 'MEMORY_NOT_IMPORTED', message: `the module has a memory of its own instead of importing one; ${LINK_FLAGS}` });
  } else if (!report.memory.isShared) {
    problems.push({ code: 'MEMORY_NOT_SHARED', message: `the module imports a memory that is not shared; ${LINK_FLAGS}` });
  }
  if (report.segments.active > 0) {
    problems.push({
      code: 'ACTIVE_SEGMENTS',
      message: `${report.segments.active} data segments are active: each further thread's instance would overwrite live memory with them; ${LINK_FLAGS}`,
    });
  }
  if (report.abi === 'wasm-bindgen') {
    if (!exported.has('__wbindgen_thread_destroy')) {
      problems.push({
        code: 'NO_THREAD_START',
        message: `wasm-bindgen did not prepare the module for threads; ${LINK_FLAGS}, then run wasm-bindgen --target web`,
      });
    }
    return problems;
  }
  if (!report.exportsTls) {
    problems.push({
      code: 'NO_TLS_EXPORTS',
      message: `the module doesn't export what gives a thread its thread-local storage; ${LINK_FLAGS}`,
    });
  }
  if (!report.exportsStackPointer) {
    problems.push({
      code: 'NO_STACK_POINTER',
      message: `the module doesn't export __stack_pointer, so that all threads would share one stack; ${LINK_FLAGS}`,
    });
  }
  return problems;
}

function readContents(bytes: Uint8Array): Contents {
  const contents: Contents = { imported: undefined, ownMemories: 0, imports: [], exports: [], hasStart: false, active: 0, passive: 0 };
  const header = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00];
  if (bytes.length < header.length || header.some((byte, index) => bytes[index] !== byte)) {
    throw new MemoryError('MALFORMED_MODULE', 'these bytes are not a WebAssembly module of version 1');
  }
  const reader = new Reader(bytes, header.length);
  while (!reader.isAtEnd) {
    const id = reader.byte();
    const size = reader.unsigned();
    const section = new Reader(bytes, reader.position, reader.position + size);
    reader.skip(size);
    if (id === SECTION.import) readImports(section, contents);
    else if (id === SECTION.memory) contents.ownMemories = section.unsigned();
    else if (id === SECTION.export) readExports(section, contents);
    else if (id === SECTION.start) contents.hasStart = true;
    else if (id === SECTION.data) readData(section, contents);
  }
  return contents;
}

function readImports(section: Reader, contents: Contents): void {
  for (let count = section.unsigned(); count > 0; count -= 1) {
    const module = section.name();
    const name = section.name();
    const kind = section.byte();
    if (kind === KIND.memory) {
      contents.imported = { module, name, ...readLimits(section) };
      continue;
    }
    contents.imports.push(`${module}.${name}`);
    if (kind === KIND.function) section.unsigned();
    else if (kind === KIND.table) {
      readType(section);
      readLimits(section);
    } else if (kind === KIND.global) {
      readType(section);
      section.byte();
    } else if (kind === KIND.tag) {
      section.byte();
      section.unsigned();
    } else {
      throw new MemoryError('MALFORMED_MODULE', `an import of the unknown kind ${kind}: ${module}.${name}`);
    }
  }
}

/** A value type: one byte, or two parts for a typed reference. */
function readType(section: Reader): void {
  const type = section.byte();
  if (type === 0x63 || type === 0x64) section.unsigned();
}

function readLimits(section: Reader): MemoryLimits {
  const flags = section.byte();
  const initialPages = section.unsigned();
  const maximumPages = (flags & 1) === 0 ? undefined : section.unsigned();
  return { initialPages, maximumPages, isShared: (flags & 2) !== 0 };
}

function readExports(section: Reader, contents: Contents): void {
  for (let count = section.unsigned(); count > 0; count -= 1) {
    contents.exports.push(section.name());
    section.byte();
    section.unsigned();
  }
}

function readData(section: Reader, contents: Contents): void {
  for (let count = section.unsigned(); count > 0; count -= 1) {
    const mode = section.unsigned();
    if (mode === 1) {
      contents.passive += 1;
    } else {
      contents.active += 1;
      if (mode === 2) section.unsigned();
      skipConstantExpression(section);
    }
    section.skip(section.unsigned());
  }
}

/** An offset: constants, globals and their sums, up to `end`. */
function skipConstantExpression(section: Reader): void {
  for (let opcode = section.byte(); opcode !== 0x0b; opcode = section.byte()) {
    // i32.const, i64.const and global.get have one number behind them; the arithmetic of extended constants has none.
    if (opcode === 0x41 || opcode === 0x42 || opcode === 0x23) section.unsigned();
  }
}
