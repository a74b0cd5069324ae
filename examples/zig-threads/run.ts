/** Throws dice on four threads of a Zig program, which count them in one histogram. */
import { openBareProgram, type Print } from '../src/BareProgram.ts';

/** What it ends with: 0. The agent that calls this blocks: a worker, in a page. */
export async function run(file: URL, print: Print): Promise<number> {
  await using program = await openBareProgram(file, 4);
  const { throw_dice: throwDice, thrown } = program.exports;
  print(`thrown: ${throwDice?.()}`);
  const counts = Array.from({ length: 6 }, (_, face) => thrown?.(face) ?? 0);
  print(
    `faces that came as often as others, within a tenth: ${counts.filter((count) => Math.abs(count - 200_000 / 6) < 200_000 / 60).length}`,
  );
  return 0;
}
