/** Packs the workspace's packages, and installs them into empty projects outside of it, with npm or with Bun. */
import { copyFile, cp, mkdir, readFile, readdir, realpath, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { program } from './programs.ts';
import { runOrThrow } from './run.ts';

/** The workspace's root. */
export const workspace: string = fileURLToPath(new URL('../../..', import.meta.url));

/** What is read of a package's manifest. */
interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly dependencies?: Readonly<Record<string, string>>;
}

/** Packs all packages into a folder, and others' packages that they stand on. */
export async function packAll(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  await runOrThrow('pnpm', ['--filter', './packages/*', 'pack', '--pack-destination', folder], workspace);
  const names = await readdir(join(workspace, 'packages'));
  const below = await Promise.all(names.map((name) => foldersOfOthers(join(workspace, 'packages', name))));
  for (const other of new Set(below.flat())) await archive(other, folder);
}

/** Makes the tarball of a package as it is installed. (`npm pack` would build it again by its own scripts.) */
async function archive(other: string, folder: string): Promise<void> {
  const place = join(folder, '.others');
  await cp(other, join(place, 'package'), { recursive: true });
  await runOrThrow('tar', ['-czf', join(folder, tarballOf(await manifestIn(other))), 'package'], place);
  await rm(place, { recursive: true });
}

/** The name that a package's tarball has. */
function tarballOf({ name, version }: Manifest): string {
  return `${name.replace('@', '').replace('/', '-')}-${version}.tgz`;
}

const isSibling = (dependency: string): boolean => dependency.startsWith('@heddle/');

async function manifestIn(folder: string): Promise<Manifest> {
  return JSON.parse(await readFile(join(folder, 'package.json'), 'utf8')) as Manifest;
}

/** The folders in which others' packages are installed that the one in this folder names, and those below them. */
async function foldersOfOthers(folder: string): Promise<string[]> {
  const { dependencies = {} } = await manifestIn(folder);
  const others = Object.keys(dependencies).filter((dependency) => !isSibling(dependency));
  const folders = await Promise.all(others.map((name) => realpath(join(folder, 'node_modules', name))));
  return [...folders, ...(await Promise.all(folders.map(foldersOfOthers))).flat()];
}

interface Tarball {
  /** The package's. */
  readonly name: string;
  readonly file: string;
}

/** The tarballs of the package in a folder and of all that it stands on, its own first. */
async function tarballsOf(folder: string): Promise<Tarball[]> {
  const manifest = await manifestIn(folder);
  const siblings = Object.keys(manifest.dependencies ?? {}).filter(isSibling);
  const folders = siblings.map((sibling) => join(workspace, 'packages', sibling.slice('@heddle/'.length)));
  const below = await Promise.all([...folders, ...(await foldersOfOthers(folder))].map(tarballsOf));
  const all = [{ name: manifest.name, file: tarballOf(manifest) }, ...below.flat()];
  return [...new Map(all.map((tarball) => [tarball.file, tarball])).values()];
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
  const files = (await tarballsOf(join(workspace, 'packages', name))).map(({ name, file }) => ({ name, file: join(tarballs, file) }));
  // Nothing but the tarballs: there is no registry behind this, and nothing is left in the user's cache.
  if (manager === 'bun') {
    const dependencies = Object.fromEntries(files.map(({ name, file }) => [name, `file:${file}`]));
    // Bun would ask the registry for a sibling that it has a tarball of; overrides say that it need not.
    await project.write('package.json', JSON.stringify({ private: true, type: 'module', dependencies, overrides: dependencies }));
    await runOrThrow(program('bun'), ['install', '--offline', '--cache-dir', join(folder, '.bun')], folder);
  } else {
    await project.write('package.json', JSON.stringify({ private: true, type: 'module' }));
    const options = ['--offline', '--no-audit', '--no-fund', '--no-update-notifier', '--cache', join(folder, '.npm')];
    await runOrThrow('npm', ['install', ...options, ...files.map(({ file }) => file)], folder);
  }
  return project;
}
