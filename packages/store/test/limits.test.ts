/** Memory and sizes that statements may take: errors that harm nobody, in every host. */
import { limitMemory } from './support/engines.ts';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { EngineRestart, HeddleStoreError } from '../src/index.ts';
import { LOCATIONS, memoryDatabase, openForTest, temporaryLocation } from './support/database.ts';
import { expectError } from './support/errors.ts';
import { column } from './support/rows.ts';

const TIMEOUT_MS = 120_000;

const NUMBERS = 'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 20000)';

describe.each(LOCATIONS)('%s', (_, openDatabase) => {
  test(
    'what exceeds the memory fails, and can be done in smaller steps',
    async () => {
      const db = await openDatabase({ memoryBytes: 2 ** 20 });
      await db.exec('CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY, text TEXT)');
      const insert = `${NUMBERS} INSERT INTO t SELECT i, hex(randomblob(50)) FROM n`;
      await expectError(db.exec(insert), 'OUT_OF_MEMORY', /smaller steps/);
      await expectError(db.exec(`CREATE TEMP TABLE copy AS ${NUMBERS} SELECT i, randomblob(500) FROM n`), 'OUT_OF_MEMORY');
      expect(await column(db, 'SELECT count(*) FROM t')).toEqual([0]);
      for (let step = 0; step < 10; step++) {
        // oxlint-disable-next-line no-await-in-loop -- one step after the other
        await db.exec(`${insert} WHERE i > ${step} * 2000 AND i <= (${step} + 1) * 2000`);
      }
      expect(await column(db, 'SELECT count(*) FROM t')).toEqual([20_000]);
    },
    TIMEOUT_MS,
  );
});

test(
  'values, parameters and transactions that are too big are refused',
  async () => {
    const db = await memoryDatabase();
    await expectError(db.exec("SELECT length(zeroblob(300000000) || 'x')"), 'TOO_BIG');
    await expectError(db.exec('SELECT ?', [new Uint8Array(2 ** 28)]), 'TOO_BIG', /257 MiB/);
    await db.exec('CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY, b BLOB)');
    await expectError(db.exec('INSERT INTO t VALUES (1, zeroblob(252000000))'), 'TOO_BIG', /240 MiB/);
    await db.exec('INSERT INTO t VALUES (1, ?)', [new Uint8Array(2 ** 25).fill(7)]);
    expect(await column(db, "SELECT length(b) FROM t WHERE substr(b, -2) = x'0707'")).toEqual([2 ** 25]);
  },
  TIMEOUT_MS,
);

test(
  'where the engine gets no more memory, statements fail with OUT_OF_MEMORY and the engine goes on',
  async () => {
    limitMemory(160 * 2 ** 20);
    onTestFinished(() => limitMemory(undefined));
    const restarts: EngineRestart[] = [];
    const count = 'SELECT count(*) FROM t WHERE length(b) = 1000';
    const db = await memoryDatabase({ cacheBytes: 2 ** 20, onRestart: (restart) => restarts.push(restart) });
    await db.exec('CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY, b BLOB)');
    await db.exec(`${NUMBERS} INSERT INTO t SELECT i, randomblob(1000) FROM n WHERE i <= 5000`);
    const greedy = [
      // An allocation of SQLite's, of the store's, a growing one, many small ones, a sorter's.
      "SELECT length(zeroblob(200000000) || 'x')",
      'INSERT INTO t VALUES (-1, zeroblob(200000000))',
      `${NUMBERS} SELECT length(group_concat(hex(randomblob(5000)))) FROM n`,
      `${NUMBERS}, m(j) AS (SELECT 1 UNION ALL SELECT j + 1 FROM m LIMIT 40) INSERT INTO t SELECT 10000 + i * 40 + j, randomblob(200) FROM n, m`,
      'SELECT count(*) FROM (SELECT a.b FROM t AS a, t AS b ORDER BY a.b || b.b)',
    ];
    for (const sql of greedy) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      await expectError(db.exec(sql), 'OUT_OF_MEMORY');
      // What was undone is given back beside other work.
      // oxlint-disable-next-line no-await-in-loop
      await expect.poll(() => column(db, count).catch(({ code }) => code), { timeout: 30_000 }).toEqual([5000]);
    }
    expect(await column(db, 'SELECT count(*) FROM t')).toEqual([5000]);
    expect(await column(db, 'PRAGMA integrity_check')).toEqual(['ok']);
    expect(restarts).toEqual([]);
  },
  TIMEOUT_MS,
);

// What was logged of a commit that got no memory was told as the engine's failure.
test(
  'commits for which the engine gets no memory say so, and change nothing',
  async () => {
    limitMemory(160 * 2 ** 20);
    onTestFinished(() => limitMemory(undefined));
    const restarts: EngineRestart[] = [];
    const db = await memoryDatabase({ cacheBytes: 2 ** 20, onRestart: (restart) => restarts.push(restart) });
    await db.exec('CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY, size INTEGER, b BLOB)');
    const sizes: number[] = [];
    const codes: unknown[] = [];
    for (const mebibytes of [8, 16, 24, 32, 48, 64]) {
      const insert = `${NUMBERS} INSERT INTO t SELECT ${mebibytes} * 1000 + i, ${mebibytes}, randomblob(1048000) FROM n WHERE i <= ${mebibytes}`;
      try {
        // oxlint-disable-next-line no-await-in-loop -- one after the other
        await db.exec(insert);
        sizes.push(mebibytes);
      } catch (error) {
        codes.push((error as HeddleStoreError).code);
      }
    }
    expect(codes.filter((code) => code !== 'OUT_OF_MEMORY' && code !== 'NO_SPACE')).toEqual([]);
    expect(codes).toContain('OUT_OF_MEMORY');
    expect(sizes).toContain(8);
    const committed = sizes.map((size) => ({ size, n: size }));
    const rows = 'SELECT size, count(*) AS n FROM t GROUP BY size ORDER BY size';
    await expect.poll(() => db.query(rows).all().catch(String), { timeout: 30_000 }).toEqual(committed);
    expect(restarts).toEqual([]);
  },
  TIMEOUT_MS,
);

