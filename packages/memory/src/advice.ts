/** With which flags a module is linked for threads, for each toolchain: lines to copy. */
import type { ModuleReport } from './inspect.ts';

/** Who compiles and links modules. */
export type Toolchain = 'rustc' | 'clang' | 'zig';

/** What to run, for one toolchain. */
export interface Advice {
  readonly toolchain: Toolchain;
  /** Lines of a shell, or sentences that begin with `#`. */
  readonly lines: readonly string[];
}

const EXPORTS = ['__wasm_init_tls', '__tls_size', '__tls_align', '__tls_base', '__stack_pointer'];

/** 1 GiB: without a maximum, the linker makes it what the memory begins with. */
const MAX_MEMORY = 1024 * 1024 * 1024;

const LINKER_ARGS = ['--shared-memory', '--import-memory', `--max-memory=${MAX_MEMORY}`, ...EXPORTS.map((name) => `--export=${name}`)];

const ADVICE: Readonly<Record<Toolchain, readonly string[]>> = {
  rustc: [
    "# Needs a nightly toolchain with std's source: rustup toolchain install nightly --component rust-src",
    `export RUSTFLAGS="-Cpanic=unwind -Ctarget-feature=+atomics,+bulk-memory,+mutable-globals ${LINKER_ARGS.map((arg) => `-Clink-arg=${arg}`).join(' ')}"`,
    'cargo +nightly build --release --target wasm32-unknown-unknown -Zbuild-std=std,panic_unwind',
    '# With wasm-bindgen, then: wasm-bindgen --target web --out-dir pkg target/wasm32-unknown-unknown/release/program.wasm',
  ],
  clang: [
    `clang --target=wasm32-unknown-unknown -O2 -matomics -mbulk-memory -mmutable-globals -nostdlib -c program.c -o program.o`,
    `wasm-ld --no-entry ${LINKER_ARGS.join(' ')} --export-dynamic program.o -o program.wasm`,
  ],
  zig: [
    '# -fno-entry for a program without main; name what JavaScript calls with --export=…',
    'zig build-obj program.zig -target wasm32-freestanding -mcpu=generic+atomics+bulk_memory+mutable_globals -O ReleaseFast -fno-single-threaded',
    `zig wasm-ld --no-entry ${LINKER_ARGS.join(' ')} --export-dynamic program.o -o program.wasm`,
  ],
};

/** Who made a module, as far as it says so itself. */
export function toolchainOf({ producers, imports }: Pick<ModuleReport, 'producers' | 'imports'>): Toolchain | undefined {
  const names = producers.map(({ name }) => name.toLowerCase());
  if (names.some((name) => name === 'rust' || name === 'rustc')) return 'rustc';
  if (names.some((name) => name === 'zig')) return 'zig';
  if (names.some((name) => name.includes('clang'))) return 'clang';
  return imports.some((name) => name.startsWith('__wbindgen')) ? 'rustc' : undefined;
}

/** How to link a module so that its problems are gone: for its own toolchain where it names one, else for all. Empty without problems. */
export function adviceFor(report: ModuleReport): Advice[] {
  if (report.problems.length === 0) return [];
  const own = toolchainOf(report);
  const toolchains: readonly Toolchain[] = own ? [own] : ['rustc', 'clang', 'zig'];
  return toolchains.map((toolchain) => ({ toolchain, lines: ADVICE[toolchain] }));
}
