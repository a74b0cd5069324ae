/**
 * Readers beside writers, on real threads: every answer must fit one history under snapshot isolation.
 *
 * Short in the daily run. With HEDDLE_LONG_MINUTES it goes on for so long, and prints how long transactions took. HEDDLE_SEED chooses what
 * the participants do; how they meet does not follow from it.
 */
import { describe, expect, test } from 'vitest';
import { type Database, HeddleStoreError, type Session } from '../src/index.ts';
import { LOCATIONS, openForTest, temporaryLocation } from './support/database.ts';
import { environment } from './support/host.ts';
import { anomalies, type Lists, type Place, type Reading, type Writing } from './support/history.ts';
import { type Random, randomOf } from './support/random.ts';

const LONG_MINUTES = Number(environment('HEDDLE_LONG_MINUTES') ?? 0);
const SEED = Number(environment('HEDDLE_SEED') ?? 1);
const SHORT_MS = 3000;
const TIMEOUT_MS = 60_000 + 2 * 60_000 * LONG_MINUTES;

/** After so many commits a history is checked, and another begun: lists grow with it. */
const COMMITS_MAX = 400;

const WRITERS = 2;
const READERS = 4;

/** A history has so many turns of all at least, however busy the machine is: so many that nobody has none by chance. */
const TURNS_MIN = 25 * (WRITERS + READERS);

const KEYS = 6;
/** Two Tonbo tables and an ordinary one. */
const TABLES = ['warp', 'weft', 'cloth'] as const;

async function createLists(db: Session): Promise<void> {
  await db.exec(`
    DROP TABLE IF EXISTS warp; DROP TABLE IF EXISTS weft; DROP TABLE IF EXISTS cloth;
    CREATE VIRTUAL TABLE warp USING tonbo(id INTEGER PRIMARY KEY, list TEXT NOT NULL, padding BLOB);
    CREATE VIRTUAL TABLE weft USING tonbo(name TEXT PRIMARY KEY, id INTEGER, list TEXT NOT NULL);
    CREATE TABLE cloth(id INTEGER PRIMARY KEY, list TEXT NOT NULL)`);
  for (let id = 0; id < KEYS; id++) {
    // oxlint-disable-next-line no-await-in-loop -- one row after the other
    await db.exec(
      `INSERT INTO warp VALUES (${id}, '', zeroblob(100)); INSERT INTO weft VALUES ('key ${id}', ${id}, ''); INSERT INTO cloth VALUES (${id}, '')`,
    );
  }
}

const numbers = (list: string): number[] => (list === '' ? [] : list.split(',').map(Number));

/** What one snapshot shows, by as many statements as there are tables. */
async function readLists(session: Session): Promise<Lists> {
  const lists = new Map<Place, readonly number[]>();
  for (const table of TABLES) {
    // oxlint-disable-next-line no-await-in-loop -- one statement after the other, of one transaction
    for (const { id, list } of await session.query<{ id: number; list: string }>(`SELECT id, list FROM ${table}`).all()) {
      lists.set(`${table} ${id}`, numbers(list));
    }
  }
  return lists;
}

/** What the participants of a history have done. */
class History {
  readonly writings: Writing[] = [];
  readonly readings: Reading[] = [];
  readonly #db: Database;
  readonly #endMs: number;
  readonly writeMs: number[] = [];
  readonly readMs: number[] = [];
  /** Whose turn ended, one after the other: a commit of a writer, a snapshot of a reader. */
  readonly turns: string[] = [];
  readonly #seed: number;
  #number = 0;

  constructor(db: Database, endMs: number, seed: number) {
    this.#db = db;
    this.#endMs = endMs;
    this.#seed = seed;
  }

  get commits(): number {
    return this.writings.filter(({ outcome }) => outcome === 'committed').length;
  }

  /** A history goes on until it can be judged, however busy the machine is. */
  get #goesOn(): boolean {
    return this.commits < COMMITS_MAX && (performance.now() < this.#endMs || this.turns.length < TURNS_MIN);
  }

