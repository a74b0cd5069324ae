/** Runs a program of wasi-threads, and ends with what it ends with. */
import { WasmRuntime } from '@heddle/thread';
import type { Print } from '../src/Print.ts';

/** What it ends with. */
export async function run(module: URL, print: Print): Promise<number> {
  const runtime = await WasmRuntime.start({ module, threads: 4, wasi: { args: ['program'], stdout: print } });
  const exitCode = await runtime.spawn('_start').join();
  // What was printed is all there then.
  await runtime.close();
  return Number(exitCode);
}
