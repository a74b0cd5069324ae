#!/usr/bin/env node
/**
 * The layering of crates: a crate may depend only on crates of a lower level. Levels are the tags in crates/<noun>/turbo.json,
 * of which `turbo boundaries` knows nothing for Cargo.toml. Also: what Cargo.toml says, the crate's package.json says, so that
 * the task graph is that of cargo; and a package whose tests open a crate's Wasm depends on that crate, so that they run after its build.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { inWorkspace, isMain, query, runTool, say, ToolError } from './workspace.mjs';

/**
 * @typedef {object} Crate
 * @property {string} name
 * @property {number | undefined} level undefined: no level is given
 * @property {readonly string[]} dependencies names of workspace crates, of all kinds
 * @property {readonly string[]} packageDependencies the same, as package.json has them
 * @property {readonly string[]} [modules] what it is built as for Wasm: its own name and those of its examples
 *
 * @typedef {object} WasmUser
 * @property {string} name of a package
 * @property {readonly string[]} modules that its tests open
 * @property {readonly string[]} dependencies of all kinds
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

/**
 * Only what a package names itself counts: that something else brings the crate can change.
 * @param {readonly Crate[]} crates
 * @param {readonly WasmUser[]} users
 * @returns {string[]} a sentence for each violation
 */
export function findUndeclaredWasm(crates, users) {
  const crateOf = new Map(crates.flatMap(({ name, modules = [] }) => modules.map((module) => [module, name])));
  return users.flatMap(({ name, modules, dependencies }) =>
    modules
      .filter((module) => !dependencies.includes(crateOf.get(module)))
      .map((module) => `${name} opens ${module}, but doesn't depend on ${crateOf.get(module) ?? 'a crate that has it'}.`),
  );
}

/** @returns {WasmUser[]} */
function readWasmUsers() {
  return readdirSync(inWorkspace('packages')).map((noun) => {
    const folder = inWorkspace('packages', noun);
    const manifest = JSON.parse(readFileSync(path.join(folder, 'package.json'), 'utf8'));
    const tests = path.join(folder, 'test');
    const files = existsSync(tests) ? readdirSync(tests, { recursive: true }).filter((file) => file.endsWith('.ts')) : [];
    const opened = files.flatMap((file) => [
      ...readFileSync(path.join(tests, file), 'utf8').matchAll(/target\/wasm\/bindgen\/([\w-]+)\//gu),
    ]);
    return {
      name: manifest.name,
      modules: [...new Set(opened.map(([, module]) => module))],
      dependencies: Object.keys({ ...manifest.dependencies, ...manifest.devDependencies }),
    };
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
      modules: [entry.name, ...entry.targets.filter(({ kind }) => kind.includes('example')).map((target) => target.name)],
    };
  });
}

if (isMain(import.meta.url)) {
  await runTool(async () => {
    const crates = readCrates();
    const violations = [...findLayerViolations(crates), ...findUndeclaredWasm(crates, readWasmUsers())];
    for (const violation of violations) say(violation);
    if (violations.length > 0) throw new ToolError(`${violations.length} violations of the crates' layering.`);
  });
}