  /** Writes until the history ends. */
  async write(name: string): Promise<void> {
    const random = randomOf(`${this.#seed} ${name}`);
    while (this.#goesOn) {
      const startMs = performance.now();
      // oxlint-disable-next-line no-await-in-loop
      const outcome = await this.#writeOnce(++this.#number, random);
      this.writeMs.push(performance.now() - startMs);
      if (outcome === 'committed') this.turns.push(name);
    }
  }

  async #writeOnce(number: number, random: Random): Promise<Writing['outcome']> {
    const touched = new Set(Array.from({ length: 1 + random(3) }, () => `${TABLES[random(TABLES.length)]} ${random(KEYS)}`));
    const givesUp = new Error('given up');
    const seen = new Map<Place, readonly number[]>();
    let outcome: Writing['outcome'] = 'committed';
    try {
      await this.#db.transaction(
        async (tx) => {
          for (const place of touched) {
            const [table, id] = place.split(' ');
            // oxlint-disable-next-line no-await-in-loop -- one statement after the other
            const row = await tx.query<{ list: string }>(`SELECT list FROM ${table} WHERE id = ${id}`).first();
            seen.set(place, numbers(row?.list ?? ''));
            // oxlint-disable-next-line no-await-in-loop
            if (random(4) === 0)
              await tx.exec(`SAVEPOINT s; UPDATE ${table} SET list = 'undone' WHERE id = ${id}; ROLLBACK TO s; RELEASE s`);
            // oxlint-disable-next-line no-await-in-loop
            await tx.exec(`UPDATE ${table} SET list = iif(list = '', '', list || ',') || ? WHERE id = ${id}`, [number]);
          }
          if (random(8) === 0) throw givesUp;
        },
        { retries: 20 },
      );
    } catch (error) {
      const isRefused = error instanceof HeddleStoreError && (error.code === 'CONFLICT' || error.code === 'BUSY');
      if (error !== givesUp && !isRefused) throw error;
      outcome = 'undone';
    }
    this.writings.push({ number, seen, outcome, endMs: performance.now() });
    return outcome;
  }

  /** Has rows written to files, and those merged, until the history ends; returns how often. */
  async checkpoint(): Promise<number> {
    let count = 0;
    while (this.#goesOn) {
      // oxlint-disable-next-line no-await-in-loop
      await this.#db.query('PRAGMA wal_checkpoint(FULL)').all();
      count += 1;
    }
    return count;
  }

  /** Reads until the history ends. */
  async read(name: string): Promise<void> {
    while (this.#goesOn) {
      const beginMs = performance.now();
      // oxlint-disable-next-line no-await-in-loop
      const seen = await this.#db.transaction((tx) => readLists(tx), { mode: 'deferred' });
      this.readMs.push(performance.now() - beginMs);
      this.readings.push({ seen, beginMs });
      this.turns.push(name);
    }
  }
}

/** Who had no turn, or less than a twentieth of those of its like. */
function starved(turns: readonly string[], kinds: readonly (readonly string[])[]): string[] {
  const count = (name: string): number => turns.filter((turn) => turn === name).length;
  return kinds.flatMap((names) => {
    const mean = names.reduce((sum, name) => sum + count(name), 0) / names.length;
    return names.filter((name) => count(name) <= mean / 20);
  });
}

function percentiles(durations: readonly number[]): string {
  const sorted = durations.toSorted((a, b) => a - b);
  const at = (share: number): string => (sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0).toFixed(1);
  return `${sorted.length} × p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, longest ${at(1)} ms`;
}

/** Runs one history and checks it. */
async function run(db: Database, endMs: number, seed: number): Promise<History> {
  await createLists(db);
  const history = new History(db, endMs, seed);
  const names = (kind: string, count: number): string[] => Array.from({ length: count }, (_, index) => `${kind} ${index + 1}`);
  const [writers, readers] = [names('writer', WRITERS), names('reader', READERS)];
  const [checkpoints] = await Promise.all([
    history.checkpoint(),
    ...writers.map((name) => history.write(name)),
    ...readers.map((name) => history.read(name)),
  ]);
  const last = await readLists(db);
  expect(anomalies(history.writings, history.readings, last), `HEDDLE_SEED=${seed}`).toEqual([]);
  expect(checkpoints).toBeGreaterThan(0);
  expect(starved(history.turns, [writers, readers])).toEqual([]);
  return history;
}

