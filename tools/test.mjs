#!/usr/bin/env node
/**
 * Runs every suite of the workspace through the task graph and adds up what they counted. The last line is
 * `N passed, N failed[, N skipped]`; the exit code is 0 only if nothing failed and every suite reported.
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { spawn } from 'node:child_process';
import { noCounts, resultFile, withFailure } from './suites/suite.mjs';
import { inWorkspace, isMain, query, runTool, say, ToolError, workspaceRoot } from './workspace.mjs';

/** Tasks that leave counts. A package has those that its package.json has scripts for. */
const TASKS = [
  'check:format',
  'check:lint',
  'check:types',
  'check:boundaries',
  'check:layers',
  'check:layout',
  'check:dependencies',
  'check:sizes',
  'check:rustfmt',
  'check:clippy',
  'check:package',
  'test:tools',
  'test:cargo',
  'test:loom',
  'test:shuttle',
  'test:node',
  'test:pages',
  'test:deno',
  'test:bun',
  'test:chromium',
  'test:firefox',
  'test:e2e',
];

/**
 * How many run at once, on two processors or more: a big crate occupies one for long, and tests wait for most of their time. None asserts
 * a time.
 */
const CONCURRENCY = 3;

/** Where the last line is left for tools that print it once more. */
export const SUMMARY_FILE = 'target/test-summary.txt';

/**
 * @typedef {{name: string, file: string}} ExpectedSuite
 * @param {readonly ExpectedSuite[]} suites that should have run
 * @param {number} exitCode of the task graph
 * @returns {import('./suites/suite.mjs').Counts}
 */
export function addUp(suites, exitCode) {
  let total = noCounts();
  for (const { name, file } of suites) {
    let counts;
    try {
      counts = JSON.parse(readFileSync(file, 'utf8'));
    } catch {
      total = withFailure(total, `${name}: reported nothing`);
      continue;
    }
    total.passed += counts.passed;
    total.failed += counts.failed;
    total.skipped += counts.skipped;
    total.failures.push(...counts.failures);
    total.notes.push(...counts.notes);
    if (counts.passed + counts.failed + counts.skipped === 0) total = withFailure(total, `${name}: counted nothing`);
  }
  if (suites.length === 0) total = withFailure(total, 'the task graph has no suites');
  if (exitCode !== 0 && total.failed === 0) total = withFailure(total, `a task that is no suite failed (exit code ${exitCode})`);
  return total;
}

/**
 * Which suites took longest, in seconds, as far as they say.
 * @param {readonly ExpectedSuite[]} suites
 * @returns {string[]}
 */
function slowest(suites) {
  const times = suites.flatMap(({ name, file }) => {
    try {
      return [{ name, seconds: JSON.parse(readFileSync(file, 'utf8')).seconds }];
    } catch {
      return []; // said where the counts are added up
    }
  });
  return times.toSorted((a, b) => b.seconds - a.seconds).map(({ name, seconds }) => `${name} ${seconds} s`);
}

/** How many of the slowest suites are named. */
const SLOWEST_COUNT = 16;

/** The last line: `12 passed, 0 failed`, with `, 1 skipped` if there are any. */
export function summaryLine({ passed, failed, skipped }) {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`;
}

/**
 * @param {string} turbo
 * @param {readonly string[]} tasks
 * @param {readonly string[]} turboArgs
 * @returns {ExpectedSuite[]}
 */
function expectedSuites(turbo, tasks, turboArgs) {
  const plan = query(turbo, ['run', ...tasks, ...turboArgs, '--dry=json'], { showErrors: true });
  if (plan === undefined) throw new ToolError("the suites can't be planned: see what turbo says above.");
  return JSON.parse(plan)
    .tasks.filter((task) => tasks.includes(task.task) && task.command !== '<NONEXISTENT>')
    .map((task) => ({ name: task.taskId, file: resultFile(inWorkspace(task.directory), task.task) }));
}

function runTurbo(turbo, args) {
  return new Promise((resolve) => {
    const child = spawn(turbo, args, { cwd: workspaceRoot, stdio: 'inherit' });
    child.on('error', () => resolve(127));
    child.on('close', (code) => resolve(code ?? 128));
  });
}

/**
 * Runs tasks that leave counts, in every package that has them; prints what failed, what was skipped, and the last line.
 * @param {readonly string[]} tasks
 * @param {number} concurrency how many at once
 * @param {readonly string[]} [turboArgs]
 */
export async function runSuites(tasks, concurrency, turboArgs = []) {
  const turbo = inWorkspace('node_modules/.bin/turbo');
  const suites = expectedSuites(turbo, tasks, turboArgs);
  for (const { file } of suites) rmSync(file, { force: true });
  const options = [`--concurrency=${concurrency}`, '--continue=dependencies-successful', '--output-logs=errors-only', '--ui=stream'];
  const exitCode = await runTurbo(turbo, ['run', ...tasks, ...options, ...turboArgs]);

  const total = addUp(suites, exitCode);
  say(`the slowest suites: ${slowest(suites).slice(0, SLOWEST_COUNT).join(', ')}`);
  for (const note of total.notes) say(`skipped: ${note}`);
  for (const failure of total.failures) say(`failed: ${failure}`);
  const line = summaryLine(total);
  mkdirSync(inWorkspace('target'), { recursive: true });
  writeFileSync(path.join(workspaceRoot, SUMMARY_FILE), `${line}\n`);
  process.stdout.write(`${line}\n`);
  process.exitCode = total.failed > 0 ? 1 : 0;
}

if (isMain(import.meta.url)) await runTool((argv) => runSuites(TASKS, CONCURRENCY, argv));
