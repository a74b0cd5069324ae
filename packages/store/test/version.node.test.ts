import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { VERSION } from '../src/internal/version.ts';

test('the version that tabs compare is the package’s', async () => {
  const json = JSON.parse(await readFile(new URL('../package.json', import.meta.url), 'utf8')) as { version: string };
  expect(VERSION).toBe(json.version);
});
