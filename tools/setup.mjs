#!/usr/bin/env node
/**
 * Installs what is missing on this machine: node tools/setup.mjs [--browsers] [--check]
 *
 * Each step says in one line what it found or does. Runs on Node 20 and needs no installed package. --check installs nothing.
 * The order matters: system packages bring the compiler that wasm-bindgen's command line is built with.
 */
import { parseArgs } from 'node:util';
import { patchCrates } from './patch-crates.mjs';
import { installBindgen } from './setup/bindgen.mjs';
import { findMissingBrowsers, installBrowsers } from './setup/browsers.mjs';
import { installNodePackages } from './setup/node-packages.mjs';
import { requireRust } from './setup/rust.mjs';
import { installSystemPackages, systemPackagesFor } from './setup/system-packages.mjs';
import { installWasmToolchain, findMissingWasmTools } from './setup/wasm-toolchain.mjs';
import { installZig } from './setup/zig.mjs';
import { isMain, runTool, say, ToolError } from './workspace.mjs';

/**
 * @param {{browsers?: boolean, check?: boolean}} [options] browsers: the tests' browsers too, and what else only tests need
 * @throws {ToolError} a sentence that says what the person has to install
 */
export function setUp({ browsers = false, check = false } = {}) {
  requireRust({ check });
  const missing = [...findMissingWasmTools(), ...(browsers ? findMissingBrowsers() : [])];
  if (check) {
    if (missing.length > 0) throw new ToolError(`missing: ${missing.join(', ')}.`);
    return;
  }
  // One call of the package manager for everything it knows.
  if (missing.length > 0) installSystemPackages(systemPackagesFor(missing));
  installWasmToolchain();
  installBindgen();
  installNodePackages();
  if (browsers) {
    installBrowsers();
    installZig();
  }
  patchCrates();
}

async function main(argv) {
  const { values } = parseArgs({ args: argv, options: { browsers: { type: 'boolean' }, check: { type: 'boolean' } } });
  setUp(values);
  say('set-up: complete');
}

if (isMain(import.meta.url)) await runTool(main);
