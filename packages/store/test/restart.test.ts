/**
 * An engine that traps is replaced by another over what is durable: nothing acknowledged is lost, nothing is half there, and the
 * `Database` goes on.
 *
 * What a trapping call, its transaction and its connection are told is tested in `scheduling.node.test.ts`, where the engine can be
 * made to stop at any point.
 */
import { describe, expect, onTestFinished, test } from 'vitest';
import { Database, type EngineRestart, type ImportProgress, open, type OpenOptions, type Transaction } from '../src/index.ts';
import type { ConnectionRecord } from '../src/internal/ConnectionRecord.ts';
import { EngineKeeper } from '../src/internal/EngineKeeper.ts';
import { type EngineOptions, startEngine } from '../src/internal/startEngine.ts';
import { memoryDatabase, openForTest, temporaryLocation } from './support/database.ts';
import { killIoThread, liveIoThreads, NOWHERE, trap } from './support/engines.ts';
import { expectError } from './support/errors.ts';
import { FLIGHTS_3M_PARQUET, readFixture } from './support/fixtures.ts';
import { column, countRows, createItems } from './support/rows.ts';

const ENDLESS = 'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n';
const ENDLESS_COUNT = `SELECT count(*) FROM (${ENDLESS})`;

const TIMEOUT_MS = 120_000;

interface Observed {
  readonly db: Database;
  readonly location: string;
  readonly restarts: EngineRestart[];
  /** Resolves at the next restart. */
  readonly restarted: () => Promise<void>;
}

async function observedDatabase(options: OpenOptions = {}): Promise<Observed> {
  const location = await temporaryLocation();
  const restarts: EngineRestart[] = [];
  let next = Promise.withResolvers<void>();
  const onRestart = (restart: EngineRestart): void => {
    restarts.push(restart);
    next.resolve();
    next = Promise.withResolvers();
  };
  const db = await openForTest(location, { ...options, onRestart });
  return { db, location, restarts, restarted: () => next.promise };
}

/** What an engine of a test's own is started with. */
function engineOptions(directory: string | undefined): EngineOptions {
  return {
    directory,
    threads: 2,
    cacheBytes: 2 ** 26,
    memoryBytes: 2 ** 30,
    durability: 'full',
    recovery: 'refuse',
    onDamage: undefined,
    signal: undefined,
  };
}

/** Has the engine trap while a call is under way, and returns when that has rejected. */
async function trapUnder(db: Database): Promise<void> {
  const call = expectError(db.exec(ENDLESS_COUNT), 'ENGINE_RESTARTED', /trapped/);
  trap();
  await call;
}

/** Counts how often a microtask of this test throws the error, which would be an uncaught one. */
function catchInMicrotasks(error: Error): () => number {
  const { queueMicrotask } = globalThis;
  let count = 0;
  globalThis.queueMicrotask = (task) =>
    queueMicrotask(() => {
      try {
        task();
      } catch (thrown) {
        if (thrown !== error) throw thrown;
        count++;
      }
    });
  onTestFinished(() => {
    globalThis.queueMicrotask = queueMicrotask;
  });
  return () => count;
}

