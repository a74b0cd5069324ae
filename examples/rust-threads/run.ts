/** Looks for the longest chain on four threads of a Rust program; the main thread waits in Rust for what they send. */
import { openBareProgram, type Print } from '../src/BareProgram.ts';

/** What it ends with: 0. The agent that calls this blocks: a worker, in a page. */
export async function run(file: URL, print: Print): Promise<number> {
  await using program = await openBareProgram(file, 4);
  const { longest_chain_below: longestChainBelow, tried } = program.exports;
  print(`the longest chain below 1000000 is that of ${longestChainBelow?.(1_000_000)}`);
  print(`numbers tried: ${tried?.()}`);
  return 0;
}
