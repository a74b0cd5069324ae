/** The demo's queries: a list to pick from, one run, and the race of one thread against all. */
import { execute, executeAll, onThreads, runExecutions, type Answer, type Run } from '@heddle/demo/executions';
import { EXECUTIONS, QUERIES, type ChartHint, type DemoQuery } from '@heddle/demo/queries';
import { byId, element } from './dom.ts';
import { count, duration } from './format.ts';
import type { Flights } from './Flights.ts';
import { highlight } from './highlight.ts';
import { colourOfQuery, OWN_COLOUR } from './palette.ts';
import { describeProblem } from './problems.ts';
import { ResultView, type Result, type Row } from './ResultView.ts';

const FIRST_QUERY = 'group-by-hour';
const CHORUS_TIMES = 3;
const CHORUS_CHART: ChartHint = { kind: 'bars', x: 'query', y: 'done_after_ms', label: 'milliseconds until the last of three answers' };

export interface DemoQueriesOptions {
  readonly flights: Flights;
  readonly onEdit: (sql: string) => void;
  /** Told when a run begins and when it has ended. */
  readonly onBusy: (busy: boolean) => void;
  /** Told what came out, in a sentence for screen readers. */
  readonly onAnnounce: (sentence: string) => void;
}

export class DemoQueries {
  readonly #options: DemoQueriesOptions;
  readonly #result: ResultView;
  readonly #run: HTMLButtonElement = byId('run-query', HTMLButtonElement);
  readonly #race: HTMLButtonElement = byId('race', HTMLButtonElement);
  readonly #all: HTMLButtonElement = byId('run-all', HTMLButtonElement);
  readonly #raceResult: HTMLElement = byId('race-result');
  readonly #buttons: Map<DemoQuery, { button: HTMLButtonElement; time: HTMLElement }> = new Map();
  #query: DemoQuery = QUERIES.find(({ name }) => name === FIRST_QUERY) ?? (QUERIES[0] as DemoQuery);
  #enabled = false;
  #busy = false;

