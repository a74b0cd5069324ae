/** A table to test with. */
import type { Session } from '../../src/index.ts';

/** Creates the Tonbo table `items(id, name, price)` afresh and inserts rows with the keys 1 … count. */
export async function createItems(db: Session, count: number): Promise<void> {
  await db.exec('DROP TABLE IF EXISTS items');
  await db.exec('CREATE VIRTUAL TABLE items USING tonbo(id INTEGER PRIMARY KEY, name TEXT, price REAL)');
  await insertItems(db, 1, count);
}

/** Inserts rows with the keys first … last in one statement. */
export async function insertItems(db: Session, first: number, last: number): Promise<void> {
  if (last < first) return;
  await db.exec(
    `WITH RECURSIVE ids(id) AS (SELECT ?1 UNION ALL SELECT id + 1 FROM ids WHERE id < ?2)
     INSERT INTO items SELECT id, 'item ' || id, id / 4.0 FROM ids`,
    [first, last],
  );
}

/** How many rows a table has. */
export async function countRows(db: Session, table: string): Promise<number> {
  const row = await db.query<{ n: number }>(`SELECT count(*) AS n FROM ${table}`).first();
  return row?.n ?? Number.NaN;
}

/** The first column of every row of a statement. */
export async function column(db: Session, sql: string, params: readonly (string | number)[] = []): Promise<unknown[]> {
  return (await db.query(sql, params).all()).map((row) => Object.values(row)[0]);
}
