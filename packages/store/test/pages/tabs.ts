/** What tabs-browsers.pages.test.ts and faults-browsers.pages.test.ts call in their tabs. */
import { type Connection, type Database, type HeddleStoreError, type ImportProgress, open, type OpenOptions } from '../../src/index.ts';

/** Rows to import: a file of the package's. */
const FLIGHTS = new URL('../../node_modules/vega-datasets/data/flights-200k.arrow', import.meta.url);

const NAME = 'tabs';

const PARTS = 3;

/** Every worker that this page has created. */
const workers: Worker[] = [];
const OwnWorker = globalThis.Worker;
globalThis.Worker = class extends OwnWorker {
  constructor(...args: ConstructorParameters<typeof Worker>) {
    super(...args);
    workers.push(this);
  }
};

let opened: Database | undefined;
let connection: Connection | undefined;
let giveBack = (): void => {};
let isWriting = false;
let writing: Promise<void> | undefined;
const restarts: number[] = [];

function db(): Database {
  if (!opened) throw new Error('the database is not open');
  return opened;
}

function tell(message: unknown): Promise<unknown> {
  return fetch('/tell', { method: 'POST', body: JSON.stringify(message) });
}

async function codeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return 'done';
  } catch (error) {
    return (error as { code?: string }).code ?? String(error);
  }
}

async function write(tab: number): Promise<void> {
  for (let n = 1; isWriting; n++) {
    const id = tab * 1_000_000 + n * PARTS;
    const code = await codeOf(
      db().transaction(
        async (tx) => {
          for (let part = 0; part < PARTS; part++) await tx.exec('INSERT INTO parts VALUES (?, ?, ?)', [id + part, tab, n]);
          // An ordinary table without a key takes the same row twice.
          await tx.exec('INSERT INTO twice VALUES (?, ?)', [tab, n]);
        },
        { retries: 100 },
      ),
    );
    await tell({ tab, n, code });
    if (code === 'CLOSED' || code === 'ENGINE_FAILED') return;
  }
}

