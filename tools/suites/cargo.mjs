#!/usr/bin/env node
/**
 * A crate's native tests and doctests: node tools/suites/cargo.mjs <crate> [--loom|--shuttle] [arguments of cargo test].
 * With --loom or --shuttle the crate is built for that model checker, apart from the other builds; behind other arguments they begin another run.
 * The counts are those that libtest prints; a binary that announced tests and gave no result crashed.
 */
import { inWorkspace, isMain } from '../workspace.mjs';
import { noCounts, report, runSuiteProgram, withFailure } from './suite.mjs';

const RESULT = /^test result: \w+\. (\d+) passed; (\d+) failed; (\d+) ignored;/gm;
const ANNOUNCEMENT = /^running \d+ tests?$/gm;
const FAILURE = /^test (.+?) \.\.\. FAILED$/gm;
const IGNORED = /^test (.+?) \.\.\. ignored(?:, (.+))?$/gm;

/**
 * @param {string} crate for messages
 * @param {string} output of cargo test
 * @param {number} exitCode of cargo test
 * @returns {import('./suite.mjs').Counts}
 */
export function countCargoTests(crate, output, exitCode) {
  let counts = noCounts();
  const results = [...output.matchAll(RESULT)];
  for (const [, passed, failed, ignored] of results) {
    counts.passed += Number(passed);
    counts.failed += Number(failed);
    counts.skipped += Number(ignored);
  }
  counts.failures = Array.from(output.matchAll(FAILURE), ([, name]) => `${crate}: ${name}`);
  counts.notes = Array.from(output.matchAll(IGNORED), ([, name, reason]) => `${crate}: ${name}${reason ? `: ${reason}` : ''}`);
  const crashed = output.matchAll(ANNOUNCEMENT).toArray().length - results.length;
  for (let index = 0; index < crashed; index++) counts = withFailure(counts, `${crate}: a test binary ended before its result`);
  if (exitCode !== 0 && counts.failed === 0) counts = withFailure(counts, `${crate}: cargo test failed (exit code ${exitCode})`);
  if (exitCode === 0 && results.length === 0) counts = withFailure(counts, `${crate}: cargo test reported nothing`);
  return counts;
}

/** How a crate is built for a model checker. Its unit tests are for loom or for none. */
const CHECKERS = {
  '--loom': { args: ['--release', '--lib'], env: { RUSTFLAGS: '--cfg loom', CARGO_TARGET_DIR: inWorkspace('target/loom') } },
  '--shuttle': { args: ['--release'], env: { RUSTFLAGS: '--cfg shuttle', CARGO_TARGET_DIR: inWorkspace('target/shuttle') } },
};

/**
 * @param {readonly string[]} args behind the crate
 * @returns {{args: string[], env: NodeJS.ProcessEnv}[]} what each run gives to cargo test
 */
export function runsOf(args) {
  const runs = [{ args: [], env: {} }];
  for (const arg of args) {
    const checker = CHECKERS[arg];
    if (checker === undefined) runs.at(-1).args.push(arg);
    else runs.push({ args: [...checker.args], env: checker.env });
  }
  return runs.length > 1 && runs[0].args.length === 0 ? runs.slice(1) : runs;
}

if (isMain(import.meta.url)) {
  const [crate, ...args] = process.argv.slice(2);
  const total = noCounts();
  for (const run of runsOf(args)) {
    // oxlint-disable-next-line no-await-in-loop -- each run has the processors
    const { exitCode, output } = await runSuiteProgram('cargo', ['test', '--package', crate, '--no-fail-fast', ...run.args], {
      env: run.env,
    });
    const counts = countCargoTests(crate, output, exitCode);
    for (const key of ['passed', 'failed', 'skipped']) total[key] += counts[key];
    total.failures.push(...counts.failures);
    total.notes.push(...counts.notes);
  }
  report(total);
}
