#!/usr/bin/env node
/** An application's Playwright suite, run in the application's folder: node tools/suites/playwright.mjs [arguments]. */
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { inWorkspace, isMain } from '../workspace.mjs';
import { noCounts, report, runSuiteProgram, withFailure } from './suite.mjs';

/**
 * @param {any} json Playwright's JSON report; undefined if it wrote none
 * @param {number} exitCode
 * @returns {import('./suite.mjs').Counts}
 */
export function countPlaywright(json, exitCode) {
  let counts = noCounts();
  if (json === undefined) return withFailure(counts, `playwright: ended without a report (exit code ${exitCode})`);
  for (const { title, test } of testsOf(json.suites ?? [])) {
    // "flaky" failed first and passed when repeated: that is a failure here.
    if (test.status === 'expected') counts.passed++;
    else if (test.status === 'skipped') {
      counts.skipped++;
      counts.notes.push(`playwright: ${title} [${test.projectName}]`);
    } else counts = withFailure(counts, `playwright: ${title} [${test.projectName}]`);
  }
  for (const error of json.errors ?? []) counts = withFailure(counts, `playwright: ${error.message}`);
  if (counts.failed === 0 && exitCode !== 0) return withFailure(counts, `playwright: failed outside of a test (exit code ${exitCode})`);
  if (counts.passed + counts.failed + counts.skipped === 0) return withFailure(counts, 'playwright: reported no tests');
  return counts;
}

function* testsOf(suites) {
  for (const suite of suites) {
    for (const spec of suite.specs ?? []) for (const test of spec.tests) yield { title: `${suite.title}: ${spec.title}`, test };
    yield* testsOf(suite.suites ?? []);
  }
}

if (isMain(import.meta.url)) {
  const jsonFile = path.resolve('.results/playwright.raw.json');
  mkdirSync(path.dirname(jsonFile), { recursive: true });
  rmSync(jsonFile, { force: true });
  const args = ['test', '--reporter=list,json', ...process.argv.slice(2)];
  const env = { PLAYWRIGHT_JSON_OUTPUT_FILE: jsonFile };
  const { exitCode } = await runSuiteProgram(inWorkspace('node_modules/.bin/playwright'), args, { env });
  let json;
  try {
    json = JSON.parse(readFileSync(jsonFile, 'utf8'));
  } catch {
    json = undefined;
  }
  report(countPlaywright(json, exitCode));
}
