/** What the sections of a module say, before it is judged. */
import { Reader } from './reader.ts';
import { UnknownInstruction } from './instructions.ts';
import {
  KIND,
  readConstantExpression,
  readDataSegment,
  readImport,
  readMemoryType,
  readSections,
  SECTION,
  skipValueType,
  type Import,
  type MemoryType,
} from './sections.ts';

/** What the sections of a module say. */
export interface Contents {
  /** All memories, imported ones first. */
  readonly memories: { readonly type: MemoryType; readonly imported: Import | undefined }[];
  readonly imports: Import[];
  readonly exports: { readonly name: string; readonly kind: number; readonly index: number }[];
  /** The numbers that the module's own globals begin with, by their index; only those of `i32.const`. */
  readonly globals: Map<number, number>;
  start: number | undefined;
  dataCount: number | undefined;
  active: number;
  passive: number;
  /** What compiled it: field (`language`, `processed-by`), name and version. */
  readonly producers: { readonly field: string; readonly name: string; readonly version: string }[];
  /** With their sign: `+atomics`. */
  readonly targetFeatures: string[];
  readonly customSections: string[];
}

/**
 * Reads a module's sections, without its code.
 *
 * @throws MemoryError `MALFORMED_MODULE` where the bytes are no module.
 */
export function readContents(bytes: Uint8Array): Contents {
  const contents: Contents = {
    memories: [],
    imports: [],
    exports: [],
    globals: new Map(),
    start: undefined,
    dataCount: undefined,
    active: 0,
    passive: 0,
    producers: [],
    targetFeatures: [],
    customSections: [],
  };
  const reader = new Reader(bytes);
  for (const { id, start, end } of readSections(reader)) readSection(id, reader.within(start, end), contents);
  return contents;
}

function readSection(id: number, section: Reader, contents: Contents): void {
  switch (id) {
    case SECTION.import:
      for (let count = section.unsigned(); count > 0; count -= 1) {
        const imported = readImport(section);
        contents.imports.push(imported);
        if (imported.memory) contents.memories.push({ type: imported.memory, imported });
      }
      break;
    case SECTION.memory:
      for (let count = section.unsigned(); count > 0; count -= 1) {
        contents.memories.push({ type: readMemoryType(section), imported: undefined });
      }
      break;
    case SECTION.global:
      readGlobals(section, contents);
      break;
    case SECTION.export:
      for (let count = section.unsigned(); count > 0; count -= 1) {
        contents.exports.push({ name: section.name(), kind: section.byte(), index: section.unsigned() });
      }
      break;
    case SECTION.start:
      contents.start = section.unsigned();
      break;
    case SECTION.dataCount:
      contents.dataCount = section.unsigned();
      break;
    case SECTION.data:
      for (let count = section.unsigned(); count > 0; count -= 1) {
        if (readDataSegment(section).isActive) contents.active += 1;
        else contents.passive += 1;
      }
      break;
    case SECTION.custom:
      readCustom(section, contents);
      break;
    default:
  }
}

function readGlobals(section: Reader, contents: Contents): void {
  const imported = contents.imports.filter(({ kind }) => kind === KIND.global).length;
  const count = section.unsigned();
  try {
    for (let index = imported; index < imported + count; index += 1) {
      skipValueType(section);
      section.byte();
      const value = readConstantExpression(section);
      if (value !== undefined) contents.globals.set(index, value);
    }
  } catch (cause) {
    // What follows an instruction that is not known can't be found; nothing that is asked for here is made by one.
    if (!(cause instanceof UnknownInstruction)) throw cause;
  }
}

/** Custom sections bind nobody: one that is not as its name promises says nothing, and is no error. */
function readCustom(section: Reader, contents: Contents): void {
  const name = section.name();
  contents.customSections.push(name);
  try {
    if (name === 'producers') readProducers(section, contents);
    else if (name === 'target_features') readTargetFeatures(section, contents);
  } catch {
    // What was read before the damage stands.
  }
}

function readProducers(section: Reader, contents: Contents): void {
  for (let fields = section.unsigned(); fields > 0; fields -= 1) {
    const field = section.name();
    for (let values = section.unsigned(); values > 0; values -= 1) {
      contents.producers.push({ field, name: section.name(), version: section.name() });
    }
  }
}

function readTargetFeatures(section: Reader, contents: Contents): void {
  for (let count = section.unsigned(); count > 0; count -= 1) {
    contents.targetFeatures.push(String.fromCharCode(section.byte()) + section.name());
  }
}

/** The names of exports of one kind. */
export function exportsOf(contents: Contents, kind: number): Set<string> {
  return new Set(contents.exports.filter((entry) => entry.kind === kind).map(({ name }) => name));
}