const page = {
  /** Opens the database and says who runs its engine. */
  async open(options: OpenOptions = {}): Promise<string> {
    opened = await open(NAME, { threads: 2, onRestart: ({ durationMs }) => restarts.push(durationMs), ...options });
    return opened.role;
  },

  role: () => db().role,
  restarts: () => restarts.length,
  close: () => db().close(),

  async create(): Promise<void> {
    await db().exec('CREATE VIRTUAL TABLE parts USING tonbo(id INTEGER PRIMARY KEY, tab INTEGER, n INTEGER)');
    await db().exec('CREATE TABLE twice(tab, n)');
  },

  exec: (sql: string, timeoutMs?: number) => codeOf(db().exec(sql, [], { timeoutMs })),

  /** How many calls are under way, as far as this tab knows. */
  running: () =>
    db()
      .threads()
      .filter(({ state }) => state === 'running').length,

  all: (sql: string) => db().query(sql).all(),

  /** Counts rows as they come, in batches. */
  async count(sql: string, batchRows: number): Promise<number> {
    let count = 0;
    for await (const batch of db().query(sql, [], { batchRows })) count += batch.length;
    return count;
  },

  /** Writes numbered transactions until `rest`, and tells of each how it ended. */
  write(tab: number): void {
    isWriting = true;
    writing = write(tab);
  },

  async rest(): Promise<void> {
    isWriting = false;
    await writing;
  },

  /** The transactions that are there, and those of which a part is missing or there twice. */
  async check(): Promise<{ there: string[]; broken: string[] }> {
    const parts = await db().query<{ tab: number; n: number; c: number }>('SELECT tab, n, count(*) AS c FROM parts GROUP BY tab, n').all();
    const twice = await db().query<{ tab: number; n: number; c: number }>('SELECT tab, n, count(*) AS c FROM twice GROUP BY tab, n').all();
    const ordinary = new Map(twice.map(({ tab, n, c }) => [`${tab}/${n}`, c]));
    const there = parts.map(({ tab, n }) => `${tab}/${n}`);
    const broken = parts.filter(({ tab, n, c }) => c !== PARTS || ordinary.get(`${tab}/${n}`) !== 1).map(({ tab, n }) => `${tab}/${n}`);
    const alone = [...ordinary.keys()].filter((name) => !there.includes(name));
    return { there, broken: [...broken, ...alone] };
  },

  /** Leaves a transaction open that holds the lock of the ordinary tables. */
  async holdTransaction(): Promise<void> {
    connection = await db().connection();
    await connection.exec('BEGIN IMMEDIATE; INSERT INTO twice VALUES (-1, -1)');
  },

  commit: () => codeOf(connection?.exec('COMMIT') ?? Promise.resolve()),

  /** Imports rows of a file, as a Blob; tells when the first are there. */
  async importFlights(rows: number, giveUp: boolean): Promise<{ code: string; progress: number; phases: string[] }> {
    const blob = await (await fetch(FLIGHTS)).blob();
    const aborter = new AbortController();
    const seen: ImportProgress[] = [];
    const onProgress = (progress: ImportProgress): void => {
      seen.push(progress);
      if (progress.rows > 0) void tell('imported');
      if (giveUp && progress.bytes > 0) aborter.abort();
    };
    const code = await codeOf(db().import(blob, { table: 'imported', rowNumber: 'id', rows, onProgress, signal: aborter.signal }));
    return { code, progress: seen.at(-1)?.rows ?? 0, phases: [...new Set(seen.map(({ phase }) => phase))] };
  },

  /** Ends every worker of this page, as a browser may that needs their memory. */
  terminateWorkers(): number {
    for (const worker of workers) worker.terminate();
    return workers.length;
  },

  /** Keeps the main thread busy until another tab says `endHang`; it answers nobody meanwhile. */
  async hang(): Promise<void> {
    const word = new Int32Array(new SharedArrayBuffer(4));
    const worker = new Worker(new URL('./hang-worker.ts', import.meta.url), { type: 'module' });
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker's has no origin
    worker.postMessage(word);
    await new Promise((resolve) => worker.addEventListener('message', resolve, { once: true }));
    setTimeout(() => {
      while (Atomics.load(word, 0) === 0);
    });
  },

  endHang(): void {
    const channel = new BroadcastChannel('hang');
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- nor has a channel's
    channel.postMessage('end');
    channel.close();
  },

  /** Steals a Web Lock, and keeps it until `giveBack`. */
  async steal(lock: string): Promise<void> {
    await new Promise<void>((resolve) => {
      const held = (): Promise<void> => {
        resolve();
        return new Promise((release) => (giveBack = release));
      };
      navigator.locks.request(lock, { steal: true }, held).catch(() => undefined);
    });
  },

  giveBack: () => giveBack(),

  /** The names of all Web Locks that somebody holds. */
  async locks(): Promise<string[]> {
    return ((await navigator.locks.query()).held ?? []).map(({ name }) => name ?? '');
  },

  /** Removes the directory of the database; returns the name of the error. */
  async removeDirectory(): Promise<string> {
    try {
      await (await navigator.storage.getDirectory()).removeEntry(NAME, { recursive: true });
      return 'removed';
    } catch (error) {
      return (error as Error).name;
    }
  },

  /** Has the browser clear the data of this site. */
  clearSite: async () => (await fetch('/clear')).text(),

  /** Opens the database for this page alone. */
  openAlone: () => codeOf(open(NAME, { share: false })),

  /** The codes of an error and of its cause. */
  async causeOf(sql: string): Promise<(string | undefined)[]> {
    try {
      await db().exec(sql);
      return ['done'];
    } catch (error) {
      const { code, cause } = error as HeddleStoreError;
      return [code, (cause as HeddleStoreError | undefined)?.code];
    }
  },
};

/** The page's functions, as the test calls them. */
export type TabsPage = typeof page;

Object.assign(globalThis, { page });
