/** Counts primes on four threads of a C program; the main thread waits in C for them to end. */
import { MemoryError } from '@heddle/memory';
import { openBareProgram } from '../src/BareProgram.ts';

const [, , file = 'program.wasm'] = process.argv;
await using program = await openBareProgram(file, 4);
const { primes_below: primesBelow, chunks, deep } = program.exports;
console.log(`primes below 200000: ${primesBelow?.(200_000)} in ${chunks?.()} pieces`);
console.log(`primes below 10: ${primesBelow?.(10)}`);
// As many blocks as threads ran at once, however many there were; and one for the main thread.
const { createdCount } = program.blocks;
console.log(`blocks: ${createdCount <= 5 ? 'at most 5' : createdCount}`);

deep?.(4000);
try {
  program.block.free();
} catch (error) {
  console.log(error instanceof MemoryError ? error.code : error);
}
