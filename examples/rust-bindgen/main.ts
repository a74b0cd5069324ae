/** Calls exports of a Rust program on threads; each spawns further ones. The main thread never blocks, as in a page. */
import { pathToFileURL } from 'node:url';
import { ThreadError, WasmRuntime } from '@heddle/thread';

const [, , module = 'program_bg.wasm', glue = 'program.js'] = process.argv;
const runtime = await WasmRuntime.start({ module: pathToFileURL(module), glue: pathToFileURL(glue), threads: 5 });
const longest = await runtime.spawn('longest_chain_below', 1_000_000).join();
console.log(
  `the longest chain below 1000000 is that of ${longest}, a number of ${await runtime.spawn('bits_of', Number(longest)).join()} bits`,
);
try {
  await runtime.spawn('longest_chain_below', 0).join();
} catch (error) {
  console.log(error instanceof ThreadError ? `${error.code}: ${error.message}` : error);
}
await runtime.close();
