/**
 * The examples of a README.
 *
 * A code block whose first line is `// name.ext` is a file that lies beside the examples under that name. Any other block has
 * imports and is an example: a program of its own, which prints what its `// => …` comments say, in their order.
 */

/** A program in a README. */
export interface Example {
  readonly code: string;
  /** The lines that it prints. */
  readonly expected: readonly string[];
}

/** What a README has to run. */
export interface Readme {
  readonly examples: readonly Example[];
  /** What lies beside them, by name. */
  readonly files: Readonly<Record<string, string>>;
}

const BLOCK = /^```(?:ts|js)\n(.*?)^```$/gms;
const FILE_NAME = /^\/\/ ([\w./-]+\.\w+)\n/;
const IMPORT = /^import\b/m;
const EXPECTATION = /\/\/ => (.*)$/gm;

/**
 * Reads a README.
 *
 * @throws Error where a block is neither a file nor an example, or an example says nothing of what it prints: it would prove nothing.
 */
export function parseReadme(markdown: string): Readme {
  const examples: Example[] = [];
  const files: Record<string, string> = {};
  for (const [, code = ''] of markdown.matchAll(BLOCK)) {
    const name = FILE_NAME.exec(code)?.[1];
    if (name !== undefined) files[name] = code;
    else if (IMPORT.test(code)) examples.push(readExample(code));
    else throw new Error(`a block is neither a file nor a program with imports:\n${code}`);
  }
  if (examples.length === 0) throw new Error('there is no example');
  return { examples, files };
}

function readExample(code: string): Example {
  const expected = Array.from(code.matchAll(EXPECTATION), ([, line = '']) => line);
  if (expected.length === 0) throw new Error(`an example doesn't say what it prints:\n${code}`);
  return { code, expected };
}
