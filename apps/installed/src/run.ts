/** Programs, run as a user's shell would run them: nothing that a test runner or a package manager has set reaches them. */
import { spawn } from 'node:child_process';

/** How a program ended, and what it wrote. */
export interface Ended {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** The environment without what this process was told by those that started it. */
export function userEnvironment(): NodeJS.ProcessEnv {
  const entries = Object.entries(process.env).filter(([name]) => !/^(npm_|NODE_|VITEST|VITE_|TEST$|DEV$|PROD$|MODE$|SSR$)/.test(name));
  return { ...Object.fromEntries(entries), NO_COLOR: '1' };
}

/** Runs a program to its end; one that hangs is killed, and has an exit code too. */
export function run(program: string, args: readonly string[], cwd: string, timeoutMs = 120_000): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { cwd, env: userEnvironment(), stdio: ['ignore', 'pipe', 'pipe'] });
    const timer = setTimeout(() => child.kill('SIGKILL'), timeoutMs);
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    child.on('error', reject);
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      resolve({ exitCode: code ?? 128, stdout, stderr: signal ? `${stderr}\nended by ${signal}` : stderr });
    });
  });
}

/**
 * As `run`, for a program that has to succeed.
 *
 * @returns what it wrote to its standard output
 * @throws Error with all that it wrote, if it failed
 */
export async function runOrThrow(program: string, args: readonly string[], cwd: string): Promise<string> {
  const { exitCode, stdout, stderr } = await run(program, args, cwd);
  if (exitCode !== 0) throw new Error(`${program} ${args.join(' ')}: exit code ${exitCode}\n${stdout}\n${stderr}`);
  return stdout;
}
