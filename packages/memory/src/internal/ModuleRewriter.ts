/** The bytes of `makePassive`: reads a module, judges it, and writes it with its segments passive. */
import type { MakePassiveOptions, PassiveModule } from '../makePassive.ts';
import { PAGE_SIZE } from '../createMemory.ts';
import { RewriteError } from '../RewriteError.ts';
import { CodeFacts } from './codeFacts.ts';
import { FLAG_SECTION } from './InitFlag.ts';
import { INIT_DONE, INIT_FAILED, INIT_FLAG_ALIGN, INIT_FLAG_SIZE, INIT_NEW, INIT_RUNNING } from './layout.ts';
import { Reader } from './reader.ts';
import {
  KIND,
  readDataSegment,
  readImport,
  readMemoryType,
  readSections,
  SECTION,
  skipValueType,
  type DataSegment,
  type Import,
  type MemoryType,
  type Section,
} from './sections.ts';
import { Writer } from './writer.ts';

/** The most pages that a 32-bit memory can have. */
const PAGES_MAX = 65_536;

/** In which order the format wants its sections; custom ones stand anywhere. The tags' section has the id 13. */
const ORDER = [1, 2, 3, 4, 5, 13, 6, 7, 8, 9, 12, 10, 11];

/** One rewriting. */
export class ModuleRewriter {
  readonly #reader: Reader;
  readonly #options: MakePassiveOptions;
  readonly #sections: Section[];
  /** What sections are to become; null: nothing. */
  readonly #replaced = new Map<number, Uint8Array | null>();

  constructor(bytes: Uint8Array<ArrayBuffer>, options: MakePassiveOptions) {
    this.#reader = new Reader(bytes);
    this.#options = options;
    this.#sections = readSections(this.#reader);
  }

  rewrite(): PassiveModule {
    const imports = this.#list(SECTION.import, readImport);
    const segments = this.#list(SECTION.data, readDataSegment);
    const { type, imported } = this.#memory(imports);
    const hasActive = segments.some(({ isActive }) => isActive);
    const isReady = imported !== undefined && type.isShared;
    if (!hasActive && isReady) return { bytes: this.#reader.bytes as Uint8Array<ArrayBuffer>, isChanged: false, flagAddress: undefined };
    if (!type.isShared && this.#options.shareMemory !== true) {
      const message =
        'the memory is not shared, so that the program was compiled for one thread; with shareMemory it is rewritten all the same';
      throw new RewriteError('MEMORY_NOT_SHARED', message);
    }
    const hasStart = this.#find(SECTION.start) !== undefined;
    const needsFlag = hasActive || hasStart;
    const flagAddress = needsFlag ? this.#flagAddress(type, segments) : undefined;
    this.#shareMemory(imports, type, imported, needsFlag);
    if (flagAddress !== undefined) this.#initialise(imports, segments, flagAddress);
    return { bytes: this.#write(flagAddress), isChanged: true, flagAddress };
  }

  /** The module's only memory. */
  #memory(imports: readonly Import[]): { type: MemoryType; imported: Import | undefined } {
    const own = this.#list(SECTION.memory, readMemoryType);
    const imported = imports.filter(({ kind }) => kind === KIND.memory);
    const type = imported[0]?.memory ?? own[0];
    if (!type || own.length + imported.length !== 1) {
      throw new RewriteError('NOT_ONE_MEMORY', `the module has ${own.length + imported.length} memories, where threads share one`);
    }
    if (type.is64Bit || type.hasPageSize) {
      throw new RewriteError('MEMORY_OF_64_BITS', 'the memory has addresses of 64 bits, or pages of another size');
    }
    return { type, imported: imported[0] };
  }

  /** Where the flag is to lie. */
  #flagAddress(type: MemoryType, segments: readonly DataSegment[]): number {
    const initialSize = type.initialPages * PAGE_SIZE;
    for (const { isActive, offset, size } of segments) {
      if (!isActive) continue;
      if (offset === undefined) {
        throw new RewriteError('OFFSET_NOT_CONSTANT', "a segment's place is known only when the module is instantiated");
      }
      if (offset + size > initialSize) {
        throw new RewriteError(
          'OUT_OF_BOUNDS',
          `a segment of ${size} bytes at ${offset} doesn't fit into the ${initialSize} bytes at first`,
        );
      }
    }
    const { flagAddress } = this.#options;
    if (flagAddress === undefined) return initialSize;
    const isInside = (segment: DataSegment): boolean =>
      segment.offset !== undefined && flagAddress < segment.offset + segment.size && segment.offset < flagAddress + INIT_FLAG_SIZE;
    const isAligned = Number.isInteger(flagAddress) && flagAddress >= 0 && flagAddress % INIT_FLAG_ALIGN === 0;
    if (!isAligned || flagAddress + INIT_FLAG_SIZE > initialSize || segments.some(isInside)) {
      const message = `the flag can't lie at ${flagAddress}: it has to be aligned, inside of the ${initialSize} bytes at first, and in no segment`;
      throw new RewriteError('BAD_FLAG_ADDRESS', message);
    }
    return flagAddress;
  }

