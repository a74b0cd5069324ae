/**
 * Reads and runs the store's sqllogictest files through the API; what their records mean stands in `crates/store/tests/sqllogictest.rs`, which
 * runs them natively.
 *
 * All files share a database, and are opened again together, because starting an engine takes a second: what a copy of a file makes has
 * names of its own. What is otherwise than in the native runner, and why:
 *
 * | here | because |
 * |---|---|
 * | `move` and `flush` are `PRAGMA wal_checkpoint(FULL)` on a connection that waits for nobody | there is no call to the mover itself; where a transaction holds the writer's lock, the pragma writes Tonbo's files and says BUSY of the rest |
 * | a REAL without a fraction is the INTEGER | both are a `number`; the files ask for `typeof` where it matters |
 * | changes also move in the background | it is how users run it |
 */
import type { Connection, Database, Row, SqlValue } from '../../src/index.ts';
import { HeddleStoreError } from '../../src/index.ts';

/** The kinds of tables that a file runs on. */
export const KINDS = ['tonbo', 'ordinary'] as const;
export type Kind = (typeof KINDS)[number];

/** How often a transaction of a copy begins again at most. */
const RETRIES_MAX = 1000;

/** Between two attempts. */
const RETRY_MS = 5;

/** After so many records rows are moved to files, where that is asked for. */
const MOVE_EVERY = 4;

/** A file's record, as one kind of table has it. */
export interface TestRecord {
  readonly line: number;
  readonly head: string;
  readonly sql: string;
  readonly expected: string;
}

/** What runs the records of a database that is open. */
export interface Runner {
  readonly db: Database;
  /** Waits for nobody. */
  readonly mover: Connection;
}

const SUBSTITUTES: Readonly<Record<Kind, Readonly<Record<string, string>>>> = {
  tonbo: { '${TABLE}': 'VIRTUAL TABLE', '${USING}': 'USING tonbo', '${STRICT}': '', '${WITHOUT_ROWID}': '' },
  ordinary: { '${TABLE}': 'TABLE', '${USING}': '', '${STRICT}': 'STRICT', '${WITHOUT_ROWID}': 'STRICT, WITHOUT ROWID' },
};

/** The records of a file that are meant for this kind. */
export function recordsOf(source: string, kind: Kind): TestRecord[] {
  const found: TestRecord[] = [];
  let line = 1;
  for (const paragraph of source.split('\n\n')) {
    const all = paragraph.split('\n');
    const lines = all.filter((text) => text !== '' && !text.startsWith('#'));
    let isWanted = true;
    for (let first = lines[0]; first?.startsWith('onlyif ') || first?.startsWith('skipif '); first = lines[0]) {
      isWanted &&= (first.slice('onlyif '.length).trim() === kind) === first.startsWith('onlyif ');
      lines.shift();
    }
    const head = lines.shift();
    if (head !== undefined && isWanted) {
      let body = lines.join('\n');
      for (const [name, text] of Object.entries(SUBSTITUTES[kind])) body = body.replaceAll(name, text);
      const bar = body.indexOf('----');
      const [sql, expected] = bar < 0 ? [body, ''] : [body.slice(0, bar), body.slice(bar + '----'.length)];
      found.push({ line, head, sql: sql.trim(), expected: expected.trim() });
    }
    line += all.length + 1;
  }
  return found;
}

/** The words of SQL, and what stands between them; a text between quotes is none. */
const wordsOf = (sql: string): string[] => sql.match(/'[^']*'?|[\p{L}\p{N}_]+|[^]/gu) ?? [];

const MAKERS: ReadonlySet<string | undefined> = new Set(['TABLE', 'INDEX', 'TRIGGER']);
const BETWEEN: ReadonlySet<string> = new Set(['IF', 'NOT', 'EXISTS']);

/** The names of all that the records make. */
function namesOf(records: readonly TestRecord[]): Set<string> {
  const names = new Set<string>();
  for (const { sql } of records) {
    const words = wordsOf(sql).filter((word) => word.trim() !== '');
    for (const [at, word] of words.entries()) {
      const isMade = MAKERS.has(word) && words.slice(Math.max(0, at - 2), at).includes('CREATE');
      const isRenamed = word === 'TO' && words[at - 1] === 'RENAME';
      const name = words.slice(at + 1).find((behind) => !BETWEEN.has(behind));
      if ((isMade || isRenamed) && name !== undefined) names.add(name);
    }
  }
  return names;
}

/** The records under names that no other copy has. */
export function copyOf(records: readonly TestRecord[], suffix: string): TestRecord[] {
  const names = namesOf(records);
  if (names.size === 0) throw new Error('every file makes a table');
  const renamedWord = (word: string): string => {
    const automatic = /^(sqlite_autoindex_.+)(_\d+)$/.exec(word);
    if (automatic) return `${automatic[1]}_${suffix}${automatic[2]}`;
    return names.has(word) ? `${word}_${suffix}` : word;
  };
  const renamed = (text: string): string => wordsOf(text).map(renamedWord).join('');
  return records.map((record) => ({
    ...record,
    sql: renamed(record.sql),
    expected: record.head === 'plan' ? renamed(record.expected) : record.expected,
  }));
}

