/** The crates' layering: what is allowed, and each way to break it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findLayerViolations, findUndeclaredWasm } from './layers.mjs';

const crate = (name, level, dependencies = [], packageDependencies = dependencies) => ({ name, level, dependencies, packageDependencies });

test('crates that depend on lower levels only have no violations', () => {
  assert.deepEqual(findLayerViolations([crate('a', 0), crate('b', 1, ['a']), crate('c', 2, ['a', 'b'])]), []);
});

test('a dependency upward or sideways is a violation', () => {
  assert.match(findLayerViolations([crate('a', 0, ['b']), crate('b', 1)])[0], /^a \(level 0\) depends on b \(level 1\)/);
  assert.match(findLayerViolations([crate('a', 1, ['b']), crate('b', 1)])[0], /doesn't stand below it/);
});

test('a crate without a level is a violation', () => {
  assert.match(findLayerViolations([crate('a', undefined)])[0], /has no tag/);
});

test('Cargo.toml and package.json must agree', () => {
  assert.match(findLayerViolations([crate('a', 0), crate('b', 1, ['a'], [])])[0], /not in package\.json/);
  assert.match(findLayerViolations([crate('a', 0), crate('b', 1, [], ['a'])])[0], /not in Cargo\.toml/);
});

test('a package that opens the Wasm of a crate depends on it', () => {
  const crates = [{ ...crate('heddle-a', 0), modules: ['heddle-a', 'a-testing'] }];
  const user = (dependencies, module = 'a-testing') => ({ name: 'a', modules: [module], dependencies });
  assert.deepEqual(findUndeclaredWasm(crates, [user(['heddle-a'])]), []);
  assert.match(findUndeclaredWasm(crates, [user([])])[0], /^a opens a-testing, but doesn't depend on heddle-a/);
  assert.match(findUndeclaredWasm(crates, [user(['heddle-a'], 'b-testing')])[0], /a crate that has it/);
});