  constructor(options: DemoQueriesOptions) {
    this.#options = options;
    this.#result = new ResultView(byId('demo-result'), 'Import the flights, then pick a query.');
    for (const query of QUERIES) this.#addButton(query);
    this.#run.addEventListener('click', () => void this.#guard(() => this.#runOnce(this.#query)));
    this.#race.addEventListener('click', () => void this.#guard(() => this.#runRace(this.#query)));
    this.#all.addEventListener('click', () => void this.#guard(() => this.#runChorus()));
    byId('edit-query').addEventListener('click', () => options.onEdit(this.#query.example));
    this.#select(this.#query);
  }

  set enabled(enabled: boolean) {
    this.#enabled = enabled;
    this.#update();
  }

  /** Forgets times that were taken with another table or another count of threads. */
  forgetTimes(): void {
    for (const { time } of this.#buttons.values()) time.textContent = '';
    this.#raceResult.hidden = true;
    this.#update();
  }

  #addButton(query: DemoQuery): void {
    const time = element('span', { class: 'query-time figure' });
    const dot = element('span', { class: 'query-dot', 'aria-hidden': 'true' });
    dot.style.background = colourOfQuery(query);
    const button = element(
      'button',
      { type: 'button', class: 'query', 'data-query': query.name, 'aria-pressed': 'false' },
      dot,
      element('span', { class: 'query-title' }, query.title),
      time,
    );
    button.addEventListener('click', () => {
      this.#select(query);
      if (this.#enabled && !this.#busy) void this.#guard(() => this.#runOnce(query));
    });
    this.#buttons.set(query, { button, time });
    byId('query-list').append(element('li', {}, button));
  }

  #select(query: DemoQuery): void {
    if (query !== this.#query) this.#raceResult.hidden = true;
    this.#query = query;
    for (const [each, { button }] of this.#buttons) button.setAttribute('aria-pressed', String(each === query));
    byId('query-summary').textContent = query.summary;
    byId('query-sql').replaceChildren(...highlight(query.example));
  }

  #update(): void {
    const { threads } = this.#options.flights;
    for (const button of [this.#run, this.#race, this.#all]) button.disabled = !this.#enabled || this.#busy;
    this.#race.textContent = threads > 1 ? `Race 1 against ${threads} threads` : `Run ${EXECUTIONS} times`;
  }

  /** Runs `work` alone, and shows its error if it has one. */
  async #guard(work: () => Promise<void>): Promise<void> {
    if (this.#busy) return;
    this.#busy = true;
    this.#update();
    this.#options.onBusy(true);
    this.#result.busy();
    try {
      await work();
    } catch (error) {
      const problem = describeProblem(error);
      this.#result.fail(problem);
      this.#options.onAnnounce(problem.title);
    } finally {
      this.#busy = false;
      this.#update();
      this.#options.onBusy(false);
    }
  }

  /** A query that reads: its first execution. One that writes: all its executions, because they belong together. */
  async #runOnce(query: DemoQuery): Promise<void> {
    const { db, rowsTotal, threads } = this.#options.flights;
    let result: Result;
    if (query.undo === undefined) {
      const start = performance.now();
      const rows = await execute(db, query.execution(0, rowsTotal));
      result = { rows, wallMs: performance.now() - start, complete: true };
    } else {
      const run = await this.#runAllExecutions(query, threads);
      result = {
        rows: observationRows(query, run, rowsTotal),
        wallMs: run.wallMs,
        complete: true,
        headline: `${EXECUTIONS} executions in ${duration(run.wallMs)}`,
      };
    }
    this.#setTime(query, result.wallMs);
    this.#result.show(result, colourOfQuery(query), query.chart);
    this.#options.onAnnounce(`${query.title}: ${count(result.rows.length)} rows in ${duration(result.wallMs)}`);
  }

  /** The 24 executions on one thread, then on all. */
  async #runRace(query: DemoQuery): Promise<void> {
    const { threads } = this.#options.flights;
    this.#raceResult.hidden = false;
    this.#showRace([], threads);
    const one = await this.#runAllExecutions(query, 1);
    this.#showRace([one.wallMs], threads);
    const all = threads > 1 ? await this.#runAllExecutions(query, threads) : one;
    this.#showRace(threads > 1 ? [one.wallMs, all.wallMs] : [one.wallMs], threads);
    const last = all.observations[EXECUTIONS - 1]?.outcome;
    const rows =
      query.undo === undefined && last !== undefined && 'answer' in last
        ? last.answer
        : observationRows(query, all, this.#options.flights.rowsTotal);
    const headline = `${EXECUTIONS} executions in ${duration(all.wallMs)}`;
    this.#result.show({ rows, wallMs: all.wallMs, complete: true, headline }, colourOfQuery(query), query.chart);
    this.#options.onAnnounce(`${query.title}: ${headline} on ${threads} threads, ${duration(one.wallMs)} on one`);
  }

  /** Every reading query at once, each a few times: as many colours on the loom as there are threads. */
  async #runChorus(): Promise<void> {
    const { db, rowsTotal } = this.#options.flights;
    const start = performance.now();
    const queries = QUERIES.filter((query) => query.undo === undefined);
    const rows = await Promise.all(
      queries.map(async (query): Promise<Row> => {
        const answers = await Promise.all(
          Array.from({ length: CHORUS_TIMES }, (_, index) => execute(db, query.execution(index, rowsTotal))),
        );
        return {
          query: query.title,
          done_after_ms: Math.round(performance.now() - start),
          rows: answers.reduce((sum, { length }) => sum + length, 0),
        };
      }),
    );
    const wallMs = performance.now() - start;
    const headline = `${queries.length * CHORUS_TIMES} executions of ${queries.length} queries at once in ${duration(wallMs)}`;
    this.#result.show({ rows, wallMs, complete: true, headline }, OWN_COLOUR, CHORUS_CHART);
    this.#options.onAnnounce(headline);
  }

  async #runAllExecutions(query: DemoQuery, threads: number): Promise<Run> {
    const { db, rowsTotal, threads: threadsMax } = this.#options.flights;
    const run = await onThreads(db, { threads, threadsMax }, () => runExecutions(db, query, { rowsTotal, threads }));
    if (query.undo !== undefined) await executeAll(db, query.undo(rowsTotal));
    for (const { outcome } of run.observations) if ('error' in outcome) throw outcome.error;
    return run;
  }

  #setTime(query: DemoQuery, wallMs: number): void {
    const time = this.#buttons.get(query)?.time;
    if (time !== undefined) time.textContent = duration(wallMs);
  }

  /** Bars as long as the times; with both known, how many times faster. */
  #showRace(wallMs: readonly number[], threads: number): void {
    const longest = Math.max(1, ...wallMs);
    const colour = colourOfQuery(this.#query);
    const rows = (threads > 1 ? [1, threads] : [1]).map((each, index) => {
      const ms = wallMs[index];
      const bar = element('span', { class: 'race-bar' });
      bar.style.width = `${ms === undefined ? 0 : (ms / longest) * 100}%`;
      bar.style.background = colour;
      return element(
        'li',
        {},
        element('span', {}, each === 1 ? '1 thread' : `${each} threads`),
        element('span', { class: 'race-track' }, bar),
        element('strong', { class: 'figure' }, ms === undefined ? '…' : duration(ms)),
      );
    });
    const [one, all] = wallMs;
    const verdict =
      one !== undefined && all !== undefined
        ? [
            element(
              'p',
              { class: 'race-verdict' },
              element('strong', { class: 'figure' }, `${(one / all).toFixed(2)}×`),
              ` the speed of one thread`,
            ),
          ]
        : [];
    this.#raceResult.replaceChildren(element('ul', {}, ...rows), ...verdict);
    this.#raceResult.dataset['oneMs'] = one === undefined ? '' : one.toFixed(1);
    this.#raceResult.dataset['allMs'] = all === undefined ? '' : all.toFixed(1);
  }
}

/** A row for each execution of a query that writes: what it did, and what it gave. */
function observationRows(query: DemoQuery, run: Run, rowsTotal: number): Answer {
  return run.observations.map(({ index, outcome }) => {
    const { kind } = query.execution(index, rowsTotal);
    const [row] = 'answer' in outcome ? outcome.answer : [];
    return { execution: index + 1, kind: kind.replaceAll('-', ' '), ...row };
  });
}
