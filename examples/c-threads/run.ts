/** Counts primes on four threads of a C program, which a fifth one starts and waits for; this one never blocks. */
import { ThreadError, WasmRuntime } from '@heddle/thread';
import type { Print } from '../src/Print.ts';

/** What it ends with: 0. */
export async function run(module: URL, print: Print): Promise<number> {
  const imports = new URL('../src/imports.js', import.meta.url);
  await using runtime = await WasmRuntime.start({ module, imports, threads: 5, stackSize: 128 * 1024 });
  const primes = await runtime.spawn('primes_below', 200_000).join();
  print(`primes below 200000: ${primes} in ${await runtime.spawn('chunks').join()} pieces`);
  print(`primes below 10: ${await runtime.spawn('primes_below', 10).join()}`);
  try {
    await runtime.spawn('deep', 4000).join();
  } catch (error) {
    print(error instanceof ThreadError ? error.code : String(error));
  }
  return 0;
}
