/**
 * This package's side of the wire, against a stand-in that answers from `node:sqlite` over real channels.
 *
 * The same promises are tested against the engine in `stopping.test.ts`, `Connection.test.ts` and others; here it can be told to
 * misbehave, too.
 */
import './support/noBlocking.ts';
import { describe, expect, test } from 'vitest';
import { peerDatabase } from './peer/startPeer.ts';
import { HeddleStoreError } from '../src/index.ts';
import { expectError } from './support/errors.ts';
import { column } from './support/rows.ts';

const ENDLESS = 'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n';

test('a round trip of values', async () => {
  const db = await peerDatabase(1);
  const row = await db.query('SELECT ? AS a, ? AS b, ? AS c, ? AS d, ? AS e', [1, 2n ** 60n, 'text', null, Uint8Array.of(1)]).all();
  expect(row).toEqual([{ a: 1, b: 2n ** 60n, c: 'text', d: null, e: Uint8Array.of(1) }]);
});

test('messages longer than the channel takes pass in both directions', async () => {
  const db = await peerDatabase(1);
  const text = 'häddle'.repeat(50_000);
  expect(await db.query('SELECT ? AS t', [text]).first()).toEqual({ t: text });
});

describe('calls', () => {
  test('run on free threads, and queue in order', async () => {
    const db = await peerDatabase(2);
    await db.exec('CREATE TABLE log(n INTEGER)');
    const hold = await db.connection();
    const calls = Array.from({ length: 50 }, (_, n) => db.exec('INSERT INTO log VALUES (?)', [n]));
    await Promise.all(calls);
    expect(await column(db, 'SELECT n FROM log ORDER BY rowid')).toEqual(calls.map((_, n) => n));
    await hold.release();
    expect(db.threads().map(({ state }) => state)).toEqual(['idle', 'idle']);
  });

  test('that fail free their thread', async () => {
    const db = await peerDatabase(1);
    for (let n = 0; n < 3; n++) {
      await expectError(db.exec('nonsense'), 'SQL_ERROR', /syntax error/);
      await expectError(db.query('SELECT * FROM nowhere').all(), 'SQL_ERROR', /no such table/);
    }
    expect(await column(db, 'SELECT 1')).toEqual([1]);
  });

  test('that were aborted while they waited never run', async () => {
    const db = await peerDatabase(1);
    await db.exec('CREATE TABLE t(a)');
    const connection = await db.connection();
    const aborter = new AbortController();
    const given = db.exec('INSERT INTO t VALUES (1)', [], { signal: aborter.signal });
    const kept = db.exec('INSERT INTO t VALUES (2)');
    aborter.abort('no');
    await expectError(given, 'ABORTED');
    await connection.release();
    await kept;
    expect(await column(db, 'SELECT a FROM t')).toEqual([2]);
  });
});

describe('back-pressure', () => {
  test('a SQL thread whose rows are not read stops when the channel is full', async () => {
    const db = await peerDatabase(1);
    const rows = db.query<{ i: number }>('PEER ROWS 100000', [], { batchRows: 10 })[Symbol.asyncIterator]();
    expect((await rows.next()).value?.length).toBe(10);
    const responses = () => db.threads()[0]?.state;
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(responses()).toBe('running');
    let count = 10;
    for (let next = await rows.next(); !next.done; next = await rows.next()) count += next.value.length;
    expect(count).toBe(100_000);
  });

  test('leaving the loop interrupts the query', async () => {
    const db = await peerDatabase(1);
    for await (const batch of db.query(ENDLESS)) {
      expect(batch.length).toBe(1024);
      break;
    }
    expect(await db.query(ENDLESS).first()).toEqual({ i: 1 });
    expect(await column(db, 'SELECT 1')).toEqual([1]);
  });

  test('a signal frees the thread though nobody reads', async () => {
    const db = await peerDatabase(1);
    const aborter = new AbortController();
    const rows = db.query(ENDLESS, [], { signal: aborter.signal })[Symbol.asyncIterator]();
    await rows.next();
    aborter.abort();
    expect(await column(db, 'SELECT 1')).toEqual([1]);
    await expectError(rows.next(), 'ABORTED');
    expect((await rows.next()).done).toBe(true);
  });

  test('a timeout ends a loop between two batches', async () => {
    const db = await peerDatabase(1);
    const read = async () => {
      for await (const _ of db.query(ENDLESS, [], { timeoutMs: 50 })) await new Promise((resolve) => setTimeout(resolve, 5));
    };
    await expectError(read(), 'TIMEOUT');
    expect(await column(db, 'SELECT 1')).toEqual([1]);
  });
});

