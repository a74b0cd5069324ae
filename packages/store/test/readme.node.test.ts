/** The examples of the README run as they stand: what they print is what their `// =>` comments say. */
import { execFileSync } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
const examples = [...readme.matchAll(/```ts\n(.*?)```/gs)].map(([, code]) => code ?? '');

test('there are examples', () => {
  expect(examples.length).toBe(2);
});

test.each(examples.map((code, index) => [index + 1, code] as const))(
  'example %i',
  (index, code) => {
    // Beside the package, so that its name resolves.
    const path = fileURLToPath(new URL(`./readme-example-${index}.ts`, import.meta.url));
    writeFileSync(path, code);
    try {
      const output = execFileSync(process.execPath, ['--conditions=@heddle/source', '--disable-warning=ExperimentalWarning', path], {
        encoding: 'utf8',
        timeout: 30_000,
      });
      expect(output.trimEnd().split('\n')).toEqual([...code.matchAll(/\/\/ => (.*)/g)].map(([, expected]) => expected));
    } finally {
      rmSync(path);
    }
  },
  60_000,
);
