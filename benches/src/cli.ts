/** The command line from arguments to exit code. */
import { judge } from './aims.ts';
import { openHosts } from './hosts/index.ts';
import { HELP, type Options, parseOptions, UsageError } from './options.ts';
import { figuresOf, leftOutOf, type Plan, run, type Series } from './runner.ts';
import { figuresTable, verdictTable } from './table.ts';

export interface Streams {
  readonly stdout: { write(text: string): unknown };
  readonly stderr: { write(text: string): unknown; readonly isTTY?: boolean };
}

/** Exit codes: 0 all were measured, 1 a subject failed, 2 a command line that can't be followed. */
export async function runCommand(args: readonly string[], streams: Streams, hooks: Partial<Plan> = {}): Promise<0 | 1 | 2> {
  const { stdout, stderr } = streams;
  try {
    const options = parseOptions(args[0] === '--' ? args.slice(1) : args);
    if (options === 'help') {
      stdout.write(HELP);
      return 0;
    }
    return await runBench(options, streams, hooks);
  } catch (error) {
    if (error instanceof UsageError) {
      stderr.write(`${error.message}\nTry --help.\n`);
      return 2;
    }
    stderr.write(`The benchmark could not be run. ${error instanceof Error ? error.message : String(error)}\n`);
    return 1;
  }
}

async function runBench(options: Options, { stdout, stderr }: Streams, hooks: Partial<Plan>): Promise<0 | 1> {
  const hosts = await openHosts(options.hosts);
  const all: Series[] = [];
  const plan: Plan = { ...options, hosts, progress: progressOn(stderr), ...hooks };
  const leftOut = leftOutOf(plan);
  try {
    let family: Series[] = [];
    const printFamily = (): void => {
      if (family.length > 0 && !options.json) stdout.write(`${figuresTable(family)}\n\n`);
      family = [];
    };
    for await (const series of run(plan)) {
      if (family[0] !== undefined && family[0].case.family !== series.case.family) printFamily();
      family.push(series);
      all.push(series);
      if (options.json) for (const figure of figuresOf(series)) stdout.write(`${JSON.stringify(figure)}\n`);
      if (series.failure !== undefined)
        stderr.write(`${series.case.name}: ${series.subject} in ${series.host} failed: ${series.failure}\n`);
    }
    printFamily();
  } finally {
    for (const host of hosts) await host.close();
  }
  if (all.length === 0) throw new UsageError(['no subject of these has such a case in these hosts', ...leftOut].join('\n'));
  const words = options.json ? stderr : stdout;
  for (const sentence of leftOut) words.write(`${sentence}\n`);
  const verdicts = judge(options.bench, all);
  if (verdicts.length > 0) words.write(`${leftOut.length > 0 ? '\n' : ''}${verdictTable(verdicts)}\n`);
  return all.some(({ failure }) => failure !== undefined) ? 1 : 0;
}

/** One line that is written over, on a terminal; nothing elsewhere, where lines stay. */
function progressOn(stderr: Streams['stderr']): (text: string) => void {
  if (stderr.isTTY !== true) return () => {};
  return (text) => void stderr.write(`\r\u001B[2K${text}`);
}
