import { describe, expect, test } from 'vitest';
import { open } from '../src/index.ts';
import { directoryDatabase, LOCATIONS, memoryDatabase, openForTest, temporaryLocation } from './support/database.ts';
import { expectError } from './support/errors.ts';
import { countRows, createItems } from './support/rows.ts';

describe.each(LOCATIONS)('a database %s', (_, create) => {
  test('answers', async () => {
    const db = await create();
    expect(await db.query('SELECT 1 + 1 AS two').all()).toEqual([{ two: 2 }]);
  });

  test.each([1, 2, 8])('runs on %i SQL threads', async (threads) => {
    const db = await create({ threads });
    expect(db.threads().map(({ index, state }) => [index, state])).toEqual(Array.from({ length: threads }, (_, index) => [index, 'idle']));
    const answers = await Promise.all(Array.from({ length: 3 * threads }, (_, n) => db.query('SELECT ? AS n', [n]).first()));
    expect(answers).toEqual(Array.from({ length: 3 * threads }, (_, n) => ({ n })));
  });

  test('refuses every call once it is closed', async () => {
    const db = await create();
    const connection = await db.connection();
    const query = db.query('SELECT 1');
    await db.close();
    await db.close();
    await expectError(query.all(), 'CLOSED');
    await expectError(db.exec('SELECT 1'), 'CLOSED');
    await expectError(
      db.transaction(async () => 1),
      'CLOSED',
    );
    await expectError(db.connection(), 'CLOSED');
    await expectError(db.stats(), 'CLOSED');
    await expectError(db.import(new Uint8Array(4), { table: 't' }), 'CLOSED');
    await expectError(connection.exec('SELECT 1'), 'CLOSED');
    await connection.release();
  });

  test('closes while calls are under way: each settles', async () => {
    const db = await create();
    const endless = 'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n';
    const calls = [db.exec(endless), db.query(endless).all(), db.exec('SELECT 1'), db.connection()];
    const outcomes = Promise.allSettled(calls);
    await new Promise((resolve) => setTimeout(resolve, 50));
    await db.close();
    expect((await outcomes).map((outcome) => outcome.status === 'rejected' && outcome.reason.code)).toEqual(calls.map(() => 'CLOSED'));
  });
});

test('what was written is there after reopening', async () => {
  const location = await temporaryLocation();
  for (let round = 0; round < 3; round++) {
    const db = await openForTest(location);
    if (round === 0) {
      await createItems(db, 1000);
      await db.exec('CREATE TABLE ordinary(a); INSERT INTO ordinary VALUES (1), (2)');
    }
    expect(await countRows(db, 'items')).toBe(1000 + round);
    expect(await countRows(db, 'ordinary')).toBe(2 + round);
    await db.transaction(async (tx) => {
      await tx.exec('INSERT INTO items(id) VALUES (?)', [2000 + round]);
      await tx.exec('INSERT INTO ordinary VALUES (?)', [round]);
    });
    await db.close();
  }
});

test('what was in memory is gone after closing', async () => {
  const first = await memoryDatabase();
  await createItems(first, 3);
  await first.close();
  const second = await memoryDatabase();
  await expectError(countRows(second, 'items'), 'SQL_ERROR', /no such table/);
});

test('two databases know nothing of each other', async () => {
  const [one, other] = await Promise.all([directoryDatabase(), directoryDatabase()]);
  await createItems(one, 10);
  await createItems(other, 20);
  expect([await countRows(one, 'items'), await countRows(other, 'items')]).toEqual([10, 20]);
  await one.close();
  expect(await countRows(other, 'items')).toBe(20);
});

test('a directory that is open and not shared is LOCKED; closing it frees it', async () => {
  const location = await temporaryLocation();
  const db = await openForTest(location, { share: false });
  await createItems(db, 10);
  await expectError(open(location, { threads: 1 }), 'LOCKED');
  await expectError(open(location, { threads: 1, share: false }), 'LOCKED');
  expect(await countRows(db, 'items')).toBe(10);
  await db.close();
  expect(await countRows(await openForTest(location), 'items')).toBe(10);
}, 60_000);

test('opening can be aborted', async () => {
  const reason = new Error('changed my mind');
  await expect(open('memory:', { signal: AbortSignal.abort(reason) })).rejects.toMatchObject({ code: 'ABORTED', cause: reason });
});

test.each<[string, string, object]>([
  ['no location', '', {}],
  ['no threads', 'memory:', { threads: 0 }],
  ['half a thread', 'memory:', { threads: 1.5 }],
  ['too many threads', 'memory:', { threads: 65 }],
  ['a negative cache', 'memory:', { cacheBytes: -1 }],
  ['memory that is no number', 'memory:', { memoryBytes: Number.NaN }],
  ['an unknown durability', 'memory:', { durability: 'some' }],
  ['an unknown recovery', 'memory:', { recovery: 'some' }],
  ['salvage that tells nobody', 'memory:', { recovery: 'salvage' }],
])('%s is MISUSE', async (_, location, options) => {
  await expectError(open(location, options), 'MISUSE');
});
