/** Calls exports of a Rust program on threads; each spawns further ones. The main thread never blocks, as in a page. */
import { ThreadError, WasmRuntime } from '@heddle/thread';
import type { Print } from '../src/Print.ts';

/** What it ends with: 0. */
export async function run(module: URL, print: Print, glue: URL): Promise<number> {
  const runtime = await WasmRuntime.start({ module, glue, threads: 5 });
  const longest = await runtime.spawn('longest_chain_below', 1_000_000).join();
  print(
    `the longest chain below 1000000 is that of ${longest}, a number of ${await runtime.spawn('bits_of', Number(longest)).join()} bits`,
  );
  try {
    await runtime.spawn('longest_chain_below', 0).join();
  } catch (error) {
    print(error instanceof ThreadError ? `${error.code}: ${error.message}` : String(error));
  }
  await runtime.close();
  return 0;
}
