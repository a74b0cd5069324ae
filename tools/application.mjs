/** Starts an application of the workspace: what it needs is built first, then it runs with its output and its interrupts. */
import { spawn } from 'node:child_process';
import { inWorkspace, run } from './workspace.mjs';

/**
 * Builds everything that packages' scripts need by the task graph.
 * @param {...string} tasks of turbo.json, as `@heddle/demo#wasm`
 */
export function buildFor(...tasks) {
  run(inWorkspace('node_modules/.bin/turbo'), ['run', ...tasks, '--ui=stream', '--output-logs=errors-only', '--log-prefix=none']);
}

/**
 * Runs a program in the foreground until it ends or the person interrupts it.
 * @param {string} program
 * @param {readonly string[]} args
 * @param {{cwd: string}} options
 * @returns {Promise<number>} its exit code
 */
export function runInForeground(program, args, { cwd }) {
  return new Promise((resolve) => {
    const child = spawn(program, args, { cwd, stdio: 'inherit' });
    const forward = (signal) => child.kill(signal);
    process.on('SIGINT', forward);
    process.on('SIGTERM', forward);
    child.on('error', () => resolve(127));
    child.on('close', (code, signal) => {
      process.off('SIGINT', forward);
      process.off('SIGTERM', forward);
      resolve(code ?? (signal === 'SIGINT' ? 130 : 1));
    });
  });
}
