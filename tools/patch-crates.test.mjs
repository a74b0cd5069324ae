/** Patching a published crate: applied once, again when the patch changes, and refused when it doesn't fit. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { patchCrates } from './patch-crates.mjs';

/** A small crate without dependencies that the workspace depends on anyway. */
const [CRATE, VERSION] = ['cfg-if', '1.0.4'];

const patchOf = (line) => `diff --git a/src/heddle.rs b/src/heddle.rs
new file mode 100644
--- /dev/null
+++ b/src/heddle.rs
@@ -0,0 +1 @@
+${line}
`;

test('a patch is applied to a copy of the published crate, and again only when it changed', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'heddle-patch-'));
  const options = { patchFolder: path.join(folder, 'patches'), targetFolder: path.join(folder, 'patched') };
  const patchFile = path.join(options.patchFolder, `${CRATE}@${VERSION}.patch`);
  const patched = path.join(options.targetFolder, `${CRATE}-${VERSION}`);
  const added = path.join(patched, 'src/heddle.rs');
  try {
    assert.deepEqual(patchCrates(options), []);
    mkdirSync(options.patchFolder);
    writeFileSync(path.join(options.patchFolder, 'README.md'), 'not a patch');

    writeFileSync(patchFile, patchOf('// one'));
    assert.deepEqual(patchCrates(options), [patched]);
    assert.equal(readFileSync(added, 'utf8'), '// one\n');
    assert.ok(existsSync(path.join(patched, 'src/lib.rs')));

    const made = statSync(added).ino;
    patchCrates(options);
    assert.equal(statSync(added).ino, made, 'an unchanged patch leaves the copy alone');

    writeFileSync(patchFile, patchOf('// two'));
    patchCrates(options);
    assert.equal(readFileSync(added, 'utf8'), '// two\n');

    writeFileSync(
      patchFile,
      patchOf('// three').replace('new file mode 100644\n--- /dev/null', '--- a/src/heddle.rs').replace('-0,0', '-1'),
    );
    assert.throws(() => patchCrates(options), { code: 'TOOL_FAILED' });
    assert.equal(readFileSync(added, 'utf8'), '// two\n', 'a patch that does not fit leaves the last good copy');
  } finally {
    rmSync(folder, { recursive: true });
  }
});
