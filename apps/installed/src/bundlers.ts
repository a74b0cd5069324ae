/**
 * The application of a README's examples, built by other bundlers than Vite, or by none.
 *
 * webpack finds workers and files by the expressions that name them, as Vite does. esbuild and Rollup leave those expressions
 * alone, so their users say the same with two settings: workers are further entry points, and files are copied beside the bundle.
 */
import { copyFile, cp, mkdir, readFile, readdir } from 'node:fs/promises';
import { stripTypeScriptTypes } from 'node:module';
import { dirname, join } from 'node:path';
import { nodeResolve } from '@rollup/plugin-node-resolve';
import esbuild from 'esbuild';
import { rollup } from 'rollup';
import webpack from 'webpack';
import type { Project } from './project.ts';
import { pageOf } from './vite.ts';

/** An application to bundle. */
export interface Application {
  readonly app: Project;
  /** Files that its examples name by `new URL(…, import.meta.url)`. */
  readonly files: readonly string[];
}

/** Builds an application into a folder of its project. */
export type Bundle = (application: Application, folder: string) => Promise<void>;

/** The bundlers, by name. */
export const bundlers: Readonly<Record<'webpack' | 'esbuild' | 'rollup' | 'nothing', Bundle>> = {
  webpack: bundleWithWebpack,
  esbuild: bundleWithEsbuild,
  rollup: bundleWithRollup,
  nothing: copyAsItIs,
};

async function bundleWithWebpack({ app }: Application, folder: string): Promise<void> {
  await writeJavaScript(app);
  const stats = await new Promise<webpack.Stats | undefined>((resolve, reject) => {
    webpack(
      {
        context: app.folder,
        mode: 'production',
        entry: './main.js',
        output: { path: join(app.folder, folder), module: true, filename: 'main.js' },
        experiments: { outputModule: true },
        // A module of 300 KB is meant to be there.
        performance: false,
      },
      (error, stats) => (error === null ? resolve(stats) : reject(error)),
    );
  });
  if (stats?.hasErrors() || stats?.hasWarnings()) throw new Error(stats.toString({ colors: false }));
  await app.write(join(folder, 'index.html'), pageOf('main.js'));
}

async function bundleWithEsbuild({ app, files }: Application, folder: string): Promise<void> {
  const { warnings } = await esbuild.build({
    absWorkingDir: app.folder,
    entryPoints: { main: 'main.ts', ...(await workersOf(app)) },
    outdir: folder,
    bundle: true,
    format: 'esm',
    target: 'es2022',
    logLevel: 'silent',
  });
  if (warnings.length > 0) throw new Error(JSON.stringify(warnings));
  await copyBeside(app, files, folder);
}

async function bundleWithRollup({ app, files }: Application, folder: string): Promise<void> {
  await writeJavaScript(app);
  const workers = Object.entries(await workersOf(app)).map(([name, file]) => [name, join(app.folder, file)]);
  const build = await rollup({
    input: { main: join(app.folder, 'main.js'), ...(Object.fromEntries(workers) as Record<string, string>) },
    plugins: [nodeResolve({ browser: true })],
    onwarn(warning) {
      throw new Error(warning.message);
    },
  });
  await build.write({ dir: join(app.folder, folder), entryFileNames: '[name].js', chunkFileNames: '[name]-[hash].js' });
  await build.close();
  await copyBeside(app, files, folder);
}

/** As it is: an import map tells the page where packages are. (Workers have none, so that a package whose workers import others needs a bundler.) */
async function copyAsItIs({ app, files }: Application, folder: string): Promise<void> {
  await writeJavaScript(app);
  const scripts = (await readdir(app.folder)).filter((file) => /^(main|example-\d+)\.js$/.test(file));
  await copyBeside(app, [...scripts, ...files], folder);
  const imports: Record<string, string> = {};
  for (const name of await readdir(join(app.folder, 'node_modules/@heddle'))) {
    const place = join('node_modules/@heddle', name);
    await cp(join(app.folder, place, 'dist'), join(app.folder, folder, place, 'dist'), { recursive: true });
    const { exports } = JSON.parse(await readFile(join(app.folder, place, 'package.json'), 'utf8')) as {
      readonly exports: Readonly<Record<string, { readonly default: string }>>;
    };
    for (const [path, { default: file }] of Object.entries(exports)) imports[`@heddle/${name}${path.slice(1)}`] = `/${join(place, file)}`;
  }
  const page = pageOf('main.js').replace('</head>', `<script type="importmap">${JSON.stringify({ imports })}</script></head>`);
  await app.write(join(folder, 'index.html'), page);
}

/** The scripts of workers among the installed packages, by the name under which they are looked for. */
async function workersOf(app: Project): Promise<Record<string, string>> {
  const scripts: Record<string, string> = {};
  for (const name of await readdir(join(app.folder, 'node_modules/@heddle'))) {
    const internal = join('node_modules/@heddle', name, 'dist/internal');
    for (const file of await readdir(join(app.folder, internal))) {
      const worker = /^((?:[\w-]+-)?(?:worker|supervisor))\.js$/.exec(file)?.[1];
      if (worker !== undefined) scripts[worker] = join(internal, file);
    }
  }
  return scripts;
}

async function copyBeside(app: Project, files: readonly string[], folder: string): Promise<void> {
  for (const file of files) {
    await mkdir(dirname(join(app.folder, folder, file)), { recursive: true });
    await copyFile(join(app.folder, file), join(app.folder, folder, file));
  }
  await app.write(join(folder, 'index.html'), pageOf('main.js'));
}

/** Writes what the application's TypeScript is without its types, for bundlers that read only JavaScript. */
async function writeJavaScript(app: Project): Promise<void> {
  for (const file of await readdir(app.folder)) {
    if (!/^(main|example-\d+)\.ts$/.test(file)) continue;
    const code = stripTypeScriptTypes(await readFile(join(app.folder, file), 'utf8'));
    await app.write(file.replace(/ts$/, 'js'), code.replaceAll(/(\.\/example-\d+)\.ts/g, '$1.js'));
  }
}
