/**
 * Finds what builds Wasm with threads: a Rust that can rebuild std, a Wasm linker, a C compiler.
 *
 * std has to be rebuilt with atomics, so its source must be installed. Two sources are known, looked for in this order:
 * - the system's own Rust with std's source (Debian: rustc-web, cargo-web, rust-web-src) and a wasm-ld beside it;
 * - rustup's nightly with the component rust-src, which brings its own linker.
 */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { findProgram, inWorkspace, query } from './workspace.mjs';

const LLVM_VERSIONS = ['24', '23', '22', '21', '20', '19', '18'];

/** Where Homebrew and Debian put LLVM's programs when they aren't on PATH. */
const LLVM_FOLDERS = [
  '/opt/homebrew/opt/llvm/bin',
  '/usr/local/opt/llvm/bin',
  '/opt/homebrew/opt/lld/bin',
  '/usr/local/opt/lld/bin',
  ...LLVM_VERSIONS.map((version) => `/usr/lib/llvm-${version}/bin`),
];

const llvmProgram = (name) => [
  ...LLVM_VERSIONS.map((version) => `${name}-${version}`),
  ...LLVM_FOLDERS.map((folder) => `${folder}/${name}`),
  name,
];

/**
 * @typedef {object} RustToolchain
 * @property {string} name for messages
 * @property {string} cargo
 * @property {string} rustc
 * @property {string | undefined} linker undefined: the toolchain's own
 */

/** @returns {RustToolchain | undefined} */
export function findRustToolchain() {
  return findSystemRust() ?? findRustupNightly();
}

function hasStdSource(rustc) {
  const sysroot = query(rustc, ['--print', 'sysroot']);
  return sysroot !== undefined && existsSync(path.join(sysroot, 'lib/rustlib/src/rust/library/Cargo.lock'));
}

function findSystemRust() {
  const linker = findProgram(llvmProgram('wasm-ld'));
  if (!linker) return undefined;
  for (const folder of ['/usr/bin', '/usr/local/bin', '/opt/homebrew/bin']) {
    const [rustc, cargo] = [path.join(folder, 'rustc'), path.join(folder, 'cargo')];
    if (!existsSync(rustc) || !existsSync(cargo) || !hasStdSource(rustc)) continue;
    return { name: query(rustc, ['--version']) ?? rustc, cargo, rustc, linker };
  }
  return undefined;
}

function findRustupNightly() {
  const rustc = query('rustup', ['which', '--toolchain', 'nightly', 'rustc']);
  const cargo = query('rustup', ['which', '--toolchain', 'nightly', 'cargo']);
  if (!rustc || !cargo || !hasStdSource(rustc)) return undefined;
  return { name: query(rustc, ['--version']) ?? rustc, cargo, rustc, linker: undefined };
}

/**
 * A clang that can write Wasm, and an archiver: needed by crates that bring C.
 * @returns {{clang: string, archiver: string} | undefined}
 */
export function findCToolchain() {
  const archiver = findProgram(llvmProgram('llvm-ar'));
  if (!archiver) return undefined;
  const seen = new Set();
  for (const candidate of llvmProgram('clang')) {
    const clang = findProgram([candidate]);
    if (!clang || seen.has(clang)) continue;
    seen.add(clang);
    if (/\bwasm32\b/.test(query(clang, ['--print-targets']) ?? '')) return { clang, archiver };
  }
  return undefined;
}

/** Where set-up puts the Python package of Zig. */
export const zigFolder = () => inWorkspace('target/tools/zig');

/**
 * Zig's program, which only an example needs: the one that set-up installed, whose version is pinned, since Zig's language changes.
 * @returns {string | undefined}
 */
export function findZig() {
  return findProgram([path.join(zigFolder(), 'ziglang/zig')]);
}