describe.each(LOCATIONS)('%s', (name, openDatabase) => {
  test(
    'four readers and two writers see one history, and none of them starves',
    async () => {
      const db = await openDatabase({ threads: 7, cacheBytes: 2 ** 20 });
      const endMs = performance.now() + (LONG_MINUTES === 0 ? SHORT_MS : LONG_MINUTES * 30_000);
      const histories: History[] = [];
      // None is begun that would be cut short.
      for (let seed = SEED; histories.length === 0 || performance.now() < endMs - SHORT_MS; seed++) {
        // oxlint-disable-next-line no-await-in-loop -- one after the other
        histories.push(await run(db, endMs, seed));
      }
      const commits = histories.reduce((sum, history) => sum + history.commits, 0);
      expect(commits).toBeGreaterThan(0);
      if (LONG_MINUTES > 0) {
        console.info(`${name}: ${commits} commits, HEDDLE_SEED=${SEED}`);
        console.info(`${name}: writers ${percentiles(histories.flatMap((history) => history.writeMs))}`);
        console.info(`${name}: readers ${percentiles(histories.flatMap((history) => history.readMs))}`);
      }
    },
    TIMEOUT_MS,
  );
});

test(
  'what a history ends with is there after the database is opened again',
  async () => {
    const location = await temporaryLocation();
    const db = await openForTest(location, { threads: 7 });
    const history = await run(db, performance.now() + 1000, SEED);
    const last = await readLists(db);
    await db.close();
    const again = await openForTest(location);
    expect(await readLists(again)).toEqual(last);
    expect(anomalies(history.writings, [], await readLists(again))).toEqual([]);
  },
  TIMEOUT_MS,
);

describe('an anomaly is found', () => {
  const lists = (entries: Record<string, number[]>): Lists => new Map(Object.entries(entries));
  const writing = (number: number, seen: Record<string, number[]>, outcome: Writing['outcome'] = 'committed'): Writing => ({
    number,
    seen: lists(seen),
    outcome,
    endMs: number,
  });
  test.each<[string, Writing[], Reading[], Record<string, number[]>]>([
    ['a lost update', [writing(1, { a: [] }), writing(2, { a: [] })], [], { a: [2] }],
    ['an update of what was not read', [writing(1, { a: [] }), writing(2, { a: [] })], [], { a: [1, 2] }],
    ['a commit that is gone', [writing(1, { a: [], b: [] })], [], { a: [1], b: [] }],
    ['a rollback that stayed', [writing(1, { a: [] }, 'undone')], [], { a: [1] }],
    ['half a transaction read', [writing(1, { a: [], b: [] })], [{ seen: lists({ a: [1], b: [] }), beginMs: 0 }], { a: [1], b: [1] }],
    ['an old snapshot', [writing(1, { a: [] })], [{ seen: lists({ a: [] }), beginMs: 2 }], { a: [1] }],
    ['a dirty read', [writing(1, { a: [] }, 'undone')], [{ seen: lists({ a: [1] }), beginMs: 0 }], { a: [] }],
    [
      'snapshots in two orders',
      [writing(1, { a: [] }), writing(2, { b: [] })],
      [
        { seen: lists({ a: [1], b: [] }), beginMs: 0 },
        { seen: lists({ a: [], b: [2] }), beginMs: 0 },
      ],
      { a: [1], b: [2] },
    ],
  ])('%s', (_, writings, readings, last) => {
    expect(anomalies(writings, readings, lists(last))).not.toEqual([]);
  });

  test('and a sound history has none', () => {
    const writings = [writing(1, { a: [] }), writing(2, { a: [1], b: [] }), writing(3, { b: [2] }, 'undone')];
    const readings: Reading[] = [
      { seen: lists({ a: [1], b: [] }), beginMs: 1.5 },
      { seen: lists({ a: [1, 2], b: [2] }), beginMs: 5 },
    ];
    expect(anomalies(writings, readings, lists({ a: [1, 2], b: [2] }))).toEqual([]);
  });
});
