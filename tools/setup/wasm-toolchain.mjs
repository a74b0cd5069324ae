/** The toolchain for Wasm with threads: the system's packages, or rustup's nightly where there are none. */
import { findProgram, run, say, ToolError } from '../workspace.mjs';
import { findCToolchain, findRustToolchain } from '../wasm-toolchain.mjs';

/** @returns {string[]} what is missing, in the words of system-packages.mjs */
export function findMissingWasmTools() {
  const missing = [];
  if (!findRustToolchain()) missing.push('a Rust with the source of std');
  if (!findCToolchain()) missing.push('a C compiler for Wasm');
  if (!findProgram(['cc', 'gcc', 'clang'])) missing.push('a C compiler');
  return missing;
}

/** @throws {ToolError} if neither way led to a toolchain */
export function installWasmToolchain() {
  if (!findRustToolchain() && findProgram(['rustup'])) {
    say("set-up: rustup toolchain nightly with std's source");
    try {
      run('rustup', ['toolchain', 'install', 'nightly', '--profile', 'minimal', '--component', 'rust-src']);
    } catch {
      say('set-up: rustup could not install it');
    }
  }
  const rust = findRustToolchain();
  if (!rust) {
    throw new ToolError(
      'no Rust that can build Wasm with threads: run "rustup toolchain install nightly --component rust-src", or on Debian as root "apt-get install rustc-web cargo-web rust-web-src lld-22".',
    );
  }
  const c = findCToolchain();
  if (!c) {
    throw new ToolError(
      'no C compiler that writes Wasm: install LLVM\'s clang and llvm-ar ("brew install llvm" on macOS, "apt-get install clang llvm" on Debian).',
    );
  }
  say(`set-up: Wasm toolchain is there: ${rust.name}, ${c.clang}`);
}
