/**
 * Long statements of every kind, and imports, aborted on each thread: they end as aborted, are undone, and the connection goes on.
 *
 * Between an abort and the answer lie at most {@link WORK_MAX_MS} of the thread's own processor time, as natively (`crates/store/tests/interrupts.rs`):
 * so other load doesn't count. Where it can't be read, in browsers and beside Linux, it is not asserted. With HEDDLE_LONG_MINUTES the tables are
 * larger, each statement is aborted more often, and both the time and the work are printed.
 */
import { beforeAll, describe, expect, test } from 'vitest';
import type { Database, ImportProgress } from '../src/index.ts';
import { sharedDatabase } from './support/database.ts';
import { environment, isNode, nodeModule } from './support/host.ts';
import { countRows, createItems } from './support/rows.ts';

const IS_LONG = environment('HEDDLE_LONG_MINUTES') !== undefined;
const ROWS = IS_LONG ? 200_000 : 20_000;
/** How often each statement is aborted on each thread. */
const ABORTS = IS_LONG ? 20 : 1;
/** A statement with an end may come to it before it is aborted. */
const ATTEMPTS_MAX = 50 * ABORTS;
const THREADS = 2;
/** The most work between an abort and the answer. */
const WORK_MAX_MS = 50;
const TIMEOUT_MS = IS_LONG ? 600_000 : 60_000;

const ROUNDS = 'WITH RECURSIVE rounds(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM rounds)';

/** The JSON of many numbers. */
const LIST = "lists(list) AS MATERIALIZED (SELECT '[' || replace(printf('%.4000000c', '1'), '1', '1,') || '1]')";

/** Each runs for ever, or long. */
const STATEMENTS: readonly (readonly [string, string])[] = [
  ['a scan', `${ROUNDS} SELECT sum(price) FROM rounds CROSS JOIN items`],
  ['a join', `${ROUNDS} SELECT count(*) FROM rounds CROSS JOIN items a CROSS JOIN items b ON b.id = a.id`],
  ['a sort', `${ROUNDS} SELECT name FROM rounds CROSS JOIN items ORDER BY price, name`],
  ['an aggregate', `${ROUNDS} SELECT id % 100, count(*), max(name) FROM rounds CROSS JOIN items GROUP BY 1`],
  ['a recursion', `${ROUNDS} SELECT count(*) FROM rounds`],
  ['INSERT … SELECT', `${ROUNDS} INSERT INTO items SELECT i * 1000000 + id, name, price FROM rounds CROSS JOIN items`],
  ['UPDATE', "UPDATE items SET name = name || '!', price = price + 1"],
  ['DELETE', 'DELETE FROM items'],
  ['CREATE INDEX', 'CREATE INDEX by_name ON items(name, price)'],
  ['integrity_check', 'PRAGMA integrity_check'],
  ['a function', "SELECT instr(printf('%.4000000c', 'a'), printf('%.2000000c', 'a') || 'b')"],
  ['a pattern', "SELECT printf('%.20000000c', 'a') LIKE '%' || printf('%.1900c', 'a') || 'b'"],
  ['a JSON function', `${ROUNDS}, ${LIST} SELECT count(json_error_position(list || i)) FROM lists CROSS JOIN rounds`],
  [
    'the paths of a JSON function',
    `${ROUNDS}, ${LIST} SELECT count(json_set(list, '$[#-1]', i, '$[#-2]', i)) FROM lists CROSS JOIN rounds`,
  ],
  ['a row of functions', `SELECT ${Array.from({ length: 500 }, (_, index) => `length(hex(zeroblob(${2_000_000 + index})))`).join(', ')}`],
];

/** Something to abort. */
interface Aborted {
  readonly run: (signal: AbortSignal, abortNow: () => void) => Promise<unknown>;
  readonly check: () => Promise<void>;
  readonly undo: () => Promise<void>;
}

/** What lay between an abort and the answer. */
interface Taken {
  readonly timeMs: number;
  /** NaN where it can't be read. */
  readonly workMs: number;
}

/** Whether a thread's processor time can be read, as almost every Linux has it. */
const KNOWS_WORK = isNode && (await nodeModule<typeof import('node:fs')>('node:fs')).existsSync('/proc/self/schedstat');

