#!/usr/bin/env node
/**
 * The layering of crates: a crate may depend only on crates of a lower level. Levels are the tags in crates/<noun>/turbo.json,
 * of which `turbo boundaries` knows nothing for Cargo.toml. Also: what Cargo.toml says, the crate's package.json says, so that
 * the task graph is that of cargo.
 */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { isMain, query, runTool, say, ToolError } from './workspace.mjs';

/**
 * @typedef {object} Crate
 * @property {string} name
 * @property {number | undefined} level undefined: no level is given
 * @property {readonly string[]} dependencies names of workspace crates, of all kinds
 * @property {readonly string[]} packageDependencies the same, as package.json has them
 */

/**
 * @param {readonly Crate[]} crates
 * @returns {string[]} a sentence for each violation
 */
export function findLayerViolations(crates) {
  const levels = new Map(crates.map((crate) => [crate.name, crate.level]));
  return crates.flatMap((crate) => {
    if (crate.level === undefined) return [`${crate.name} has no tag crate-level-N in its turbo.json.`];
    const upward = crate.dependencies
      .filter((name) => levels.has(name) && !(levels.get(name) < crate.level))
      .map((name) => `${crate.name} (level ${crate.level}) depends on ${name} (level ${levels.get(name)}), which doesn't stand below it.`);
    const undeclared = crate.dependencies
      .filter((name) => levels.has(name) && !crate.packageDependencies.includes(name))
      .map((name) => `${crate.name} depends on ${name} in Cargo.toml, but not in package.json.`);
    const unused = crate.packageDependencies
      .filter((name) => !crate.dependencies.includes(name))
      .map((name) => `${crate.name} depends on ${name} in package.json, but not in Cargo.toml.`);
    return [...upward, ...undeclared, ...unused];
  });
}

/** @returns {Crate[]} */
function readCrates() {
  const metadata = query('cargo', ['metadata', '--no-deps', '--format-version', '1']);
  if (metadata === undefined) throw new ToolError('cargo metadata failed: is Cargo.toml sound?');
  return JSON.parse(metadata).packages.map((entry) => {
    const folder = path.dirname(entry.manifest_path);
    const tags = JSON.parse(readFileSync(path.join(folder, 'turbo.json'), 'utf8')).tags ?? [];
    const level = /^crate-level-(\d+)$/.exec(tags.find((tag) => tag.startsWith('crate-level-')) ?? '')?.[1];
    const manifest = JSON.parse(readFileSync(path.join(folder, 'package.json'), 'utf8'));
    return {
      name: entry.name,
      level: level === undefined ? undefined : Number(level),
      // A crate that names itself turns its own features on for its tests.
      dependencies: [
        ...new Set(
          entry.dependencies.filter((dependency) => dependency.path && dependency.name !== entry.name).map((dependency) => dependency.name),
        ),
      ],
      packageDependencies: Object.keys({ ...manifest.dependencies, ...manifest.devDependencies }).filter((name) =>
        name.startsWith('heddle-'),
      ),
    };
  });
}

if (isMain(import.meta.url)) {
  await runTool(async () => {
    const violations = findLayerViolations(readCrates());
    for (const violation of violations) say(violation);
    if (violations.length > 0) throw new ToolError(`${violations.length} violations of the crates' layering.`);
  });
}
