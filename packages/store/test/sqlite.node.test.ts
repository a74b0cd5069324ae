/**
 * Generated statements do the same in Node's own SQLite and in the store's Wasm, on Tonbo tables and on ordinary ones: the same rows, bit by
 * bit, the same changes, and an error where the other has one.
 *
 * `docs/sql.md` says what differs by design, and `support/statements.ts` what is left out and why. `crates/store/tests/differential.rs` goes
 * further, natively. HEDDLE_SEED repeats a run; HEDDLE_LONG_MINUTES makes it longer.
 */
import { DatabaseSync, type SQLInputValue } from 'node:sqlite';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Connection, type Database, HeddleStoreError, open } from '../src/index.ts';
import { environment } from './support/host.ts';
import { randomOf } from './support/random.ts';
import { type Statement, StatementMaker, TABLE_COLUMNS } from './support/statements.ts';

const SEED = Number(environment('HEDDLE_SEED') ?? 1);
const LONG_MINUTES = Number(environment('HEDDLE_LONG_MINUTES') ?? 0);
const STATEMENTS = 600;

/** What a statement did: its rows or its changes, as text that tells every bit. */
type Outcome = string;

function shown(value: unknown): string {
  if (value instanceof Uint8Array) return `x'${Buffer.from(value).toString('hex')}'`;
  // A REAL without a fraction is the INTEGER to JavaScript; so is a bigint that a number can hold.
  if (typeof value === 'bigint' && BigInt(Number(value)) === value && Number.isSafeInteger(Number(value))) return shown(Number(value));
  return Object.is(value, -0) ? '-0' : typeof value === 'string' ? JSON.stringify(value) : String(value);
}

const rowsShown = (rows: readonly object[]): Outcome => rows.map((row) => Object.values(row).map(shown).join(' | ')).join('\n');

function runNatively(native: DatabaseSync, { sql, params }: Statement): Outcome {
  try {
    const statement = native.prepare(sql);
    statement.setReadBigInts(true);
    const values = params as SQLInputValue[];
    return sql.startsWith('SELECT') ? rowsShown(statement.all(...values)) : `${statement.run(...values).changes} changes`;
  } catch {
    return 'an error';
  }
}

async function run(connection: Connection, { sql, params }: Statement): Promise<Outcome> {
  try {
    if (sql.startsWith('SELECT')) return rowsShown(await connection.query(sql, params).all());
    return `${(await connection.exec(sql, params)).changes} changes`;
  } catch (error) {
    // Anything else is no answer to a statement.
    if (error instanceof HeddleStoreError && ['SQL_ERROR', 'CONSTRAINT', 'TYPE_MISMATCH'].includes(error.code)) return 'an error';
    throw error;
  }
}

const CONTENT: Statement = { sql: 'SELECT id, i, r, x, b, typeof(i), typeof(r) AS q FROM t ORDER BY id', params: [] };

let native: DatabaseSync;
const databases: Database[] = [];
const ours: [name: string, connection: Connection][] = [];

beforeAll(async () => {
  native = new DatabaseSync(':memory:');
  native.exec(`CREATE TABLE t(${TABLE_COLUMNS}) STRICT`);
  for (const [name, ddl] of [
    ['Tonbo', `CREATE VIRTUAL TABLE t USING tonbo(${TABLE_COLUMNS})`],
    ['ordinary', `CREATE TABLE t(${TABLE_COLUMNS}) STRICT`],
  ] as const) {
    // oxlint-disable-next-line no-await-in-loop -- one engine after the other
    const db = await open('memory:', { threads: 1 });
    databases.push(db);
    // oxlint-disable-next-line no-await-in-loop
    const connection = await db.connection();
    // oxlint-disable-next-line no-await-in-loop
    await connection.exec(ddl);
    ours.push([name, connection]);
  }
}, 120_000);

afterAll(async () => {
  native.close();
  await Promise.all(databases.map((db) => db.close()));
});

test(
  'statements that a seed makes',
  async () => {
    const random = randomOf(`statements ${SEED}`);
    const maker = new StatementMaker(random);
    const endMs = performance.now() + LONG_MINUTES * 60_000;
    let [count, refused, rows] = [0, 0, 0];
    const compare = async (statement: Statement): Promise<void> => {
      const expected = runNatively(native, statement);
      for (const [name, connection] of ours) {
        const context = `HEDDLE_SEED=${SEED}, statement ${count} on ${name} tables: ${statement.sql} ${statement.params.map(shown).join()}`;
        expect(await run(connection, statement), context).toBe(expected);
      }
      if (expected === 'an error') refused += 1;
      else if (statement.sql.startsWith('SELECT')) rows += expected.split('\n').length;
    };
    while (count < STATEMENTS || performance.now() < endMs) {
      await compare(maker.next());
      if (count % 25 === 0) await compare(CONTENT);
      if (count % 100 === 99) for (const [, connection] of ours) await connection.query('PRAGMA wal_checkpoint(FULL)').all();
      count += 1;
    }
    // What a seed makes must be worth comparing.
    expect(refused).toBeLessThan(count / 4);
    expect(rows).toBeGreaterThan(2 * count);
  },
  120_000 + 2 * 60_000 * LONG_MINUTES,
);

test('a difference is found: the last bit of a value that one of them alone has', async () => {
  const insert = "INSERT OR REPLACE INTO t VALUES (1000, 1, 0.1, 'a', NULL)";
  native.exec(insert);
  for (const [, connection] of ours) {
    await connection.exec(insert);
    expect(await run(connection, CONTENT)).toBe(runNatively(native, CONTENT));
    await connection.exec('UPDATE t SET r = 0.10000000000000002 WHERE id = 1000');
    expect(await run(connection, CONTENT)).not.toBe(runNatively(native, CONTENT));
  }
});

test('the clock is the same', async () => {
  const now: Statement = { sql: "SELECT unixepoch('subsec') AS now", params: [] };
  for (const [, connection] of ours) {
    const before = Number(runNatively(native, now));
    const between = Number(await run(connection, now));
    expect(between).toBeGreaterThanOrEqual(before);
    expect(Number(runNatively(native, now))).toBeGreaterThanOrEqual(between);
  }
});
