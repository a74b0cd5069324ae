/** What reload.pages.test.ts calls in the page. */
import { type Database, open, type OpenOptions } from '../../src/index.ts';

const NAME = 'reload';

let database: Promise<Database> | undefined;

const page = {
  /** Opens the database, adds a row, and tells all. Leaves it open. */
  async visit(options: OpenOptions = {}): Promise<number[]> {
    database ??= open(NAME, { threads: 2, ...options });
    const db = await database;
    await db.exec('CREATE VIRTUAL TABLE IF NOT EXISTS visits USING tonbo(id INTEGER PRIMARY KEY)');
    await db.exec('INSERT INTO visits SELECT coalesce(max(id), 0) + 1 FROM visits');
    return (await db.query<{ id: number }>('SELECT id FROM visits ORDER BY id').all()).map(({ id }) => id);
  },

  /** Writes transactions until the page is left; `acknowledged` has their numbers. */
  async write(first: number): Promise<void> {
    database ??= open(NAME, { threads: 2 });
    const db = await database;
    await db.exec('CREATE VIRTUAL TABLE IF NOT EXISTS parts USING tonbo(id INTEGER PRIMARY KEY, batch INTEGER)');
    for (let batch = first; ; batch++) {
      await db.transaction(async (tx) => {
        for (let part = 0; part < 5; part++) await tx.exec('INSERT INTO parts VALUES (?, ?)', [batch * 5 + part, batch]);
      });
      localStorage.setItem('acknowledged', String(batch));
    }
  },

  /** The last acknowledged transaction, those that are there, and those of which a part is missing. */
  async check(): Promise<{ acknowledged: number; batches: number[]; broken: number[] }> {
    database ??= open(NAME, { threads: 2 });
    const db = await database;
    const rows = await db.query<{ batch: number; n: number }>('SELECT batch, count(*) AS n FROM parts GROUP BY batch ORDER BY batch').all();
    return {
      acknowledged: Number(localStorage.getItem('acknowledged')),
      batches: rows.map(({ batch }) => batch),
      broken: rows.filter(({ n }) => n !== 5).map(({ batch }) => batch),
    };
  },
};

/** The page's functions, as the test calls them. */
export type ReloadPage = typeof page;

Object.assign(globalThis, { page });
