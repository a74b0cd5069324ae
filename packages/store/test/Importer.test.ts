import { describe, expect, test } from 'vitest';
import type { Database, ImportProgress, ImportSource } from '../src/index.ts';
import { openForTest, SHARED_LOCATIONS, sharedDatabase, temporaryLocation } from './support/database.ts';
import { expectError } from './support/errors.ts';
import { AIRPORTS_CSV, FLIGHTS_200K_ARROW, FLIGHTS_3M_PARQUET, readFixture } from './support/fixtures.ts';
import { column, countRows, createItems } from './support/rows.ts';

/** What hyparquet, which shares no code with the store, finds in the first rows of the file. */
const FIRST_20_000 = { n: 20_000, delay: 275_859, distance: 15_087_480, origins: 222, low: 1, high: 20_000 };
const ROW_20_000 = { id: 20_000, date: 978_432_240_000_000, delay: 5, distance: 845, origin: 'IAH', destination: 'IND' };

/** What Python's csv finds in the airports. */
const AIRPORTS = { n: 3376, states: 57, latitudes: 135163.30376 };
const SAVAGE = {
  iata: '53A',
  name: 'Dr. C.P. Savage, Sr.',
  city: 'Montezuma',
  state: 'GA',
  country: 'USA',
  latitude: 32.302,
  longitude: -84.00747222,
};

const summary = (db: Database) =>
  db
    .query(
      `SELECT count(*) AS n, sum(delay) AS delay, sum(distance) AS distance, count(DISTINCT origin) AS origins,
       min(id) AS low, max(id) AS high FROM flights`,
    )
    .first();

/** The same database without the table. */
async function emptied(db: Database): Promise<Database> {
  await db.exec('DROP TABLE IF EXISTS flights');
  return db;
}

const FLIGHTS = { table: 'flights', rowNumber: 'id', rows: 20_000 } as const;

