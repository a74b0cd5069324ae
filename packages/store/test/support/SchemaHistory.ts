/**
 * Histories whose schema changes under readers and writers, and whose engine stops and starts again.
 *
 * What each participant does follows from the seed; how they meet does not.
 */
import { type Database, HeddleStoreError, type Session, type Transaction } from '../../src/index.ts';
import { anomalies, type Lists, type Place, type Reading, type Writing } from './history.ts';
import { type Random, randomOf } from './random.ts';

const KEYS = 6;
const IDS: readonly number[] = Array.from({ length: KEYS }, (_, id) => id);

/** Tonbo tables with lists, and how a key is written in each. */
const TABLES = [
  { name: 'warp', key: 'id', literal: (id: number) => `${id}` },
  { name: 'weft', key: 'name', literal: (id: number) => `'key ${id}'` },
] as const;
type Table = (typeof TABLES)[number];

/** The list that each alteration is noted in. */
const MARKS: Place = 'marks 0';

/** Columns that a table has at a time. */
const COLUMNS_MAX = 4;

/** Ways to read all rows of a table: statements that together give each row once. */
const PATHS: readonly ((table: Table) => readonly string[])[] = [
  () => [''],
  ({ key, literal }) => IDS.map((id) => `WHERE ${key} = ${literal(id)}`),
  ({ key, literal }) => [`WHERE ${key} < ${literal(3)}`, `WHERE ${key} >= ${literal(3)} ORDER BY ${key} DESC`],
  () => ['WHERE parity = 0', 'WHERE parity = 1'],
  ({ key, literal }) => [`WHERE ${key} IN (${IDS.map(literal).join()})`],
  ({ key }) => [`ORDER BY ${key} DESC LIMIT 2`, `ORDER BY ${key} LIMIT ${KEYS - 2}`],
];

const numbers = (list: string): number[] => (list === '' ? [] : list.split(',').map(Number));

const hasCode = (error: unknown, codes: readonly string[]): boolean => error instanceof HeddleStoreError && codes.includes(error.code);

/** A column and what is in it, where that is the same in all rows. */
function described(rows: readonly Record<string, unknown>[], name: string): string {
  const values = new Set(rows.map((row) => row[name]));
  return `${name}=${[...values].join('|')}`;
}

/** See the module's documentation. */
export class SchemaHistory {
  readonly writings: Writing[] = [];
  readonly readings: Reading[] = [];
  /** How many changes of the schema were acknowledged. */
  changes = 0;
  /** How often everything was moved to files, and those were merged. */
  checkpoints = 0;
  readonly #seed: number;
  readonly #columns = new Map<number, readonly string[]>([[0, []]]);
  #participants = 0;
  #number = 0;
  #goal = 0;

  constructor(seed: number) {
    this.#seed = seed;
  }

  /** Makes the tables. */
  async begin(db: Session): Promise<void> {
    await db.exec(`
      CREATE VIRTUAL TABLE warp USING tonbo(id INTEGER PRIMARY KEY, parity INTEGER, list TEXT NOT NULL);
      CREATE VIRTUAL TABLE weft USING tonbo(name TEXT PRIMARY KEY, id INTEGER, parity INTEGER, list TEXT NOT NULL);
      CREATE VIRTUAL TABLE marks USING tonbo(id INTEGER PRIMARY KEY, list TEXT NOT NULL);
      INSERT INTO marks VALUES (0, '');
      WITH RECURSIVE n(id) AS (SELECT 0 UNION ALL SELECT id + 1 FROM n WHERE id < ${KEYS - 1}) INSERT INTO warp SELECT id, id % 2, '' FROM n;
      INSERT INTO weft SELECT 'key ' || id, id, parity, '' FROM warp`);
  }

  /** Two writers, two readers, one who changes the schema and one who writes rows to files, until so many more transactions have ended; `during` runs beside them. */
  async run(db: Database, transactions: number, during?: () => Promise<void>): Promise<void> {
    this.#goal = this.writings.length + transactions;
    const random = (): Random => randomOf(`${this.#seed} ${++this.#participants}`);
    await Promise.all([
      this.#write(db, random()),
      this.#write(db, random()),
      this.#read(db, random()),
      this.#read(db, random()),
      this.#change(db, random()),
      this.#checkpoint(db),
      during?.(),
    ]);
  }