  /** Makes the memory a shared one that is imported, and a page larger where the flag has its own. */
  #shareMemory(imports: readonly Import[], type: MemoryType, imported: Import | undefined, needsFlag: boolean): void {
    const initial = type.initialPages + (needsFlag && this.#options.flagAddress === undefined ? 1 : 0);
    const maximum = type.maximumPages ?? PAGES_MAX;
    if (initial > maximum) {
      throw new RewriteError(
        'NO_ROOM',
        `the memory has at most ${maximum} pages, where the flag needs one behind its first ${type.initialPages}`,
      );
    }
    const limits = new Writer().byte(KIND.memory, 3).unsigned(initial).unsigned(maximum).finish();
    const { module, name } = imported ?? { module: 'env', name: 'memory' };
    const entry = new Writer().name(module).name(name).bytes(limits).finish();
    const section = this.#find(SECTION.import);
    const writer = new Writer().unsigned(imports.length + (imported ? 0 : 1));
    if (section) {
      const reader = this.#contents(section);
      for (let count = reader.unsigned(); count > 0; count -= 1) {
        const { position } = reader;
        const { kind } = readImport(reader);
        writer.bytes(kind === KIND.memory ? entry : this.#reader.bytes.subarray(position, reader.position));
      }
    }
    if (!imported) {
      writer.bytes(entry);
      this.#replaced.set(SECTION.memory, null);
    }
    this.#replaced.set(SECTION.import, writer.finish());
  }

  /** Has a new start function copy the segments, in the instance that comes first. */
  #initialise(imports: readonly Import[], segments: readonly DataSegment[], flagAddress: number): void {
    const importedFunctions = imports.filter(({ kind }) => kind === KIND.function).length;
    const start = this.#start(importedFunctions);
    const functions = this.#list(SECTION.function, (reader) => reader.unsigned());
    const types = new Writer().unsigned(functions.length + 1);
    for (const type of [...functions, this.#typeOfStart()]) types.unsigned(type);
    this.#replaced.set(SECTION.function, types.finish());
    this.#replaced.set(SECTION.start, new Writer().unsigned(importedFunctions + functions.length).finish());
    this.#replaced.set(SECTION.dataCount, new Writer().unsigned(segments.length).finish());
    this.#replaced.set(SECTION.code, this.#codeWith(startBody(segments, flagAddress, start)));
    const data = new Writer().unsigned(segments.length);
    for (const { start: begin, size } of segments) data.byte(1).sized(this.#reader.bytes.subarray(begin, begin + size));
    if (segments.length > 0) this.#replaced.set(SECTION.data, data.finish());
  }

  /** The module's own start function, and when it is to run. */
  #start(importedFunctions: number): OwnStart | undefined {
    const section = this.#find(SECTION.start);
    const code = this.#find(SECTION.code);
    const stackPointer = this.#list(SECTION.export, (reader) => ({
      name: reader.name(),
      kind: reader.byte(),
      index: reader.unsigned(),
    })).find(({ name, kind }) => name === '__stack_pointer' && kind === KIND.global)?.index;
    const { flagAddress, start } = this.#options;
    const isAsked = flagAddress === undefined || (section && start === undefined);
    const facts = isAsked && code ? new CodeFacts(this.#contents(code), importedFunctions, stackPointer) : undefined;
    if (flagAddress === undefined && facts?.usesMemorySize === true) {
      const message =
        'the program asks for the size of its memory, and could take the page of the flag for its own; name another place: flagAddress';
      throw new RewriteError('MEMORY_SIZE_USED', message);
    }
    if (!section) return undefined;
    const index = this.#contents(section).unsigned();
    if (start !== undefined) return { index, runs: start };
    const effects = facts?.effectsOf(index) ?? { writesMemory: true, writesInstance: true, callsOut: true };
    if (effects.callsOut || (effects.writesMemory && effects.writesInstance)) {
      const what = effects.callsOut ? "calls what the rewriter can't see" : 'writes memory, and also globals or tables';
      throw new RewriteError('START_NOT_SEPARABLE', `the module's start function ${what}; say when it is to run: start`);
    }
    return { index, runs: effects.writesMemory ? 'once' : 'every' };
  }

  /** The index of the type without parameters and results, which is added if there is none. */
  #typeOfStart(): number {
    const section = this.#find(SECTION.type);
    const reader = section && this.#contents(section);
    const count = reader?.unsigned() ?? 0;
    const begin = reader?.position ?? 0;
    for (let index = 0; reader && index < count; index += 1) {
      if (reader.byte() !== 0x60) throw new RewriteError('UNKNOWN_CODE', "a type that is no function's");
      const parameters = this.#skipTypes(reader);
      const results = this.#skipTypes(reader);
      if (parameters + results === 0) return index;
    }
    const writer = new Writer().unsigned(count + 1);
    if (section) writer.bytes(this.#reader.bytes.subarray(begin, section.end));
    this.#replaced.set(SECTION.type, writer.byte(0x60, 0, 0).finish());
    return count;
  }