describe.each(SHARED_LOCATIONS)('into a database %s', (_, location) => {
  const database = sharedDatabase(location, { threads: 3 });
  const empty = async () => emptied(database());

  test('a Parquet file becomes a table', async () => {
    const db = await empty();
    const progress: ImportProgress[] = [];
    const result = await db.import(await readFixture(FLIGHTS_3M_PARQUET), { ...FLIGHTS, onProgress: (step) => progress.push(step) });
    expect(result).toEqual({ rows: 20_000 });
    expect(await summary(db)).toEqual(FIRST_20_000);
    expect(await db.query('SELECT * FROM flights WHERE id = 20000').all()).toEqual([ROW_20_000]);
    expect(progress.at(-1)).toMatchObject({ phase: 'importing', rows: 20_000, rowsTotal: 20_000 });
    expect(progress.map(({ rows }) => rows)).toEqual(progress.map(({ rows }) => rows).toSorted((a, b) => a - b));
    expect(progress.some(({ phase, bytes }) => phase === 'reading' && bytes > 0)).toBe(true);
  }, 60_000);

  test('a CSV file becomes a table, and fills one whose key is its own', async () => {
    const db = await empty();
    const file = await readFixture(AIRPORTS_CSV);
    await db.exec('DROP TABLE IF EXISTS airports; DROP TABLE IF EXISTS places');
    expect(await db.import(file, { table: 'airports', format: 'csv', rowNumber: 'id' })).toEqual({ rows: AIRPORTS.n });
    await db.exec(
      'CREATE VIRTUAL TABLE places USING tonbo(iata TEXT PRIMARY KEY, name TEXT, city TEXT, state TEXT, country TEXT, latitude REAL, longitude REAL)',
    );
    await db.import(file, { table: 'places', format: 'csv', create: false, batchRows: 1000 });
    for (const table of ['airports', 'places']) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      const sums = await db
        .query(`SELECT count(*) AS n, count(DISTINCT state) AS states, round(sum(latitude), 6) AS latitudes FROM ${table}`)
        .first();
      expect(sums).toEqual(AIRPORTS);
    }
    expect(await db.query("SELECT * FROM places WHERE iata = '53A'").all()).toEqual([SAVAGE]);
    await expectError(db.import(file, { table: 'unknown', rowNumber: 'id' }), 'BAD_IMPORT', /format/);
    const damaged = new TextEncoder().encode('iata,latitude\nX1,far north');
    await expectError(db.import(damaged, { table: 'places', format: 'csv' }), 'BAD_IMPORT', 'row 1: column latitude: the value is no REAL');
  }, 60_000);

  test('an Arrow file becomes a table', async () => {
    const db = await empty();
    await db.import(await readFixture(FLIGHTS_200K_ARROW), { table: 'flights', rowNumber: 'id', rows: 50_000 });
    expect(await countRows(db, 'flights')).toBe(50_000);
    expect(await db.query('SELECT * FROM flights WHERE id = 1').all()).toEqual([{ id: 1, delay: 0, distance: 1452, time: 0 }]);
  }, 60_000);

  test('into a table that is there, beside its rows', async () => {
    const db = await empty();
    await db.exec(
      'CREATE VIRTUAL TABLE flights USING tonbo(id INTEGER PRIMARY KEY, date INTEGER, delay INTEGER, distance INTEGER, origin TEXT, destination TEXT)',
    );
    await db.exec("INSERT INTO flights VALUES (0, 0, 1, 0, 'SFO', 'SFO')");
    await db.import(await readFixture(FLIGHTS_3M_PARQUET), { ...FLIGHTS, create: false });
    expect(await summary(db)).toEqual({ ...FIRST_20_000, n: 20_001, delay: 275_860, low: 0 });
  }, 60_000);

  test('readers beside it see whole batches, at least those acknowledged', async () => {
    const db = await empty();
    const batchRows = 2000;
    await db.import(await readFixture(FLIGHTS_3M_PARQUET), { ...FLIGHTS, rows: 1 });
    await db.exec('DELETE FROM flights');
    let acknowledged = 0;
    let importing = true;
    const seen = new Set<number>();
    const read = async () => {
      while (importing) {
        const before = acknowledged;
        const row = await db.query<{ n: number; high: number | null }>('SELECT count(*) AS n, max(id) AS high FROM flights').first();
        expect((row?.n ?? -1) % batchRows).toBe(0);
        expect(row?.high ?? 0).toBe(row?.n);
        expect(row?.n).toBeGreaterThanOrEqual(before);
        seen.add(row?.n ?? -1);
      }
    };
    const write = async () => {
      const onProgress = ({ rows }: ImportProgress) => (acknowledged = rows);
      await db.import(await readFixture(FLIGHTS_3M_PARQUET), { ...FLIGHTS, rows: 40_000, batchRows, onProgress });
    };
    await Promise.all([write().finally(() => (importing = false)), read(), read()]);
    expect(await countRows(db, 'flights')).toBe(40_000);
    expect(seen.size).toBeGreaterThan(1);
  }, 60_000);
});

test('imported rows are there after reopening', async () => {
  const location = await temporaryLocation();
  const db = await openForTest(location);
  await db.import(await readFixture(FLIGHTS_3M_PARQUET), FLIGHTS);
  await db.exec('UPDATE flights SET delay = delay + 1 WHERE id = 20000');
  await db.close();
  const again = await openForTest(location);
  expect(await summary(again)).toEqual({ ...FIRST_20_000, delay: FIRST_20_000.delay + 1 });
}, 60_000);

const database = sharedDatabase('memory:', { threads: 3 });

