/**
 * The main job: flights into one Tonbo, close, reopen, every query on one SQL thread and on many, every answer against node:sqlite.
 *
 * Order of work: import → close → reopen → the queries, rounds of all subjects interleaved → writes that stay → close → reopen →
 * every row compared. Nothing here is told to the store that a user could not tell it.
 */
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { open, type Database } from '@heddle/store';
import { AIRPORTS_SCHEMA, insertAirports } from './airports.ts';
import { difference, rowDifference } from './compare.ts';
import { countFlights, FLIGHTS_FILE, readAirports } from './dataset.ts';
import { execute, executeAll, onThreads, runExecutions, type Answer, type Row, type Run } from './executions.ts';
import { describeError, expect, FINGERPRINT, mismatch, undo, type Expectations } from './expectations.ts';
import { UsageError, type DemoOptions } from './options.ts';
import type { Progress } from './Progress.ts';
import { EXECUTIONS, FLIGHTS_KEY, FLIGHTS_TABLE, QUERIES, type DemoQuery, type Statement } from './queries.ts';
import { Reference } from './Reference.ts';
import { checkRemoved } from './removed.ts';
import { figure, table, timingFigure, type Figure, type Timing } from './report.ts';

export interface DemoOutput {
  readonly progress: Progress;
  /** Receives what goes to stdout, a line at a time. */
  readonly print: (line: string) => void;
}

export interface Verdict {
  readonly demo: 'verified' | 'failed';
  readonly queries: number;
  /** Answers that were compared with node:sqlite's. */
  readonly executions: number;
  readonly mismatches: number;
}

/** For tests: a chance to change the reference after it was filled. */
export interface DemoHooks {
  readonly afterFill?: (reference: Reference) => void;
}

const EVERY_FLIGHT = 'SELECT id, date, delay, distance, origin, destination FROM flights ORDER BY id';
const EVERY_AIRPORT: Statement = { sql: 'SELECT * FROM airports ORDER BY iata', params: [] };
const MISMATCHES_SHOWN = 20;

/** Runs the demo; rejects when it can't be run at all. Wrong answers don't reject: they are counted in the verdict. */
export async function runDemo(options: DemoOptions, output: DemoOutput, hooks: DemoHooks = {}): Promise<Verdict> {
  const available = await countFlights();
  if (options.rows > available) throw new UsageError(`--rows: the file has ${available} flights`);
  const directory = await prepareDirectory(options.directory);
  try {
    return await new Demo(options, output, directory).run(hooks);
  } finally {
    if (options.keep) output.progress.say(`Databases kept in ${directory}`);
    else await rm(directory, { recursive: true, force: true });
  }
}

async function prepareDirectory(wanted: string | undefined): Promise<string> {
  if (wanted === undefined) return mkdtemp(join(tmpdir(), 'heddle-demo-'));
  await mkdir(wanted, { recursive: true });
  if ((await readdir(wanted)).length > 0) throw new UsageError(`--directory: ${wanted} is not empty`);
  return resolve(wanted);
}

class Demo {
  readonly #options: DemoOptions;
  readonly #output: DemoOutput;
  readonly #location: string;
  readonly #referencePath: string;
  readonly #threadsMax: number;
  readonly #timings: Timing[] = [];
  #executions = 0;
  #mismatches = 0;

  constructor(options: DemoOptions, output: DemoOutput, directory: string) {
    this.#options = options;
    this.#output = output;
    this.#location = join(directory, 'heddle');
    this.#referencePath = join(directory, 'reference.sqlite');
    this.#threadsMax = Math.max(...options.threads);
  }

