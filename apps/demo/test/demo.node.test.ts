/** The whole demo on few rows: through the real store, against the real node:sqlite. */
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { runCommand } from '../src/cli.ts';
import type { DemoHooks } from '../src/demo.ts';
import { QUERIES } from '../src/queries.ts';

interface Ran {
  readonly code: number;
  readonly lines: readonly Record<string, unknown>[];
  readonly stderr: string;
}

async function run(args: readonly string[], hooks: DemoHooks = {}): Promise<Ran> {
  let stdout = '';
  let stderr = '';
  const code = await runCommand(
    [...args, '--json'],
    {
      stdout: { write: (text: string | Uint8Array) => ((stdout += String(text)), true) },
      stderr: { isTTY: false, write: (text: string | Uint8Array) => ((stderr += String(text)), true) },
    },
    hooks,
  );
  const lines = stdout.split('\n').filter((line) => line !== '');
  return { code, lines: lines.map((line) => JSON.parse(line) as Record<string, unknown>), stderr };
}

test('every answer equals node:sqlite’s, and every query has its figures', async () => {
  const { code, lines, stderr } = await run(['--rows', '5000', '--threads', '1,2', '--rounds', '1', '--check-removed']);
  expect(stderr).not.toContain('MISMATCH');
  expect(code).toBe(0);
  const verdict = lines.at(-1);
  expect(verdict).toEqual({ demo: 'verified', queries: QUERIES.length, executions: expect.any(Number), mismatches: 0 });
  expect(verdict?.['executions']).toBeGreaterThanOrEqual(QUERIES.length * 24 * 2);
  for (const { name } of QUERIES) {
    expect(lines).toContainEqual(
      expect.objectContaining({ bench: 'demo', host: 'node', subject: 'heddle', case: `${name}-1`, metric: 'wall', unit: 'ms' }),
    );
    expect(lines).toContainEqual(expect.objectContaining({ bench: 'demo', subject: 'heddle', case: `${name}-2`, metric: 'wall' }));
    expect(lines).toContainEqual(expect.objectContaining({ bench: 'demo', subject: 'node:sqlite', case: `${name}-1`, metric: 'wall' }));
  }
});

test('one changed value among all rows is found, and the exit code says so', async () => {
  const { code, lines, stderr } = await run(['--rows', '2000', '--threads', '1', '--rounds', '1'], {
    afterFill: (reference) => void reference.run({ sql: 'UPDATE flights SET delay = delay + 1 WHERE id = 1234', params: [] }),
  });
  expect(code).toBe(1);
  expect(lines.at(-1)).toMatchObject({ demo: 'failed' });
  expect(lines.at(-1)?.['mismatches']).toBeGreaterThan(0);
  expect(stderr).toMatch(/MISMATCH full-scan, execution 1 on 1 thread: row 1 of 1, column delay/);
});

test('--keep leaves the databases in the directory', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'heddle-demo-test-'));
  try {
    const { code } = await run(['--rows', '1000', '--threads', '1', '--rounds', '1', '--directory', directory, '--keep']);
    expect(code).toBe(0);
    expect(existsSync(join(directory, 'heddle'))).toBe(true);
    expect(existsSync(join(directory, 'reference.sqlite'))).toBe(true);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
});

test('a directory that is not empty is refused and left alone', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'heddle-demo-test-'));
  try {
    await writeFile(join(directory, 'mine'), 'x');
    const { code, stderr } = await run(['--rows', '1000', '--directory', directory]);
    expect(code).toBe(2);
    expect(stderr).toContain('is not empty');
    expect(existsSync(join(directory, 'mine'))).toBe(true);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
});

test('more rows than the file has are refused', async () => {
  const { code, stderr } = await run(['--rows', '3000001']);
  expect(code).toBe(2);
  expect(stderr).toContain('the file has 3000000 flights');
});