describe('closing', () => {
  test('settles every call, whatever it is doing', async () => {
    const db = await peerDatabase(2);
    const paused = db.query(ENDLESS)[Symbol.asyncIterator]();
    await paused.next();
    const calls = [db.query(ENDLESS).all(), db.exec('SELECT 1'), db.connection(), db.transaction(async () => 1), paused.next()];
    const outcomes = Promise.allSettled(calls.map((call) => call.then(() => 'read')));
    await db.close();
    const codes = (await outcomes).map((outcome) => (outcome.status === 'rejected' ? outcome.reason.code : outcome.value));
    expect(codes.slice(0, 4)).toEqual(['CLOSED', 'CLOSED', 'CLOSED', 'CLOSED']);
    await expectError(db.exec('SELECT 1'), 'CLOSED');
  });

  test('stops a transaction whose function goes on', async () => {
    const db = await peerDatabase(2);
    await db.exec('CREATE TABLE t(a)');
    const started = Promise.withResolvers<void>();
    const work = db.transaction(async (tx) => {
      await tx.exec('INSERT INTO t VALUES (1)');
      started.resolve();
      await new Promise(() => {});
    });
    const outcome = expectError(work, 'CLOSED');
    await started.promise;
    await db.close();
    await outcome;
  });

  test('releases connections that were forgotten', async () => {
    const db = await peerDatabase(2);
    const connection = await db.connection();
    await connection.exec('BEGIN');
    await db.close();
    await expectError(connection.exec('COMMIT'), 'CLOSED', /database has been closed/);
  });
});

test('an engine that dies rejects what is under way and whatever comes', async () => {
  const db = await peerDatabase(3);
  const paused = db.query(ENDLESS)[Symbol.asyncIterator]();
  await paused.next();
  const connection = db.connection();
  await expectError(db.exec('PEER EXIT'), 'ENGINE_FAILED');
  await expectError(paused.next(), 'ENGINE_FAILED');
  await expectError(db.exec('SELECT 1'), 'ENGINE_FAILED');
  await (await connection).release();
  await db.close();
});

