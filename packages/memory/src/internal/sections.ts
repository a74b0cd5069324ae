/** The sections of a module, and the small parts that several readers of them share. */
import { MemoryError } from '../MemoryError.ts';
import type { MemoryLimits } from '../inspect.ts';
import { PREFIX, UnknownInstruction } from './instructions.ts';
import type { Reader } from './reader.ts';

/** The ids of sections. */
export const SECTION = {
  custom: 0,
  type: 1,
  import: 2,
  function: 3,
  memory: 5,
  global: 6,
  export: 7,
  start: 8,
  code: 10,
  data: 11,
  dataCount: 12,
} as const;

/** What imports and exports are. */
export const KIND = { function: 0, table: 1, memory: 2, global: 3, tag: 4 } as const;

/** A section as it lies in a module. */
export interface Section {
  readonly id: number;
  /** Where its contents begin, and end. */
  readonly start: number;
  readonly end: number;
}

const MAGIC = [0x00, 0x61, 0x73, 0x6d];
const HEADER = [...MAGIC, 0x01, 0x00, 0x00, 0x00];

/** What stands where modules have the upper half of their version. */
const COMPONENT_LAYER = [0x01, 0x00];

/**
 * The sections of a module, in their order.
 *
 * @throws MemoryError `MALFORMED_MODULE` where the bytes are no module.
 */
export function readSections(reader: Reader): Section[] {
  if (reader.end < HEADER.length || HEADER.some((byte, index) => reader.bytes[index] !== byte)) {
    const begins = (bytes: readonly number[], at: number): boolean => bytes.every((byte, index) => reader.bytes[at + index] === byte);
    const isComponent = begins(MAGIC, 0) && begins(COMPONENT_LAYER, 6);
    const reason = isComponent
      ? 'these bytes are a component: take the core module in it'
      : 'these bytes are not a WebAssembly module of version 1';
    throw new MemoryError('MALFORMED_MODULE', reason);
  }
  reader.skip(HEADER.length);
  const sections: Section[] = [];
  while (!reader.isAtEnd) {
    const id = reader.byte();
    const size = reader.unsigned();
    const start = reader.position;
    reader.skip(size);
    sections.push({ id, start, end: start + size });
  }
  return sections;
}

/** A memory's limits, and what the flags before them say besides. */
export interface MemoryType extends MemoryLimits {
  /** Addresses are of 64 bits. */
  readonly is64Bit: boolean;
  /** Its pages are not of 64 KiB. */
  readonly hasPageSize: boolean;
}

/** The limits of a memory, or of a table. */
export function readMemoryType(reader: Reader): MemoryType {
  const flags = reader.byte();
  const initialPages = reader.unsigned();
  const maximumPages = (flags & 1) === 0 ? undefined : reader.unsigned();
  const hasPageSize = (flags & 8) !== 0;
  if (hasPageSize) reader.unsigned();
  return { initialPages, maximumPages, isShared: (flags & 2) !== 0, is64Bit: (flags & 4) !== 0, hasPageSize };
}

/** A value type: one byte, or two parts for a typed reference. */
export function skipValueType(reader: Reader): void {
  const type = reader.byte();
  if (type === 0x63 || type === 0x64) reader.unsigned();
}

/** An import: where it comes from, what it is, and a memory's limits. */
export interface Import {
  readonly module: string;
  readonly name: string;
  readonly kind: number;
  readonly memory: MemoryType | undefined;
}

/** Reads one import. */
export function readImport(reader: Reader): Import {
  const module = reader.name();
  const name = reader.name();
  const kind = reader.byte();
  if (kind === KIND.memory) return { module, name, kind, memory: readMemoryType(reader) };
  if (kind === KIND.function) reader.unsigned();
  else if (kind === KIND.table) {
    skipValueType(reader);
    readMemoryType(reader);
  } else if (kind === KIND.global) {
    skipValueType(reader);
    reader.byte();
  } else if (kind === KIND.tag) {
    reader.byte();
    reader.unsigned();
  } else {
    throw new MemoryError('MALFORMED_MODULE', `an import of the unknown kind ${kind}: ${module}.${name}`);
  }
  return { module, name, kind, memory: undefined };
}

/** A data segment. */
export interface DataSegment {
  readonly isActive: boolean;
  /** Which memory an active segment is for. */
  readonly memoryIndex: number;
  /** Where an active segment begins in it; undefined where that is no plain constant. */
  readonly offset: number | undefined;
  /** Where its bytes lie in the module. */
  readonly start: number;
  readonly size: number;
}

/** Reads one data segment. */
export function readDataSegment(reader: Reader): DataSegment {
  const mode = reader.unsigned();
  if (mode > 2) throw new MemoryError('MALFORMED_MODULE', `a data segment of the unknown mode ${mode}`);
  const memoryIndex = mode === 2 ? reader.unsigned() : 0;
  const offset = mode === 1 ? undefined : readOffset(reader);
  const size = reader.unsigned();
  const start = reader.position;
  reader.skip(size);
  return { isActive: mode !== 1, memoryIndex, offset, start, size };
}

function readOffset(reader: Reader): number | undefined {
  try {
    return readConstantExpression(reader);
  } catch (cause) {
    if (!(cause instanceof UnknownInstruction)) throw cause;
    throw new MemoryError('MALFORMED_MODULE', `a data segment's offset has ${cause.message}`, { cause });
  }
}

/** An expression up to its `end`: the number of a single `i32.const`, undefined for everything else. */
export function readConstantExpression(reader: Reader): number | undefined {
  let constant: number | undefined;
  for (let count = 0; ; count += 1) {
    const { position } = reader;
    const opcode = reader.byte();
    if (opcode === 0x0b) return count === 1 ? constant : undefined;
    constant = undefined;
    if (opcode === 0x41) constant = reader.signed32() >>> 0;
    // i64.const, global.get, ref.null, ref.func
    else if (opcode === 0x42 || opcode === 0x23 || opcode === 0xd0 || opcode === 0xd2) reader.unsigned();
    else if (opcode === 0x43) reader.skip(4);
    else if (opcode === 0x44) reader.skip(8);
    else if (opcode === PREFIX.vector) {
      reader.unsigned();
      reader.skip(16);
    }
    // The sums and products of extended constants have nothing behind them.
    else if (opcode < 0x6a || opcode > 0x7e) throw new UnknownInstruction(opcode, position);
  }
}
