/** Figures: as lines of JSON for machines, as a table for people. */

/** All rounds of one subject on one query. */
export interface Timing {
  readonly query: string;
  readonly subject: 'heddle' | 'node:sqlite';
  readonly threads: number;
  /** Wall times of the 24 executions, one a round, in milliseconds. */
  readonly wallMs: readonly number[];
}

export interface Figure {
  readonly bench: 'demo';
  readonly host: 'node';
  readonly subject: Timing['subject'];
  readonly case: string;
  readonly metric: string;
  readonly unit: string;
  readonly value: number;
  readonly rounds: number;
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? Number.NaN)) / 2;
}

export function figure(subject: Timing['subject'], name: string, metric: string, values: readonly number[]): Figure {
  const value = Math.round(median(values) * 1000) / 1000;
  return { bench: 'demo', host: 'node', subject, case: name, metric, unit: 'ms', value, rounds: values.length };
}

export function timingFigure({ query, subject, threads, wallMs }: Timing): Figure {
  return figure(subject, `${query}-${threads}`, 'wall', wallMs);
}

/** A table: one row a query, wall times of node:sqlite and of each count of threads, and how much faster the most threads are. */
export function table(timings: readonly Timing[], threads: readonly number[]): string {
  const head = ['24 executions, ms', 'node:sqlite', ...threads.map((count) => `${count} thread${count === 1 ? '' : 's'}`)];
  const speedUps = threads.filter((count) => count !== threads[0]);
  head.push(...speedUps.map((count) => `${count} ÷ ${threads[0]}`));
  const rows = [...new Set(timings.map(({ query }) => query))].map((query) => {
    const wall = (subject: Timing['subject'], count?: number): number =>
      median(timings.find((t) => t.query === query && t.subject === subject && (count === undefined || t.threads === count))?.wallMs ?? []);
    const one = wall('heddle', threads[0]);
    return [
      query,
      milliseconds(wall('node:sqlite')),
      ...threads.map((count) => milliseconds(wall('heddle', count))),
      ...speedUps.map((count) => `${(one / wall('heddle', count)).toFixed(2)}×`),
    ];
  });
  const lines = [head, ...rows];
  const widths = head.map((_, column) => Math.max(...lines.map((line) => (line[column] ?? '').length)));
  const format = (line: readonly string[]): string =>
    line.map((cell, column) => (column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0))).join('   ');
  return [format(head), widths.map((width) => '─'.repeat(width)).join('───'), ...rows.map(format)].join('\n');
}

function milliseconds(value: number): string {
  return value < 100 ? value.toFixed(1) : Math.round(value).toLocaleString('en');
}
