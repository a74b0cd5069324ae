/** The figures and the verdict as tables for people. */
import type { Aim, Verdict } from './aims.ts';
import { type Figure, figuresOf, type Series } from './runner.ts';

/** A table of texts: the first column to the left, the others to the right. */
function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)));
  return rows
    .map((row) => row.map((cell, column) => (column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0))))
    .map((cells) => cells.join('  ').trimEnd())
    .join('\n');
}

const PREFIXES = [
  [1e9, 'G'],
  [1e6, 'M'],
  [1e3, 'k'],
] as const;

/** Three digits, none of them an exponent's. */
const rounded = (value: number): string => `${Number(value.toPrecision(3))}`;

/** A figure's value in a unit that is easy to read. */
export function readable({ value, unit }: Pick<Figure, 'value' | 'unit'>): string {
  if (unit === 'ns') {
    if (value >= 1e6) return `${rounded(value / 1e6)} ms`;
    return value >= 1e3 ? `${rounded(value / 1e3)} µs` : `${rounded(value)} ns`;
  }
  if (unit === 'ms') return `${rounded(value)} ms`;
  const [factor, prefix] = PREFIXES.find(([least]) => value >= least) ?? [1, ''];
  return `${rounded(value / factor)} ${prefix}${unit.replace(/^1/, '')}`;
}

/** The figures of one family of cases. */
export function figuresTable(series: readonly Series[]): string {
  const rows = series.map((entry) => [
    `${entry.case.name}  ${entry.subject}`,
    entry.host,
    ...(entry.failure === undefined ? figuresOf(entry).map((figure) => `${figure.metric} ${readable(figure)}`) : ['failed']),
  ]);
  return table(rows);
}

function boundOf({ atLeast, atMost }: Aim): string {
  if (atLeast !== undefined) return `≥ ${rounded(atLeast)}`;
  return atMost === undefined ? '' : `≤ ${rounded(atMost)}`;
}

/** What was to be reached, and whether it was. */
export function verdictTable(verdicts: readonly Verdict[]): string {
  const rows = verdicts.map(({ aim, host, ratio, isReached }) => [
    `${aim.ours.subject} ${aim.ours.case}`,
    host,
    aim.metric,
    `/ ${aim.rival.subject}${aim.rival.case === aim.ours.case ? '' : ` ${aim.rival.case}`}`,
    boundOf(aim),
    rounded(ratio),
    boundOf(aim) === '' ? 'to compare with' : isReached ? 'reached' : 'falls short',
  ]);
  return table([['ours', 'host', 'metric', 'rival', 'aim', 'ratio', ''], ...rows]);
}
