#!/usr/bin/env node
/** One Vitest project: node tools/suites/vitest.mjs <package>:<node|pages|deno|bun|chromium|firefox> [part of a file's name …]. */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { findHost } from '../hosts.mjs';
import { inWorkspace, isMain, say, workspaceRoot } from '../workspace.mjs';
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

/**
 * What Vitest says where a browser was started and never asked for the tests: Firefox does so now and then on a busy machine. That is
 * no failure of what is tested, which hasn't begun.
 */
const BROWSER_MISSING = 'Failed to connect to the browser session';

/** Tests that only some hosts run, by the end of their files' names. */
const HOSTS_OF = {
  '.node.test.ts': ['node'],
  '.pages.test.ts': ['pages'],
  '.process.test.ts': ['node', 'deno', 'bun'],
  '.browser.test.ts': ['chromium', 'firefox'],
};

/** Whether the package has any file that this host should run. */
export function hasTestFiles(folder, host) {
  if (!existsSync(folder)) return false;
  const others = Object.keys(HOSTS_OF).filter((end) => !HOSTS_OF[end].includes(host));
  return readdirSync(folder, { recursive: true }).some((file) => file.endsWith('.test.ts') && !others.some((end) => file.endsWith(end)));
}

/**
 * Vitest as a program of a host: Deno and Bun run it themselves, so that each test is theirs; browsers are driven from Node.
 * @param {string} host
 * @param {readonly string[]} args Vitest's
 * @returns {[program: string, args: readonly string[]] | undefined} undefined where this kind of machine has no such host
 */
function vitestOf(host, args) {
  if (host !== 'deno' && host !== 'bun') return [inWorkspace('node_modules/.bin/vitest'), args];
  const program = findHost(host);
  const script = inWorkspace('node_modules/vitest/vitest.mjs');
  const options = host === 'deno' ? ['run', '--allow-all', '--no-lock'] : ['--bun'];
  return program && [program, [...options, '--conditions=@heddle/source', script, ...args]];
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
  const vitest = vitestOf(host, args);
  if (!vitest) return report({ ...noCounts(), skipped: 1, notes: [`${project}: ${host} is not to be had for this kind of machine`] });
  const first = await runSuiteProgram(...vitest, { cwd });
  let { exitCode } = first;
  if (first.output.includes(BROWSER_MISSING)) {
    say(`${project}: the browser did not come up, so nothing was run; once more`);
    rmSync(jsonFile, { force: true });
    ({ exitCode } = await runSuiteProgram(...vitest, { cwd }));
  }
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