  /** What is wrong; asked when nobody writes any more. */
  async anomalies(db: Database): Promise<string[]> {
    const { seen } = await db.transaction((tx) => readAll(tx, () => 0), { mode: 'deferred' });
    const alterations = { place: MARKS, columns: this.#columns };
    const marks = (seen.get(MARKS) ?? []).map((number): Writing => ({ number, seen: new Map(), outcome: 'unknown', endMs: 0 }));
    return anomalies([...this.writings, ...marks], this.readings, seen, alterations);
  }

  get #goesOn(): boolean {
    return this.writings.length < this.#goal;
  }

  async #write(db: Database, random: Random): Promise<void> {
    while (this.#goesOn) {
      // oxlint-disable-next-line no-await-in-loop -- one transaction after the other
      await this.#writeOnce(db, random, ++this.#number);
    }
  }

  async #writeOnce(db: Database, random: Random, number: number): Promise<void> {
    const steps = Array.from({ length: 1 + random(3) }, () => ({
      table: TABLES[random(TABLES.length)] ?? TABLES[0],
      id: random(KEYS),
      isTakenBack: random(4) === 0,
    }));
    const givesUp = random(8) === 0 ? new Error('given up') : undefined;
    const seen = new Map<Place, readonly number[]>();
    const takenBack = new Set<Place>();
    let outcome: Writing['outcome'] = 'committed';
    try {
      await db.transaction(
        async (tx) => {
          seen.clear();
          takenBack.clear();
          for (const { table, id, isTakenBack } of steps) {
            const place = `${table.name} ${id}`;
            if (seen.has(place)) continue;
            const where = `WHERE ${table.key} = ${table.literal(id)}`;
            // oxlint-disable-next-line no-await-in-loop -- one statement after the other
            const row = await tx.query<{ list: string }>(`SELECT list FROM ${table.name} ${where}`).first();
            // oxlint-disable-next-line no-await-in-loop
            await tx.exec('SAVEPOINT step');
            // oxlint-disable-next-line no-await-in-loop
            await tx.exec(`UPDATE ${table.name} SET list = iif(list = '', '', list || ',') || ? ${where}`, [number]);
            if (isTakenBack) takenBack.add(place);
            else seen.set(place, numbers(row?.list ?? ''));
            // oxlint-disable-next-line no-await-in-loop
            await tx.exec(isTakenBack ? 'ROLLBACK TO step; RELEASE step' : 'RELEASE step');
          }
          if (givesUp) throw givesUp;
        },
        { retries: 20 },
      );
    } catch (error) {
      if (hasCode(error, ['ENGINE_RESTARTED'])) outcome = 'unknown';
      else if (error === givesUp || hasCode(error, ['CONFLICT', 'BUSY', 'TABLE_BUSY'])) outcome = 'undone';
      else throw error;
    }
    const stayed = [...takenBack].filter((place) => !seen.has(place));
    this.writings.push({ number, seen, takenBack: stayed, outcome, endMs: performance.now() });
  }

  async #read(db: Database, random: Random): Promise<void> {
    while (this.#goesOn) {
      const beginMs = performance.now();
      try {
        // oxlint-disable-next-line no-await-in-loop
        const reading = await db.transaction((tx) => readAll(tx, random), { mode: 'deferred', retries: 20 });
        this.readings.push({ ...reading, beginMs });
      } catch (error) {
        if (!hasCode(error, ['ENGINE_RESTARTED', 'CONFLICT'])) throw error;
      }
    }
  }

  async #change(db: Database, random: Random): Promise<void> {
    while (this.#goesOn) {
      const number = ++this.#number;
      const table = TABLES[random(TABLES.length)] ?? TABLES[0];
      const index = `by_parity_of_${table.name}`;
      try {
        // oxlint-disable no-await-in-loop -- one after the other
        switch (random(6)) {
          case 0:
            await db.exec(`CREATE INDEX IF NOT EXISTS ${index} ON ${table.name}(parity)`);
            break;
          case 1:
            await db.exec(`DROP INDEX IF EXISTS ${index}`);
            break;
          case 2:
            await db.exec(`CREATE VIRTUAL TABLE side USING tonbo(id INTEGER PRIMARY KEY); INSERT INTO side VALUES (1); DROP TABLE side`);
            break;
          default:
            await db.transaction((tx) => this.#alter(tx, number, random), { mode: 'immediate', retries: 20 });
        }
        // oxlint-enable no-await-in-loop
        this.changes += 1;
      } catch (error) {
        // Where the engine stopped, the table at the side may have stayed.
        const isTaken = error instanceof HeddleStoreError && error.message.includes('already exists');
        // oxlint-disable-next-line no-await-in-loop
        if (isTaken) await db.exec('DROP TABLE IF EXISTS side');
        else if (!hasCode(error, ['ENGINE_RESTARTED', 'CONFLICT', 'BUSY', 'TABLE_BUSY'])) throw error;
      }
    }
  }

  async #checkpoint(db: Database): Promise<void> {
    while (this.#goesOn) {
      try {
        // oxlint-disable-next-line no-await-in-loop
        await db.query('PRAGMA wal_checkpoint(FULL)').all();
        this.checkpoints += 1;
      } catch (error) {
        if (!hasCode(error, ['ENGINE_RESTARTED'])) throw error;
      }
    }
  }

  /** Adds, renames or drops a column of `warp`, and notes that. */
  async #alter(tx: Transaction, number: number, random: Random): Promise<void> {
    const row = await tx.query<{ list: string }>('SELECT list FROM marks').first();
    const columns = [...(this.#columns.get(numbers(row?.list ?? '').at(-1) ?? 0) ?? [])];
    const at = random(Math.max(columns.length, 1));
    const [name = '', value = ''] = (columns[at] ?? '').split('=');
    const kind = columns.length === 0 ? 0 : columns.length === COLUMNS_MAX ? 1 + random(2) : random(3);
    if (kind === 0) {
      await tx.exec(`ALTER TABLE warp ADD COLUMN c${number} INTEGER NOT NULL DEFAULT ${number} CHECK (c${number} > 0)`);
      columns.push(`c${number}=${number}`);
    } else if (kind === 1) {
      await tx.exec(`ALTER TABLE warp DROP COLUMN ${name}`);
      columns.splice(at, 1);
    } else {
      await tx.exec(`ALTER TABLE warp RENAME COLUMN ${name} TO r${number}`);
      columns[at] = `r${number}=${value}`;
    }
    this.#columns.set(number, columns);
    await tx.exec(`UPDATE marks SET list = iif(list = '', '', list || ',') || ?`, [number]);
  }
}

/** All lists, each table by one path, and the columns of `warp` that come and go. */
async function readAll(tx: Session, random: Random): Promise<{ seen: Lists; columns: readonly string[] }> {
  const seen = new Map<Place, readonly number[]>();
  const put = (table: string, rows: readonly { id: number; list: string }[]): void => {
    for (const { id, list } of rows) seen.set(`${table} ${id}`, numbers(list));
  };
  for (const table of TABLES) {
    const path = PATHS[random(PATHS.length)] ?? PATHS[0];
    for (const part of path?.(table) ?? []) {
      // oxlint-disable-next-line no-await-in-loop -- one statement after the other, of one transaction
      put(table.name, await tx.query<{ id: number; list: string }>(`SELECT id, list FROM ${table.name} ${part}`).all());
    }
  }
  const rows = await tx.query<Record<string, unknown>>('SELECT * FROM warp').all();
  const own = new Set(['id', 'parity', 'list']);
  const names = Object.keys(rows[0] ?? {}).filter((name) => !own.has(name));
  put('marks', await tx.query<{ id: number; list: string }>('SELECT id, list FROM marks').all());
  return { seen, columns: names.map((name) => described(rows, name)) };
}