/** The parts of a file between which the database is opened again. */
export function partsOf(records: readonly TestRecord[]): TestRecord[][] {
  const parts: TestRecord[][] = [[]];
  for (const record of records) {
    if (record.head === 'reopen') parts.push([]);
    else parts.at(-1)?.push(record);
  }
  return parts;
}

/** What a record finds that it should not. */
class Wrong extends Error {}

/** Whether another copy's transaction has come first. */
const isOvertaken = (error: unknown): boolean =>
  error instanceof HeddleStoreError && (error.code === 'CONFLICT' || error.code === 'BUSY' || error.code === 'TABLE_BUSY');

/** A transaction can't begin within another; one that began and ended leaves nothing. */
async function isInTransaction(connection: Connection): Promise<boolean> {
  try {
    await connection.exec('BEGIN; ROLLBACK');
    return false;
  } catch {
    return true;
  }
}

/**
 * Runs records on a connection of their own; `movesOften`: with all rows moved to files after every few. Returns how often a transaction
 * began again.
 */
export async function runRecords(runner: Runner, records: readonly TestRecord[], movesOften: boolean): Promise<number> {
  await using connection = await runner.db.connection();
  await connection.exec('PRAGMA busy_timeout = 60000');
  let [at, begun, retries] = [0, 0, 0];
  for (let record = records[at]; record; record = records[at]) {
    const isInside = await isInTransaction(connection);
    if (!isInside) begun = at;
    try {
      await runRecord(runner, connection, record);
      at += 1;
    } catch (error) {
      const isStillInside = await isInTransaction(connection);
      const isRetried = isOvertaken(error) && (isInside || isStillInside);
      if (!isRetried || retries === RETRIES_MAX) {
        throw new Error(`the record at line ${record.line}:\n${record.head}\n${record.sql}\n${String(error)}`, { cause: error });
      }
      if (isStillInside) await connection.exec('ROLLBACK');
      // Who was first needs its turns, too: on a busy machine a thousand attempts were over before it had committed.
      await new Promise((resolve) => void setTimeout(resolve, RETRY_MS));
      [at, retries] = [begun, retries + 1];
    }
    // It waits for readers of older states, which a transaction may be.
    if (movesOften && at % MOVE_EVERY === 0 && !(await isInTransaction(connection))) await move(runner);
  }
  return retries;
}

async function move({ mover }: Runner): Promise<void> {
  try {
    await mover.query('PRAGMA wal_checkpoint(FULL)').all();
  } catch (error) {
    // Somebody writes the ordinary tables.
    if (!isOvertaken(error)) throw error;
  }
}

async function runRecord(runner: Runner, connection: Connection, { head, sql, expected }: TestRecord): Promise<void> {
  const [verb, what, argument] = head.split(' ');
  if (verb === 'statement') {
    if (what !== 'error') {
      const { changes } = await connection.exec(sql);
      if (what === 'count' && String(changes) !== argument) throw new Wrong(`${changes} changes`);
      return;
    }
    const error: unknown = await connection.exec(sql).then(
      () => new Wrong('no error'),
      (reason: unknown) => reason,
    );
    if (!(error instanceof HeddleStoreError && error.code === codeOf(argument))) throw error;
  } else if (verb === 'query') {
    const lines = (await rowsOf(connection, sql)).map((row) => Object.values(row).map(shown).join(' '));
    expectLines(what === 'rowsort' ? lines.toSorted() : lines, expected);
  } else if (verb === 'plan') {
    const rows = await rowsOf(connection, `EXPLAIN QUERY PLAN ${sql}`);
    // Up to the part that is not for people.
    expectLines(
      rows.map(({ detail }) => String(detail).replace(/\|[^|]*$/, '')),
      expected,
    );
  } else if (verb === 'move' || verb === 'flush') await move(runner);
  else throw new Wrong('not understood');
}

const rowsOf = (connection: Connection, sql: string): Promise<Row[]> => connection.query(sql).all();

/** `TypeMismatch` as the API writes it. */
const codeOf = (name = ''): string => name.replaceAll(/(?<=[a-z])(?=[A-Z])/g, '_').toUpperCase();

function expectLines(found: readonly string[], expected: string): void {
  const lines = (text: string): string[] => text.split('\n').map((line) => line.trimEnd().replaceAll(/(?<=^| )(-?\d+)\.0(?=$| )/g, '$1'));
  const [shownLines, expectedLines] = [found.flatMap(lines), expected === '' ? [] : lines(expected)];
  if (shownLines.join('\n') !== expectedLines.join('\n')) throw new Wrong(`found\n${found.join('\n')}`);
}

function shown(value: SqlValue): string {
  if (value === null) return 'NULL';
  if (typeof value === 'string') return value === '' ? '(empty)' : value.replaceAll('\0', '\\0');
  if (value === Infinity || value === -Infinity) return value < 0 ? '-inf' : 'inf';
  if (value instanceof Uint8Array) return `x'${Array.from(value, (byte) => byte.toString(16).padStart(2, '0')).join('')}'`;
  return String(value);
}
