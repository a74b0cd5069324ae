/** Throws dice on four threads of a Zig program, which count them in one histogram. */
import { WasmRuntime } from '@heddle/thread';
import type { Print } from '../src/Print.ts';

/** What it ends with: 0. */
export async function run(module: URL, print: Print): Promise<number> {
  const imports = new URL('../src/imports.js', import.meta.url);
  await using runtime = await WasmRuntime.start({ module, imports, threads: 5, stackSize: 128 * 1024 });
  print(`thrown: ${await runtime.spawn('throw_dice').join()}`);
  const counts = await Promise.all(Array.from({ length: 6 }, (_, face) => runtime.spawn('thrown', face).join()));
  const usual = counts.filter((count) => Math.abs(Number(count) - 200_000 / 6) < 200_000 / 60);
  print(`faces that came as often as others, within a tenth: ${usual.length}`);
  return 0;
}
