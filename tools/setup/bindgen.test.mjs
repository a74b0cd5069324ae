/** The two halves of wasm-bindgen are pinned in two places. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { inWorkspace, wasmBindgenVersion } from '../workspace.mjs';

test('the command-line half and its lock file are of the version of the library', () => {
  const version = wasmBindgenVersion();
  const manifest = readFileSync(inWorkspace('tools/bindgen/Cargo.toml'), 'utf8');
  assert.equal(/^wasm-bindgen-cli-support = "=([^"]+)"/m.exec(manifest)?.[1], version);
  const lock = readFileSync(inWorkspace('tools/bindgen/Cargo.lock'), 'utf8');
  for (const crate of ['wasm-bindgen-cli-support', 'wasm-bindgen-shared']) {
    assert.match(lock, new RegExp(`name = "${crate}"\\nversion = "${version.replaceAll('.', '\\.')}"`));
  }
});
