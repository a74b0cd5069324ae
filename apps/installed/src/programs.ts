/** Node, Deno and Bun, as a user runs an example with them. */
import { fileURLToPath } from 'node:url';
import { findHost } from '@heddle/tools/hosts';

/** A host of programs, that is, no browser. */
export type Host = 'node' | 'deno' | 'bun';

/** Whether this kind of machine has the host. */
export function hasHost(host: Host): boolean {
  return host === 'node' || findHost(host) !== undefined;
}

/**
 * The host's program.
 *
 * @throws Error where this kind of machine has none
 */
export function program(host: Host): string {
  const found = host === 'node' ? process.execPath : findHost(host);
  if (found === undefined) throw new Error(`${host} is not to be had for this kind of machine`);
  return found;
}

/** Prints what is logged in the form that Node gives it: Bun puts each property of an object on a line of its own. */
const printsAsNode: string = fileURLToPath(new URL('./prints-as-node.js', import.meta.url));

/** The arguments with which a host runs a file. */
export function argumentsFor(host: Host, file: string): readonly string[] {
  if (host === 'deno') return ['run', '--no-prompt', ...DENO_PERMISSIONS, file];
  return host === 'bun' ? ['--preload', printsAsNode, file] : [file];
}

/** All that the packages need of Deno: to read their own files, and to count the processors. */
const DENO_PERMISSIONS = ['--allow-read', '--allow-sys=cpus'];
