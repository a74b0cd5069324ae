#!/usr/bin/env node
/**
 * A crate's native tests and doctests: node tools/suites/cargo.mjs <crate> [--loom] [arguments of cargo test].
 * With --loom the crate is built for the model checker, apart from the other builds.
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

if (isMain(import.meta.url)) {
  const [crate, ...args] = process.argv.slice(2);
  const loom = args[0] === '--loom';
  const cargoArgs = ['test', '--package', crate, '--no-fail-fast', ...(loom ? ['--release', '--lib', ...args.slice(1)] : args)];
  const env = loom ? { RUSTFLAGS: '--cfg loom', CARGO_TARGET_DIR: inWorkspace('target/loom') } : {};
  const { exitCode, output } = await runSuiteProgram('cargo', cargoArgs, { env });
  report(countCargoTests(crate, output, exitCode));
}
