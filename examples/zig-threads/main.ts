/** Throws dice on four threads of a Zig program, which count them in one histogram. */
import { openBareProgram } from '../src/BareProgram.ts';

const [, , file = 'program.wasm'] = process.argv;
await using program = await openBareProgram(file, 4);
const { throw_dice: throwDice, thrown } = program.exports;
console.log(`thrown: ${throwDice?.()}`);
const counts = Array.from({ length: 6 }, (_, face) => thrown?.(face) ?? 0);
console.log(
  `faces that came as often as others, within a tenth: ${counts.filter((count) => Math.abs(count - 200_000 / 6) < 200_000 / 60).length}`,
);
