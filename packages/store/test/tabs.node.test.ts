/**
 * Tabs that share a database, in one process: the protocol between them, over stand-ins for the engine, which can be told to misbehave.
 *
 * Node has Web Locks and broadcast channels, too. The same promises are kept by real tabs in `tabs.browsers.node.test.ts`.
 */
import './support/noBlocking.ts';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { Database, type EngineRestart, HeddleStoreError, type Role } from '../src/index.ts';
import { Membership, type MembershipOptions } from '../src/internal/tabs/Membership.ts';
import type { Terms } from '../src/internal/tabs/messages.ts';
import { openPort } from '../src/internal/tabs/Port.ts';
import { startPeers } from './peer/startPeer.ts';
import { expectError } from './support/errors.ts';
import { column } from './support/rows.ts';

const ENDLESS = 'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n';

const TERMS: Terms = { version: '1', durability: 'full' };

type TabOptions = Partial<MembershipOptions> & { threads?: number };

/** A database that several of this test open, as tabs do. */
class Origin {
  readonly directory = `heddle-tabs-${crypto.randomUUID()}`;
  readonly #path = join(tmpdir(), `${this.directory}.sqlite`);

  constructor() {
    onTestFinished(async () => {
      for (const suffix of ['', '-wal', '-shm', '-journal']) await rm(this.#path + suffix, { force: true });
    });
  }

  join(options: TabOptions = {}): Promise<Membership> {
    const { threads = 2, ...rest } = options;
    return Membership.join(
      {
        directory: this.directory,
        terms: TERMS,
        startEngine: async () => startPeers(threads, this.#path, { onRestart: () => {} }),
        onRestart: undefined,
        onRole: undefined,
        ...rest,
      },
      undefined,
    );
  }

  async open(options: TabOptions = {}): Promise<Database> {
    const db = new Database(await this.join(options));
    onTestFinished(() => db.close());
    return db;
  }

  /** So many tabs, of which the first leads. */
  async tabs(count: number): Promise<Database[]> {
    const tabs: Database[] = [];
    for (let tab = 0; tab < count; tab++) tabs.push(await this.open());
    return tabs;
  }
}

function states(db: Database): string[] {
  return db.threads().map(({ state }) => state);
}

/** Looks until the threads are in these states: a follower sees what they did a moment ago. */
async function untilStates(db: Database, expected: string[]): Promise<void> {
  await expect.poll(() => states(db).toSorted(), { interval: 60 }).toEqual(expected.toSorted());
}

test('the first leads, the others follow, and all use one engine', async () => {
  const [one, two, three] = (await new Origin().tabs(3)) as [Database, Database, Database];
  expect([one.role, two.role, three.role]).toEqual(['leader', 'follower', 'follower']);
  await two.exec('CREATE TABLE t(a)');
  await Promise.all([one, two, three].map((db, n) => db.exec('INSERT INTO t VALUES (?)', [n])));
  for (const db of [one, two, three]) expect(await column(db, 'SELECT a FROM t ORDER BY a')).toEqual([0, 1, 2]);
  expect((await three.stats())['statements']).toBeGreaterThan(0);
});

describe('a follower', () => {
  test('gets values, errors with all their fields, and long messages both ways', async () => {
    const [, db] = (await new Origin().tabs(2)) as [Database, Database];
    const params = [1, 2n ** 60n, 'text', null, Uint8Array.of(1)];
    expect(await db.query('SELECT ? AS a, ? AS b, ? AS c, ? AS d, ? AS e', params).first()).toEqual({
      a: 1,
      b: 2n ** 60n,
      c: 'text',
      d: null,
      e: Uint8Array.of(1),
    });
    const text = 'häddle'.repeat(500_000);
    expect(await db.query('SELECT ? AS t', [text]).first()).toEqual({ t: text });
    const failure = db.exec('SELECT 1; SELEC 2');
    await expectError(failure, 'SQL_ERROR', /syntax error/);
    await expect(failure).rejects.toMatchObject({ sql: 'SELECT 1; SELEC 2', sqliteCode: 1 });
  });

  test('reads in batches as fast as it asks, and no faster', async () => {
    const [leader, db] = (await new Origin().tabs(2)) as [Database, Database];
    const rows = db.query<{ i: number }>('PEER ROWS 2000000', [], { batchRows: 1000 })[Symbol.asyncIterator]();
    expect((await rows.next()).value?.length).toBe(1000);
    await untilStates(leader, ['idle', 'running']);
    let count = 1000;
    let last = 0;
    for (let next = await rows.next(); !next.done; next = await rows.next()) {
      count += next.value.length;
      for (const { i } of next.value) last = Math.max(last, i);
    }
    expect([count, last]).toEqual([2_000_000, 2_000_000]);
    await untilStates(leader, ['idle', 'idle']);
  });

  test('that reads no further holds its thread, until a signal frees it though nobody reads', async () => {
    const [leader, db] = (await new Origin().tabs(2)) as [Database, Database];
    const aborter = new AbortController();
    const rows = db.query(ENDLESS, [], { signal: aborter.signal })[Symbol.asyncIterator]();
    await rows.next();
    await untilStates(leader, ['idle', 'running']);
    aborter.abort();
    await untilStates(leader, ['idle', 'idle']);
    await expectError(rows.next(), 'ABORTED');
  });

  test('stops by leaving the loop, by a timeout, and while it waits for a thread', async () => {
    const [leader, db] = (await new Origin().tabs(2)) as [Database, Database];
    for await (const batch of db.query(ENDLESS)) {
      expect(batch.length).toBe(1024);
      break;
    }
    await expectError(db.exec(ENDLESS, [], { timeoutMs: 50 }), 'TIMEOUT');
    const held = [await leader.connection(), await db.connection()];
    await leader.exec('CREATE TABLE t(a)', [], { timeoutMs: 20 }).catch(() => undefined);
    await expectError(db.exec('CREATE TABLE never(a)', [], { timeoutMs: 50 }), 'TIMEOUT');
    await Promise.all(held.map((connection) => connection.release()));
    await untilStates(leader, ['idle', 'idle']);
    expect(await column(db, "SELECT name FROM sqlite_schema WHERE name = 'never'")).toEqual([]);
  });

  test('imports bytes of its own, with progress, and gives the import up', async () => {
    const [leader, db] = (await new Origin().tabs(2)) as [Database, Database];
    const bytes = new TextEncoder().encode('0123456789');
    const progress: number[] = [];
    const result = await db.import(bytes, { table: 't', onProgress: ({ rows }) => progress.push(rows) });
    expect(result).toEqual({ rows: 10 });
    expect(progress.at(-1)).toBe(10);
    expect(await column(leader, 'SELECT digit FROM t')).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    const shared = new Uint8Array(new SharedArrayBuffer(3));
    shared.set(new TextEncoder().encode('789'));
    expect(await db.import(shared, { table: 'u' })).toEqual({ rows: 3 });
    expect(await column(leader, 'SELECT digit FROM u')).toEqual([7, 8, 9]);
    await expectError(db.import(new TextEncoder().encode('x'), { table: 't' }), 'BAD_IMPORT');
    const stalled = new ReadableStream<Uint8Array>({});
    await expectError(db.import(stalled, { table: 't', timeoutMs: 50 }), 'TIMEOUT');
    await untilStates(leader, ['idle', 'idle']);
  });

  test('has connections and transactions; what it closes or leaves open is rolled back', async () => {
    const origin = new Origin();
    const [leader, db] = (await origin.tabs(2)) as [Database, Database];
    await db.exec('CREATE TABLE t(a)');
    await db.transaction((tx) => tx.exec('INSERT INTO t VALUES (1)'));
    const connection = await db.connection();
    await connection.exec('BEGIN; INSERT INTO t VALUES (2)');
    await connection.release();
    await expectError(db.exec('BEGIN'), 'MISUSE', /left its transaction open/);
    const other = await db.connection();
    await other.exec('BEGIN IMMEDIATE; INSERT INTO t VALUES (3)');
    const rows = db.query(ENDLESS)[Symbol.asyncIterator]();
    await rows.next();
    await db.close();
    await expectError(rows.next(), 'CLOSED');
    await expectError(db.exec('SELECT 1'), 'CLOSED');
    await untilStates(leader, ['idle', 'idle']);
    await leader.exec('INSERT INTO t VALUES (4)');
    expect(await column(leader, 'SELECT a FROM t ORDER BY a')).toEqual([1, 4]);
  });

  // Its thread came back with foreign keys off, say, for whoever got it next.
  test('that is gone leaves neither its transaction nor its settings to others', async () => {
    const origin = new Origin();
    const leader = await origin.open({ threads: 1 });
    const membership = await origin.join();
    const connection = await new Database(membership).connection();
    await connection.exec('PRAGMA query_only = ON; BEGIN');
    membership.abandon(new HeddleStoreError('CLOSED', 'the page was left'));
    await leader.exec('CREATE TABLE t(a)');
    expect(await column(leader, 'SELECT a FROM t')).toEqual([]);
  });

  test('is told when the engine stops under it, and goes on with the next', async () => {
    const restarts: EngineRestart[] = [];
    const origin = new Origin();
    const leader = await origin.open();
    const db = await origin.open({ onRestart: (restart) => restarts.push(restart) });
    await db.exec('CREATE TABLE t(a)');
    const connection = await db.connection();
    await connection.exec('BEGIN; INSERT INTO t VALUES (1)');
    const stopped = expectError(leader.exec('PEER EXIT'), 'ENGINE_RESTARTED', /this call stopped/);
    await stopped;
    await expectError(connection.exec('COMMIT'), 'ENGINE_RESTARTED', /the engine stopped/);
    await connection.release();
    await db.exec('INSERT INTO t VALUES (2)');
    expect(await column(db, 'SELECT a FROM t')).toEqual([2]);
    expect(restarts).toMatchObject([{ error: { code: 'ENGINE_FAILED' } }]);
    await expectError(db.exec('PEER EXIT'), 'ENGINE_RESTARTED', /this call stopped/);
    expect(await column(db, 'SELECT a FROM t')).toEqual([2]);
  });

  test('repeats a transaction that another tab stopped before its commit, and no other', async () => {
    const [leader, db] = (await new Origin().tabs(2)) as [Database, Database];
    await db.exec('CREATE TABLE t(a)');
    let runs = 0;
    await db.transaction(async (tx) => {
      await tx.exec('INSERT INTO t VALUES (?)', [++runs]);
      if (runs > 1) return;
      await leader.exec('PEER EXIT').catch(() => undefined);
      await tx.exec('SELECT 1');
    });
    expect(await column(db, 'SELECT a FROM t')).toEqual([2]);
    let others = 0;
    const own = db.transaction(async (tx) => {
      others++;
      await tx.exec('PEER EXIT AT COMMIT');
    });
    await expectError(own, 'ENGINE_RESTARTED');
    expect(others).toBe(1);
  });
});

describe('when the leader goes', () => {
  test('the next takes over: what ran rejects, what waits is served', async () => {
    const roles: Role[] = [];
    const restarts: EngineRestart[] = [];
    const origin = new Origin();
    const leader = await origin.open();
    const db = await origin.open({ onRole: (role) => roles.push(role), onRestart: (restart) => restarts.push(restart) });
    const third = await origin.open();
    await db.exec('CREATE TABLE t(a)');
    const connections = [await db.connection(), await third.connection()];
    const running = expectError(connections[0]?.exec(ENDLESS) ?? Promise.resolve(), 'ENGINE_RESTARTED', /tab that ran it is gone/);
    const waiting = [db.exec('INSERT INTO t VALUES (1)'), third.exec('INSERT INTO t VALUES (2)')];
    await leader.close();
    await running;
    await Promise.all(waiting);
    await expectError(connections[1]?.exec('SELECT 1') ?? Promise.resolve(), 'ENGINE_RESTARTED');
    expect([db.role, third.role]).toEqual(['leader', 'follower']);
    for (const each of [db, third]) expect(await column(each, 'SELECT a FROM t ORDER BY a')).toEqual([1, 2]);
    expect(roles).toEqual(['leader']);
    expect(restarts.length).toBe(1);
    await Promise.all(connections.map((connection) => connection.release()));
  });

  test('again and again, each transaction is there once', async () => {
    const origin = new Origin();
    const tabs = await origin.tabs(3);
    await tabs[0]?.exec('CREATE TABLE t(a INTEGER PRIMARY KEY)');
    let next = 0;
    const acknowledged: number[] = [];
    let isOver = false;
    const write = async (db: Database): Promise<void> => {
      while (!isOver) {
        const number = next++;
        try {
          await db.transaction((tx) => tx.exec('INSERT INTO t VALUES (?)', [number]), { mode: 'immediate', retries: 20 });
          acknowledged.push(number);
        } catch (error) {
          const { code } = error as { code: string };
          if (code === 'CLOSED') return;
          if (code !== 'ENGINE_RESTARTED') throw error;
        }
      }
    };
    const writers = tabs.map(write);
    for (let round = 0; round < 4; round++) {
      const before = acknowledged.length;
      await expect.poll(() => acknowledged.length, { timeout: 20_000 }).toBeGreaterThan(before + 10);
      await tabs.shift()!.close();
      const another = await origin.open();
      tabs.push(another);
      writers.push(write(another));
    }
    isOver = true;
    await Promise.all(writers);
    const there = await column(await origin.open(), 'SELECT a FROM t ORDER BY a');
    expect(acknowledged.filter((number) => !there.includes(number))).toEqual([]);
    expect(there.length).toBe(new Set(there).size);
  }, 60_000);

  test('and none can start an engine, each is told', async () => {
    const origin = new Origin();
    const leader = await origin.open();
    const broken = async (): Promise<never> => {
      throw new Error('no engine');
    };
    const db = await origin.open({ startEngine: broken });
    await leader.close();
    await expectError(db.exec('SELECT 1'), 'ENGINE_FAILED', /no engine/);
    // The lead is free again.
    expect((await origin.open()).role).toBe('leader');
  });
});

test('a tab whose engine has stopped for good leaves the lead to another', async () => {
  const origin = new Origin();
  const peers: { isBroken: boolean } = { isBroken: false };
  const leader = await origin.open({
    startEngine: async () => {
      const path = join(tmpdir(), `${origin.directory}.sqlite`);
      const fail = (): void => {
        if (peers.isBroken) throw new Error('broken');
      };
      return startPeers(1, path, { onRestart: fail });
    },
  });
  const db = await origin.open();
  await db.exec('CREATE TABLE t(a)');
  peers.isBroken = true;
  await expectError(leader.exec('PEER EXIT'), 'ENGINE_RESTARTED');
  await db.exec('INSERT INTO t VALUES (1)');
  expect(db.role).toBe('leader');
  await expectError(leader.exec('SELECT 1'), 'ENGINE_FAILED');
});

test('tabs of different versions or durability: the second is told, the first goes on', async () => {
  const origin = new Origin();
  const leader = await origin.open();
  await expectError(origin.open({ terms: { ...TERMS, version: '2' } }), 'VERSION_MISMATCH', /version 1 .* this one is 2/);
  await expectError(origin.open({ terms: { ...TERMS, durability: 'relaxed' } }), 'MISUSE', /durability "full", not "relaxed"/);
  expect(await column(leader, 'SELECT 1')).toEqual([1]);
  expect((await origin.open()).role).toBe('follower');
});

test('opening is given up while the leader doesn’t answer', async () => {
  const origin = new Origin();
  const never = navigator.locks.request(`heddle-store-leader:${origin.directory}`, () => new Promise(() => {}));
  void never;
  const signal = AbortSignal.timeout(50);
  const options = {
    directory: origin.directory,
    terms: TERMS,
    startEngine: async () => startPeers(1, ''),
    onRestart: undefined,
    onRole: undefined,
  };
  await expect(Membership.join(options, signal)).rejects.toMatchObject({ code: 'TIMEOUT' });
});

test('a follower that hears of another leader looks for it, and finds the one that answers', async () => {
  const origin = new Origin();
  const [, db] = (await origin.tabs(2)) as [Database, Database];
  expect(await column(db, 'SELECT 1')).toEqual([1]);
  const port = openPort(`heddle-store:${origin.directory}`);
  const connection = await db.connection();
  port.post({ type: 'lead', tab: 'another', terms: TERMS });
  await expect
    .poll(() =>
      connection.exec('SELECT 1').then(
        () => 'done',
        (error: { code: string }) => error.code,
      ),
    )
    .toBe('ENGINE_RESTARTED');
  await connection.release();
  expect(await column(db, 'SELECT 1')).toEqual([1]);
  port.close();
});
