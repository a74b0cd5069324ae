/** The Wasm module of the tests, `crates/atomics/examples/atomics-testing.rs`: built by `build:wasm` of heddle-atomics. */
import { isBrowser } from './rpc.ts';

const moduleUrl = new URL('../../../../target/wasm/bindgen/atomics-testing/atomics_testing_bg.wasm', import.meta.url);
const glueUrl = new URL('../../../../target/wasm/bindgen/atomics-testing/atomics_testing.js', import.meta.url);

/** What the workers instantiate. */
export interface WasmProgram {
  readonly glueUrl: string;
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
}

/** Compiles the module and makes a memory for it. */
export async function loadWasm(): Promise<WasmProgram> {
  const module = await WebAssembly.compile(await bytesOf(moduleUrl));
  const memory = new WebAssembly.Memory({ initial: 64, maximum: 65_536, shared: true });
  return { glueUrl: glueUrl.href, module, memory };
}

async function bytesOf(url: URL): Promise<BufferSource> {
  if (isBrowser) return (await fetch(url)).arrayBuffer();
  const name = 'node:fs/promises';
  const { readFile } = (await import(/* @vite-ignore */ name)) as typeof import('node:fs/promises');
  return readFile(url);
}
