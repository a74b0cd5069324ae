#!/usr/bin/env node
/** What a package's users will get: packs the package in this folder, then two tests of the tarball: publint and attw. */
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { inWorkspace } from '../workspace.mjs';
import { noCounts, report, runSuiteProgram, withFailure } from './suite.mjs';

const folder = path.resolve('dist/.pack');
rmSync(folder, { recursive: true, force: true });
mkdirSync(folder, { recursive: true });

let counts = noCounts();
const name = path.basename(process.cwd());
const pack = await runSuiteProgram('pnpm', ['pack', '--pack-destination', folder]);
const tarball = readdirSync(folder).find((file) => file.endsWith('.tgz'));
if (pack.exitCode !== 0 || !tarball) counts = withFailure(counts, `${name}: pnpm pack`);
else {
  const file = path.join(folder, tarball);
  for (const [program, ...args] of [
    ['publint', file, '--strict'],
    ['attw', file, '--profile', 'esm-only'],
  ]) {
    const { exitCode } = await runSuiteProgram(inWorkspace('node_modules/.bin', program), args);
    if (exitCode === 0) counts.passed++;
    else counts = withFailure(counts, `${name}: ${program}`);
  }
}
report(counts);
