/** Builds the examples from source: C by clang, Zig by its own compiler, text by wabt. Rust is built before. */
import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { findCToolchain } from '@heddle/tools/wasm-toolchain';
import wabt from 'wabt';

/** Where an example's source is. */
export const sourceOf = (path: string): string => fileURLToPath(new URL(`../${path}`, import.meta.url));

const LINKER_ARGS = [
  '--no-entry',
  '--shared-memory',
  '--import-memory',
  `--max-memory=${64 * 1024 * 1024}`,
  ...['__wasm_init_tls', '__tls_size', '__tls_align', '__tls_base', '__stack_pointer'].map((name) => `--export=${name}`),
];

/** @throws Error where there is no clang for Wasm (set-up installs one), or what it says about the source. */
export async function buildC(source: string, output: string): Promise<void> {
  const toolchain = findCToolchain();
  if (!toolchain) throw new Error('there is no clang that writes Wasm');
  const target = ['--target=wasm32-unknown-unknown', '-matomics', '-mbulk-memory', '-mmutable-globals', '-nostdlib'];
  const linker = LINKER_ARGS.map((arg) => `-Wl,${arg}`);
  await promisify(execFile)(toolchain.clang, [...target, '-O2', '-Wall', '-Werror', ...linker, source, '-o', output]);
}

/** @throws Error with what Zig says about the source. */
export async function buildZig(zig: string, source: string, output: string): Promise<void> {
  const object = `${output}.o`;
  const target = ['-target', 'wasm32-freestanding', '-mcpu=generic+atomics+bulk_memory+mutable_globals', '-fno-single-threaded'];
  await promisify(execFile)(zig, ['build-obj', source, ...target, '-O', 'ReleaseSafe', `-femit-bin=${object}`], { cwd: dirname(output) });
  await promisify(execFile)(zig, ['wasm-ld', ...LINKER_ARGS, '--export-dynamic', object, '-o', output]);
}

/** Where a crate's module and its JavaScript are: `build:wasm` has cargo build them, which may wait long for other builds. */
export function builtRust(crate: string): { readonly module: string; readonly glue: string } {
  const file = (name: string): string => fileURLToPath(new URL(`../../target/wasm/bindgen/${crate}/${name}`, import.meta.url));
  const name = crate.replaceAll('-', '_');
  return { module: file(`${name}_bg.wasm`), glue: file(`${name}.js`) };
}

/** Assembles the text format. */
export async function buildWat(source: string, output: string): Promise<void> {
  const assembler = await wabt();
  const module = assembler.parseWat(source, await readFile(source, 'utf8'), { threads: true, bulk_memory: true });
  try {
    // The engine validates it: wabt's own check knows no shared memory.
    await writeFile(output, module.toBinary({}).buffer);
  } finally {
    module.destroy();
  }
}
