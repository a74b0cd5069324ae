/**
 * One suite: a task of the graph that runs tests or a check and leaves its counts in .results/<task>.json of its package.
 * The file is an output of the task, so a suite that comes from the cache still contributes its counts; tools/test.mjs adds them up.
 */
import { spawn } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { say } from '../workspace.mjs';

/** A suite that is still running after this has hung. */
const SUITE_TIMEOUT_MS = 50 * 60_000;

/**
 * @typedef {object} Counts
 * @property {number} passed
 * @property {number} failed
 * @property {number} skipped
 * @property {string[]} failures the names of what failed
 * @property {string[]} notes why something was skipped
 */

/** @returns {Counts} */
export const noCounts = () => ({ passed: 0, failed: 0, skipped: 0, failures: [], notes: [] });

/** Where a task of the graph leaves its counts. */
export const resultFile = (packageFolder, task) => path.join(packageFolder, '.results', `${task.replaceAll(':', '-')}.json`);

/** A result that names one failure on top of what was counted. */
export function withFailure(counts, name) {
  return { ...counts, failed: counts.failed + 1, failures: [...counts.failures, name] };
}

/**
 * Runs a suite's program; its output is shown and returned.
 * @param {string} program
 * @param {readonly string[]} args
 * @param {{cwd?: string, env?: NodeJS.ProcessEnv, timeoutMs?: number}} [options]
 * @returns {Promise<{exitCode: number, output: string}>} a program that was killed or can't be started has an exit code too
 */
export function runSuiteProgram(program, args, options = {}) {
  return new Promise((resolve) => {
    const child = spawn(program, args, {
      cwd: options.cwd,
      env: { ...process.env, ...options.env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const timer = setTimeout(() => child.kill('SIGKILL'), options.timeoutMs ?? SUITE_TIMEOUT_MS);
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8');
      stream.on('data', (text) => {
        output += text;
        process.stderr.write(text);
      });
    }
    child.on('error', (error) => {
      clearTimeout(timer);
      resolve({ exitCode: 127, output: `${output}\n${error.message}` });
    });
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      if (signal) say(`${program} was ended by ${signal}`);
      resolve({ exitCode: code ?? 128, output });
    });
  });
}

/**
 * Leaves the counts for the task that is running, with how many seconds it took, and fails it if anything failed.
 * @param {Counts} counts
 * @param {{folder?: string, task?: string}} [options] default: the package and the script that pnpm runs
 */
export function report(counts, { folder = process.cwd(), task = process.env.npm_lifecycle_event ?? 'suite' } = {}) {
  const file = resultFile(folder, task);
  mkdirSync(path.dirname(file), { recursive: true });
  rmSync(file, { force: true });
  writeFileSync(file, `${JSON.stringify({ ...counts, seconds: Math.round(process.uptime()) })}\n`);
  for (const failure of counts.failures) say(`failed: ${failure}`);
  process.exitCode = counts.failed > 0 ? 1 : 0;
}
