import { expect, test } from 'vitest';
import { parseReadme } from '../src/readme.ts';

const block = (language: string, ...lines: string[]): string => `text\n\n\`\`\`${language}\n${lines.join('\n')}\n\`\`\`\n`;

test('programs are told apart from files and other languages, and say what they print', () => {
  const program = ["import { a } from 'a';", 'console.log(a); // => 1', "console.log('b'); // a remark", 'c(); // => [ 2 ]'];
  const file = ['// pkg/sum.js', "import { b } from 'b';", 'export default b;'];
  expect(parseReadme(block('ts', ...program) + block('js', ...file) + block('rust', 'fn main() {}'))).toEqual({
    examples: [{ code: `${program.join('\n')}\n`, expected: ['1', '[ 2 ]'] }],
    files: { 'pkg/sum.js': `${file.join('\n')}\n` },
  });
});

test.each([
  ['nothing to run', block('sh', 'npm install'), 'there is no example'],
  ['a program that says nothing of what it prints', block('ts', "import 'a';"), "doesn't say what it prints"],
  ['a block that is neither file nor program', block('ts', 'const a = 1; // => 1'), 'neither a file nor a program'],
])('%s proves nothing, and is refused', (_name, markdown, message) => {
  expect(() => parseReadme(markdown)).toThrow(message);
});
