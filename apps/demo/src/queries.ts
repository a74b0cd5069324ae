/**
 * The demo's queries: one list for the headless demo, which checks every answer, and for the playground, which shows them.
 *
 * Every SELECT has a total order and adds up integers only, so that two correct databases give the same rows, byte for byte.
 */
import type { SqlValue } from '@heddle/store';

/** How often a query is executed for one figure; the parameters of each execution differ. */
export const EXECUTIONS = 24;

/** The table that the flights are imported into, and the column that gets the row's number in the file, counted from 1. */
export const FLIGHTS_TABLE = 'flights';
export const FLIGHTS_KEY = 'id';

/**
 * The same table in plain SQLite. A Parquet timestamp is an INTEGER in the unit of the file: here microseconds since 1970-01-01,
 * local time of the airport, because the file says `isAdjustedToUTC: false`.
 */
export const FLIGHTS_SCHEMA =
  'CREATE TABLE flights (id INTEGER PRIMARY KEY, date INTEGER, delay INTEGER, distance INTEGER, origin TEXT, destination TEXT)';

/** One statement with the values of its `?` parameters, in order. */
export interface Statement {
  readonly sql: string;
  readonly params: readonly SqlValue[];
}

/**
 * One execution of a query. Several statements run in one transaction. The result is the rows of the last statement or, when that
 * is a write, the count of rows it changed.
 */
export interface Execution {
  readonly kind: 'read' | 'write' | 'write-and-read';
  readonly statements: readonly [Statement, ...Statement[]];
}

/** How the page draws a result: a column along the axis, a column as value. */
export interface ChartHint {
  readonly kind: 'bars' | 'line';
  /** The column along the axis, or several whose values are joined by an arrow. */
  readonly x: string | readonly string[];
  readonly y: string;
  /** What `y` means, for the axis. */
  readonly label: string;
}

export interface DemoQuery {
  /** Stable name in figures: `full-scan` gives `full-scan-1`, `full-scan-2` … by count of threads. */
  readonly name: string;
  readonly title: string;
  /** One sentence for a person who has never seen the data. */
  readonly summary: string;
  /** SQL to show and to edit: it runs by itself, without parameters. */
  readonly example: string;
  /** The execution with this index, 0 ≤ index < EXECUTIONS, over a table of `rowsTotal` flights. */
  execution(index: number, rowsTotal: number): Execution;
  /** Puts the table back into the state before the executions. Absent for queries that only read. */
  undo?(rowsTotal: number): readonly Statement[];
  readonly chart?: ChartHint;
}

/** A repeatable spread of `index` over 1 … `max`. */
function spread(index: number, max: number): number {
  return 1 + (((index + 1) * 2_654_435_761) % Math.max(1, max));
}

function read(sql: string, ...params: SqlValue[]): Execution {
  return { kind: 'read', statements: [{ sql, params }] };
}

const POINT_SQL = `SELECT id, datetime(date / 1000000, 'unixepoch') AS date, delay, distance, origin, destination
FROM flights WHERE id = ?`;
const RANGE_SQL = `SELECT id, datetime(date / 1000000, 'unixepoch') AS date, origin, destination, delay
FROM flights WHERE id BETWEEN ? AND ? ORDER BY id`;
const FILTER_SQL = `SELECT id, origin, destination, distance, delay FROM flights
WHERE delay >= ? AND distance < ? ORDER BY delay DESC, id`;
const SCAN_SQL = 'SELECT count(*) AS flights, sum(delay) AS delay, sum(distance) AS distance\nFROM flights';
const GROUP_SQL = `SELECT origin, count(*) AS flights, sum(delay) AS delay
FROM flights GROUP BY origin ORDER BY flights DESC, origin`;
const HOUR_SQL = `SELECT date / 3600000000 % 24 AS hour, count(*) AS flights,
       sum(delay) / count(*) AS delay
FROM flights GROUP BY hour ORDER BY hour`;
const TOP_SQL = `SELECT id, origin, destination, distance, delay FROM flights
WHERE distance > ? ORDER BY delay DESC, id LIMIT 20`;
const JOIN_SQL = `SELECT airports.state AS state, count(*) AS flights, sum(flights.delay) AS delay
FROM flights JOIN airports ON airports.iata = flights.origin
WHERE flights.delay >= 60
GROUP BY airports.state ORDER BY flights DESC, state LIMIT 12`;
const TOTALS_SQL = 'SELECT count(*) AS flights, sum(delay) AS delay, max(id) AS last FROM flights';
const COPY_SQL = `INSERT INTO flights (id, date, delay, distance, origin, destination)
SELECT id + ?, date, delay, distance, origin, destination FROM flights WHERE id BETWEEN ? AND ?`;
const UPDATE_SQL = 'UPDATE flights SET delay = delay + ? WHERE id BETWEEN ? AND ?';
const REREAD_SQL = `SELECT count(*) AS flights, sum(delay) AS delay, min(delay) AS least, max(delay) AS most
FROM flights WHERE id BETWEEN ? AND ?`;

