import { describe, expect, test } from 'vitest';
import { memoryDatabase, sharedDatabase } from './support/database.ts';
import { expectError } from './support/errors.ts';
import { column, countRows, createItems } from './support/rows.ts';

const ENDLESS = 'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n';
const ENDLESS_COUNT = `SELECT count(*) FROM (${ENDLESS})`;

const single = sharedDatabase('memory:', { threads: 1 });

describe('an AbortSignal', () => {
  test('that has fired already: nothing runs', async () => {
    const db = single();
    const reason = new Error('enough');
    const signal = AbortSignal.abort(reason);
    await expect(db.exec('CREATE TABLE t(a)', [], { signal })).rejects.toMatchObject({ code: 'ABORTED', cause: reason });
    await expectError(db.query(ENDLESS, [], { signal }).all(), 'ABORTED');
    await expectError(
      db.transaction(async () => 1, { signal }),
      'ABORTED',
    );
    await expectError(db.connection({ signal }), 'ABORTED');
    await expectError(countRows(db, 't'), 'SQL_ERROR', /no such table/);
  });

  test('interrupts a statement that computes', async () => {
    const db = single();
    const aborter = new AbortController();
    const call = db.query(ENDLESS_COUNT, [], { signal: aborter.signal }).all();
    setTimeout(() => aborter.abort(), 30);
    await expectError(call, 'ABORTED');
    expect(await column(db, 'SELECT 1')).toEqual([1]);
  });

  test('ends a query whose reader waits for more rows', async () => {
    const db = single();
    const aborter = new AbortController();
    let rows = 0;
    const read = async () => {
      for await (const batch of db.query(ENDLESS, [], { signal: aborter.signal })) {
        rows += batch.length;
        if (rows > 10_000) aborter.abort();
      }
    };
    await expectError(read(), 'ABORTED');
    expect(await column(db, 'SELECT 1')).toEqual([1]);
  });

  test('ends a query that nobody reads just now, and frees its thread', async () => {
    const db = single();
    const aborter = new AbortController();
    const rows = db.query(ENDLESS, [], { signal: aborter.signal })[Symbol.asyncIterator]();
    expect((await rows.next()).done).toBe(false);
    aborter.abort();
    expect(await column(db, 'SELECT 1')).toEqual([1]);
    await expectError(rows.next(), 'ABORTED');
  });

  test('takes a call that waits for a thread out of the queue', async () => {
    const db = single();
    const connection = await db.connection();
    const aborter = new AbortController();
    const given = db.exec('CREATE TABLE given(a)', [], { signal: aborter.signal });
    const kept = db.exec('CREATE TABLE kept(a)');
    aborter.abort();
    await expectError(given, 'ABORTED');
    await connection.release();
    await kept;
    await expectError(countRows(db, 'given'), 'SQL_ERROR', /no such table/);
  });

  test('undoes the statement that it interrupts, and loses nothing else', async () => {
    const db = single();
    await createItems(db, 10);
    const aborter = new AbortController();
    const call = db.exec(`INSERT INTO items(id) SELECT i + 10 FROM (${ENDLESS})`, [], { signal: aborter.signal });
    setTimeout(() => aborter.abort(), 50);
    await expectError(call, 'ABORTED');
    expect(await countRows(db, 'items')).toBe(10);
    await db.exec('INSERT INTO items(id) VALUES (11)');
    expect(await countRows(db, 'items')).toBe(11);
  });

  test('that fires after the end changes nothing', async () => {
    const db = single();
    const aborter = new AbortController();
    expect(await db.query('SELECT 1 AS n', [], { signal: aborter.signal }).all()).toEqual([{ n: 1 }]);
    await db.exec('CREATE TABLE late(a)', [], { signal: aborter.signal });
    aborter.abort();
    expect(await countRows(db, 'late')).toBe(0);
  });
});

