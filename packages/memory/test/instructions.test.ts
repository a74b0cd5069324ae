import { expect, test } from 'vitest';
import { UnknownInstruction, walkInstructions, type Instruction } from '../src/internal/instructions.ts';
import { Reader } from '../src/internal/reader.ts';
import { readSections, SECTION } from '../src/internal/sections.ts';
import { readModule } from '../src/index.ts';
import { modules } from './modules.ts';

/** The instructions of a body without locals: opcodes, those of further tables, and indices. */
function walk(...bytes: readonly number[]): Instruction[] {
  const walked: Instruction[] = [];
  walkInstructions(new Reader(Uint8Array.from([0, ...bytes])), (instruction) => walked.push({ ...instruction }));
  return walked;
}

test.each([['memoryTesting', modules.memoryTesting] as const, ['threadTesting', modules.threadTesting.module] as const])(
  'each function of %s ends where its instructions do',
  async (_name, location) => {
    const reader = new Reader(await readModule(location));
    const code = readSections(reader).find(({ id }) => id === SECTION.code);
    if (!code) throw new Error('the module has code');
    const bodies = reader.within(code.start, code.end);
    let instructions = 0;
    for (let count = bodies.unsigned(); count > 0; count -= 1) {
      const size = bodies.unsigned();
      const { position } = bodies;
      bodies.skip(size);
      // It throws if the last one is not the function's end: then a length was taken wrongly.
      walkInstructions(bodies.within(position, position + size), () => (instructions += 1));
    }
    expect(instructions).toBeGreaterThan(0);
    expect(bodies.isAtEnd).toBe(true);
  },
);

test('what stands behind an instruction is skipped, whatever it looks like', () => {
  const END = 0x0b;
  const cases: readonly (readonly number[])[] = [
    // i32.const, i64.const, f32.const, f64.const, all of bytes that end a function
    [0x41, END],
    [0x42, END],
    [0x43, END, END, END, END],
    [0x44, END, END, END, END, END, END, END, END],
    // block of a typed reference, br_table, call_indirect, select of types
    [0x02, 0x64, END],
    [0x0e, 2, END, END, END],
    [0x11, END, END],
    [0x1c, 1, END],
    // i32.load in another memory, and v128.const, v128.load8_lane, memory.atomic.wait32, atomic.fence
    [0x28, 0x42, END, END],
    [0xfd, 12, ...Array.from({ length: 16 }, () => END)],
    [0xfd, 84, 0, END, END],
    [0xfe, 1, 2, END],
    [0xfe, 3, END],
    // try_table with a catch, a catch_all; memory.copy
    [0x1f, 0x40, 2, 0, END, END, 2, END],
    [0xfc, 10, END, END],
  ];
  for (const bytes of cases) {
    const walked = walk(...bytes, END);
    expect(walked.map(({ opcode }) => opcode)).toEqual([bytes[0], END]);
  }
});

test('what is not known is told, not guessed', () => {
  // An opcode that is nobody's, one of garbage collection, and the tables' ends.
  for (const bytes of [[0x16], [0xfb, 0, 0], [0xfc, 30], [0xfd, 0x94, 2], [0xfe, 0x50]]) {
    expect(() => walk(...bytes, 0x0b)).toThrow(UnknownInstruction);
  }
  expect(() => walk(0x01)).toThrow(expect.objectContaining({ code: 'MALFORMED_MODULE' }));
});