/** The processor time of each of the process's threads, in milliseconds; of none where it can't be read. */
async function works(): Promise<Map<string, number>> {
  if (!KNOWS_WORK) return new Map();
  const { readdirSync, readFileSync } = await nodeModule<typeof import('node:fs')>('node:fs');
  const threads = readdirSync('/proc/self/task').flatMap((thread): [string, number][] => {
    try {
      const [nanoseconds] = readFileSync(`/proc/self/task/${thread}/schedstat`, 'utf8').split(' ');
      return [[thread, Number(nanoseconds) / 1e6]];
    } catch {
      return []; // it has ended
    }
  });
  return new Map(threads);
}

/** The thread of the process that works most while the one SQL thread that is free does. */
async function busiest(db: Database): Promise<string | undefined> {
  const before = await works();
  await db.exec(`${ROUNDS} SELECT count(*) FROM rounds`, [], { timeoutMs: 1000 }).catch(() => undefined);
  const worked = Array.from(await works(), ([thread, work]): [string, number] => [thread, work - (before.get(thread) ?? 0)]);
  return worked.toSorted(([, a], [, b]) => b - a)[0]?.[0];
}

const fingerprint = (db: Database) =>
  db.query('SELECT count(*) AS n, sum(id) AS ids, sum(length(name)) AS names, sum(price) AS prices FROM items').first();

const nextTask = (delayMs: number) => new Promise((resolve) => setTimeout(resolve, delayMs));

