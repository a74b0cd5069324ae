/** Every name for a missing thing leads to packages; a name that nobody knows would silently install nothing. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemPackagesFor } from './system-packages.mjs';

test('each thing that set-up can miss has its packages', () => {
  for (const thing of ['a Rust with the source of std', 'a C compiler for Wasm', 'a C compiler', 'Chromium', 'Firefox']) {
    assert.ok(systemPackagesFor([thing]).length > 0, thing);
  }
  assert.deepEqual(systemPackagesFor([]), []);
  assert.throws(() => systemPackagesFor(['a loom']), { code: 'TOOL_FAILED' });
});
