/** wasm-bindgen's command line, of exactly the version of the library. */
import { findBindgen } from '../wasm.mjs';
import { inWorkspace, run, say, ToolError, wasmBindgenVersion } from '../workspace.mjs';

/** @throws {ToolError} if cargo can't install it */
export function installBindgen() {
  const version = wasmBindgenVersion();
  if (findBindgen()) return say(`set-up: wasm-bindgen ${version} is there`);
  say(`set-up: wasm-bindgen ${version} (compiled by cargo, minutes)`);
  // Without --locked: its own lock file names versions that not every registry mirror has.
  const root = inWorkspace('target/tools', `wasm-bindgen-${version}`);
  const args = ['install', '--quiet', 'wasm-bindgen-cli', '--version', version, '--bin', 'wasm-bindgen', '--root', root];
  try {
    run('cargo', [...args, '--target-dir', inWorkspace('target/tools/build')]);
  } catch {
    throw new ToolError(`wasm-bindgen ${version} can't be installed: run "cargo ${args.join(' ')}" and see why.`);
  }
}