describe('a timeout', () => {
  test('interrupts a statement', async () => {
    const db = single();
    await expectError(db.query(ENDLESS_COUNT, [], { timeoutMs: 30 }).all(), 'TIMEOUT', /30 ms/);
    await expectError(db.exec(ENDLESS_COUNT, [], { timeoutMs: 30 }), 'TIMEOUT');
    expect(await column(db, 'SELECT 1')).toEqual([1]);
  });

  test('counts the time in the queue', async () => {
    const db = single();
    const connection = await db.connection();
    await expectError(db.exec('SELECT 1', [], { timeoutMs: 20 }), 'TIMEOUT');
    await connection.release();
  });

  test('of a signal is told as such', async () => {
    const db = single();
    await expectError(db.exec(ENDLESS_COUNT, [], { signal: AbortSignal.timeout(20) }), 'TIMEOUT');
  });

  test('must be a number of milliseconds', async () => {
    const db = single();
    await expectError(db.exec('SELECT 1', [], { timeoutMs: -1 }), 'MISUSE', /timeoutMs/);
    await expectError(db.exec('SELECT 1', [], { timeoutMs: NaN }), 'MISUSE', /timeoutMs/);
    expect(await db.exec('SELECT 1', [], { timeoutMs: Infinity })).toMatchObject({ changes: 0 });
  });
});

describe('reading at the reader’s pace', () => {
  test('a slow reader holds the SQL thread back: rows don’t pile up', async () => {
    const db = single();
    const rows = db.query<{ i: number }>(ENDLESS, [], { batchRows: 100 })[Symbol.asyncIterator]();
    const first = await rows.next();
    expect(first.value?.map(({ i }) => i)).toEqual(Array.from({ length: 100 }, (_, index) => index + 1));
    // The thread is blocked, not computing: its counters and the memory stand still once the channel is full.
    await new Promise((resolve) => setTimeout(resolve, 100));
    let last = 100;
    for (let batch = 0; batch < 500; batch++) {
      for (const { i } of (await rows.next()).value ?? []) {
        expect(i).toBe(last + 1);
        last = i;
      }
    }
    await rows.return?.();
    expect(await column(db, 'SELECT 1')).toEqual([1]);
  });

  test('leaving the loop ends the query', async () => {
    const db = single();
    for await (const batch of db.query(ENDLESS, [], { batchRows: 7 })) {
      expect(batch.length).toBe(7);
      break;
    }
    expect(db.threads()[0]?.state).toBe('idle');
    expect(await column(db, 'SELECT 1')).toEqual([1]);
  });

  test('first() ends the query', async () => {
    const db = single();
    expect(await db.query(ENDLESS).first()).toEqual({ i: 1 });
    expect(await column(db, 'SELECT 1')).toEqual([1]);
  });

  test('first() does not undo a statement that writes', async () => {
    const db = single();
    await db.exec('CREATE TABLE written(a)');
    const insert = `INSERT INTO written SELECT i FROM (${ENDLESS}) LIMIT 5000`;
    expect(await db.query(`${insert} RETURNING a`).first()).toEqual({ a: 1 });
    expect(await countRows(db, 'written')).toBe(5000);
  });

  test('disposing ends a query that was asked for its columns only', async () => {
    const db = single();
    const query = db.query(ENDLESS);
    expect(await query.columns()).toEqual(['i']);
    await query[Symbol.asyncDispose]();
    expect(await column(db, 'SELECT 1')).toEqual([1]);
    await expectError(query.all(), 'MISUSE', /read already/);
  });

  test('a query is read once', async () => {
    const db = single();
    const query = db.query('SELECT 1 AS n');
    expect(await query.all()).toEqual([{ n: 1 }]);
    await expectError(query.all(), 'MISUSE', /read already/);
    await expectError(query.first(), 'MISUSE', /read already/);
  });

  test.each([0, 1.5, -1, 2 ** 21])('batches of %d rows are MISUSE', async (batchRows) => {
    const db = single();
    expect(() => db.query('SELECT 1', [], { batchRows })).toThrow(expect.objectContaining({ code: 'MISUSE' }));
  });
});

test('what runs can be watched', async () => {
  const db = await memoryDatabase({ threads: 2 });
  const aborter = new AbortController();
  const call = db.exec(ENDLESS_COUNT, [], { signal: aborter.signal });
  await new Promise((resolve) => setTimeout(resolve, 50));
  const running = db.threads().filter(({ state }) => state === 'running');
  expect(running).toEqual([
    expect.objectContaining({ sql: ENDLESS_COUNT, sinceMs: expect.any(Number), name: expect.stringMatching(/^SQL \d$/) }),
  ]);
  aborter.abort();
  await expectError(call, 'ABORTED');
  await db.exec('SELECT 1');
  expect(db.threads().reduce((sum, { statements }) => sum + statements, 0)).toBeGreaterThanOrEqual(2);
});

test('figures of the engine', async () => {
  const stats = await single().stats();
  expect(Object.keys(stats).length).toBeGreaterThan(0);
  expect(Object.values(stats).every((value) => Number.isFinite(value))).toBe(true);
});
