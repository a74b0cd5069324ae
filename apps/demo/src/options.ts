/** The demo's command line. */
import { parseArgs } from 'node:util';

export interface DemoOptions {
  /** How many of the file's flights are imported. */
  readonly rows: number;
  /** Counts of SQL threads to compare, ascending. */
  readonly threads: readonly number[];
  readonly json: boolean;
  /** Memory budget for decoded columns, in bytes; undefined leaves it to the store. */
  readonly cacheBytes: number | undefined;
  /** Where the databases go; undefined is a temporary directory. */
  readonly directory: string | undefined;
  readonly keep: boolean;
  readonly checkRemoved: boolean;
  /** How often each query's 24 executions are repeated; undefined adapts it to the query: 1, 3 or 5. */
  readonly rounds: number | undefined;
}

export const ROWS_MIN = 1000;
const THREADS_MAX = 64;

export const HELP = `npm run demo [-- options]

Imports real flights (npm vega-datasets) into one Tonbo, closes and reopens it, then runs ten queries
24 times each on one SQL thread and on several. Every answer is compared with node:sqlite, which got the
same rows through another Parquet reader. Exits 1 if a single value differs.

  --rows N          the first N flights of the file, ${ROWS_MIN} … 3000000       (200000)
  --threads LIST    counts of SQL threads to compare, e.g. 1,2,4        (1,2,4)
  --rounds N        repeats of the 24 executions; the median counts     (5, 3 or 1, by the query's time)
  --cache-bytes N   memory budget for decoded columns, in bytes         (the store's own)
  --directory D     an empty or new directory for the databases         (a temporary one)
  --keep            leave the databases behind and say where
  --check-removed   at the end, remove Tonbo's files from a copy: its queries must fail
  --json            one JSON object a line: figures, then the verdict
  --help            this page
`;

/** A command line that can't be followed; the message says what is wrong with it. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
  readonly code = 'USAGE';
}

/** Reads the arguments after the program's name; `'help'` when the help page is wanted. Throws `UsageError`. */
export function parseOptions(args: readonly string[]): DemoOptions | 'help' {
  const values = parseValues(args);
  if (values.help === true) return 'help';
  return {
    rows: integer('--rows', values.rows ?? '200000', ROWS_MIN),
    threads: threadCounts(values.threads ?? '1,2,4'),
    json: values.json ?? false,
    cacheBytes: values['cache-bytes'] === undefined ? undefined : integer('--cache-bytes', values['cache-bytes'], 0),
    directory: values.directory,
    keep: values.keep ?? false,
    checkRemoved: values['check-removed'] ?? false,
    rounds: values.rounds === undefined ? undefined : integer('--rounds', values.rounds, 1),
  };
}

interface Values {
  rows?: string;
  threads?: string;
  rounds?: string;
  'cache-bytes'?: string;
  directory?: string;
  keep?: boolean;
  'check-removed'?: boolean;
  json?: boolean;
  help?: boolean;
}

function parseValues(args: readonly string[]): Values {
  try {
    return parseArgs({
      args: [...args],
      options: {
        rows: { type: 'string' },
        threads: { type: 'string' },
        rounds: { type: 'string' },
        'cache-bytes': { type: 'string' },
        directory: { type: 'string' },
        keep: { type: 'boolean' },
        'check-removed': { type: 'boolean' },
        json: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    }).values;
  } catch (error) {
    throw new UsageError((error as Error).message, { cause: error });
  }
}

function integer(name: string, text: string, least: number): number {
  const value = Number(text.replaceAll('_', ''));
  if (!Number.isSafeInteger(value) || value < least) throw new UsageError(`${name} must be a whole number from ${least}, not "${text}"`);
  return value;
}

function threadCounts(text: string): number[] {
  const counts = text.split(',').map((part) => integer('--threads', part, 1));
  const tooMany = counts.find((count) => count > THREADS_MAX);
  if (tooMany !== undefined) throw new UsageError(`--threads: ${tooMany} is more than ${THREADS_MAX}`);
  return [...new Set(counts)].toSorted((a, b) => a - b);
}
