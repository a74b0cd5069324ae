/** The airports: a small CSV file that becomes an ordinary SQLite table beside the flights. */
import type { SqlValue } from '@heddle/store';
import type { Statement } from './queries.ts';

export const AIRPORTS_SCHEMA =
  'CREATE TABLE airports (iata TEXT PRIMARY KEY, name TEXT, city TEXT, state TEXT, country TEXT, latitude REAL, longitude REAL)';

const COLUMN_COUNT = 7;
const FIRST_REAL_COLUMN = 5;
const ROWS_PER_STATEMENT = 100;

/** Splits CSV text (RFC 4180: quoted fields, doubled quotes) into records. Throws a `SyntaxError` at a quote that never closes. */
export function parseCsv(text: string): string[][] {
  const records: string[][] = [];
  let record: string[] = [];
  let at = 0;
  while (at < text.length) {
    let field = '';
    if (text[at] === '"') {
      for (;;) {
        const quote = text.indexOf('"', at + 1);
        if (quote < 0) throw new SyntaxError(`CSV: the quote in record ${records.length + 1} never closes`);
        field += text.slice(at + 1, quote);
        at = quote + 1;
        if (text[at] !== '"') break;
        field += '"';
      }
    } else {
      const start = at;
      while (at < text.length && text[at] !== ',' && text[at] !== '\n' && text[at] !== '\r') at++;
      field = text.slice(start, at);
    }
    record.push(field);
    if (text[at] === ',') {
      at++;
      if (at === text.length) record.push('');
      continue;
    }
    if (text[at] === '\r') at++;
    if (text[at] === '\n') at++;
    records.push(record);
    record = [];
  }
  if (record.length > 0) records.push(record);
  return records;
}

/** Statements that fill the `airports` table from the text of `airports.csv`, to be run in one transaction. */
export function insertAirports(csv: string): Statement[] {
  const rows = parseCsv(csv).slice(1);
  const statements: Statement[] = [];
  for (let start = 0; start < rows.length; start += ROWS_PER_STATEMENT) {
    const batch = rows.slice(start, start + ROWS_PER_STATEMENT);
    const params: SqlValue[] = [];
    for (const [index, row] of batch.entries()) {
      if (row.length !== COLUMN_COUNT)
        throw new SyntaxError(`airports.csv: record ${start + index + 2} has ${row.length} fields instead of ${COLUMN_COUNT}`);
      params.push(...row.slice(0, FIRST_REAL_COLUMN), ...row.slice(FIRST_REAL_COLUMN).map(Number));
    }
    const values = batch.map(() => `(${Array(COLUMN_COUNT).fill('?').join(', ')})`).join(', ');
    statements.push({ sql: `INSERT INTO airports VALUES ${values}`, params });
  }
  return statements;
}
