import { expect, expectTypeOf, test } from 'vitest';
import type { Database } from '../src/Database.ts';
import type { Query } from '../src/Query.ts';
import { sql, type Statement } from '../src/Statement.ts';

test('values become parameters, never text', () => {
  const name = "'; DROP TABLE flights; --";
  expect(sql`SELECT * FROM flights WHERE origin = ${name} AND delay > ${5}`).toEqual({
    text: 'SELECT * FROM flights WHERE origin = ? AND delay > ?',
    params: [name, 5],
  });
});

test('a statement within a statement is spliced in with its values', () => {
  const late = sql`delay > ${60}`;
  expect(sql`SELECT * FROM flights WHERE ${late} AND origin = ${'SFO'}`).toEqual({
    text: 'SELECT * FROM flights WHERE delay > ? AND origin = ?',
    params: [60, 'SFO'],
  });
});

test('a blob is a value', () => {
  const blob = Uint8Array.of(1);
  expect(sql`SELECT ${blob}`).toEqual({ text: 'SELECT ?', params: [blob] });
});

test('the type of the rows goes from the statement to the query', () => {
  interface Flight {
    id: number;
    origin: string;
  }
  expectTypeOf(sql<Flight>`SELECT`).toEqualTypeOf<Statement<Flight>>();
  const query = (db: Database) => db.query(sql<Flight>`SELECT id, origin FROM flights`);
  expectTypeOf(query).returns.toEqualTypeOf<Query<Flight>>();
  const rows = (db: Database) => db.query<Flight>('SELECT id, origin FROM flights').all();
  expectTypeOf(rows).returns.resolves.toEqualTypeOf<Flight[]>();
});
