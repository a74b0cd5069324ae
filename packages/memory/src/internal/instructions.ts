/**
 * Walks over a function's instructions: which there are, and what stands behind each.
 *
 * It knows the immediates of every instruction of WebAssembly 2.0, of threads, of exceptions in both forms, of tail calls and of
 * typed references. Those of garbage collection it doesn't, and says so: to guess a length is to read data as instructions.
 */
import { MemoryError } from '../MemoryError.ts';
import type { Reader } from './reader.ts';

/** An instruction that is not known here. */
export class UnknownInstruction extends Error {
  constructor(opcode: number, position: number) {
    super(`the instruction 0x${opcode.toString(16)} at byte ${position}`);
    this.name = 'UnknownInstruction';
  }
}

/** What an instruction is: its opcode, that of the second table (behind 0xfc, 0xfd, 0xfe), its first number. */
export interface Instruction {
  opcode: number;
  second: number;
  /** The index of a function, global and so on; 0 where there is none. */
  index: number;
}

/** The opcodes that begin an instruction of another table. */
export const PREFIX = { gc: 0xfb, miscellaneous: 0xfc, vector: 0xfd, atomic: 0xfe } as const;

/**
 * Tells of each instruction of a body, its locals skipped. The object is the same each time.
 *
 * @throws UnknownInstruction, MemoryError `MALFORMED_MODULE`
 */
export function walkInstructions(body: Reader, visit: (instruction: Readonly<Instruction>) => void): void {
  for (let count = body.unsigned(); count > 0; count -= 1) {
    body.unsigned();
    skipType(body);
  }
  const instruction: Instruction = { opcode: 0, second: 0, index: 0 };
  while (!body.isAtEnd) {
    readInstruction(body, instruction);
    visit(instruction);
  }
  // A length that was taken wrongly ends somewhere else.
  if (instruction.opcode !== 0x0b) throw new MemoryError('MALFORMED_MODULE', `a function without an end, at byte ${body.end}`);
}

function readInstruction(body: Reader, instruction: Instruction): void {
  const { position } = body;
  const opcode = body.byte();
  instruction.opcode = opcode;
  instruction.second = 0;
  instruction.index = 0;
  if (opcode >= 0x28 && opcode <= 0x3e) skipMemoryArgument(body);
  else if (opcode >= 0x45 && opcode <= 0xc4) return;
  else if (opcode === PREFIX.miscellaneous) readMiscellaneous(body, instruction, position);
  else if (opcode === PREFIX.vector) readVector(body, instruction, position);
  else if (opcode === PREFIX.atomic) readAtomic(body, instruction, position);
  else readPlain(body, instruction, position);
}

/** The first table, loads, stores and arithmetic excepted. */
function readPlain(body: Reader, instruction: Instruction, position: number): void {
  const { opcode } = instruction;
  switch (opcode) {
    // unreachable, nop, else, throw_ref, end, return, catch_all, drop, select, ref.is_null, ref.eq, ref.as_non_null
    case 0x00:
    case 0x01:
    case 0x05:
    case 0x0a:
    case 0x0b:
    case 0x0f:
    case 0x19:
    case 0x1a:
    case 0x1b:
    case 0xd1:
    case 0xd3:
    case 0xd4:
      return;
    // block, loop, if, try
    case 0x02:
    case 0x03:
    case 0x04:
    case 0x06:
      skipType(body);
      return;
    // catch, throw, rethrow, br, br_if, call, return_call, call_ref, return_call_ref, delegate, local.*, global.*, table.get,
    // table.set, memory.size, memory.grow, ref.func, br_on_null, br_on_non_null
    case 0x07:
    case 0x08:
    case 0x09:
    case 0x0c:
    case 0x0d:
    case 0x10:
    case 0x12:
    case 0x14:
    case 0x15:
    case 0x18:
    case 0x20:
    case 0x21:
    case 0x22:
    case 0x23:
    case 0x24:
    case 0x25:
    case 0x26:
    case 0x3f:
    case 0x40:
    case 0xd2:
    case 0xd5:
    case 0xd6:
      instruction.index = body.unsigned();
      return;
    // i32.const, i64.const, ref.null
    case 0x41:
    case 0x42:
    case 0xd0:
      body.unsigned();
      return;
    case 0x43:
      body.skip(4);
      return;
    case 0x44:
      body.skip(8);
      return;
    // call_indirect, return_call_indirect
    case 0x11:
    case 0x13:
      body.unsigned();
      body.unsigned();
      return;
    case 0x0e:
      for (let count = body.unsigned(); count > 0; count -= 1) body.unsigned();
      body.unsigned();
      return;
    case 0x1c:
      for (let count = body.unsigned(); count > 0; count -= 1) skipType(body);
      return;
    case 0x1f:
      skipType(body);
      for (let count = body.unsigned(); count > 0; count -= 1) {
        if (body.byte() < 2) body.unsigned();
        body.unsigned();
      }
      return;
    default:
      throw new UnknownInstruction(opcode, position);
  }
}

/** How many numbers stand behind each instruction of the table 0xfc, from `i32.trunc_sat_f32_s` to `table.fill`. */
const MISCELLANEOUS = [0, 0, 0, 0, 0, 0, 0, 0, 2, 1, 2, 1, 2, 1, 2, 1, 1, 1];

function readMiscellaneous(body: Reader, instruction: Instruction, position: number): void {
  const second = body.unsigned();
  instruction.second = second;
  const count = MISCELLANEOUS[second];
  if (count === undefined) throw new UnknownInstruction(PREFIX.miscellaneous, position);
  for (let i = 0; i < count; i += 1) {
    const number = body.unsigned();
    if (i === 0) instruction.index = number;
  }
}

function readVector(body: Reader, instruction: Instruction, position: number): void {
  const second = body.unsigned();
  instruction.second = second;
  if (second > 0x113) throw new UnknownInstruction(PREFIX.vector, position);
  if (second <= 11 || (second >= 84 && second <= 93)) skipMemoryArgument(body);
  // v128.const and i8x16.shuffle; the lane of extract, replace, load and store.
  if (second === 12 || second === 13) body.skip(16);
  else if ((second >= 21 && second <= 34) || (second >= 84 && second <= 91)) body.skip(1);
}

function readAtomic(body: Reader, instruction: Instruction, position: number): void {
  const second = body.unsigned();
  instruction.second = second;
  if (second === 3) body.skip(1);
  else if (second <= 2 || (second >= 0x10 && second <= 0x4e)) skipMemoryArgument(body);
  else throw new UnknownInstruction(PREFIX.atomic, position);
}

/** Alignment, perhaps a memory, and an offset. */
function skipMemoryArgument(body: Reader): void {
  if ((body.unsigned() & 0x40) !== 0) body.unsigned();
  body.unsigned();
}

/** The type of a value or of a block: one number, or two parts for a typed reference. */
function skipType(body: Reader): void {
  const first = body.unsigned();
  if (first === 0x63 || first === 0x64) body.unsigned();
}
