/**
 * What every tool of this workspace shares: where it is, how it calls other programs, how it speaks.
 */
import { spawnSync } from 'node:child_process';
import { accessSync, constants, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

/** The folder that holds this workspace. */
export const workspaceRoot = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');

/** Joins path segments below the workspace. */
export const inWorkspace = (...segments) => path.join(workspaceRoot, ...segments);

/** A sentence for the person at the keyboard: printed without a stack. */
export class ToolError extends Error {
  code = 'TOOL_FAILED';
}

/** Prints one line of progress; on stderr, so that a tool's output stays machine-readable. */
export function say(line) {
  process.stderr.write(`${line}\n`);
}

/**
 * Runs a program and returns when it succeeded. Its output is shown at once, or, if quiet, only when it failed.
 * @param {string} program
 * @param {readonly string[]} args
 * @param {{cwd?: string, env?: NodeJS.ProcessEnv, quiet?: boolean}} [options]
 * @throws {ToolError} if it can't be started or exits with another code than 0
 */
export function run(program, args, options = {}) {
  const { status, signal, error, stdout, stderr } = spawnSync(program, args, {
    cwd: options.cwd ?? workspaceRoot,
    env: options.env ?? process.env,
    encoding: 'utf8',
    maxBuffer: 1 << 28,
    stdio: options.quiet ? ['ignore', 'pipe', 'pipe'] : ['ignore', 2, 2],
  });
  if (options.quiet && status !== 0) process.stderr.write(`${stdout ?? ''}${stderr ?? ''}`);
  if (error) throw new ToolError(`${program} can't be started: ${error.message}`);
  if (status !== 0) throw new ToolError(`${program} ${args.join(' ')} failed (${signal ?? `exit code ${status}`}).`);
}

/**
 * Runs a program for what it prints.
 * @param {string} program
 * @param {readonly string[]} args
 * @param {{cwd?: string, env?: NodeJS.ProcessEnv, showErrors?: boolean}} [options] showErrors: let its error output through
 * @returns {string | undefined} its standard output, trimmed; undefined if it is missing or failed
 */
export function query(program, args, options = {}) {
  const { status, stdout } = spawnSync(program, args, {
    cwd: options.cwd ?? workspaceRoot,
    env: options.env ?? process.env,
    encoding: 'utf8',
    maxBuffer: 1 << 28,
    stdio: ['ignore', 'pipe', options.showErrors ? 'inherit' : 'ignore'],
  });
  return status === 0 ? stdout.trim() : undefined;
}

/**
 * The first of these programs that exists: a bare name is looked for on PATH, anything else is a file.
 * @param {readonly string[]} candidates
 * @param {{pathVariable?: string}} [options]
 * @returns {string | undefined} an absolute path
 */
export function findProgram(candidates, options = {}) {
  const folders = (options.pathVariable ?? process.env.PATH ?? '').split(path.delimiter).filter(Boolean);
  for (const candidate of candidates) {
    const files = candidate.includes('/') ? [candidate] : folders.map((folder) => path.join(folder, candidate));
    const found = files.find(isExecutable);
    if (found) return found;
  }
  return undefined;
}

function isExecutable(file) {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}

/**
 * The version of wasm-bindgen that the root Cargo.toml pins: its command-line half must be of the same.
 * @returns {string}
 * @throws {ToolError} if it isn't pinned
 */
export function wasmBindgenVersion() {
  const version = /^wasm-bindgen = "=([^"]+)"/m.exec(readFileSync(inWorkspace('Cargo.toml'), 'utf8'))?.[1];
  if (!version) throw new ToolError('Cargo.toml pins no wasm-bindgen = "=…" under [workspace.dependencies].');
  return version;
}

/** Runs a tool's main function: a ToolError is printed as a sentence, anything else with its stack. */
export async function runTool(main) {
  try {
    await main(process.argv.slice(2));
  } catch (error) {
    say(error instanceof ToolError ? `error: ${error.message}` : String(error?.stack ?? error));
    process.exitCode = 1;
  }
}

/** Whether the module at this URL is the program that Node was asked to run. */
export const isMain = (url) => process.argv[1] !== undefined && path.resolve(process.argv[1]) === fileURLToPath(url);
