/**
 * Deno and Bun, from the npm packages of these names. Their install scripts only put the program of this machine's kind into
 * place; it is there without them, in a package of its own that the others name as an optional dependency.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { findProgram, inWorkspace } from './workspace.mjs';

/** Where a package of one platform has the program. */
const PROGRAMS = { deno: 'deno', bun: 'bin/bun' };

/**
 * @param {'deno' | 'bun'} host
 * @returns {string | undefined} the program; undefined where there is none for this kind of machine
 */
export function findHost(host) {
  const root = createRequire(inWorkspace('package.json'));
  const manifest = root.resolve(`${host}/package.json`);
  const { optionalDependencies } = JSON.parse(readFileSync(manifest, 'utf8'));
  const programs = Object.keys(optionalDependencies).flatMap((name) => {
    try {
      return [path.join(path.dirname(createRequire(manifest).resolve(`${name}/package.json`)), PROGRAMS[host])];
    } catch {
      return []; // for another kind of machine: not installed
    }
  });
  return findProgram(programs);
}
