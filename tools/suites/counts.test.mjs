/** The suites' counting: what a runner prints or writes, and what is made of it. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { addUp, summaryLine } from '../test.mjs';
import { countCargoTests, runsOf } from './cargo.mjs';
import { countTap } from './node-test.mjs';
import { countPlaywright } from './playwright.mjs';
import { noCounts, report, runSuiteProgram, withFailure } from './suite.mjs';
import { countVitest } from './vitest.mjs';

const counted = ({ passed, failed, skipped }) => ({ passed, failed, skipped });

const CARGO_OUTPUT = `
running 3 tests
test mutex::excludes ... ok
test mutex::poisons ... FAILED
test mutex::forever ... ignored, runs for an hour

test result: FAILED. 1 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s

   Doc-tests heddle_atomics

running 2 tests
test src/lib.rs - (line 3) ... ok
test src/lib.rs - (line 9) ... ok

test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.10s
`;

test('cargo: every binary and the doctests are added up, failures and reasons named', () => {
  const counts = countCargoTests('heddle-atomics', CARGO_OUTPUT, 101);
  assert.deepEqual(counted(counts), { passed: 3, failed: 1, skipped: 1 });
  assert.deepEqual(counts.failures, ['heddle-atomics: mutex::poisons']);
  assert.deepEqual(counts.notes, ['heddle-atomics: mutex::forever: runs for an hour']);
});

test('a crate is run as it is, for a model checker, or for both in turn', () => {
  const argsOf = (...args) => runsOf(args).map((run) => [run.env.RUSTFLAGS, ...run.args].join(' '));
  assert.deepEqual(argsOf(), ['']);
  assert.deepEqual(argsOf('--loom', '--test', 'loom'), ['--cfg loom --release --lib --test loom']);
  assert.deepEqual(argsOf('--test', 'fuzz', '--shuttle', '--test', 'shuttle'), [' --test fuzz', '--cfg shuttle --release --test shuttle']);
});

test('cargo: a binary that crashed after announcing its tests is a failure', () => {
  const output = 'running 3 tests\nerror: test failed\nrunning 1 test\ntest result: ok. 1 passed; 0 failed; 0 ignored;\n';
  assert.deepEqual(counted(countCargoTests('x', output, 101)), { passed: 1, failed: 1, skipped: 0 });
});

test('cargo: code that does not compile is a failure, and so is silence', () => {
  assert.deepEqual(counted(countCargoTests('x', 'error: could not compile', 101)), { passed: 0, failed: 1, skipped: 0 });
  assert.deepEqual(counted(countCargoTests('x', '', 0)), { passed: 0, failed: 1, skipped: 0 });
});

const vitestFile = (status, ...tests) => ({
  name: '/x/a.test.ts',
  status,
  assertionResults: tests.map((state) => ({ status: state, fullName: state })),
});

test('Vitest: passed, failed and skipped tests are told apart', () => {
  const json = { testResults: [vitestFile('failed', 'passed', 'failed', 'skipped', 'todo'), vitestFile('passed', 'passed')] };
  assert.deepEqual(counted(countVitest('a:node', json, 1)), { passed: 2, failed: 1, skipped: 2 });
});

test('Vitest: a failure is named with the first line of its reason', () => {
  const file = vitestFile('failed', 'failed');
  file.assertionResults[0].failureMessages = [`\u001B[31mAssertionError\u001B[39m: expected 1 to be ${'9'.repeat(300)}\n    at line 3`];
  const [failure] = countVitest('a:node', { testResults: [file] }, 1).failures;
  assert.match(failure, /a\.test\.ts: failed \(AssertionError: expected 1 to be 9+\)$/u);
  assert.ok(failure.length < 300);
});

test('Vitest: a file that could not be run, or holds no test, is a failure', () => {
  assert.deepEqual(counted(countVitest('a:node', { testResults: [vitestFile('failed')] }, 1)), { passed: 0, failed: 1, skipped: 0 });
  assert.deepEqual(counted(countVitest('a:node', { testResults: [vitestFile('passed')] }, 0)), { passed: 0, failed: 1, skipped: 0 });
  const brokenHook = { testResults: [vitestFile('failed', 'passed')] };
  assert.deepEqual(counted(countVitest('a:node', brokenHook, 1)), { passed: 1, failed: 1, skipped: 0 });
});

test('Vitest: no report, an error outside of tests, and no tests at all are failures', () => {
  assert.equal(countVitest('a:node', undefined, 139).failed, 1);
  assert.equal(countVitest('a:node', { testResults: [vitestFile('passed', 'passed')] }, 1).failed, 1);
  assert.equal(countVitest('a:node', { testResults: [] }, 0).failed, 1);
});

const spec = (status) => ({ title: status, tests: [{ status, projectName: 'chromium' }] });

test('Playwright: nested suites are added up, and a test that passed only when repeated has failed', () => {
  const json = {
    suites: [
      { title: 'a', specs: [spec('expected')], suites: [{ title: 'b', specs: [spec('flaky'), spec('skipped'), spec('unexpected')] }] },
    ],
  };
  assert.deepEqual(counted(countPlaywright(json, 1)), { passed: 1, failed: 2, skipped: 1 });
  assert.equal(countPlaywright(undefined, 1).failed, 1);
  assert.equal(countPlaywright({ suites: [] }, 0).failed, 1);
  assert.equal(countPlaywright({ suites: [], errors: [{ message: 'no server' }] }, 1).failed, 1);
});

test('TAP: the totals count, and a run without totals has failed', () => {
  assert.deepEqual(counted(countTap('ok 1 - a\nnot ok 2 - b\n# pass 1\n# fail 1\n# cancelled 0\n# skipped 0\n# todo 0\n', 1)), {
    passed: 1,
    failed: 1,
    skipped: 0,
  });
  assert.equal(countTap('', 1).failed, 1);
  assert.equal(countTap('# pass 0\n# fail 0\n', 0).failed, 1);
});

test('a program that dies by a signal, hangs or does not exist has an exit code', async () => {
  const node = process.execPath;
  assert.notEqual((await runSuiteProgram(node, ['-e', 'process.kill(process.pid, "SIGKILL")'])).exitCode, 0);
  assert.notEqual((await runSuiteProgram(node, ['-e', 'setInterval(() => {}, 1000)'], { timeoutMs: 300 })).exitCode, 0);
  assert.notEqual((await runSuiteProgram('/no/such/program', [])).exitCode, 0);
  const { exitCode, output } = await runSuiteProgram(node, ['-e', 'console.log("both"); console.error("streams")']);
  assert.equal(exitCode, 0);
  assert.match(output, /both/);
  assert.match(output, /streams/);
});

test('the sum: every suite counts; one that left nothing, or counted nothing, has failed', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'heddle-sum-'));
  const exitCodeBefore = process.exitCode;
  try {
    report({ ...noCounts(), passed: 3, skipped: 1, notes: ['why'] }, { folder, task: 'test:node' });
    report({ ...noCounts() }, { folder, task: 'test:empty' });
    report(withFailure({ ...noCounts(), passed: 2 }, 'broken'), { folder, task: 'test:cargo' });
    assert.equal(process.exitCode, 1);
    const suite = (task) => ({ name: task, file: path.join(folder, '.results', `${task.replace(':', '-')}.json`) });
    assert.equal(JSON.parse(readFileSync(suite('test:cargo').file, 'utf8')).failed, 1);

    const all = addUp([suite('test:node'), suite('test:cargo'), suite('test:empty'), suite('test:crashed')], 1);
    assert.equal(summaryLine(all), '5 passed, 3 failed, 1 skipped');
    assert.deepEqual(all.failures, ['broken', 'test:empty: counted nothing', 'test:crashed: reported nothing']);

    assert.equal(summaryLine(addUp([suite('test:node')], 0)), '3 passed, 0 failed, 1 skipped');
    assert.equal(addUp([suite('test:node')], 1).failed, 1, 'a failed task that is no suite');
    assert.equal(addUp([], 0).failed, 1, 'no suites at all');
    writeFileSync(suite('test:node').file, '{"passed":');
    assert.equal(addUp([suite('test:node')], 0).failed, 1, 'a result cut short');
  } finally {
    process.exitCode = exitCodeBefore;
    rmSync(folder, { recursive: true });
  }
});
