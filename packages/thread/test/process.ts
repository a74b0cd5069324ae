/** Runs a program in a process of its own, as a host would from its command line. */
import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';

/** A process and its workers take long to start beside other suites. */
export const PROCESS_TIMEOUT_MS = 90_000;

/** How this host runs a module that it reads from its input. */
function argumentsOfHost(): readonly string[] {
  const condition = '--conditions=@heddle/source';
  if (process.versions['deno'] !== undefined) return ['run', '--allow-all', '--no-lock', condition, '-'];
  return process.versions['bun'] === undefined ? [condition, '--input-type=module', '-'] : [condition, 'run', '-'];
}

/** What a module printed that a process of this host ran, or what was printed of its errors. */
export async function outputOf(script: string, stream: 'stdout' | 'stderr' = 'stdout'): Promise<string> {
  const child = spawn(process.execPath, argumentsOfHost(), {
    cwd: fileURLToPath(new URL('.', import.meta.url)),
    stdio: ['pipe', stream === 'stdout' ? 'pipe' : 'ignore', stream === 'stderr' ? 'pipe' : 'inherit'],
    timeout: PROCESS_TIMEOUT_MS,
  });
  child.stdin!.end(script);
  return (await text(child[stream]!)).trim();
}
