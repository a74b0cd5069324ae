#!/usr/bin/env node
/** Vitest projects, one after the other: node tools/suites/vitest.mjs <package>:<node|pages|deno|bun|chromium|firefox>[,…] [part of a file's name …]. */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { findHost } from '../hosts.mjs';
import { inWorkspace, isMain, say, workspaceRoot } from '../workspace.mjs';
import { noCounts, report, runSuiteProgram, withFailure } from './suite.mjs';

/** How much of a failure's first line is shown. */
const REASON_MAX = 200;

/** Why a test failed, in a line: the whole stands far above, in the output of one of many suites. */
function reasonOf(test) {
  const [line] = stripVTControlCharacters(test.failureMessages?.[0] ?? '').split('\n');
  return line ? ` (${line.slice(0, REASON_MAX)})` : '';
}

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
      else if (test.status === 'failed') counts = withFailure(counts, `${project}: ${name}: ${test.fullName}${reasonOf(test)}`);
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

/**
 * What Vitest says where an engine ended by a memory fault. JavaScript and Wasm can't cause one, so it is a fault of the engine's own: Node and Bun have
 * such a one in some hundred runs, where workers are terminated or trap.
 */
const ENGINE_CRASHED = 'Worker exited unexpectedly with signal SIGSEGV';

/** Why a suite is run once more: what it said tells nothing of what it tests. Twice would be a failure. */
const AGAIN = [
  [BROWSER_MISSING, 'the browser did not come up, so nothing was run'],
  [ENGINE_CRASHED, 'the engine itself crashed (SIGSEGV)'],
];

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

/**
 * Node keeps what it compiled, types stripped: a thread's worker loads dozens of modules anew, which took half of the store's suite. Other
 * hosts don't know the variable.
 */
const env = { NODE_COMPILE_CACHE: inWorkspace('target/compile-cache') };

/**
 * @param {string} project
 * @param {readonly string[]} files parts of their names
 * @returns {Promise<import('./suite.mjs').Counts>}
 */
async function runProject(project, files) {
  const [name, host] = project.split(':');
  const folder = ['packages', 'apps', '.'].map((parent) => inWorkspace(parent, name)).find((candidate) => existsSync(candidate));
  if (!folder) return withFailure(noCounts(), `${project}: there is no such package`);
  if (!hasTestFiles(path.join(folder, 'test'), host)) return { ...noCounts(), skipped: 1, notes: [`${project}: no test files`] };
  const jsonFile = path.join(folder, '.results', `vitest-${host}.raw.json`);
  mkdirSync(path.dirname(jsonFile), { recursive: true });
  rmSync(jsonFile, { force: true });
  const args = ['run', ...files, '--project', project, '--reporter=default', '--reporter=json', `--outputFile.json=${jsonFile}`];
  // An application may have a configuration of its own; packages share the root's.
  const cwd = existsSync(path.join(folder, 'vitest.config.ts')) ? folder : workspaceRoot;
  const vitest = vitestOf(host, args);
  if (!vitest) return { ...noCounts(), skipped: 1, notes: [`${project}: ${host} is not to be had for this kind of machine`] };
  const first = await runSuiteProgram(...vitest, { cwd, env });
  let { exitCode } = first;
  const again = AGAIN.find(([words]) => first.output.includes(words));
  if (again) {
    say(`${project}: ${again[1]}; once more`);
    rmSync(jsonFile, { force: true });
    ({ exitCode } = await runSuiteProgram(...vitest, { cwd, env }));
  }
  return countVitest(project, readJson(jsonFile), exitCode);
}

async function main(projects, ...files) {
  const total = noCounts();
  for (const project of projects.split(',')) {
    // oxlint-disable-next-line no-await-in-loop -- each has the processors
    const counts = await runProject(project, files);
    for (const key of ['passed', 'failed', 'skipped']) total[key] += counts[key];
    total.failures.push(...counts.failures);
    total.notes.push(...counts.notes);
  }
  report(total);
}

function readJson(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    return undefined;
  }
}

if (isMain(import.meta.url)) await main(...process.argv.slice(2));
