/** `node:sqlite` holding the same tables: what every answer is compared with, and the rival whose times stand beside ours. */
import { DatabaseSync, type SQLInputValue } from 'node:sqlite';
import type { SqlValue } from '@heddle/store';
import { AIRPORTS_SCHEMA, insertAirports } from './airports.ts';
import { readFlights } from './dataset.ts';
import type { Answer, Row } from './executions.ts';
import { FLIGHTS_SCHEMA, type Execution, type Statement } from './queries.ts';

export class Reference {
  readonly #db: DatabaseSync;

  /** Opens or creates the database file, with the journal that a user who cares for speed picks. */
  constructor(path: string) {
    this.#db = new DatabaseSync(path);
    this.#db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL');
  }

  /** Creates and fills the `flights` table with the first `rows` rows of the file. */
  async fillFlights(rows: number, onProgress: (rowsDone: number) => void): Promise<void> {
    this.#db.exec(FLIGHTS_SCHEMA);
    const insert = this.#db.prepare('INSERT INTO flights VALUES (?, ?, ?, ?, ?, ?)');
    for await (const { firstRow, count, columns } of readFlights(rows)) {
      this.#db.exec('BEGIN');
      const { date, delay, distance, origin, destination } = columns;
      for (let i = 0; i < count; i++)
        insert.run(firstRow + i, value(date[i]), value(delay[i]), value(distance[i]), value(origin[i]), value(destination[i]));
      this.#db.exec('COMMIT');
      onProgress(firstRow + count - 1);
    }
  }

  fillAirports(csv: string): void {
    this.#db.exec(AIRPORTS_SCHEMA);
    this.#transaction(() => {
      for (const statement of insertAirports(csv)) this.run(statement);
    });
  }

  /** Runs one statement for its effect. */
  run({ sql, params }: Statement): { changes: number } {
    return { changes: Number(this.#db.prepare(sql).run(...inputs(params)).changes) };
  }

  /** The rows of one SELECT. */
  all({ sql, params }: Statement): Answer {
    return this.#db.prepare(sql).all(...inputs(params));
  }

  /** The rows of one SELECT, one after the other, without holding them all. */
  iterate({ sql, params }: Statement): Iterable<Row> {
    return this.#db.prepare(sql).iterate(...inputs(params)) as Iterable<Row>;
  }

  execute({ kind, statements }: Execution): Answer {
    if (statements.length > 1) return this.#transaction(() => this.#last(kind, statements));
    return this.#last(kind, statements);
  }

  close(): void {
    this.#db.close();
  }

  #last(kind: Execution['kind'], statements: Execution['statements']): Answer {
    for (const statement of statements.slice(0, -1)) this.run(statement);
    const last = statements.at(-1) ?? statements[0];
    return kind === 'write' ? [this.run(last)] : this.all(last);
  }

  #transaction<T>(body: () => T): T {
    this.#db.exec('BEGIN');
    try {
      const result = body();
      this.#db.exec('COMMIT');
      return result;
    } catch (error) {
      this.#db.exec('ROLLBACK');
      throw error;
    }
  }
}

function inputs(params: readonly SqlValue[]): SQLInputValue[] {
  return params as SQLInputValue[];
}

function value(cell: bigint | string | null | undefined): SQLInputValue {
  return cell ?? null;
}
