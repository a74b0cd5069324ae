#!/usr/bin/env node
/** Puts a crate's built Wasm and its JavaScript side into a package: node tools/copy-wasm.mjs <crate> <folder>, in the package. */
import { cpSync, existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { inWorkspace, runTool, ToolError } from './workspace.mjs';

await runTool(async ([crate, folder]) => {
  if (!crate || !folder) throw new ToolError('usage: node tools/copy-wasm.mjs <crate> <folder>');
  const source = inWorkspace('target/wasm/bindgen', crate);
  if (!existsSync(source)) throw new ToolError(`${crate} isn't built: run "node tools/wasm.mjs build ${crate}".`);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const file of readdirSync(source)) {
    if (!file.startsWith('.')) cpSync(path.join(source, file), path.join(folder, file), { recursive: true });
  }
});
