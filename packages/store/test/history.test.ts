/**
 * Readers beside writers, on real threads: every answer must fit one history under snapshot isolation.
 *
 * Short in the daily run. With HEDDLE_LONG_MINUTES it goes on for so long, and prints how long transactions took. HEDDLE_SEED chooses what
 * the participants do; how they meet does not follow from it.
 */
import { describe, expect, test } from 'vitest';
import { type Database, HeddleStoreError, type Session } from '../src/index.ts';
import { LOCATIONS, openForTest, temporaryLocation } from './support/database.ts';
import { environment, isNode } from './support/host.ts';
import { anomalies, type Lists, type Place, type Reading, type Writing } from './support/history.ts';
import { type Random, randomOf } from './support/random.ts';

const LONG_MINUTES = Number(environment('HEDDLE_LONG_MINUTES') ?? 0);
const SEED = Number(environment('HEDDLE_SEED') ?? 1);
const SHORT_MS = 3000;
const TIMEOUT_MS = 60_000 + 2 * 60_000 * LONG_MINUTES;

/** After so many commits a history is checked, and another begun: lists grow with it. */
const COMMITS_MAX = 400;

/**
 * So many statements, by the engine's own count, are run and judged in each of the two locations: 100,000 together in Node, of which a browser has
 * a tenth in the daily run, because it is as slow. In the long run each location has them all, everywhere.
 */
const OPERATIONS_MIN = LONG_MINUTES > 0 ? 100_000 : isNode ? 50_000 : 5_000;

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

/** How a row's key is written. */
type Literal = (id: number) => string;

/** What the key of each table is called, and how it is written. */
const KEYS_OF: Record<(typeof TABLES)[number], readonly [string, Literal]> = {
  warp: ['id', String],
  weft: ['name', (id) => `'key ${id}'`],
  cloth: ['id', String],
};

/** All ways to a table's rows: each gives every row once. */
const PATHS: readonly ((key: string, literal: Literal) => readonly string[])[] = [
  () => [''],
  (key) => [`ORDER BY ${key} DESC`],
  (key, literal) => Array.from({ length: KEYS }, (_, id) => `WHERE ${key} = ${literal(id)}`),
  (key, literal) => [
    `WHERE ${key} BETWEEN ${literal(1)} AND ${literal(3)}`,
    `WHERE ${key} > ${literal(3)}`,
    `WHERE ${key} < ${literal(1)}`,
  ],
  (key, literal) =>
    [
      [0, 2, 4],
      [1, 3, 5],
    ].map((ids) => `WHERE ${key} IN (${ids.map(literal).join()})`),
  (key) => [`ORDER BY ${key} LIMIT 4`, `ORDER BY ${key} DESC LIMIT 2`],
  () => [0, 1, 2, 3, 4, 5].map((id) => `WHERE id = ${id}`),
];

const PATHS_COUNT = PATHS.length;

/** One snapshot, read by every path, in one message: as many statements as a history can be judged by. */
const READ_ALL = [
  'DELETE FROM temp.seen; BEGIN',
  ...PATHS.flatMap((path) =>
    TABLES.flatMap((table) =>
      path(...KEYS_OF[table]).map((rest) => `INSERT INTO temp.seen SELECT * FROM (SELECT '${table} ' || id, list FROM ${table} ${rest})`),
    ),
  ),
  'COMMIT',
].join(';');

/** What one snapshot shows, by every path; and where two paths contradict each other. */
async function readByAllPaths(session: Session): Promise<{ lists: Lists; contradictions: string[] }> {
  await session.exec(READ_ALL);
  const lists = new Map<Place, readonly number[]>();
  const contradictions: string[] = [];
  const rows = session.query<{ place: Place; list: string; paths: number }>(
    'SELECT place, list, count(*) AS paths FROM temp.seen GROUP BY place, list',
  );
  for (const { place, list, paths } of await rows.all()) {
    lists.set(place, numbers(list));
    if (paths !== PATHS_COUNT) contradictions.push(`${place} is ${list} by ${paths} of ${PATHS_COUNT} paths`);
  }
  return { lists, contradictions };
}

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
  /** Where a snapshot had other rows by another path. */
  readonly contradictions: string[] = [];
  readonly #db: Database;
  readonly #endMs: number;
  readonly writeMs: number[] = [];
  readonly readMs: number[] = [];
  /** Whose turn ended, one after the other: a commit of a writer, a snapshot of a reader. */
  readonly turns: string[] = [];
  readonly #seed: number;
  #number = 0;
  /** Whether a canary is still to come. */
  #isUnspoilt = false;

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
    return this.#isUnspoilt || (this.commits < COMMITS_MAX && (performance.now() < this.#endMs || this.turns.length < TURNS_MIN));
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
    await using connection = await this.#db.connection();
    await connection.exec('CREATE TEMP TABLE IF NOT EXISTS seen(place TEXT, list TEXT)');
    while (this.#goesOn) {
      const beginMs = performance.now();
      // oxlint-disable-next-line no-await-in-loop
      const { lists, contradictions } = await readByAllPaths(connection);
      this.readMs.push(performance.now() - beginMs);
      this.readings.push({ seen: lists, beginMs });
      this.contradictions.push(...contradictions);
      this.turns.push(name);
    }
  }

  /** A canary: takes an acknowledged number out of a list, beside all others, once there are some. */
  async spoil(): Promise<void> {
    this.#isUnspoilt = true;
    const random = randomOf(`${this.#seed} canary`);
    const after = 10 + random(50);
    // oxlint-disable-next-line no-await-in-loop
    while (this.commits < after) await this.#db.exec('SELECT 1');
    const first = random(TABLES.length);
    await this.#db.transaction(
      async (tx) => {
        for (const table of [...TABLES.slice(first), ...TABLES.slice(0, first)]) {
          // oxlint-disable-next-line no-await-in-loop -- the first that has one
          const row = await tx.query<{ id: number; list: string }>(`SELECT id, list FROM ${table} WHERE list <> '' LIMIT 1`).first();
          if (row) return tx.exec(`UPDATE ${table} SET list = ? WHERE id = ?`, [numbers(row.list).slice(0, -1).join(), row.id]);
        }
        throw new Error('after commits no list has a number');
      },
      { retries: Infinity },
    );
    this.#isUnspoilt = false;
  }
}