/** One execution in four inserts; so this many batches are written by one round. */
const INSERT_EVERY = 4;
const INSERT_BATCHES = EXECUTIONS / INSERT_EVERY;

function insertCount(rowsTotal: number): number {
  return Math.min(250, Math.floor(rowsTotal / INSERT_BATCHES));
}

/** The slice of the table that one update has to itself. */
function updateSlice(index: number, rowsTotal: number): { first: number; last: number } {
  const sliceSize = Math.floor(rowsTotal / EXECUTIONS);
  const first = index * sliceSize + 1;
  return { first, last: first + Math.min(200, sliceSize) - 1 };
}

export const QUERIES: readonly DemoQuery[] = [
  {
    name: 'point',
    title: 'One flight',
    summary: 'Looks up a single row by its key.',
    example: POINT_SQL.replace('?', '4711'),
    execution: (index, rowsTotal) => read(POINT_SQL, spread(index, rowsTotal)),
  },
  {
    name: 'key-range',
    title: 'A run of flights',
    summary: 'Reads a thousand neighbouring rows by key.',
    example: RANGE_SQL.replace('?', '10001').replace('?', '11000'),
    execution(index, rowsTotal) {
      const count = Math.min(1000, Math.ceil(rowsTotal / 10));
      const first = spread(index, rowsTotal - count);
      return read(RANGE_SQL, first, first + count - 1);
    },
    chart: { kind: 'line', x: 'id', y: 'delay', label: 'minutes late' },
  },
  {
    name: 'filter',
    title: 'Short hop, long wait',
    summary: 'Finds short flights that were hours late; every row is looked at, few are returned.',
    example: FILTER_SQL.replace('?', '480').replace('?', '300'),
    execution: (index) => read(FILTER_SQL, 240 + 10 * index, 300),
    chart: { kind: 'bars', x: ['origin', 'destination'], y: 'delay', label: 'minutes late' },
  },
  {
    name: 'full-scan',
    title: 'All flights at once',
    summary: 'Adds up every row of the table.',
    example: SCAN_SQL,
    execution: () => read(SCAN_SQL),
  },
  {
    name: 'group-by',
    title: 'By airport',
    summary: 'Counts departures and minutes of delay for each airport.',
    example: GROUP_SQL,
    execution: () => read(GROUP_SQL),
    chart: { kind: 'bars', x: 'origin', y: 'flights', label: 'departures' },
  },
  {
    name: 'group-by-hour',
    title: 'By hour of day',
    summary: 'How delays pile up from morning to midnight.',
    example: HOUR_SQL,
    execution: () => read(HOUR_SQL),
    chart: { kind: 'line', x: 'hour', y: 'delay', label: 'average minutes late' },
  },
  {
    name: 'top-n',
    title: 'The latest of all',
    summary: 'The twenty most delayed flights beyond a distance.',
    example: TOP_SQL.replace('?', '500'),
    execution: (index) => read(TOP_SQL, 50 * index),
    chart: { kind: 'bars', x: ['origin', 'destination'], y: 'delay', label: 'minutes late' },
  },
  {
    name: 'join',
    title: 'By state',
    summary: 'Flights an hour late or more, by state: Tonbo’s rows joined with an ordinary SQLite table.',
    example: JOIN_SQL,
    execution: () => read(JOIN_SQL),
    chart: { kind: 'bars', x: 'state', y: 'flights', label: 'late departures' },
  },
  {
    name: 'insert-beside-readers',
    title: 'Insert beside readers',
    summary: 'Batches of rows are inserted while other threads add up the whole table: each sees whole batches or none.',
    example: TOTALS_SQL,
    execution(index, rowsTotal) {
      if (index % INSERT_EVERY !== 0) return read(TOTALS_SQL);
      const count = insertCount(rowsTotal);
      const first = (index / INSERT_EVERY) * count + 1;
      return { kind: 'write', statements: [{ sql: COPY_SQL, params: [rowsTotal, first, first + count - 1] }] };
    },
    undo: (rowsTotal) => [{ sql: 'DELETE FROM flights WHERE id > ?', params: [rowsTotal] }],
  },
  {
    name: 'update-and-reread',
    title: 'Update and read again',
    summary: 'Threads update different rows at the same time, each in its own transaction, and read them back.',
    example: REREAD_SQL.replace('?', '1').replace('?', '200'),
    execution(index, rowsTotal) {
      const { first, last } = updateSlice(index, rowsTotal);
      return {
        kind: 'write-and-read',
        statements: [
          { sql: UPDATE_SQL, params: [index + 1, first, last] },
          { sql: REREAD_SQL, params: [first, last] },
        ],
      };
    },
    undo: (rowsTotal) =>
      Array.from({ length: EXECUTIONS }, (_, index) => {
        const { first, last } = updateSlice(index, rowsTotal);
        return { sql: UPDATE_SQL, params: [-(index + 1), first, last] };
      }),
  },
];
