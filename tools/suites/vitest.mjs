#!/usr/bin/env node
/** One Vitest project: node tools/suites/vitest.mjs <package>:<node|chromium|firefox> [part of a file's name …]. */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { inWorkspace, isMain, workspaceRoot } from '../workspace.mjs';
import { noCounts, report, runSuiteProgram, withFailure } from './suite.mjs';

/**
 * @param {string} project for messages
 * @param {any} json Vitest's JSON report; undefined if it wrote none
 * @param {number} exitCode
 * @returns {import('./suite.mjs').Counts}
 */
export function countVitest(project, json, exitCode) {
  let counts = noCounts();
  if (json === undefined) return withFailure(counts, `${project}: Vitest ended without a report (exit code ${exitCode})`);
  for (const file of json.testResults) {
    const name = path.relative(workspaceRoot, file.name);
    const failedWithoutTest = file.status === 'failed' && !file.assertionResults.some((test) => test.status === 'failed');
    for (const test of file.assertionResults) {
      if (test.status === 'passed') counts.passed++;
      else if (test.status === 'failed') counts = withFailure(counts, `${project}: ${name}: ${test.fullName}`);
      else {
        counts.skipped++;
        // Tests of a file whose set-up failed never had their turn: that failure is told, not each of them.
        if (!failedWithoutTest) counts.notes.push(`${project}: ${name}: ${test.fullName}`);
      }
    }
    if (failedWithoutTest) counts = withFailure(counts, `${project}: ${name} could not be run`);
    else if (file.assertionResults.length === 0) counts = withFailure(counts, `${project}: ${name} has no tests`);
  }
  if (counts.failed === 0 && exitCode !== 0)
    return withFailure(counts, `${project}: Vitest failed outside of a test (exit code ${exitCode})`);
  if (counts.passed + counts.failed + counts.skipped === 0) return withFailure(counts, `${project}: Vitest reported no tests`);
  return counts;
}

/** Whether the package has any file that this kind of host should run. */
export function hasTestFiles(folder, host) {
  if (!existsSync(folder)) return false;
  const otherHost = host === 'node' ? '.browser.test.ts' : '.node.test.ts';
  return readdirSync(folder, { recursive: true }).some((file) => file.endsWith('.test.ts') && !file.endsWith(otherHost));
}

async function main(project, ...files) {
  const [name, host] = project.split(':');
  const folder = ['packages', 'apps', '.'].map((parent) => inWorkspace(parent, name)).find((candidate) => existsSync(candidate));
  if (!folder) return report(withFailure(noCounts(), `${project}: there is no such package`));
  if (!hasTestFiles(path.join(folder, 'test'), host)) {
    return report({ ...noCounts(), skipped: 1, notes: [`${project}: no test files`] });
  }
  const jsonFile = path.join(folder, '.results', `vitest-${host}.raw.json`);
  mkdirSync(path.dirname(jsonFile), { recursive: true });
  rmSync(jsonFile, { force: true });
  const args = ['run', ...files, '--project', project, '--reporter=default', '--reporter=json', `--outputFile.json=${jsonFile}`];
  // An application may have a configuration of its own; packages share the root's.
  const cwd = existsSync(path.join(folder, 'vitest.config.ts')) ? folder : workspaceRoot;
  const { exitCode } = await runSuiteProgram(inWorkspace('node_modules/.bin/vitest'), args, { cwd });
  report(countVitest(project, readJson(jsonFile), exitCode));
}

function readJson(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    return undefined;
  }
}

if (isMain(import.meta.url)) await main(...process.argv.slice(2));
