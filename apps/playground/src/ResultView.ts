/** Shows what a query gave: a chart if that makes sense, its rows, or its error in words. */
import type { ChartHint } from '@heddle/demo/queries';
import type { SqlValue } from '@heddle/store';
import { Chart, type ChartData, type Point } from './Chart.ts';
import { element } from './dom.ts';
import { count, duration } from './format.ts';
import type { Problem } from './problems.ts';

export type Row = Readonly<Record<string, SqlValue>>;

export interface Result {
  readonly rows: readonly Row[];
  /** From the call to the last row, in milliseconds. */
  readonly wallMs: number;
  /** False when rows were left unread. */
  readonly complete: boolean;
  /** What to say instead of the count of rows and the time. */
  readonly headline?: string;
}

const CHART_POINTS_MAX = { bars: 60, line: 1000 };
const ROWS_SHOWN_MAX = 300;

export class ResultView {
  readonly #root: HTMLElement;
  #tab: 'chart' | 'rows' = 'chart';

  constructor(root: HTMLElement, welcome: string) {
    this.#root = root;
    root.append(element('p', { class: 'empty' }, welcome));
  }

  /** Says that an answer is on its way. The answer before stays, dimmed. */
  busy(): void {
    this.#root.dataset['state'] = 'running';
    this.#root.setAttribute('aria-busy', 'true');
  }

  show(result: Result, colour: string, hint: ChartHint | undefined): void {
    this.#settle('done');
    this.#root.dataset['rows'] = String(result.rows.length);
    const chart = chartData(result.rows, colour, hint);
    const headline =
      result.headline ??
      `${result.complete ? '' : 'the first '}${count(result.rows.length)} ${result.rows.length === 1 ? 'row' : 'rows'} in ${duration(result.wallMs)}`;
    const header = element('header', { class: 'result-header' }, element('p', { class: 'figure' }, headline));
    const body = element('div', { class: 'result-body' });
    const show = (tab: 'chart' | 'rows'): void =>
      body.replaceChildren(tab === 'chart' && chart !== undefined ? new Chart(chart).root : rowsTable(result.rows));
    if (chart !== undefined) header.append(this.#tabs(show));
    show(this.#tab);
    this.#root.replaceChildren(header, body);
  }

  fail({ title, text }: Problem): void {
    this.#settle('failed');
    this.#root.replaceChildren(element('div', { class: 'failure', role: 'alert' }, element('strong', {}, title), element('p', {}, text)));
  }

  #settle(state: 'done' | 'failed'): void {
    this.#root.dataset['state'] = state;
    this.#root.removeAttribute('aria-busy');
  }

  /** Two radio buttons that look like tabs: the keyboard and screen readers know what to do with them. */
  #tabs(show: (tab: 'chart' | 'rows') => void): HTMLElement {
    const group = element('fieldset', { class: 'choice' }, element('legend', { class: 'visually-hidden' }, 'Show the result as'));
    for (const tab of ['chart', 'rows'] as const) {
      const input = element('input', { type: 'radio', name: `${this.#root.id}-tab`, value: tab });
      input.checked = tab === this.#tab;
      input.addEventListener('change', () => show((this.#tab = tab)));
      group.append(element('label', {}, input, element('span', {}, tab === 'chart' ? 'Chart' : 'Rows')));
    }
    return group;
  }
}

function rowsTable(rows: readonly Row[]): HTMLElement {
  const [first] = rows;
  if (first === undefined) return element('p', { class: 'empty' }, 'No rows.');
  const names = Object.keys(first);
  const numeric = names.map((name) => rows.every((row) => typeof row[name] !== 'string'));
  const head = element(
    'tr',
    {},
    ...names.map((name, index) => element('th', { scope: 'col', class: numeric[index] === true ? 'number' : undefined }, name)),
  );
  const body = element('tbody');
  for (const row of rows.slice(0, ROWS_SHOWN_MAX))
    body.append(element('tr', {}, ...names.map((name, index) => cell(row[name] ?? null, numeric[index] === true))));
  const table = element('table', { class: 'rows' }, element('thead', {}, head), body);
  const scroller = element('div', { class: 'rows-scroller', tabindex: '0', role: 'region', 'aria-label': 'Rows' }, table);
  if (rows.length > ROWS_SHOWN_MAX) scroller.append(element('p', { class: 'hint' }, `The first ${count(ROWS_SHOWN_MAX)} rows are shown.`));
  return scroller;
}

function cell(value: SqlValue, numeric: boolean): HTMLTableCellElement {
  if (value === null) return element('td', { class: 'null' }, 'NULL');
  if (value instanceof Uint8Array) return element('td', { class: 'null' }, `${count(value.length)} bytes`);
  return element('td', { class: numeric ? 'number' : undefined }, String(value));
}

/** The rows as points: as the hint says or, without one, the first column against the first numeric one after it. */
function chartData(rows: readonly Row[], colour: string, hint: ChartHint | undefined): ChartData | undefined {
  const [first] = rows;
  if (first === undefined || rows.length < 2) return undefined;
  const { kind, x, y, label } = hint ?? guess(first) ?? {};
  if (kind === undefined || x === undefined || y === undefined || label === undefined) return undefined;
  const points: Point[] = [];
  for (const row of rows.slice(0, CHART_POINTS_MAX[kind])) {
    const value = row[y];
    if (typeof value !== 'number' && typeof value !== 'bigint') return undefined;
    points.push({ x: typeof x === 'string' ? text(row[x]) : x.map((name) => text(row[name])).join('→'), y: Number(value) });
  }
  return { kind, points, label, colour, pointsTotal: rows.length };
}

function guess(row: Row): ChartHint | undefined {
  const [x, ...others] = Object.keys(row);
  const y = others.find((name) => typeof row[name] === 'number' || typeof row[name] === 'bigint');
  return x === undefined || y === undefined ? undefined : { kind: 'bars', x, y, label: y };
}

function text(value: SqlValue | undefined): string {
  return value instanceof Uint8Array ? 'blob' : String(value ?? 'NULL');
}
