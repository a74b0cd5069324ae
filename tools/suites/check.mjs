#!/usr/bin/env node
/** A check is one test: node tools/suites/check.mjs <program> [arguments]. It passes if the program exits with 0. */
import { noCounts, report, runSuiteProgram, withFailure } from './suite.mjs';

const [program, ...args] = process.argv.slice(2);
const { exitCode } = await runSuiteProgram(program, args);
report(exitCode === 0 ? { ...noCounts(), passed: 1 } : withFailure(noCounts(), [program, ...args].join(' ')));
