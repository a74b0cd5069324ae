/** An empty Vite application around the examples of a README, served while it is developed and built. */
import { spawn } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Project } from './project.ts';
import { runOrThrow, userEnvironment } from './run.ts';

/** Vite's program: the workspace's, as an application has no registry to install one from. */
const vite = join(dirname(fileURLToPath(import.meta.resolve('vite/package.json'))), 'bin/vite.js');

/** The only settings are the headers without which a page may not share memory, and a policy where one is tried. */
const CONFIG = `const headers = { 'Cross-Origin-Opener-Policy': 'same-origin', 'Cross-Origin-Embedder-Policy': 'require-corp' };
if (process.env.PAGE_POLICY) headers['Content-Security-Policy'] = process.env.PAGE_POLICY;
export default { server: { headers }, preview: { headers } };
`;

// The icon is named so that no browser asks for one that isn't there.
const PAGE = `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8" />
    <link rel="icon" href="data:," />
    <title>running</title>
  </head>
  <body>
    <script type="module" src="/SCRIPT"></script>
  </body>
</html>
`;

/** The page that runs a script. */
export function pageOf(script: string): string {
  return PAGE.replace('SCRIPT', script);
}

/** Writes the application: `/#1` runs example-1.ts, and the page's title is "done" when it has ended. */
export async function writeApplication(app: Project, exampleCount: number): Promise<void> {
  const cases = Array.from({ length: exampleCount }, (_, index) => `  '#${index + 1}': () => import('./example-${index + 1}.ts'),\n`);
  await app.write('vite.config.js', CONFIG);
  await app.write('index.html', pageOf('main.ts'));
  await app.write(
    'main.ts',
    `const examples: Record<string, () => Promise<unknown>> = {\n${cases.join('')}};\nawait examples[location.hash]!();\ndocument.title = 'done';\n`,
  );
}

/** Builds the application into a folder; returns what Vite says. */
export async function buildApplication(app: Project, folder = 'dist', options: readonly string[] = []): Promise<string> {
  return runOrThrow(process.execPath, [vite, 'build', '--outDir', folder, ...options], app.folder);
}

/** A server of Vite. */
export interface Server extends AsyncDisposable {
  readonly url: string;
  /** What it complained about so far. */
  readonly complaints: string;
}

/** How to serve an application. */
export interface ServeOptions {
  /** Where it was built; for `preview`. */
  readonly folder?: string;
  /** Its Content-Security-Policy. */
  readonly policy?: string;
}

/** Serves the application: its sources (`dev`), or what was built, by whatever bundler (`preview`). */
export async function serve(
  app: Project,
  command: 'dev' | 'preview',
  { folder = 'dist', policy = '' }: ServeOptions = {},
): Promise<Server> {
  const child = spawn(process.execPath, [vite, command, ...(command === 'preview' ? ['--outDir', folder] : [])], {
    cwd: app.folder,
    env: { ...userEnvironment(), PAGE_POLICY: policy },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const exited = new Promise<void>((resolve) => {
    child.on('close', () => resolve());
  });
  let complaints = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (complaints += text));
  const stop = async (): Promise<void> => {
    child.kill();
    await exited;
  };
  const url = await new Promise<string | undefined>((resolve) => {
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text;
      const local = /Local:\s+(http:\S+)/.exec(output)?.[1];
      if (local !== undefined) resolve(local);
    });
    child.on('error', () => resolve(undefined));
    void exited.then(() => resolve(undefined));
  });
  if (url === undefined) throw new Error(`vite ${command} ended before it served: ${complaints}`);
  return {
    url,
    get complaints() {
      return complaints;
    },
    [Symbol.asyncDispose]: stop,
  };
}