  async run({ afterFill }: DemoHooks): Promise<Verdict> {
    await this.#fill(afterFill);
    await this.#withBoth(async (db, reference) => {
      await this.#compareOne(db, 'after reopening', reference, FINGERPRINT);
      await this.#compareOne(db, 'airports', reference, EVERY_AIRPORT);
      for (const query of QUERIES) await this.#measure(db, reference, query);
      await this.#writeForGood(db, reference);
    });
    await this.#withBoth((db, reference) => this.#compareEveryRow(db, reference));
    if (this.#options.checkRemoved) await this.#checkRemoved();
    const verdict: Verdict = {
      demo: this.#mismatches === 0 ? 'verified' : 'failed',
      queries: QUERIES.length,
      executions: this.#executions,
      mismatches: this.#mismatches,
    };
    this.#finish(verdict);
    return verdict;
  }

  #open(): Promise<Database> {
    const { cacheBytes } = this.#options;
    return open(this.#location, { threads: this.#threadsMax, ...(cacheBytes === undefined ? {} : { cacheBytes }) });
  }

  async #withBoth(body: (db: Database, reference: Reference) => Promise<void>): Promise<void> {
    const reference = new Reference(this.#referencePath);
    try {
      const db = await this.#open();
      try {
        await body(db, reference);
      } finally {
        await db.close();
      }
    } finally {
      reference.close();
    }
  }

  /** Fills both databases and closes them. */
  async #fill(afterFill: DemoHooks['afterFill']): Promise<void> {
    const { progress } = this.#output;
    const { rows } = this.#options;
    const airports = await readAirports();
    const reference = new Reference(this.#referencePath);
    try {
      progress.stage('Filling node:sqlite');
      const referenceStart = performance.now();
      await reference.fillFlights(rows, (done) => progress.update(done / rows, `${count(done)} flights`));
      this.#figure(figure('node:sqlite', 'import', 'wall', [performance.now() - referenceStart]));
      reference.fillAirports(airports);
      afterFill?.(reference);
      progress.done(`${count(rows)} flights`);
    } finally {
      reference.close();
    }

    progress.stage('Importing into Heddle');
    const db = await this.#open();
    try {
      const importStart = performance.now();
      const imported = await db.import(FLIGHTS_FILE, {
        table: FLIGHTS_TABLE,
        rowNumber: FLIGHTS_KEY,
        rows,
        onProgress: ({ rows: done }) => progress.update(done / rows, `${count(done)} flights`),
      });
      this.#figure(figure('heddle', 'import', 'wall', [performance.now() - importStart]));
      if (imported.rows !== rows) this.#mismatch(`import: ${imported.rows} rows instead of ${rows}`);
      await db.exec(AIRPORTS_SCHEMA);
      await executeAll(db, insertAirports(airports));
    } finally {
      await db.close();
    }
    progress.done(`${count(rows)} flights`);
  }

  /** All rounds of one query on all subjects. */
  async #measure(db: Database, reference: Reference, query: DemoQuery): Promise<void> {
    const { progress } = this.#output;
    progress.stage(query.name);
    const expectations = expect(reference, query, this.#options.rows);
    if (query.undo === undefined) await this.#first(db, query, expectations);

    const rival: Timing & { wallMs: number[] } = { query: query.name, subject: 'node:sqlite', threads: 1, wallMs: [] };
    const ours = this.#options.threads.map((threads): Timing & { wallMs: number[] } => ({
      query: query.name,
      subject: 'heddle',
      threads,
      wallMs: [],
    }));
    let rounds = this.#options.rounds ?? 1;
    for (let round = 0; round < rounds; round++) {
      const roundStart = performance.now();
      rival.wallMs.push(this.#runReference(reference, query));
      for (const [index, timing] of ours.entries()) {
        progress.update((round + index / ours.length) / rounds, `round ${round + 1} of ${rounds}, ${threadsText(timing.threads)}`);
        timing.wallMs.push(await this.#runStore(db, reference, query, timing.threads, expectations));
      }
      if (round === 0) rounds = this.#options.rounds ?? roundsFor(performance.now() - roundStart);
    }
    this.#timings.push(rival, ...ours);
    for (const timing of [rival, ...ours]) this.#figure(timingFigure(timing));
    progress.done(ours.map(({ threads, wallMs }) => `${threadsText(threads)} ${Math.round(Math.min(...wallMs))} ms`).join(', '));
  }

  /** The first execution since the table was last written: what a user waits for while nothing is cached. */
  async #first(db: Database, query: DemoQuery, expectations: Expectations): Promise<void> {
    const start = performance.now();
    const outcome = await execute(db, query.execution(0, this.#options.rows)).then(
      (answer) => ({ answer }),
      (error: unknown) => ({ error }),
    );
    this.#figure(figure('heddle', query.name, 'first', [performance.now() - start]));
    this.#executions++;
    const found = mismatch(expectations, { index: 0, outcome, writesBefore: 0, writesAfter: 0 });
    if (found !== undefined) this.#mismatch(`${query.name}, first execution: ${found}`);
  }

  #runReference(reference: Reference, query: DemoQuery): number {
    const { rows } = this.#options;
    const executions = Array.from({ length: EXECUTIONS }, (_, index) => query.execution(index, rows));
    const start = performance.now();
    for (const execution of executions) reference.execute(execution);
    const wallMs = performance.now() - start;
    undo(reference, query, rows);
    return wallMs;
  }

  async #runStore(db: Database, reference: Reference, query: DemoQuery, threads: number, expectations: Expectations): Promise<number> {
    const { rows } = this.#options;
    const run = await onThreads(db, { threads, threadsMax: this.#threadsMax }, () =>
      runExecutions(db, query, { rowsTotal: rows, threads }),
    );
    for (const observation of run.observations) {
      this.#executions++;
      const found = mismatch(expectations, observation);
      if (found !== undefined) this.#mismatch(`${query.name}, execution ${observation.index + 1} on ${threadsText(threads)}: ${found}`);
    }
    if (query.undo !== undefined) {
      if (expectations.fingerprintAfter !== undefined)
        await this.#compare(db, `${query.name}, the table after its writes`, FINGERPRINT, expectations.fingerprintAfter);
      await executeAll(db, query.undo(rows));
      await this.#compareOne(db, `${query.name}, the table after undoing its writes`, reference, FINGERPRINT);
    }
    return run.wallMs;
  }

  /** One round of every writing query that is not undone, so that the last reopening has something to lose. */
  async #writeForGood(db: Database, reference: Reference): Promise<void> {
    const { rows } = this.#options;
    for (const query of QUERIES.filter((candidate) => candidate.undo !== undefined)) {
      const run: Run = await runExecutions(db, query, { rowsTotal: rows, threads: this.#threadsMax });
      for (let index = 0; index < EXECUTIONS; index++) reference.execute(query.execution(index, rows));
      for (const { index, outcome } of run.observations)
        if ('error' in outcome) this.#mismatch(`${query.name}, execution ${index + 1}: failed: ${describeError(outcome.error)}`);
    }
  }

  /** Every row of the flights table, read in batches. */
  async #compareEveryRow(db: Database, reference: Reference): Promise<void> {
    const { progress } = this.#output;
    await this.#compareOne(db, 'after the second reopening', reference, FINGERPRINT);
    progress.stage('Comparing every row');
    const expected = reference.iterate({ sql: EVERY_FLIGHT, params: [] })[Symbol.iterator]();
    let index = 0;
    let found: string | undefined;
    comparing: for await (const batch of db.query<Row>(EVERY_FLIGHT)) {
      for (const row of batch) {
        index++;
        const next = expected.next();
        found = next.done === true ? 'one row too many' : rowDifference(row, next.value);
        if (found !== undefined) break comparing;
      }
      progress.update(index / this.#options.rows, `${count(index)} flights`);
    }
    if (found === undefined && expected.next().done !== true) found = 'the last row: more rows were expected';
    this.#executions++;
    if (found !== undefined) this.#mismatch(`every row, row ${index}: ${found}`);
    progress.done(`${count(index)} flights`);
  }

  async #checkRemoved(): Promise<void> {
    const { progress } = this.#output;
    progress.stage('Without Tonbo’s files');
    const { removed, answered } = await checkRemoved(this.#location, this.#threadsMax);
    for (const name of answered) this.#mismatch(`${name} answered although Tonbo’s files were removed`);
    if (removed === 0) this.#mismatch('no file of Tonbo was found that could be removed');
    progress.done(`${removed} files removed, ${answered.length} queries answered`);
  }

  async #compareOne(db: Database, what: string, reference: Reference, statement: Statement): Promise<void> {
    await this.#compare(db, what, statement, reference.all(statement));
  }

  async #compare(db: Database, what: string, { sql, params }: Statement, expected: Answer): Promise<void> {
    this.#executions++;
    const found = await db
      .query<Record<string, never>>(sql, params)
      .all()
      .then(
        (answer) => difference(answer, expected),
        (error: unknown) => `failed: ${describeError(error)}`,
      );
    if (found !== undefined) this.#mismatch(`${what}: ${found}`);
  }

  #mismatch(text: string): void {
    this.#mismatches++;
    if (this.#mismatches <= MISMATCHES_SHOWN) this.#output.progress.say(`MISMATCH ${text}`);
    if (this.#mismatches === MISMATCHES_SHOWN + 1) this.#output.progress.say('MISMATCH … further ones are only counted');
  }

  #figure(line: Figure): void {
    if (this.#options.json) this.#output.print(JSON.stringify(line));
  }

  #finish(verdict: Verdict): void {
    const { print } = this.#output;
    if (this.#options.json) {
      print(JSON.stringify(verdict));
      return;
    }
    print(`\n${count(this.#options.rows)} flights in one Tonbo\n`);
    print(table(this.#timings, this.#options.threads));
    print(
      verdict.mismatches === 0
        ? `\n${verdict.queries} queries, ${count(verdict.executions)} answers compared with node:sqlite: all equal.`
        : `\n${verdict.queries} queries, ${count(verdict.executions)} answers compared with node:sqlite: ${verdict.mismatches} MISMATCHES.`,
    );
  }
}

/** Short queries are repeated so that noise has less to say. */
function roundsFor(roundMs: number): number {
  if (roundMs < 2000) return 5;
  return roundMs < 8000 ? 3 : 1;
}

function threadsText(threads: number): string {
  return threads === 1 ? '1 thread' : `${threads} threads`;
}

function count(value: number): string {
  return value.toLocaleString('en');
}
