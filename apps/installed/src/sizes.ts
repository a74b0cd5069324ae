/**
 * What the packages cost a page: prints their sizes and holds them to `sizes.json`.
 *
 *     npm run sizes                fails if one is more than a tenth above its budget
 *     npm run sizes -- --update    makes today's sizes the budgets
 *
 * Each is minified and compressed with gzip, with all that it imports: an entry as a whole, what a README's examples import of it
 * (which tells whether bundlers can leave the rest out), and the scripts of workers, which a page loads only when they start.
 */
import { readFile, readdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { build, type BuildOptions } from 'esbuild';
import { workspace } from './project.ts';
import { parseReadme } from './readme.ts';

const BUDGETS = new URL('../sizes.json', import.meta.url);
/** A size may exceed its budget by this factor before the check fails. */
const TOLERANCE = 1.1;

/** A size in bytes. */
export interface Size {
  readonly minified: number;
  readonly gzip: number;
}

async function sizeOf(entry: Pick<BuildOptions, 'entryPoints' | 'stdin'>): Promise<Size> {
  const { outputFiles } = await build({
    ...entry,
    absWorkingDir: workspace,
    bundle: true,
    minify: true,
    write: false,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    conditions: ['@heddle/source'],
    logLevel: 'error',
  });
  const code = outputFiles[0]?.contents ?? new Uint8Array();
  return { minified: code.length, gzip: gzipSync(code, { level: 9 }).length };
}

/** A program of one line, which lies in a package's folder. */
function sizeOfCode(code: string, folder: string): Promise<Size> {
  return sizeOf({ stdin: { contents: code, resolveDir: folder, loader: 'ts' } });
}

const IMPORTS = /^import \{([^}]*)\} from '(@heddle\/[\w/-]+)';$/gm;
const WORKERS = /new Worker\(new URL\('([^']+)\.js', import\.meta\.url\)/g;

/** All sizes of a package, by name. */
async function measure(folder: string): Promise<Record<string, Size>> {
  const manifest = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8')) as {
    readonly name: string;
    readonly exports: Readonly<Record<string, { readonly '@heddle/source': string }>>;
  };
  const sizes: Record<string, Size> = {};
  for (const [path, { '@heddle/source': source }] of Object.entries(manifest.exports)) {
    // What the packages of this family have for each other comes with what uses it.
    if (path !== './internal') sizes[join(manifest.name, path)] = await sizeOf({ entryPoints: [join(folder, source)] });
  }
  const { examples } = parseReadme(await readFile(join(folder, 'README.md'), 'utf8'));
  for (const [index, { code }] of examples.entries()) {
    const imported = Array.from(code.matchAll(IMPORTS), ([, names = '', from]) => {
      const values = names.split(',').filter((name) => !/^\s*type\b/.test(name));
      return `export {${values.join(',')}} from '${from}';`;
    });
    sizes[`${manifest.name}, example ${index + 1} of its README`] = await sizeOfCode(imported.join('\n'), folder);
  }
  const sources = await readdir(join(folder, 'src'), { recursive: true });
  for (const file of sources.filter((name) => name.endsWith('.ts')).toSorted()) {
    const source = join(folder, 'src', file);
    for (const [, script = ''] of (await readFile(source, 'utf8')).matchAll(WORKERS)) {
      const worker = join(dirname(source), `${script}.ts`);
      sizes[`${manifest.name}, ${script.replace(/^.*\//, '')}.js`] = await sizeOf({ entryPoints: [worker] });
    }
  }
  return sizes;
}

/** What is wrong with sizes, in words; budgets are for what gzip makes of it. */
export function compare(sizes: Readonly<Record<string, Size>>, budgets: Readonly<Record<string, number>>): string[] {
  const names = [...new Set([...Object.keys(sizes), ...Object.keys(budgets)])];
  return names.flatMap((name) => {
    const size = sizes[name]?.gzip;
    const budget = budgets[name];
    if (size === undefined) return [`${name}: has a budget, but is not there any more`];
    if (budget === undefined) return [`${name}: has no budget`];
    return size > budget * TOLERANCE ? [`${name}: ${size} bytes, where the budget is ${budget}`] : [];
  });
}

async function main(): Promise<void> {
  const names = await readdir(join(workspace, 'packages'));
  const sizes: Record<string, Size> = {};
  for (const name of names.toSorted()) Object.assign(sizes, await measure(join(workspace, 'packages', name)));
  console.log('minified     gzip');
  for (const [name, { minified, gzip }] of Object.entries(sizes)) console.log(`${minified}`.padStart(8), `${gzip}`.padStart(8), name);

  if (process.argv.includes('--update')) {
    const budgets = Object.fromEntries(Object.entries(sizes).map(([name, { gzip }]) => [name, gzip]));
    await writeFile(BUDGETS, `${JSON.stringify(budgets, undefined, 2)}\n`);
    return;
  }
  const problems = compare(sizes, JSON.parse(await readFile(BUDGETS, 'utf8')) as Record<string, number>);
  for (const problem of problems) console.error(problem);
  if (problems.length > 0) console.error('"npm run sizes -- --update" makes these sizes the budgets.');
  process.exitCode = problems.length > 0 ? 1 : 0;
}

if (import.meta.main) await main();