describe('when the engine traps', () => {
  test(
    'what is under way rejects, what waits or comes meanwhile succeeds',
    async () => {
      const { db, restarts } = await observedDatabase({ threads: 3 });
      await createItems(db, 10);
      const rows = db.query(ENDLESS)[Symbol.asyncIterator]();
      await rows.next();
      const connection = await db.connection();
      await connection.exec('BEGIN; DELETE FROM items');
      const running = db.exec(ENDLESS_COUNT);
      const waiting = countRows(db, 'items');
      trap();
      await expectError(running, 'ENGINE_RESTARTED', /whole or not at all/);
      expect(db.threads().map(({ state }) => state)).toEqual(['restarting', 'restarting', 'restarting']);
      const later = db.exec('INSERT INTO items(id) VALUES (11)');
      await expectError(rows.next(), 'ENGINE_RESTARTED');
      await expectError(connection.exec('COMMIT'), 'ENGINE_RESTARTED', /[Cc]onnections and temporary tables are gone/);
      expect([10, 11]).toContain(await waiting);
      await later;
      expect(await countRows(db, 'items')).toBe(11);
      await connection.release();
      expect(db.threads().map(({ state }) => state)).toEqual(['idle', 'idle', 'idle']);
      expect(restarts).toMatchObject([{ error: { code: 'ENGINE_FAILED' }, durationMs: expect.any(Number) }]);
      await Promise.all([db.connection(), db.connection(), db.connection()].map(async (other) => (await other).release()));
    },
    TIMEOUT_MS,
  );

  test(
    'again and again, it goes on: reads, writes, transactions, imports',
    async () => {
      const { db, restarted, restarts } = await observedDatabase();
      await db.exec('CREATE TABLE ordinary(id INTEGER PRIMARY KEY)');
      await createItems(db, 0);
      for (let round = 1; round <= 4; round++) {
        const restart = restarted();
        await trapUnder(db);
        await db.transaction(async (tx) => {
          await tx.exec('INSERT INTO items(id) VALUES (?)', [round]);
          await tx.exec('INSERT INTO ordinary VALUES (?)', [round]);
        });
        await db.import(await readFixture(FLIGHTS_3M_PARQUET), { table: `flights${round}`, rowNumber: 'id', rows: 1000 });
        await restart;
        expect(liveIoThreads()).toBe(1);
      }
      const rounds = [1, 2, 3, 4];
      expect(await column(db, 'SELECT id FROM items ORDER BY id')).toEqual(rounds);
      expect(await column(db, 'SELECT id FROM ordinary ORDER BY id')).toEqual(rounds);
      for (const round of rounds) expect(await countRows(db, `flights${round}`)).toBe(1000);
      expect(restarts.length).toBe(4);
      expect(await column(db, 'PRAGMA integrity_check')).toEqual(['ok']);
    },
    TIMEOUT_MS,
  );

  test(
    'nothing acknowledged is lost, and no transaction is half there or there twice',
    async () => {
      const PARTS = 5;
      const RESTARTS = 4;
      const { db, location, restarts, restarted } = await observedDatabase({ threads: 3 });
      await db.exec('CREATE VIRTUAL TABLE parts USING tonbo(batch INTEGER, part INTEGER, PRIMARY KEY (batch, part))');
      await db.exec('CREATE TABLE odd(batch INTEGER PRIMARY KEY)');
      const acknowledged: number[] = [];
      const unknown: number[] = [];
      let next = 0;
      const writer = async () => {
        while (restarts.length < RESTARTS) {
          const batch = next++;
          const work = async (tx: Transaction) => {
            for (let part = 0; part < PARTS; part++) await tx.exec('INSERT INTO parts VALUES (?, ?)', [batch, part]);
            if (batch % 2 === 1) await tx.exec('INSERT INTO odd VALUES (?)', [batch]);
          };
          try {
            // Were one repeated whose commit had come through, its keys would be duplicates.
            await db.transaction(work, { retries: Infinity });
            acknowledged.push(batch);
          } catch (error) {
            expect(error).toMatchObject({ code: 'ENGINE_RESTARTED' });
            unknown.push(batch);
          }
        }
      };
      const trapper = async () => {
        while (restarts.length < RESTARTS) {
          const restart = restarted();
          const goal = acknowledged.length + 10;
          while (acknowledged.length < goal) await new Promise((resolve) => setTimeout(resolve, 1));
          trap();
          await restart;
        }
      };
      await Promise.all([writer(), writer(), writer(), trapper()]);
      const check = async (database: Database) => {
        const batches = await database
          .query<{ batch: number; parts: number }>('SELECT batch, count(*) AS parts FROM parts GROUP BY batch ORDER BY batch')
          .all();
        const present = new Set(batches.map(({ batch }) => batch));
        expect(batches.filter(({ parts }) => parts !== PARTS)).toEqual([]);
        expect(acknowledged.filter((batch) => !present.has(batch))).toEqual([]);
        expect([...present].filter((batch) => !acknowledged.includes(batch) && !unknown.includes(batch))).toEqual([]);
        expect(await column(database, 'SELECT batch FROM odd ORDER BY batch')).toEqual([...present].filter((batch) => batch % 2 === 1));
      };
      await check(db);
      await db.close();
      await check(await openForTest(location));
      console.log(`${RESTARTS} restarts, ${acknowledged.length} acknowledged transactions, ${unknown.length} whose fate was unknown`);
    },
    TIMEOUT_MS,
  );

  test(
    'an import keeps what it had acknowledged, in whole batches',
    async () => {
      const { db } = await observedDatabase();
      const batchRows = 1000;
      let acknowledged = 0;
      const onProgress = ({ rows }: ImportProgress): void => {
        if (acknowledged < 3 * batchRows && rows >= 3 * batchRows) trap();
        acknowledged = rows;
      };
      const flights = { table: 'flights', rowNumber: 'id', rows: 200_000, batchRows };
      await expectError(db.import(await readFixture(FLIGHTS_3M_PARQUET), { ...flights, onProgress }), 'ENGINE_RESTARTED');
      const count = await countRows(db, 'flights');
      expect(count).toBeGreaterThanOrEqual(acknowledged);
      expect(count % batchRows).toBe(0);
      await db.exec('DROP TABLE flights');
      expect(await db.import(await readFixture(FLIGHTS_3M_PARQUET), { ...flights, rows: 5000 })).toEqual({ rows: 5000 });
      expect(await countRows(db, 'flights')).toBe(5000);
    },
    TIMEOUT_MS,
  );

  test(
    'calls that wait for the next can be aborted, and time out',
    async () => {
      const { db } = await observedDatabase();
      await trapUnder(db);
      const aborter = new AbortController();
      const aborted = [db.exec('CREATE TABLE t(a)', [], { signal: aborter.signal }), db.connection({ signal: aborter.signal })];
      const late = db.transaction((tx) => tx.exec('CREATE TABLE t(a)'), { timeoutMs: 0 });
      aborter.abort();
      for (const call of aborted) await expectError(call, 'ABORTED');
      await expectError(late, 'TIMEOUT');
      await expectError(countRows(db, 't'), 'SQL_ERROR', /no such table/);
    },
    TIMEOUT_MS,
  );

  test(
    'while it is closed, it is closed',
    async () => {
      const { db, location } = await observedDatabase();
      await createItems(db, 10);
      const running = Promise.allSettled([db.exec(ENDLESS_COUNT), db.query(ENDLESS_COUNT).all()]);
      trap();
      await db.close();
      for (const outcome of await running) expect(outcome).toMatchObject({ status: 'rejected' });
      await expectError(db.exec('SELECT 1'), 'CLOSED');
      const again = await openForTest(location);
      expect(await countRows(again, 'items')).toBe(10);
      const closing = again.close();
      trap();
      await closing;
      expect(await countRows(await openForTest(location), 'items')).toBe(10);
    },
    TIMEOUT_MS,
  );

  test(
    'it can be closed before the next has started',
    async () => {
      const { db, location, restarts } = await observedDatabase();
      await createItems(db, 10);
      await trapUnder(db);
      const refused = expectError(countRows(db, 'items'), 'CLOSED');
      await db.close();
      await refused;
      expect(restarts).toEqual([]);
      expect(liveIoThreads()).toBe(0);
      expect(await countRows(await openForTest(location), 'items')).toBe(10);
    },
    TIMEOUT_MS,
  );

  test(
    'and the next ones too, before they have answered: it is over, and can be opened again',
    async () => {
      const location = await temporaryLocation();
      const restarts: EngineRestart[] = [];
      const db = await openForTest(location, {
        onRestart: (restart) => {
          restarts.push(restart);
          trap();
        },
      });
      await createItems(db, 10);
      await trapUnder(db);
      await expectError(db.exec(ENDLESS_COUNT, [], { timeoutMs: TIMEOUT_MS }), 'ENGINE_RESTARTED');
      await expectError(db.exec(ENDLESS_COUNT), 'ENGINE_RESTARTED');
      await expectError(db.exec(ENDLESS_COUNT), 'ENGINE_FAILED', /open it again/);
      await expectError(db.exec('SELECT 1'), 'ENGINE_FAILED');
      expect(restarts.length).toBe(3);
      await db.close();
      expect(await countRows(await openForTest(location), 'items')).toBe(10);
    },
    TIMEOUT_MS,
  );

  test(
    'a listener that throws harms nobody',
    async () => {
      const thrown = new Error('the listener’s own');
      const seen = catchInMicrotasks(thrown);
      const location = await temporaryLocation();
      const db = await openForTest(location, {
        onRestart: () => {
          throw thrown;
        },
      });
      await trapUnder(db);
      expect(await column(db, 'SELECT 1')).toEqual([1]);
      expect(seen()).toBe(1);
    },
    TIMEOUT_MS,
  );

  test(
    'on a SQL thread: the message names it',
    async () => {
      const location = await temporaryLocation();
      const engine = await startEngine(engineOptions(location));
      const restarts: EngineRestart[] = [];
      const db = new Database(new EngineKeeper(engine, (restart) => restarts.push(restart)));
      onTestFinished(() => db.close());
      await createItems(db, 10);
      const connection = await db.connection();
      const idle = engine.threads[db.threads().findIndex(({ state }) => state === 'idle')];
      const beside = expectError(connection.exec(ENDLESS_COUNT), 'ENGINE_RESTARTED', /^the engine stopped/);
      const culprit = idle?.request({ op: 'import', address: NOWHERE, size: 8, table: 't', create: true }, undefined);
      await expectError(culprit ?? Promise.resolve(), 'ENGINE_RESTARTED', /this call stopped the engine \(thread 'SQL \d' trapped: .*\)/);
      await beside;
      await connection.release();
      expect(await countRows(db, 'items')).toBe(10);
      expect(restarts).toMatchObject([{ error: { message: expect.stringMatching(/'SQL \d'/) } }]);
    },
    TIMEOUT_MS,
  );
});

