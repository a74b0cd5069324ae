/** Runs the executions of one query over a store: the same code in the headless demo and in the page. */
import type { Connection, Database, Session, SqlValue } from '@heddle/store';
import { EXECUTIONS, type DemoQuery, type Execution, type Statement } from './queries.ts';

export type Row = Readonly<Record<string, SqlValue>>;

/** What one execution gave: rows, or a count of changed rows as the only value of the only row. */
export type Answer = readonly Row[];

/** One execution as it went. */
export interface Observation {
  readonly index: number;
  /** The rows, or why there are none. */
  readonly outcome: { readonly answer: Answer } | { readonly error: unknown };
  /**
   * How many of the query's write batches were acknowledged when the execution began, and how many had been issued when it ended:
   * a read sees a whole number of batches between the two.
   */
  readonly writesBefore: number;
  readonly writesAfter: number;
}

export interface Run {
  /** From the first call to the last answer, in milliseconds. */
  readonly wallMs: number;
  readonly observations: readonly Observation[];
}

export interface RunOptions {
  readonly rowsTotal: number;
  /** How many SQL threads there are to run on. */
  readonly threads: number;
  /** Told after each execution. */
  readonly onExecution?: (done: number) => void;
}

/** Runs one execution: a single statement by itself, several in one transaction. */
export async function execute(db: Database, { kind, statements }: Execution): Promise<Answer> {
  if (statements.length > 1) return db.transaction((transaction) => runLast(transaction, kind, statements));
  return runLast(db, kind, statements);
}

async function runLast(on: Session, kind: Execution['kind'], statements: Execution['statements']): Promise<Answer> {
  for (const { sql, params } of statements.slice(0, -1)) await on.exec(sql, params);
  const { sql, params } = statements.at(-1) ?? statements[0];
  if (kind !== 'write') return on.query<Record<string, SqlValue>>(sql, params).all();
  const { changes } = await on.exec(sql, params);
  return [{ changes }];
}

/** Runs statements in one transaction. */
export function executeAll(db: Database, statements: readonly Statement[]): Promise<void> {
  return db.transaction(async (transaction) => {
    for (const { sql, params } of statements) await transaction.exec(sql, params);
  });
}

/**
 * Runs all executions of a query. They are given to the store at once and its pool schedules them. A query with write batches has
 * as many calls under way as there are threads, so that the batches are spread among the readers, one batch at a time.
 */
export async function runExecutions(db: Database, query: DemoQuery, { rowsTotal, threads, onExecution }: RunOptions): Promise<Run> {
  const executions = Array.from({ length: EXECUTIONS }, (_, index) => query.execution(index, rowsTotal));
  const lanes = executions.some(({ kind }) => kind === 'write') ? threads : executions.length;
  const observations: Observation[] = [];
  let next = 0;
  let done = 0;
  let writesIssued = 0;
  let writesAcknowledged = 0;
  let lastWrite: Promise<unknown> = Promise.resolve();

  const observe = async (index: number, execution: Execution): Promise<void> => {
    let writesBefore = writesAcknowledged;
    const run = async (): Promise<Answer> => {
      if (execution.kind !== 'write') return execute(db, execution);
      writesBefore = writesAcknowledged;
      writesIssued++;
      const answer = await execute(db, execution);
      writesAcknowledged++;
      return answer;
    };
    const started: Promise<Answer> = execution.kind === 'write' ? lastWrite.then(run, run) : run();
    if (execution.kind === 'write') lastWrite = started;
    const outcome = await started.then(
      (answer) => ({ answer }),
      (error: unknown) => ({ error }),
    );
    observations[index] = { index, outcome, writesBefore, writesAfter: writesIssued };
    onExecution?.(++done);
  };
  const lane = async (): Promise<void> => {
    for (let index = next++; index < executions.length; index = next++) await observe(index, executions[index] as Execution);
  };

  const start = performance.now();
  await Promise.all(Array.from({ length: lanes }, lane));
  return { wallMs: performance.now() - start, observations };
}

/** Runs `body` while only `threads` of the database's `threadsMax` SQL threads are free: the others are held, idle, by connections of their own. */
export async function onThreads<T>(
  db: Database,
  { threads, threadsMax }: { readonly threads: number; readonly threadsMax: number },
  body: () => Promise<T>,
): Promise<T> {
  const held: Connection[] = [];
  try {
    while (held.length < threadsMax - threads) held.push(await db.connection());
    return await body();
  } finally {
    for (const connection of held) await connection.release();
  }
}