describe('on each thread', () => {
  const database = sharedDatabase('memory:', { threads: THREADS });
  let whole: Awaited<ReturnType<typeof fingerprint>>;
  /** The process's thread of each SQL thread, once that is known. */
  const threads = new Map<number, string | undefined>();
  /** Of the SQL thread that is free. */
  let thread = '';

  const fill = async (db: Database) => {
    await createItems(db, ROWS);
    await db.exec('PRAGMA wal_checkpoint(FULL)');
  };

  beforeAll(async () => {
    await fill(database());
    whole = await fingerprint(database());
  }, TIMEOUT_MS);

  /** Runs `body` once for each thread, while all others are taken. */
  async function onEach(body: (db: Database) => Promise<void>): Promise<void> {
    const db = database();
    const used = new Set<number>();
    const held = await Promise.all(Array.from({ length: THREADS }, () => db.connection()));
    const answers = () => db.threads().map(({ statements }) => statements);
    try {
      for (let round = 0; round < THREADS; round++) {
        // oxlint-disable-next-line no-await-in-loop -- one thread after the other
        await held.shift()?.release();
        const before = answers();
        // oxlint-disable-next-line no-await-in-loop
        await db.exec('SELECT 1');
        const free = answers().findIndex((count, index) => count !== before[index]);
        used.add(free);
        // oxlint-disable-next-line no-await-in-loop
        if (!threads.has(free)) threads.set(free, await busiest(db));
        thread = threads.get(free) ?? '';
        // oxlint-disable-next-line no-await-in-loop
        await body(db);
        // oxlint-disable-next-line no-await-in-loop
        held.push(await db.connection());
      }
    } finally {
      await Promise.all(held.map((connection) => connection.release()));
    }
    expect([...used].toSorted((a, b) => a - b)).toEqual(Array.from({ length: THREADS }, (_, index) => index));
  }

  /** Has `run` aborted so many times, `check` what is left then, and `undo` what it did where it came to its end. Returns what the answers took. */
  async function abort({ run, check, undo }: Aborted): Promise<Taken[]> {
    const taken: Taken[] = [];
    for (let attempt = 0; taken.length < ABORTS && attempt < ATTEMPTS_MAX; attempt++) {
      const aborter = new AbortController();
      const reason = new Error('enough');
      let abortedMs = 0;
      let before: ReturnType<typeof works> | undefined;
      const abortNow = () => {
        abortedMs = performance.now();
        aborter.abort(reason);
        // Behind the abort: where it takes time to ask, less work is seen, never work that nobody was to stop.
        before = works();
      };
      const outcome: unknown =
        // oxlint-disable-next-line no-await-in-loop -- one run after the other
        await run(aborter.signal, abortNow).then(
          () => undefined,
          (error: unknown) => error,
        );
      const timeMs = performance.now() - abortedMs;
      // oxlint-disable-next-line no-await-in-loop
      const [worksBefore, worksAfter] = [await before, await works()];
      if (outcome === undefined) {
        // oxlint-disable-next-line no-await-in-loop
        await undo();
        continue;
      }
      const workMs = (worksAfter.get(thread) ?? Number.NaN) - (worksBefore?.get(thread) ?? Number.NaN);
      taken.push({ timeMs, workMs });
      if (KNOWS_WORK) expect(workMs).toBeLessThanOrEqual(WORK_MAX_MS);
      expect(outcome).toMatchObject({ code: 'ABORTED', cause: reason });
      // oxlint-disable-next-line no-await-in-loop
      await check();
      // oxlint-disable-next-line no-await-in-loop
      expect(await fingerprint(database())).toEqual(whole);
    }
    expect(taken.length).toBe(ABORTS);
    return taken;
  }

  function print(what: string, taken: readonly Taken[]): void {
    if (!IS_LONG) return;
    const told = (durationsMs: readonly number[]): string => {
      const sorted = durationsMs.toSorted((a, b) => a - b);
      return `${sorted[sorted.length >> 1]?.toFixed(1)} ms, at most ${sorted.at(-1)?.toFixed(1)}`;
    };
    const known = taken.map(({ workMs }) => workMs).filter(Number.isFinite);
    const times = told(taken.map(({ timeMs }) => timeMs));
    console.log(`${what}: ${taken.length} aborted; to the answer ${times}; of work ${known.length === 0 ? 'not known' : told(known)}`);
  }

  test.each(STATEMENTS)(
    '%s ends when it is aborted, and is undone',
    async (what, sql) => {
      const taken: Taken[] = [];
      let rounds = 0;
      await onEach(async (db) => {
        const run: Aborted['run'] = async (signal, abortNow) => {
          const call = db.exec(sql, [], { signal });
          // The thread has taken it up, and has done some work, another amount each time.
          await Promise.race([call, nextTask(10 * (rounds++ % 20))]);
          abortNow();
          await call;
        };
        const check = async () => {
          expect(await db.query('SELECT name FROM heddle_indexes').all()).toEqual([]);
        };
        const undo = async () => {
          await db.exec('DROP INDEX IF EXISTS by_name');
          if (sql.startsWith('UPDATE') || sql.startsWith('DELETE')) await fill(db);
        };
        taken.push(...(await abort({ run, check, undo })));
      });
      print(what, taken);
    },
    TIMEOUT_MS,
  );

  test(
    'an import ends when it is aborted, and keeps the batches that were acknowledged',
    async () => {
      const batchRows = 500;
      const lines = Array.from({ length: ROWS }, (_, index) => `${ROWS + 1 + index},item,0.5`);
      const file = new TextEncoder().encode(`id,name,price\n${lines.join('\n')}\n`);
      const taken: Taken[] = [];
      await onEach(async (db) => {
        let acknowledged = 0;
        const run: Aborted['run'] = (signal, abortNow) => {
          acknowledged = 0;
          const onProgress = ({ phase, rows }: ImportProgress) => {
            if (phase !== 'importing' || rows === 0) return;
            acknowledged = rows;
            if (!signal.aborted) abortNow();
          };
          return db.import(file, { table: 'items', format: 'csv', batchRows, signal, onProgress });
        };
        const undo = async () => {
          await db.exec('DELETE FROM items WHERE id > ?', [ROWS]);
        };
        const check = async () => {
          const kept = (await countRows(db, 'items')) - ROWS;
          expect(kept % batchRows).toBe(0);
          expect(kept).toBeGreaterThanOrEqual(acknowledged);
          expect(kept).toBeLessThan(ROWS);
          await undo();
        };
        taken.push(...(await abort({ run, check, undo })));
      });
      print('an import', taken);
    },
    TIMEOUT_MS,
  );

  test('nothing is amiss behind all of them', async () => {
    expect(await database().query('PRAGMA integrity_check').all()).toEqual([{ integrity_check: 'ok' }]);
    expect(await fingerprint(database())).toEqual(whole);
  });
});