/** Each is deeper than a thread's stack would be, if nothing counted; none may run into its end, which is a trap. */
const DEEP = 20_000;
const nested = (before: string, inside: string, after: string): string => before.repeat(DEEP) + inside + after.repeat(DEEP);

const TOO_DEEP: [string, string][] = [
  ['parentheses', `SELECT ${nested('(', '1', ')')}`],
  ['signs', `SELECT ${nested('- ', '1', '')}`],
  ['operators', `SELECT ${nested('', '1', ' || 1')}`],
  ['calls', `SELECT ${nested('abs(', '1', ')')}`],
  ['cases', `SELECT ${nested('CASE WHEN 1 THEN ', '1', ' END')}`],
  ['statements within expressions', `SELECT ${nested('(SELECT ', '1', ')')}`],
  ['statements within statements', `SELECT * FROM ${nested('(SELECT * FROM ', 't', ')')}`],
  ['parts of a compound statement', `SELECT 1${nested('', '', ' UNION ALL SELECT 1')}`],
  ['JSON', `SELECT json('${nested('[', '', ']')}')`],
  ['a path into JSON', `SELECT json_set('{}', '$${'.a'.repeat(DEEP)}', 1)`],
  [
    'common table expressions',
    `WITH c0(x) AS (SELECT 1)${Array.from({ length: 2000 }, (_, index) => `, c${index + 1} AS (SELECT x FROM c${index})`).join('')} SELECT x FROM c2000`,
  ],
  ['a CHECK', `CREATE VIRTUAL TABLE deep USING tonbo(id INTEGER PRIMARY KEY, n INTEGER CHECK (${nested('(', 'n > 0', ')')}))`],
  ['triggers', 'INSERT INTO follows VALUES (1)'],
  // Chromium's stack ended at a third of what SQLite takes: the engine trapped.
  ['a pattern', `SELECT '${'a'.repeat(DEEP)}' LIKE '${nested('%a', '', '')}'`],
];

test(
  'what is nested too deeply is an error, not a trap',
  async () => {
    const restarts: EngineRestart[] = [];
    const db = await memoryDatabase({ onRestart: (restart) => restarts.push(restart) });
    await db.exec(`
      CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY, n INTEGER); INSERT INTO t VALUES (1, 1);
      CREATE TABLE follows(n);
      CREATE TRIGGER follow AFTER INSERT ON follows BEGIN INSERT INTO follows VALUES (new.n + 1); END`);
    for (const [what, sql] of TOO_DEEP) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      expect(await db.exec(sql).catch((error: unknown) => error), what).toMatchObject({ code: 'SQL_ERROR' });
      // oxlint-disable-next-line no-await-in-loop
      expect(await column(db, 'SELECT n FROM t UNION ALL SELECT n FROM follows'), what).toEqual([1]);
      expect(restarts, what).toEqual([]);
    }
  },
  TIMEOUT_MS,
);

test('what is just not too deep is answered', async () => {
  const db = await memoryDatabase();
  const views = Array.from({ length: 400 }, (_, index) => `CREATE VIEW v${index + 1} AS SELECT x FROM v${index}`).join('; ');
  await db.exec(`BEGIN; CREATE VIEW v0 AS SELECT 1 AS x; ${views}; COMMIT`);
  expect(await column(db, 'SELECT x FROM v400')).toEqual([1]);
  expect(await column(db, `SELECT '${'a'.repeat(1000)}' GLOB '${'*a'.repeat(1000)}'`)).toEqual([1]);
});

test(
  'rows larger than a chunk of memory are read in pieces',
  async () => {
    const db = await memoryDatabase({ cacheBytes: 2 ** 20 });
    await db.exec('CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY, n INTEGER, b BLOB)');
    await db.exec(
      'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 500) INSERT INTO t SELECT i, i, zeroblob(20000 + i) FROM n',
    );
    expect(await column(db, 'SELECT sum(n) FROM t')).toEqual([125_250]);
    expect(await column(db, 'SELECT sum(length(b)) FROM t')).toEqual([500 * 20_000 + 125_250]);
    const lengths = Array.from({ length: 300 }, (_, index) => 20_500 - index);
    expect(await column(db, 'SELECT length(b) FROM t ORDER BY id DESC LIMIT 300')).toEqual(lengths);
  },
  TIMEOUT_MS,
);

test(
  'a database that was written with relaxed durability is opened with full, and the other way round',
  async () => {
    const location = await temporaryLocation();
    for (const [index, durability] of (['relaxed', 'full', 'relaxed'] as const).entries()) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      const db = await openForTest(location, { durability });
      // oxlint-disable-next-line no-await-in-loop
      await db.exec(`
        CREATE TABLE IF NOT EXISTS ordinary(n); CREATE VIRTUAL TABLE IF NOT EXISTS t USING tonbo(n INTEGER PRIMARY KEY);
        INSERT INTO t VALUES (${index}); BEGIN; INSERT INTO ordinary VALUES (${index}); INSERT INTO t VALUES (${index + 100}); COMMIT`);
      // oxlint-disable-next-line no-await-in-loop
      expect(await column(db, 'SELECT count(*) FROM t UNION ALL SELECT count(*) FROM ordinary')).toEqual([2 * index + 2, index + 1]);
      // oxlint-disable-next-line no-await-in-loop
      await db.close();
    }
  },
  TIMEOUT_MS,
);
