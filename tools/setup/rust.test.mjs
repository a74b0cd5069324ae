/** Which Rust is new enough. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isRustNewEnough } from './rust.mjs';

test('versions are compared by number, not by text', () => {
  assert.equal(isRustNewEnough('rustc 1.95.0 (abc 2026-03-21)', [1, 95]), true);
  assert.equal(isRustNewEnough('rustc 1.100.0-nightly (abc)', [1, 95]), true);
  assert.equal(isRustNewEnough('rustc 2.0.0', [1, 95]), true);
  assert.equal(isRustNewEnough('rustc 1.85.0 (Debian)', [1, 95]), false);
});

test('something that prints no version is not new enough', () => {
  assert.equal(isRustNewEnough(undefined, [1, 95]), false);
  assert.equal(isRustNewEnough('error: no default toolchain', [1, 95]), false);
});
