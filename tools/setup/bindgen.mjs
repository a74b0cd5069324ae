/** The command-line half of wasm-bindgen, of exactly the library's version: our own few lines over its crate, see tools/bindgen. */
import { copyFileSync, mkdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { bindgenProgram, findBindgen } from '../wasm.mjs';
import { inWorkspace, run, say, ToolError, wasmBindgenVersion } from '../workspace.mjs';

/** @throws {ToolError} if cargo can't build it */
export function installBindgen() {
  const version = wasmBindgenVersion();
  if (findBindgen()) return say(`set-up: wasm-bindgen ${version} is there`);
  say(`set-up: wasm-bindgen ${version} (compiled by cargo, a minute or more)`);
  const buildFolder = inWorkspace('target/tools/build');
  const args = ['build', '--quiet', '--release', '--locked', '--manifest-path', inWorkspace('tools/bindgen/Cargo.toml')];
  try {
    run('cargo', [...args, '--target-dir', buildFolder], { quiet: true });
  } catch {
    throw new ToolError(`wasm-bindgen ${version} can't be built: run "cargo ${args.join(' ')}" and see why.`);
  }
  mkdirSync(path.dirname(bindgenProgram()), { recursive: true });
  copyFileSync(path.join(buildFolder, 'release/heddle-bindgen'), bindgenProgram());
  rmSync(buildFolder, { recursive: true, force: true });
}
