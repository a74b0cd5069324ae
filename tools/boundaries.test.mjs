/** The rules of turbo.json against a small workspace that keeps them, and against each way to break them. */
import assert from 'node:assert/strict';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { checkBoundaries } from './boundaries.mjs';
import { inWorkspace, run } from './workspace.mjs';

/** Makes a workspace of packages under this repository's own rules and checks it. */
function check(packages) {
  const root = mkdtempSync(path.join(tmpdir(), 'heddle-boundaries-'));
  const write = (file, text) => {
    mkdirSync(path.dirname(path.join(root, file)), { recursive: true });
    writeFileSync(path.join(root, file), typeof text === 'string' ? text : JSON.stringify(text));
  };
  try {
    const { boundaries } = JSON.parse(readFileSync(inWorkspace('turbo.json'), 'utf8'));
    const { packageManager } = JSON.parse(readFileSync(inWorkspace('package.json'), 'utf8'));
    write('turbo.json', { boundaries, tasks: {} });
    write('package.json', { name: 'root', packageManager });
    write('pnpm-workspace.yaml', 'packages: ["packages/*"]\n');
    cpSync(inWorkspace('.gitignore'), path.join(root, '.gitignore'));
    for (const { name, level, dependencies = [], source = '' } of packages) {
      const folder = `packages/${name}`;
      write(`${folder}/package.json`, { name, dependencies: Object.fromEntries(dependencies.map((other) => [other, 'workspace:*'])) });
      write(`${folder}/turbo.json`, { extends: ['//'], tags: [`level-${level}`] });
      write(`${folder}/src/index.ts`, source);
    }
    run('git', ['init', '--quiet'], { cwd: root });
    checkBoundaries(root);
  } finally {
    rmSync(root, { recursive: true });
  }
}

const below = { name: 'below', level: 0 };

test('a package may use what stands below it', () => {
  check([below, { name: 'above', level: 1, dependencies: ['below'], source: "import 'below';\n" }]);
});

test('a dependency upward or sideways is refused', () => {
  assert.throws(
    () =>
      check([
        { ...below, dependencies: ['above'] },
        { name: 'above', level: 1 },
      ]),
    { code: 'TOOL_FAILED' },
  );
  assert.throws(
    () =>
      check([
        { ...below, dependencies: ['beside'] },
        { name: 'beside', level: 0 },
      ]),
    { code: 'TOOL_FAILED' },
  );
});

test('an import that package.json does not declare is refused', () => {
  assert.throws(() => check([below, { name: 'above', level: 1, source: "import 'below';\n" }]), { code: 'TOOL_FAILED' });
});

test('an import of another package by its files is refused', () => {
  const source = "import '../../below/src/index.ts';\n";
  assert.throws(() => check([below, { name: 'above', level: 1, dependencies: ['below'], source }]), { code: 'TOOL_FAILED' });
});
