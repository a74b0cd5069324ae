/** Counts primes on four threads of a C program; the main thread waits in C for them to end. */
import { MemoryError } from '@heddle/memory';
import { openBareProgram, type Print } from '../src/BareProgram.ts';

/** What it ends with: 0. The agent that calls this blocks: a worker, in a page. */
export async function run(file: URL, print: Print): Promise<number> {
  await using program = await openBareProgram(file, 4);
  const { primes_below: primesBelow, chunks, deep } = program.exports;
  print(`primes below 200000: ${primesBelow?.(200_000)} in ${chunks?.()} pieces`);
  print(`primes below 10: ${primesBelow?.(10)}`);
  // As many blocks as threads ran at once, however many there were; and one for the main thread.
  const { createdCount } = program.blocks;
  print(`blocks: ${createdCount <= 5 ? 'at most 5' : createdCount}`);

  deep?.(4000);
  try {
    program.block.free();
  } catch (error) {
    print(error instanceof MemoryError ? error.code : String(error));
  }
  return 0;
}