/** A part of all turns that everybody has at least: readers and writers alike, though a writer's take longer and may be refused. */
const SHARE_MIN = 1 / 200;

/**
 * How many turns others have at most between two of one: a checkpoint keeps the writers of ordinary tables waiting for five seconds at most, in
 * which readers have some thousands. In a short history, half of all; of a few hundred turns nobody can tell.
 */
const GAP_MAX = 5000;
const GAP_MIN = 500;

/** Who had too few turns, or none for too long; counted in turns, for how long those take is the machine's. */
function starved(turns: readonly string[], names: readonly string[]): string[] {
  const gapMax = Math.min(GAP_MAX, Math.max(GAP_MIN, turns.length / 2));
  return names.flatMap((name) => {
    let [count, gap, longest] = [0, 0, 0];
    for (const turn of turns) {
      gap = turn === name ? 0 : gap + 1;
      if (turn === name) count += 1;
      longest = Math.max(longest, gap);
    }
    const isStarved = count < Math.max(1, turns.length * SHARE_MIN) || longest > gapMax;
    return isStarved ? [`${name}: ${count} of ${turns.length} turns, ${longest} of others in a row`] : [];
  });
}

function percentiles(durations: readonly number[]): string {
  const sorted = durations.toSorted((a, b) => a - b);
  const at = (share: number): string => (sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0).toFixed(1);
  return `${sorted.length} × p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, longest ${at(1)} ms`;
}

/** Runs one history, with a canary if that is asked for. */
async function runHistory(db: Database, endMs: number, seed: number, canary = false): Promise<[history: History, anomalies: string[]]> {
  await createLists(db);
  const history = new History(db, endMs, seed);
  const names = (kind: string, count: number): string[] => Array.from({ length: count }, (_, index) => `${kind} ${index + 1}`);
  const [writers, readers] = [names('writer', WRITERS), names('reader', READERS)];
  const [checkpoints] = await Promise.all([
    history.checkpoint(),
    canary ? history.spoil() : undefined,
    ...writers.map((name) => history.write(name)),
    ...readers.map((name) => history.read(name)),
  ]);
  const last = await readLists(db);
  expect(checkpoints).toBeGreaterThan(0);
  if (!canary) expect(starved(history.turns, [...writers, ...readers])).toEqual([]);
  return [history, [...history.contradictions, ...anomalies(history.writings, history.readings, last)]];
}

/** Runs one history and checks it. */
async function run(db: Database, endMs: number, seed: number): Promise<History> {
  const [history, found] = await runHistory(db, endMs, seed);
  expect(found, `HEDDLE_SEED=${seed}`).toEqual([]);
  return history;
}

describe.each(LOCATIONS)('%s', (name, openDatabase) => {
  test(
    'four readers and two writers see one history, and none of them starves',
    async () => {
      const db = await openDatabase({ threads: 7, cacheBytes: 2 ** 20 });
      const endMs = performance.now() + (LONG_MINUTES === 0 ? SHORT_MS : LONG_MINUTES * 30_000);
      const histories: History[] = [];
      const operations = (): number => db.threads().reduce((sum, { statements }) => sum + statements, 0);
      // None is begun that would be cut short, unless there is too little to judge by.
      for (let seed = SEED; operations() < OPERATIONS_MIN || performance.now() < endMs - SHORT_MS; seed++) {
        // oxlint-disable-next-line no-await-in-loop -- one after the other
        histories.push(await run(db, endMs, seed));
      }
      expect(operations()).toBeGreaterThanOrEqual(OPERATIONS_MIN);
      const commits = histories.reduce((sum, history) => sum + history.commits, 0);
      expect(commits).toBeGreaterThan(0);
      if (LONG_MINUTES > 0) {
        console.info(`${name}: ${commits} commits, ${operations()} operations, HEDDLE_SEED=${SEED}`);
        console.info(`${name}: writers ${percentiles(histories.flatMap((history) => history.writeMs))}`);
        console.info(`${name}: readers ${percentiles(histories.flatMap((history) => history.readMs))}`);
      }
    },
    TIMEOUT_MS,
  );
});

test(
  'a canary in a running history is found',
  async () => {
    const db = await openForTest('memory:', { threads: 8 });
    const [, found] = await runHistory(db, performance.now() + 500, SEED, true);
    expect(found).not.toEqual([]);
  },
  TIMEOUT_MS,
);

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

test('who starves is found, of either side', () => {
  const turns = Array.from({ length: 3000 }, (_, index) => ['reader', 'writer'][index % 2] as string);
  expect(starved(turns, ['reader', 'writer'])).toEqual([]);
  expect(starved([...turns, 'another'], ['reader', 'writer', 'another'])).toHaveLength(1);
  // Not a few turns, but none from the first third on.
  expect(starved([...turns, ...Array<string>(6000).fill('reader')], ['reader', 'writer'])).toHaveLength(1);
});

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
