#!/usr/bin/env node
/** Tests that run in Node's own runner: node tools/suites/node-test.mjs <glob>… */
import { isMain } from '../workspace.mjs';
import { noCounts, report, runSuiteProgram, withFailure } from './suite.mjs';

const FAILURE = /^\s*not ok \d+ - (.+?)(?: # .*)?$/gm;

/**
 * @param {string} output in TAP
 * @param {number} exitCode
 * @returns {import('./suite.mjs').Counts}
 */
export function countTap(output, exitCode) {
  const total = (name) => Number(new RegExp(`^# ${name} (\\d+)$`, 'm').exec(output)?.[1] ?? 0);
  const counts = {
    ...noCounts(),
    passed: total('pass'),
    failed: total('fail') + total('cancelled'),
    skipped: total('skipped') + total('todo'),
  };
  counts.failures = Array.from(output.matchAll(FAILURE), ([, name]) => name);
  if (counts.failed === 0 && exitCode !== 0) return withFailure(counts, `node --test failed (exit code ${exitCode})`);
  if (counts.passed + counts.failed === 0) return withFailure(counts, 'node --test reported no tests');
  return counts;
}

if (isMain(import.meta.url)) {
  const { exitCode, output } = await runSuiteProgram(process.execPath, ['--test', '--test-reporter=tap', ...process.argv.slice(2)]);
  report(countTap(output, exitCode));
}
