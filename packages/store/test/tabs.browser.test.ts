/**
 * Databases of one page that share a directory, as tabs do, over the real engine. Several tabs are in `tabs-browsers.pages.test.ts`; here the
 * engine can be made to trap.
 */
import { expect, onTestFinished, test } from 'vitest';
import { type EngineRestart, type ImportProgress, open, type Role } from '../src/index.ts';
import { openForTest, temporaryLocation } from './support/database.ts';
import { trap } from './support/engines.ts';
import { expectError } from './support/errors.ts';
import { FLIGHTS_3M_PARQUET, readFixture } from './support/fixtures.ts';
import { column, countRows, createItems } from './support/rows.ts';

const ENDLESS_COUNT = 'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n';

const TIMEOUT_MS = 120_000;

test(
  'the second follows the first, and leads when that is closed',
  async () => {
    const location = await temporaryLocation();
    const first = await open(location, { threads: 2 });
    onTestFinished(() => first.close());
    const roles: Role[] = [];
    const second = await openForTest(location, { onRole: (role) => roles.push(role) });
    expect([first.role, second.role]).toEqual(['leader', 'follower']);
    await createItems(second, 10);
    expect(await countRows(first, 'items')).toBe(10);
    expect(second.threads().map(({ index, name }) => [index, name])).toEqual([
      [0, 'SQL 1'],
      [1, 'SQL 2'],
    ]);
    expect(Object.keys(await second.stats()).length).toBeGreaterThan(0);
    await first.close();
    expect(await countRows(second, 'items')).toBe(10);
    expect([second.role, ...roles]).toEqual(['leader', 'leader']);
  },
  TIMEOUT_MS,
);

test(
  'an engine that traps under a follower’s calls is followed by another, for all',
  async () => {
    const location = await temporaryLocation();
    const leader = await openForTest(location, { threads: 3 });
    const restarts: EngineRestart[] = [];
    const follower = await openForTest(location, { onRestart: (restart) => restarts.push(restart) });
    await createItems(follower, 10);
    const connection = await follower.connection();
    await connection.exec('BEGIN; DELETE FROM items');
    const running = expectError(follower.exec(ENDLESS_COUNT), 'ENGINE_RESTARTED', /trapped/);
    let runs = 0;
    const repeated = follower.transaction(async (tx) => {
      runs += 1;
      await tx.exec('INSERT INTO items(id) VALUES (?)', [100 + runs]);
      if (runs === 1) {
        trap();
        await tx.exec(ENDLESS_COUNT);
      }
    });
    await running;
    await expectError(connection.exec('COMMIT'), 'ENGINE_RESTARTED');
    await connection.release();
    await repeated;
    expect(await column(leader, 'SELECT id FROM items ORDER BY id')).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 102]);
    expect(restarts).toMatchObject([{ error: { code: 'ENGINE_FAILED' } }]);
    expect([leader.role, follower.role]).toEqual(['leader', 'follower']);
  },
  TIMEOUT_MS,
);

test(
  'an import of a follower keeps its batches when the engine traps, and can be made again',
  async () => {
    const location = await temporaryLocation();
    await openForTest(location);
    const follower = await openForTest(location);
    const bytes = await readFixture(FLIGHTS_3M_PARQUET);
    let imported = 0;
    const onProgress = ({ rows }: ImportProgress): void => {
      if (rows > 0 && imported === 0) trap();
      imported = rows;
    };
    const options = { table: 'flights', rowNumber: 'id', rows: 50_000, batchRows: 1000 };
    await expectError(follower.import(bytes, { ...options, onProgress }), 'ENGINE_RESTARTED');
    const there = await countRows(follower, 'flights');
    expect(there).toBeGreaterThanOrEqual(imported);
    expect(await column(follower, 'SELECT max(id) FROM flights')).toEqual([there]);
    await follower.exec('DROP TABLE flights');
    await follower.import(bytes, options);
    expect(await countRows(follower, 'flights')).toBe(50_000);
  },
  TIMEOUT_MS,
);
