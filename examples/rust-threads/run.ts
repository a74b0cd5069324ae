/** Looks for the longest chain on four threads of a Rust program; a fifth one waits in Rust for what they send. */
import { WasmRuntime } from '@heddle/thread';
import type { Print } from '../src/Print.ts';

/** What it ends with: 0. */
export async function run(module: URL, print: Print): Promise<number> {
  const imports = new URL('../src/imports.js', import.meta.url);
  await using runtime = await WasmRuntime.start({ module, imports, threads: 5, stackSize: 128 * 1024 });
  print(`the longest chain below 1000000 is that of ${await runtime.spawn('longest_chain_below', 1_000_000).join()}`);
  print(`numbers tried: ${await runtime.spawn('tried').join()}`);
  return 0;
}