describe('an engine that dies and is restarted', () => {
  test('rejects what is under way, and serves what waits or comes', async () => {
    const db = await peerDatabase(2, { onRestart: () => {} });
    await db.exec('CREATE TABLE t(a)');
    const paused = db.query(ENDLESS)[Symbol.asyncIterator]();
    await paused.next();
    const culprit = db.exec('PEER EXIT');
    const waiting = db.exec('INSERT INTO t VALUES (1)');
    await expectError(culprit, 'ENGINE_RESTARTED', /this call stopped the engine/);
    expect(db.threads().map(({ state }) => state)).toEqual(['restarting', 'restarting']);
    const later = db.exec('INSERT INTO t VALUES (2)');
    await expectError(paused.next(), 'ENGINE_RESTARTED', /^the engine stopped/);
    await Promise.all([waiting, later]);
    expect(await column(db, 'SELECT a FROM t ORDER BY a')).toEqual([1, 2]);
    expect(db.threads().map(({ state }) => state)).toEqual(['idle', 'idle']);
  });

  test('a transaction beside it runs again', async () => {
    const db = await peerDatabase(2, { onRestart: () => {} });
    await db.exec('CREATE TABLE t(a)');
    let runs = 0;
    const result = await db.transaction(async (tx) => {
      await tx.exec('INSERT INTO t VALUES (?)', [++runs]);
      if (runs === 1) await expectError(db.exec('PEER EXIT'), 'ENGINE_RESTARTED');
      return runs;
    });
    expect([result, runs]).toEqual([2, 2]);
    expect(await column(db, 'SELECT a FROM t')).toEqual([2]);
  });

  test('a transaction beside it that waits for something else runs again at once', async () => {
    const db = await peerDatabase(2, { onRestart: () => {} });
    let runs = 0;
    await db.transaction(async () => {
      if (++runs > 1) return;
      void db.exec('PEER EXIT').catch(() => undefined);
      await new Promise(() => {});
    });
    expect(runs).toBe(2);
  });

  test.each<[string, string, object]>([
    ['whose own statement stopped it', 'PEER EXIT', {}],
    ['whose commit was under way', 'PEER EXIT AT COMMIT', {}],
    ['that committed by itself', 'COMMIT; SELECT 1', {}],
    ['without retries', 'SELECT 1', { retries: 0 }],
  ])('a transaction %s does not run again', async (_, statement, options) => {
    const db = await peerDatabase(2, { onRestart: () => {} });
    let runs = 0;
    const work = db.transaction(async (tx) => {
      runs++;
      await tx.exec(statement);
      if (!statement.startsWith('PEER')) await db.exec('PEER EXIT').catch(() => undefined);
    }, options);
    await expectError(work, 'ENGINE_RESTARTED', /whole or not at all/);
    expect(runs).toBe(1);
    expect(await column(db, 'SELECT 1')).toEqual([1]);
  });

  test('a connection is gone with it, and can be released', async () => {
    const db = await peerDatabase(2, { onRestart: () => {} });
    const connection = await db.connection();
    await connection.exec('CREATE TEMP TABLE mine(a)');
    await expectError(db.exec('PEER EXIT'), 'ENGINE_RESTARTED');
    expect(await column(db, 'SELECT 1')).toEqual([1]);
    await expectError(connection.exec('SELECT 1'), 'ENGINE_RESTARTED', /temporary tables are gone/);
    await expectError(
      connection.transaction(async () => 1),
      'ENGINE_RESTARTED',
    );
    await connection.release();
    // Both threads are there.
    await Promise.all([db.connection(), db.connection()].map(async (other) => (await other).release()));
  });

  test('is given up when engines keep dying without an answer', async () => {
    let restarts = 0;
    const db = await peerDatabase(1, { onRestart: () => restarts++ });
    await db.exec('SELECT 1');
    for (let time = 0; time < 3; time++) await expectError(db.exec('PEER EXIT'), 'ENGINE_RESTARTED');
    await expectError(db.exec('PEER EXIT'), 'ENGINE_FAILED', /a SQL thread ended/);
    expect(restarts).toBe(3);
    await expectError(db.exec('SELECT 1'), 'ENGINE_FAILED');
    await expectError(db.connection(), 'ENGINE_FAILED');
    await db.close();
  });

  test('goes on for as long as there are answers in between', async () => {
    const db = await peerDatabase(1, { onRestart: () => {} });
    for (let time = 0; time < 6; time++) {
      await db.exec('SELECT 1');
      await expectError(db.exec('PEER EXIT'), 'ENGINE_RESTARTED');
    }
    expect(await column(db, 'SELECT 1')).toEqual([1]);
  });

  test('a start that fails is tried again', async () => {
    let starts = 0;
    const onRestart = () => {
      if (++starts === 1) throw new HeddleStoreError('IO_ERROR', 'not now');
    };
    const db = await peerDatabase(1, { onRestart });
    await db.exec('SELECT 1');
    await expectError(db.exec('PEER EXIT'), 'ENGINE_RESTARTED');
    expect(await column(db, 'SELECT 1')).toEqual([1]);
    expect(starts).toBe(2);
  });

  test('a start that fails again and again ends it, with the cause', async () => {
    const cause = new HeddleStoreError('NO_SPACE', 'the disk is full');
    const onRestart = () => {
      throw cause;
    };
    const db = await peerDatabase(1, { onRestart });
    await db.exec('SELECT 1');
    const culprit = db.exec('PEER EXIT');
    const waiting = db.exec('SELECT 1');
    await expectError(culprit, 'ENGINE_RESTARTED');
    await expect(waiting).rejects.toMatchObject({ code: 'ENGINE_FAILED', message: expect.stringContaining('the disk is full'), cause });
    await expectError(db.exec('SELECT 1'), 'ENGINE_FAILED', /disk is full/);
    await db.close();
  });

  test('calls that wait for it can be aborted, and time out', async () => {
    const db = await peerDatabase(1, { onRestart: () => {} });
    const culprit = db.exec('PEER EXIT');
    const aborter = new AbortController();
    await expectError(culprit, 'ENGINE_RESTARTED');
    const aborted = db.exec('SELECT 1', [], { signal: aborter.signal });
    const late = db.transaction(async () => 1, { timeoutMs: 0 });
    const reserved = db.connection({ signal: aborter.signal });
    aborter.abort();
    await expectError(aborted, 'ABORTED');
    await expectError(reserved, 'ABORTED');
    await expectError(late, 'TIMEOUT');
    expect(await column(db, 'SELECT 1')).toEqual([1]);
  });

  test('can be closed meanwhile', async () => {
    const db = await peerDatabase(1, { onRestart: () => {} });
    await expectError(db.exec('PEER EXIT'), 'ENGINE_RESTARTED');
    const waiting = db.exec('SELECT 1');
    const refused = expectError(waiting, 'CLOSED');
    await db.close();
    await refused;
    await expectError(db.exec('SELECT 1'), 'CLOSED');
  });
});