describe('a statement that was told to stop', () => {
  const HEED_MS = 1500;
  /** Compares thirty megabytes with themselves, again and again in one call of one function, which looks at nothing meanwhile: a minute and more. */
  const HEEDLESS = `SELECT max(?1 COLLATE NOCASE${', ?1'.repeat(998)})`;
  const VALUES = ['a'.repeat(30_000_000)];

  async function watchedDatabase(directory?: string): Promise<{ db: Database; restarts: EngineRestart[]; heedless: () => Promise<void> }> {
    const engine = await startEngine({ ...engineOptions(directory), heedMs: HEED_MS });
    const restarts: EngineRestart[] = [];
    const db = new Database(new EngineKeeper(engine, (restart) => restarts.push(restart)));
    onTestFinished(() => db.close());
    await createItems(db, 10);
    const records = engine.threads.map(({ link }) => link.record as ConnectionRecord);
    /** Resolves when a thread runs something and shows no progress. */
    const heedless = async (): Promise<void> => {
      for (let before = -1; ;) {
        const progress = records.find(({ running }) => running)?.progress ?? -1;
        if (progress >= 0 && progress === before) return;
        before = progress;
        // oxlint-disable-next-line no-await-in-loop -- one look after the other
        await new Promise((resolve) => setTimeout(resolve, 200));
      }
    };
    return { db, restarts, heedless };
  }

  test(
    'and heeds it not is ended with its engine',
    async () => {
      const { db, restarts, heedless } = await watchedDatabase(await temporaryLocation());
      const connection = await db.connection();
      await connection.exec('BEGIN; DELETE FROM items');
      const aborter = new AbortController();
      const call = expectError(
        db.query(HEEDLESS, VALUES, { signal: aborter.signal }).all(),
        'ENGINE_RESTARTED',
        /this call stopped the engine .* did not heed its interruption/,
      );
      await heedless();
      aborter.abort();
      await call;
      await expectError(connection.exec('COMMIT'), 'ENGINE_RESTARTED', /^the engine stopped/);
      await connection.release();
      expect(await countRows(db, 'items')).toBe(10);
      expect(restarts).toMatchObject([{ error: { code: 'ENGINE_FAILED', message: expect.stringMatching(/"SQL \d" did not heed/) } }]);
    },
    TIMEOUT_MS,
  );

  test.each([
    ['in a directory', 'the pool', temporaryLocation],
    ['in a directory', 'a connection', temporaryLocation],
    ['in memory', 'the pool', async () => undefined],
  ])(
    'does not outlast the close of its database %s, on a thread of %s',
    async (_, whose, location) => {
      const { db, restarts, heedless } = await watchedDatabase(await location());
      const lane = whose === 'the pool' ? db : await db.connection();
      const running = expectError(lane.query(HEEDLESS, VALUES).all(), 'ENGINE_FAILED', /did not heed its interruption/);
      await heedless();
      await db.close();
      await running;
      expect(restarts).toEqual([]);
    },
    TIMEOUT_MS,
  );
});

