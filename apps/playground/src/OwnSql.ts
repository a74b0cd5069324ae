/** The visitor's own SQL: an editor, a run that can be stopped, a result. */
import { HeddleStoreError, type SqlValue } from '@heddle/store';
import { byId } from './dom.ts';
import type { Flights } from './Flights.ts';
import { OWN_COLOUR } from './palette.ts';
import { describeProblem } from './problems.ts';
import { ResultView, type Row } from './ResultView.ts';
import { SqlEditor } from './SqlEditor.ts';

/** More rows than these are left unread: the SQL thread waits for its reader, and ends when the reader leaves. */
const ROWS_READ_MAX = 1000;

const FIRST_SQL = `-- The busiest routes, and how late they ran
SELECT origin || '→' || destination AS route,
       count(*) AS flights,
       round(avg(delay), 1) AS minutes_late
FROM flights
GROUP BY origin, destination
ORDER BY flights DESC
LIMIT 12`;

export class OwnSql {
  readonly #flights: Flights;
  readonly #onWritten: () => void;
  readonly #editor: SqlEditor;
  readonly #result: ResultView;
  readonly #run: HTMLButtonElement = byId('run-own', HTMLButtonElement);
  readonly #stop: HTMLButtonElement = byId('stop-own', HTMLButtonElement);
  #running: AbortController | undefined;

  /** `onWritten` is told after a statement that may have changed data. */
  constructor(flights: Flights, onWritten: () => void) {
    this.#flights = flights;
    this.#onWritten = onWritten;
    this.#editor = new SqlEditor(byId('editor'), { label: 'Your SQL', value: FIRST_SQL, onRun: () => void this.run() });
    this.#result = new ResultView(byId('own-result'), 'Write any SQL: SQLite’s own, JSON and math functions, and full-text search are in.');
    this.#run.addEventListener('click', () => void this.run());
    this.#stop.addEventListener('click', () => this.#running?.abort());
  }

  set enabled(enabled: boolean) {
    this.#run.disabled = !enabled;
  }

  /** Puts SQL into the editor. */
  edit(sql: string): void {
    this.#editor.value = sql;
    this.#editor.focus();
  }

  async run(): Promise<void> {
    if (this.#running !== undefined || this.#run.disabled) return;
    const sql = this.#editor.value;
    this.#running = new AbortController();
    this.#editor.markError(undefined);
    this.#result.busy();
    this.#stop.hidden = false;
    try {
      const start = performance.now();
      const { rows, complete } = await this.#read(sql, this.#running.signal);
      this.#result.show({ rows, complete, wallMs: performance.now() - start }, OWN_COLOUR, undefined);
      if (!/^\s*(--[^\n]*\n\s*)*(select|with|values|explain)\b/i.test(sql)) this.#onWritten();
    } catch (error) {
      if (error instanceof HeddleStoreError) this.#editor.markError(error.offset);
      this.#result.fail(describeProblem(error));
    } finally {
      this.#running = undefined;
      this.#stop.hidden = true;
    }
  }

  async #read(sql: string, signal: AbortSignal): Promise<{ rows: Row[]; complete: boolean }> {
    const rows: Row[] = [];
    for await (const batch of this.#flights.db.query<Record<string, SqlValue>>(sql, [], { signal, batchRows: 500 })) {
      rows.push(...batch);
      if (rows.length > ROWS_READ_MAX) return { rows: rows.slice(0, ROWS_READ_MAX), complete: false };
    }
    return { rows, complete: true };
  }
}