  #skipTypes(reader: Reader): number {
    const count = reader.unsigned();
    for (let i = 0; i < count; i += 1) skipValueType(reader);
    return count;
  }

  #codeWith(body: Uint8Array): Uint8Array {
    const section = this.#find(SECTION.code);
    const reader = section && this.#contents(section);
    const writer = new Writer().unsigned((reader?.unsigned() ?? 0) + 1);
    if (section && reader) writer.bytes(this.#reader.bytes.subarray(reader.position, section.end));
    return writer.sized(body).finish();
  }

  /** All sections, replaced or as they were, and those that there were none of where the format wants them. */
  #write(flagAddress: number | undefined): Uint8Array<ArrayBuffer> {
    const writer = new Writer().bytes(this.#reader.bytes.subarray(0, 8));
    const missing = [...this.#replaced.keys()].filter((id) => !this.#find(id) && this.#replaced.get(id) !== null);
    missing.sort((a, b) => ORDER.indexOf(a) - ORDER.indexOf(b));
    const addMissing = (before: number): void => {
      while (missing[0] !== undefined && ORDER.indexOf(missing[0]) < before) this.#add(writer, missing.shift() as number);
    };
    for (const { id, start, end } of this.#sections) {
      if (id !== SECTION.custom) addMissing(ORDER.indexOf(id));
      if (this.#replaced.has(id)) this.#add(writer, id);
      else writer.byte(id).sized(this.#reader.bytes.subarray(start, end));
    }
    addMissing(ORDER.length);
    if (flagAddress !== undefined) {
      writer.byte(SECTION.custom).sized(new Writer().name(FLAG_SECTION).unsigned(flagAddress).finish());
    }
    return writer.finish();
  }

  #add(writer: Writer, id: number): void {
    const contents = this.#replaced.get(id);
    if (contents) writer.byte(id).sized(contents);
  }

  #find(id: number): Section | undefined {
    return this.#sections.find((section) => section.id === id);
  }

  #contents({ start, end }: Section): Reader {
    return this.#reader.within(start, end);
  }

  #list<T>(id: number, read: (reader: Reader) => T): T[] {
    const section = this.#find(id);
    if (!section) return [];
    const reader = this.#contents(section);
    const entries: T[] = [];
    for (let count = reader.unsigned(); count > 0; count -= 1) entries.push(read(reader));
    return entries;
  }
}

interface OwnStart {
  readonly index: number;
  readonly runs: 'once' | 'every';
}

/** Instructions of the start function. */
const OP = {
  unreachable: 0x00,
  block: 0x02,
  loop: 0x03,
  if: 0x04,
  end: 0x0b,
  br: 0x0c,
  brIf: 0x0d,
  call: 0x10,
  drop: 0x1a,
  localGet: 0x20,
  localTee: 0x22,
  i32Const: 0x41,
  i32Eqz: 0x45,
  i32Eq: 0x46,
  noResult: 0x40,
  i32: 0x7f,
} as const;

/** The start function, as `makePassive.ts` tells it. */
function startBody(segments: readonly DataSegment[], flagAddress: number, own: OwnStart | undefined): Uint8Array {
  const writer = new Writer();
  const constant = (value: number): Writer => writer.byte(OP.i32Const).signed32(value);
  const atomic = (opcode: number): Writer => writer.byte(0xfe, opcode, 2, 0);
  // One local: the state that was found.
  writer.byte(1, 1, OP.i32);
  writer.byte(OP.block, OP.noResult);
  constant(flagAddress);
  constant(INIT_NEW);
  constant(INIT_RUNNING);
  atomic(0x48).byte(OP.localTee, 0, OP.i32Eqz, OP.if, OP.noResult);
  for (const [index, { isActive, offset = 0, size }] of segments.entries()) {
    if (!isActive || size === 0) continue;
    constant(offset);
    constant(0);
    constant(size);
    writer.byte(0xfc, 8).unsigned(index).byte(0);
  }
  if (own?.runs === 'once') writer.byte(OP.call).unsigned(own.index);
  constant(flagAddress);
  constant(INIT_DONE);
  atomic(0x17);
  constant(flagAddress);
  constant(-1);
  atomic(0x00).byte(OP.drop);
  writer.byte(OP.br, 1, OP.end);
  // Somebody else was first: until it is done.
  writer.byte(OP.loop, OP.noResult, OP.localGet, 0);
  constant(INIT_DONE).byte(OP.i32Eq, OP.brIf, 1, OP.localGet, 0);
  constant(INIT_FAILED).byte(OP.i32Eq, OP.if, OP.noResult, OP.unreachable, OP.end);
  constant(flagAddress);
  atomic(0x10).byte(OP.localTee, 0, OP.drop, OP.br, 0, OP.end, OP.end);
  for (const [index, { isActive }] of segments.entries()) {
    if (isActive) writer.byte(0xfc, 9).unsigned(index);
  }
  if (own?.runs === 'every') writer.byte(OP.call).unsigned(own.index);
  return writer.byte(OP.end).finish();
}
