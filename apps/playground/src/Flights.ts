/** The page's database: opened in the origin's private file system, filled with flights, reopened with another count of threads. */
import { AIRPORTS_SCHEMA, insertAirports } from '@heddle/demo/airports';
import { executeAll } from '@heddle/demo/executions';
import { FLIGHTS_KEY, FLIGHTS_TABLE } from '@heddle/demo/queries';
import { open, type Database, type OpenOptions } from '@heddle/store';
import airportsUrl from '#data/airports.csv?url';
import flightsUrl from '#data/flights-3m.parquet?url';

const LOCATION = 'heddle-playground';

export interface ImportOptions {
  readonly rows: number;
  readonly signal: AbortSignal;
  readonly onProgress: (rowsDone: number) => void;
}

export class Flights {
  #db: Database | undefined;
  /** How many flights there are; 0 before the import. */
  rowsTotal = 0;

  /** The open database. Throws when there is none. */
  get db(): Database {
    if (this.#db === undefined) throw new Error('the database is not open');
    return this.#db;
  }

  /** How many SQL threads there are: in another tab, where that runs the engine. */
  get threads(): number {
    return this.#db?.threads().length ?? 0;
  }

  get isOpen(): boolean {
    return this.#db !== undefined;
  }

  /** Opens the database with so many SQL threads, after closing it if it was open. */
  async open(threads: number, events: Pick<OpenOptions, 'onRestart' | 'onRole'>): Promise<void> {
    await this.close();
    this.#db = await open(LOCATION, { threads, ...events });
    await this.count();
  }

  async close(): Promise<void> {
    const db = this.#db;
    this.#db = undefined;
    await db?.close();
  }

  /** Counts the flights again. */
  async count(): Promise<void> {
    const table = await this.db.query('SELECT name FROM pragma_table_list WHERE name = ?', [FLIGHTS_TABLE]).first();
    const counted = table === undefined ? undefined : await this.db.query<{ rows: number }>('SELECT count(*) AS rows FROM flights').first();
    this.rowsTotal = counted?.rows ?? 0;
  }

  /** Imports the first `rows` flights and all airports. What an aborted or failed import left behind is removed. */
  async import({ rows, signal, onProgress }: ImportOptions): Promise<void> {
    await this.remove();
    try {
      await this.db.import(new URL(flightsUrl, location.href), {
        table: FLIGHTS_TABLE,
        rowNumber: FLIGHTS_KEY,
        rows,
        signal,
        onProgress: (progress) => onProgress(progress.rows),
      });
      const response = await fetch(airportsUrl, { signal });
      if (!response.ok) throw new Error(`${airportsUrl}: the server answers ${response.status}`);
      await this.db.exec(AIRPORTS_SCHEMA);
      await executeAll(this.db, insertAirports(await response.text()));
    } catch (error) {
      await this.remove();
      throw error;
    }
    await this.count();
  }

  /** Removes all data. */
  async remove(): Promise<void> {
    await this.db.exec('DROP TABLE IF EXISTS flights');
    await this.db.exec('DROP TABLE IF EXISTS airports');
    this.rowsTotal = 0;
  }
}
