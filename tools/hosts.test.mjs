/** Deno and Bun as programs: what is found must be the host that was asked for. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { findHost } from './hosts.mjs';
import { hasTestFiles } from './suites/vitest.mjs';
import { query } from './workspace.mjs';

for (const host of ['deno', 'bun']) {
  const program = findHost(host);
  test(`${host} is found and runs`, { skip: program === undefined && 'it is not to be had for this kind of machine' }, () => {
    const script = 'console.log(navigator.userAgent)';
    assert.match(query(program, host === 'deno' ? ['eval', script] : ['-e', script]), new RegExp(`^${host}/`, 'i'));
  });
}

test('a host has test files if any is for all hosts or for it', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'heddle-hosts-'));
  try {
    assert.equal(hasTestFiles(path.join(folder, 'absent'), 'node'), false);
    writeFileSync(path.join(folder, 'a.node.test.ts'), '');
    assert.deepEqual(
      ['node', 'deno', 'bun', 'chromium', 'firefox'].filter((host) => hasTestFiles(folder, host)),
      ['node'],
    );
    writeFileSync(path.join(folder, 'b.browser.test.ts'), '');
    assert.deepEqual(
      ['node', 'deno', 'bun', 'chromium', 'firefox'].filter((host) => hasTestFiles(folder, host)),
      ['node', 'chromium', 'firefox'],
    );
    writeFileSync(path.join(folder, 'c.test.ts'), '');
    assert.ok(hasTestFiles(folder, 'deno'));
  } finally {
    rmSync(folder, { recursive: true });
  }
});
