/** The command line of `npm run bench -- atomics|channel|thread`. */
import { parseArgs } from 'node:util';
import { type Bench, BENCHES, CASES } from './cases.ts';
import type { HostName } from './measurement.ts';

export interface Options {
  readonly bench: Bench;
  readonly hosts: readonly HostName[];
  /** Names of cases, or beginnings that end in `*`; all where empty. */
  readonly cases: readonly string[];
  /** Names of subjects; all where empty. */
  readonly subjects: readonly string[];
  /** Rounds that count, for each subject. */
  readonly rounds: number;
  /** How long a round should take, in milliseconds. */
  readonly roundMs: number;
  readonly json: boolean;
}

const HOSTS: readonly HostName[] = ['node', 'chromium', 'firefox', 'native'];

export const HELP = `npm run bench -- ${BENCHES.join('|')} [options]

Measures locks, channels or threads beside their rivals. The rounds of all subjects are interleaved in one run, a first
round of each is thrown away, and a figure is the median of the others. At the end: what was to be reached, as medians of
the ratios of rounds. On a machine that does other things too, trust the ratios.

  --host LIST      of ${HOSTS.join(', ')}         (node,chromium,native)
  --case LIST      cases by name; oneway-8B-* takes all that begin so       (all)
  --subject LIST   subjects by name, as heddle-ts,postmessage               (all)
  --rounds N       rounds of each subject, 1 … 1000                         (9)
  --round-ms N     how long a round should take, 1 … 60000                  (150)
  --json           one JSON object a line: a figure each
  --help           this page

docs/benchmarks.md says what the cases and the subjects are, and how to read the figures.
`;

/** A command line that can't be followed; the message says what is wrong with it. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
  readonly code = 'USAGE';
}

/** Reads the arguments after the program's name; `'help'` when the help page is wanted. Throws `UsageError`. */
export function parseOptions(args: readonly string[]): Options | 'help' {
  const { values, positionals } = parse(args);
  if (values.help === true) return 'help';
  const [name, ...others] = positionals;
  const bench = BENCHES.find((candidate) => candidate === name);
  if (bench === undefined) throw new UsageError(`name one benchmark: ${BENCHES.join(', ')}`);
  if (others.length > 0) throw new UsageError(`only one benchmark at a time, not also "${others.join(' ')}"`);
  const cases = list(values.case);
  for (const pattern of cases) {
    if (!CASES.some((candidate) => candidate.bench === bench && matches(pattern, candidate.name))) {
      const names = CASES.filter((candidate) => candidate.bench === bench).map((candidate) => candidate.name);
      throw new UsageError(`--case: ${bench} has no case "${pattern}"; it has ${names.join(', ')}`);
    }
  }
  return {
    bench,
    hosts: values.host === undefined ? ['node', 'chromium', 'native'] : list(values.host).map(hostName),
    cases,
    subjects: list(values.subject),
    rounds: integer('--rounds', values.rounds ?? '9', 1, 1000),
    roundMs: integer('--round-ms', values['round-ms'] ?? '150', 1, 60_000),
    json: values.json ?? false,
  };
}

/** Whether a name is meant by a pattern: itself, or its beginning and a `*`. */
export function matches(pattern: string, name: string): boolean {
  return pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : pattern === name;
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        host: { type: 'string' },
        case: { type: 'string' },
        subject: { type: 'string' },
        rounds: { type: 'string' },
        'round-ms': { type: 'string' },
        json: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    });
  } catch (error) {
    throw new UsageError((error as Error).message, { cause: error });
  }
}

const list = (text: string | undefined): string[] => (text ?? '').split(',').filter(Boolean);

function hostName(text: string): HostName {
  const host = HOSTS.find((candidate) => candidate === text);
  if (!host) throw new UsageError(`--host: "${text}" is none of ${HOSTS.join(', ')}`);
  return host;
}

function integer(name: string, text: string, least: number, most: number): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < least || value > most) {
    throw new UsageError(`${name} must be a whole number from ${least} to ${most}, not "${text}"`);
  }
  return value;
}
