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

/** The functions of an instance. */
export type Exports = Record<string, (...args: number[]) => number>;

interface Glue {
  initSync(options: { module: WebAssembly.Module; memory: WebAssembly.Memory; thread_stack_size: number }): unknown;
}

/** An instance for this thread. */
export async function instantiateWasm({ glueUrl, module, memory }: WasmProgram): Promise<Exports> {
  const glue = (await import(/* @vite-ignore */ glueUrl)) as Glue;
  return glue.initSync({ module, memory, thread_stack_size: 1 << 20 }) as Exports;
}

/** The text at an address; a copy, as none may be decoded where it is shared. */
export function textIn(memory: WebAssembly.Memory, at: number, byteLength: number): string {
  return new TextDecoder().decode(new Uint8Array(memory.buffer, at, byteLength).slice());
}

async function bytesOf(url: URL): Promise<BufferSource> {
  if (isBrowser) return (await fetch(url)).arrayBuffer();
  const name = 'node:fs/promises';
  const { readFile } = (await import(/* @vite-ignore */ name)) as typeof import('node:fs/promises');
  return readFile(url);
}