describe('an import', () => {
  const digits = (text: string) => new TextEncoder().encode(text);

  test('passes through the shared memory, and reports progress', async () => {
    const db = await peerDatabase(1);
    const steps: string[] = [];
    const result = await db.import(digits('1234567890'), {
      table: 'd',
      onProgress: ({ phase, bytes, bytesTotal, rows, rowsTotal }) => steps.push(`${phase} ${bytes}/${bytesTotal} ${rows}/${rowsTotal}`),
    });
    expect(result).toEqual({ rows: 10 });
    expect(steps).toEqual([
      'reading 0/10 0/undefined',
      'reading 10/10 0/undefined',
      'importing 10/10 4/10',
      'importing 10/10 8/10',
      'importing 10/10 10/10',
    ]);
    expect(await column(db, 'SELECT digit FROM d')).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 0]);
  });

  test('of a file that no memory can hold is refused before it could stop the engine', async () => {
    const db = await peerDatabase(1);
    const huge = Object.defineProperty(new Blob(['1']), 'size', { value: 2 ** 31 });
    await expectError(db.import(huge, { table: 'd' }), 'BAD_IMPORT', /2147483648 bytes/);
    expect(await column(db, 'SELECT 1')).toEqual([1]);
  });

  test('whose engine dies while its source is read', async () => {
    const db = await peerDatabase(2, { onRestart: () => {} });
    let canceled = false;
    const source = new Blob(['1'.repeat(8)]);
    const stalled = new ReadableStream<Uint8Array>({
      start: (controller) => controller.enqueue(digits('1')),
      cancel: () => {
        canceled = true;
      },
    });
    source.stream = () => stalled as ReturnType<Blob['stream']>;
    const reading = Promise.withResolvers<void>();
    const work = db.import(source, { table: 'd', onProgress: ({ bytes }) => bytes === 1 && reading.resolve() });
    const outcome = expectError(work, 'ENGINE_RESTARTED');
    await reading.promise;
    await expectError(db.exec('PEER EXIT'), 'ENGINE_RESTARTED');
    await outcome;
    expect(canceled).toBe(true);
    expect(await db.import(digits('123'), { table: 'd' })).toEqual({ rows: 3 });
  });

  test('from a Blob, a stream of unknown length, a file', async () => {
    const db = await peerDatabase(1);
    await db.import(new Blob(['12', '34']), { table: 'd' });
    await db.import(new Blob(['5'.repeat(3000)]).stream(), { table: 'd' });
    await db.import(digits('6').buffer, { table: 'd' });
    expect(await column(db, 'SELECT count(*) FROM d')).toEqual([3005]);
    await expectError(db.import('/nowhere/at-all', { table: 'd' }), 'NOT_FOUND', /at-all/);
    await expectError(db.import('/', { table: 'd' }), 'BAD_IMPORT', /not a file/);
    await expectError(db.import(new URL(import.meta.url), { table: 'd' }), 'BAD_IMPORT', /digits/);
  });

  test('that is aborted keeps its acknowledged batches', async () => {
    const db = await peerDatabase(1);
    const aborter = new AbortController();
    const work = db.import(digits('1'.repeat(40_000)), {
      table: 'd',
      signal: aborter.signal,
      onProgress: ({ rows }) => {
        if (rows >= 40) aborter.abort();
      },
    });
    await expectError(work, 'ABORTED');
    const [count] = await column(db, 'SELECT count(*) FROM d');
    expect(count).toBeGreaterThanOrEqual(40);
    expect(Number(count) % 4).toBe(0);
  });

  test('whose source is aborted while it is read', async () => {
    const db = await peerDatabase(1);
    const aborter = new AbortController();
    const canceled = Promise.withResolvers<void>();
    const stalled = new ReadableStream<Uint8Array>({
      start: (controller) => controller.enqueue(digits('1')),
      cancel: () => canceled.resolve(),
    });
    setTimeout(() => aborter.abort(), 30);
    await expectError(db.import(stalled, { table: 'd', signal: aborter.signal }), 'ABORTED');
    await canceled.promise;
    expect(await column(db, "SELECT count(*) FROM sqlite_schema WHERE name = 'd'")).toEqual([0]);
  });
});