test(
  'when the I/O thread dies, the engine is restarted with another',
  async () => {
    const { db, location } = await observedDatabase();
    await createItems(db, 10);
    const running = expectError(db.exec(ENDLESS_COUNT), 'ENGINE_RESTARTED', /I\/O thread/);
    killIoThread();
    await running;
    expect(await countRows(db, 'items')).toBe(10);
    await db.exec('INSERT INTO items(id) VALUES (11)');
    await db.close();
    expect(await countRows(await openForTest(location), 'items')).toBe(11);
  },
  TIMEOUT_MS,
);

test(
  'a directory is held all the while',
  async () => {
    const { db, location } = await observedDatabase();
    await createItems(db, 10);
    await trapUnder(db);
    await expectError(open(location, { threads: 1, share: false }), 'LOCKED');
    expect(await countRows(db, 'items')).toBe(10);
  },
  TIMEOUT_MS,
);

test(
  'a database in memory is gone with its engine, and never silently empty',
  async () => {
    let restarts = 0;
    const db = await memoryDatabase({ onRestart: () => restarts++ });
    await createItems(db, 10);
    const running = expectError(db.exec(ENDLESS_COUNT), 'ENGINE_FAILED', /in memory/);
    trap();
    await running;
    await expectError(countRows(db, 'items'), 'ENGINE_FAILED');
    await expectError(db.connection(), 'ENGINE_FAILED');
    expect(restarts).toBe(0);
    await db.close();
  },
  TIMEOUT_MS,
);
