/** Looks for the longest chain on four threads of a Rust program; the main thread waits in Rust for what they send. */
import { openBareProgram } from '../src/BareProgram.ts';

const [, , file = 'program.wasm'] = process.argv;
await using program = await openBareProgram(file, 4);
const { longest_chain_below: longestChainBelow, tried } = program.exports;
console.log(`the longest chain below 1000000 is that of ${longestChainBelow?.(1_000_000)}`);
console.log(`numbers tried: ${tried?.()}`);
