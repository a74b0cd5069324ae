/** The command line from arguments to exit code. */
import type { WriteStream } from 'node:tty';
import { runDemo, type DemoHooks } from './demo.ts';
import { describeError } from './expectations.ts';
import { HELP, parseOptions, UsageError } from './options.ts';
import { Progress } from './Progress.ts';

export interface Streams {
  readonly stdout: Pick<WriteStream, 'write'>;
  readonly stderr: Pick<WriteStream, 'write' | 'isTTY'>;
}

/** Exit codes: 0 all answers right, 1 a wrong answer or a failure, 2 a command line that can't be followed. */
export async function runCommand(args: readonly string[], { stdout, stderr }: Streams, hooks: DemoHooks = {}): Promise<0 | 1 | 2> {
  try {
    const options = parseOptions(args[0] === '--' ? args.slice(1) : args);
    if (options === 'help') {
      stdout.write(HELP);
      return 0;
    }
    const print = (line: string): void => void stdout.write(`${line}\n`);
    const { mismatches } = await runDemo(options, { progress: new Progress(stderr), print }, hooks);
    return mismatches === 0 ? 0 : 1;
  } catch (error) {
    if (error instanceof UsageError) {
      stderr.write(`${error.message}\nTry --help.\n`);
      return 2;
    }
    stderr.write(`The demo could not be run. ${describeError(error)}\n`);
    return 1;
  }
}
