/** Packs the workspace's packages, and installs them into empty projects outside of it, with npm or with Bun. */
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { program } from './programs.ts';
import { runOrThrow } from './run.ts';

/** The workspace's root. */
export const workspace: string = fileURLToPath(new URL('../../..', import.meta.url));

/** Packs all packages into a folder. */
export async function packAll(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  await runOrThrow('pnpm', ['--filter', './packages/*', 'pack', '--pack-destination', folder], workspace);
}

/** The tarballs of a package and of its siblings that it stands on, its own first. */
async function tarballsOf(name: string): Promise<string[]> {
  const manifest = JSON.parse(await readFile(join(workspace, 'packages', name, 'package.json'), 'utf8')) as {
    readonly version: string;
    readonly dependencies?: Readonly<Record<string, string>>;
  };
  const siblings = Object.keys(manifest.dependencies ?? {}).filter((dependency) => dependency.startsWith('@heddle/'));
  const below = await Promise.all(siblings.map((sibling) => tarballsOf(sibling.slice('@heddle/'.length))));
  return [...new Set([`heddle-${name}-${manifest.version}.tgz`, ...below.flat()])];
}

/** What to install, and with what. */
export interface Installation {
  /** The folder of all tarballs. */
  readonly tarballs: string;
  /** The package's name within the workspace. */
  readonly name: string;
  /** The package manager; Deno has none for tarballs, and uses what npm has installed. */
  readonly manager: 'npm' | 'bun';
}

/** A project with nothing in it but a package. */
export interface Project {
  readonly folder: string;
  /** Writes a file, making its folder. */
  write(name: string, content: string): Promise<void>;
  /** Copies a file from the workspace. */
  copy(name: string, source: string): Promise<void>;
}

/**
 * Makes an empty project and installs a package from its tarball, together with its siblings' tarballs: those that it names, so that
 * one it forgot to name is missing here as it is for users.
 */
export async function installInto(folder: string, { tarballs, name, manager }: Installation): Promise<Project> {
  const project: Project = {
    folder,
    async write(name, content) {
      await mkdir(dirname(join(folder, name)), { recursive: true });
      await writeFile(join(folder, name), content);
    },
    async copy(name, source) {
      await mkdir(dirname(join(folder, name)), { recursive: true });
      await copyFile(join(workspace, source), join(folder, name));
    },
  };
  const files = (await tarballsOf(name)).map((file) => join(tarballs, file));
  // Nothing but the tarballs: there is no registry behind this, and nothing is left in the user's cache.
  if (manager === 'bun') {
    const dependencies = Object.fromEntries(files.map((file) => [packageOf(file), `file:${file}`]));
    // Bun would ask the registry for a sibling that it has a tarball of; overrides say that it need not.
    await project.write('package.json', JSON.stringify({ private: true, type: 'module', dependencies, overrides: dependencies }));
    await runOrThrow(program('bun'), ['install', '--offline', '--cache-dir', join(folder, '.bun')], folder);
  } else {
    await project.write('package.json', JSON.stringify({ private: true, type: 'module' }));
    const options = ['--offline', '--no-audit', '--no-fund', '--no-update-notifier', '--cache', join(folder, '.npm')];
    await runOrThrow('npm', ['install', ...options, ...files], folder);
  }
  return project;
}

/** `@heddle/atomics` of `…/heddle-atomics-0.1.0.tgz`. */
function packageOf(tarball: string): string {
  return basename(tarball).replace(/^heddle-(\w+)-.*$/, '@heddle/$1');
}