describe('from', () => {
  const sources: [string, () => Promise<ImportSource>][] = [
    ['an ArrayBuffer', async () => (await readFixture(FLIGHTS_3M_PARQUET)).slice().buffer],
    ['a Blob', async () => new Blob([(await readFixture(FLIGHTS_3M_PARQUET)).slice()])],
    ['a stream', async () => new Blob([(await readFixture(FLIGHTS_3M_PARQUET)).slice()]).stream()],
    ['a URL', async () => FLIGHTS_3M_PARQUET],
    ['a string: a path in Node, a URL in browsers', async () => decodeURI(FLIGHTS_3M_PARQUET.href).replace(/^file:\/\//, '')],
  ];
  test.each(sources)(
    '%s',
    async (_, source) => {
      const db = await emptied(database());
      expect(await db.import(await source(), { ...FLIGHTS, rows: 1000 })).toEqual({ rows: 1000 });
      expect(await countRows(db, 'flights')).toBe(1000);
    },
    60_000,
  );

  test('nothing that can be read: MISUSE', async () => {
    const db = await emptied(database());
    await expectError(db.import(17 as never, { table: 't' }), 'MISUSE');
    await expectError(db.import(new Uint8Array(1), { table: '' }), 'MISUSE', /table/);
    await expectError(db.import(new Uint8Array(1), { table: 't', rows: 0 }), 'MISUSE', /rows/);
    await expectError(db.import(new Uint8Array(1), { table: 't', format: 5 as never }), 'MISUSE', /format is a number/);
    await expectError(db.import(new Uint8Array(1), { table: 't', rowNumber: ['id'] as never }), 'MISUSE', /rowNumber/);
    await expectError(db.import(new Uint8Array(1), { table: 't', create: null as never }), 'MISUSE', /create is null/);
    await expectError(db.import(new ReadableStream({ pull: (it) => it.enqueue('text') }) as never, { table: 't' }), 'MISUSE', /bytes/);
  });

  test('a stream that breaks: its error', async () => {
    const db = await emptied(database());
    const broken = new ReadableStream<Uint8Array>({
      start(controller) {
        controller.enqueue(Uint8Array.of(1, 2, 3));
        controller.error(new Error('cable cut'));
      },
    });
    await expect(db.import(broken, { table: 't' })).rejects.toThrow('cable cut');
    expect(await column(db, 'SELECT 1')).toEqual([1]);
  });

  // Messages had the whole URL, and with it whoever's password or signature was in there.
  test.each([
    ['a password', 'http://who:hidden@localhost:1/there.csv', 'MISUSE'],
    ['a signature', 'http://localhost:1/there.csv?signature=hidden#hidden', 'IO_ERROR'],
  ] as const)('a URL with %s: no message has it', async (_, url, code) => {
    const db = await openForTest('memory:');
    const failure = await db.import(new URL(url), { table: 't' }).then(
      () => undefined,
      (error: unknown) => error as Error & { readonly code: string },
    );
    expect(failure).toMatchObject({ code, message: expect.stringContaining('/there.csv') });
    for (let error: unknown = failure; error instanceof Error; error = error.cause) expect(error.message).not.toContain('hidden');
  });

  test('a URL where nothing is: NOT_FOUND', async () => {
    const db = await emptied(database());
    const missing = new URL('./nothing-here.parquet?raw-bytes', FLIGHTS_3M_PARQUET);
    await expectError(db.import(missing, { table: 't' }), 'NOT_FOUND', /nothing-here/);
  });
});

describe('of a bad file: BAD_IMPORT, and the database is as before', () => {
  const files: [string, () => Promise<Uint8Array>][] = [
    ['an empty one', async () => new Uint8Array(0)],
    ['a foreign one', async () => new TextEncoder().encode('{"type": "FeatureCollection", "features": []}')],
    ['Parquet’s first bytes and nothing else', async () => new TextEncoder().encode('PAR1')],
    ['Parquet, cut in the middle', async () => (await readFixture(FLIGHTS_3M_PARQUET)).slice(0, 5_000_000)],
    ['Parquet without its last byte', async () => (await readFixture(FLIGHTS_3M_PARQUET)).slice(0, -1)],
    ['Parquet with a damaged footer', async () => damaged(await readFixture(FLIGHTS_3M_PARQUET), -200)],
    ['Arrow, cut in the middle', async () => (await readFixture(FLIGHTS_200K_ARROW)).slice(0, 100_000)],
  ];
  test.each(files)('%s', async (_, file) => {
    const db = await emptied(database());
    await createItems(db, 5);
    await expectError(db.import(await file(), { table: 'flights' }), 'BAD_IMPORT');
    await expectError(db.import(await file(), { table: 'items', create: false }), 'BAD_IMPORT');
    expect(await column(db, 'SELECT id FROM items ORDER BY id')).toEqual([1, 2, 3, 4, 5]);
    await db.import(await readFixture(FLIGHTS_3M_PARQUET), { ...FLIGHTS, rows: 10 });
    expect(await countRows(db, 'flights')).toBe(10);
  });

  test('Parquet in which the first page is damaged', async () => {
    const db = await emptied(database());
    const bytes = damaged(await readFixture(FLIGHTS_3M_PARQUET), 4);
    await expectError(db.import(bytes, FLIGHTS), 'BAD_IMPORT');
    await createItems(db, 5);
    expect(await countRows(db, 'items')).toBe(5);
  });

  test('one whose columns are not those of the table', async () => {
    const db = await emptied(database());
    await createItems(db, 5);
    await expectError(db.import(await readFixture(FLIGHTS_3M_PARQUET), { table: 'items' }), 'BAD_IMPORT', /items/);
    await db.exec('CREATE VIRTUAL TABLE flights USING tonbo(id INTEGER PRIMARY KEY, date INTEGER, delay TEXT)');
    await expectError(db.import(await readFixture(FLIGHTS_3M_PARQUET), FLIGHTS), 'BAD_IMPORT', /flights/);
    expect(await countRows(db, 'items')).toBe(5);
    expect(await countRows(db, 'flights')).toBe(0);
  });

  test('a table that is absent and must not be created', async () => {
    const db = await emptied(database());
    await expectError(db.import(await readFixture(FLIGHTS_3M_PARQUET), { ...FLIGHTS, create: false }), 'NOT_FOUND', /flights/);
  });
});

test('an import that is aborted keeps whole batches; the table is usable', async () => {
  const db = await emptied(database());
  const aborter = new AbortController();
  let acknowledged = 0;
  // So many that they are not all there before a busy page has heard of the first.
  const rowsMax = 1_000_000;
  const work = db.import(await readFixture(FLIGHTS_3M_PARQUET), {
    ...FLIGHTS,
    rows: rowsMax,
    batchRows: 1000,
    signal: aborter.signal,
    onProgress: ({ rows }) => {
      acknowledged = rows;
      if (rows >= 3000) aborter.abort();
    },
  });
  await expectError(work, 'ABORTED');
  const count = await countRows(db, 'flights');
  expect(count % 1000).toBe(0);
  expect(count).toBeGreaterThanOrEqual(acknowledged);
  expect(count).toBeLessThan(rowsMax);
  await db.exec('DELETE FROM flights');
  await db.import(await readFixture(FLIGHTS_3M_PARQUET), FLIGHTS);
  expect(await summary(db)).toEqual(FIRST_20_000);
}, 60_000);

test('what onProgress throws ends the import', async () => {
  const db = await emptied(database());
  const oops = new Error('oops');
  const work = db.import(await readFixture(FLIGHTS_3M_PARQUET), {
    ...FLIGHTS,
    onProgress: () => {
      throw oops;
    },
  });
  await expect(work).rejects.toMatchObject({ code: 'ABORTED', cause: oops });
});

function damaged(file: Uint8Array, at: number): Uint8Array {
  const copy = file.slice();
  copy.fill(0xa5, at < 0 ? copy.length + at : at, (at < 0 ? copy.length + at : at) + 64);
  return copy;
}
