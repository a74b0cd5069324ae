/** `.ci/run` in a folder of its own, with an npm that does what each case needs: its last line and its exit code. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { inWorkspace } from './workspace.mjs';

function runCi(npmScript) {
  const root = mkdtempSync(path.join(tmpdir(), 'heddle-ci-'));
  try {
    cpSync(inWorkspace('.ci/run'), path.join(root, '.ci/run'));
    mkdirSync(path.join(root, 'bin'));
    mkdirSync(path.join(root, 'target'));
    writeFileSync(path.join(root, 'target/test-summary.txt'), '99 passed, 0 failed\n');
    writeFileSync(path.join(root, 'bin/npm'), `#!/bin/sh\n${npmScript}\n`);
    chmodSync(path.join(root, 'bin/npm'), 0o755);
    const env = { ...process.env, PATH: `${path.join(root, 'bin')}:${process.env.PATH}` };
    const { status, stdout } = spawnSync('bash', ['.ci/run'], { cwd: root, env, encoding: 'utf8' });
    return { status, lastLine: stdout.trimEnd().split('\n').at(-1) };
  } finally {
    rmSync(root, { recursive: true });
  }
}

test('what npm test counted is the last line, and its exit code is kept', () => {
  const passing = 'echo "7 passed, 0 failed, 1 skipped" > target/test-summary.txt; echo chatter';
  assert.deepEqual(runCi(passing), { status: 0, lastLine: '7 passed, 0 failed, 1 skipped' });
  const failing = 'echo "7 passed, 2 failed" > target/test-summary.txt; echo "npm error"; exit 1';
  assert.deepEqual(runCi(failing), { status: 1, lastLine: '7 passed, 2 failed' });
});

test('an npm test that ended before it counted has failed, whatever an earlier run left and whatever its exit code', () => {
  assert.deepEqual(runCi('echo "error: no Rust" >&2; exit 1'), { status: 1, lastLine: '0 passed, 1 failed' });
  assert.deepEqual(runCi('exit 0'), { status: 1, lastLine: '0 passed, 1 failed' });
});
