/** wasm-bindgen's command line, of exactly the version of the library. */
import { rmSync } from 'node:fs';
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
  const buildFolder = inWorkspace('target/tools/build');
  // It runs for seconds in a build of minutes: compiling it half as long counts for more than its speed.
  const env = { ...process.env, CARGO_PROFILE_RELEASE_OPT_LEVEL: '1' };
  try {
    run('cargo', [...args, '--target-dir', buildFolder], { env, quiet: true });
    rmSync(buildFolder, { recursive: true, force: true });
  } catch {
    throw new ToolError(`wasm-bindgen ${version} can't be installed: run "cargo ${args.join(' ')}" and see why.`);
  }
}
