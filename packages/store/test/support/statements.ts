/**
 * Statements that a seed makes, for engines to be compared: what they compute is of the C library, of libm and of the clock as much as of
 * SQLite – formats and parsing of floats, powers and angles, dates – and of the values' way through the API.
 *
 * What two engines need not have equal is not made:
 *
 * | left out | because |
 * |---|---|
 * | the last digits of `sin`, `exp`, `ln`, `pow` and their kin: 12 are compared | C libraries may round them otherwise; `sqrt`, `floor`, `ceil` and `trunc` are exact, and are compared whole |
 * | `sum`, `avg` and `total` of fractions in another order | they add floats in the order of rows, which is the key's here |
 * | rows without ORDER BY | their order is open |
 * | `'now'`, `random()`, `sqlite_version()` and their kin | they differ by what they are for; `now` is compared by itself |
 * | `'localtime'` | the Wasm has no time zones |
 */
import type { SqlValue } from '../../src/index.ts';
import type { Random } from './random.ts';

/** A statement, and what is bound to it. */
export interface Statement {
  readonly sql: string;
  readonly params: readonly SqlValue[];
}

const INTEGERS: readonly SqlValue[] = [0, 1, -1, 2, 7, 100, -32_769, 2 ** 31, 2 ** 53 - 1, 2n ** 53n + 1n, 2n ** 63n - 1n, -(2n ** 63n)];
const REALS: readonly number[] = [
  0.5,
  -0.5,
  0.1,
  1.5,
  2.675,
  1e15 + 0.5,
  1e-7,
  123_456.789,
  -1e300,
  5e-324,
  1.797_693_134_862_315_7e308,
  1 / 3,
];
const TEXTS: readonly string[] = [
  '',
  'a',
  'A',
  'ab ',
  'é',
  'É',
  '😀',
  '12',
  '1e3',
  ' 3.5',
  '0x10',
  "o'clock",
  'a_b%c',
  '2024-02-29',
  '-0.0',
];
const BLOBS: readonly Uint8Array[] = [new Uint8Array(), Uint8Array.of(0), Uint8Array.of(0xff, 0x61), Uint8Array.of(0x31, 0x32)];
const MOMENTS: readonly string[] = [
  '2024-02-29 12:34:56.789',
  '1969-12-31 23:59:59',
  '0001-01-01',
  '9999-12-31T23:59:59.999Z',
  '2000-03-01 00:00+05:30',
];

const VALUES = { i: INTEGERS, r: REALS, x: TEXTS, b: BLOBS } as const;

/** Columns of the tables that statements read and write. */
const COLUMNS = ['id', 'i', 'r', 'x', 'b'] as const;

export const TABLE_COLUMNS = 'id INTEGER PRIMARY KEY, i INTEGER, r REAL, x TEXT, b BLOB';

const FUNCTIONS_OF_LIBM = ['exp', 'ln', 'log10', 'log2', 'sin', 'cos', 'tan', 'atan', 'sinh', 'tanh', 'asinh'];
const MODIFIERS = ['+1 day', '-1 month', '+400 days', 'start of month', 'weekday 1', '+1.5 hours', 'start of year', '-10 years', 'floor'];
const FORMATS = ['%.3f', '%.15g', '%e', '%d', '%08.2f', '%+d', '%x', '%s', '%q', '%,d', '%!.17g'];

/** See the module's documentation. */
export class StatementMaker {
  readonly #random: Random;
  #params: SqlValue[] = [];

  constructor(random: Random) {
    this.#random = random;
  }

  /** A write, or a query whose rows are in order. */
  next(): Statement {
    this.#params = [];
    const sql = this.#random(3) === 0 ? this.#write() : this.#query();
    return { sql, params: this.#params };
  }

  #pick<T>(values: readonly T[]): T {
    return values[this.#random(values.length)] as T;
  }

  #bound(value: SqlValue): string {
    this.#params.push(value);
    return `?${this.#params.length}`;
  }

  #valueOf(column: (typeof COLUMNS)[number]): SqlValue {
    if (this.#random(8) === 0 && column !== 'id') return null;
    return column === 'id' ? this.#random(60) : this.#pick(VALUES[column]);
  }

  #write(): string {
    const target = this.#pick(['i', 'r', 'x', 'b'] as const);
    switch (this.#random(6)) {
      case 0:
        return `UPDATE t SET ${target} = ${this.#bound(this.#valueOf(target))} WHERE ${this.#condition()}`;
      case 1:
        return `DELETE FROM t WHERE id = ${this.#random(60)} AND ${this.#condition()}`;
      // Fails where it doesn't fit, in both.
      case 2:
        return `UPDATE t SET ${target} = ${this.#scalar(1)} WHERE id = ${this.#random(60)}`;
      case 3:
        return `INSERT INTO t VALUES (${COLUMNS.map((column) => this.#bound(this.#valueOf(column))).join()})`;
      default:
        return `INSERT OR REPLACE INTO t VALUES (${COLUMNS.map((column) => this.#bound(this.#valueOf(column))).join()})`;
    }
  }

  #query(): string {
    if (this.#random(8) === 0)
      return 'SELECT a.id AS a, b.id AS b, a.x || b.x AS v, a.r * b.r AS w FROM t AS a JOIN t AS b ON b.id = a.id + 1 ORDER BY a.id';
    const where = this.#random(2) === 0 ? '' : ` WHERE ${this.#condition()}`;
    switch (this.#random(6)) {
      case 0:
        return `SELECT x AS k, count(*) AS n, sum(i % 1000) AS s, max(r) AS m, group_concat(id) AS g FROM (SELECT * FROM t${where} ORDER BY id) GROUP BY x ORDER BY x`;
      case 1:
        return `SELECT id, row_number() OVER w AS n, lag(i) OVER w AS l, first_value(x) OVER w AS f FROM t${where} WINDOW w AS (ORDER BY id) ORDER BY id`;
      default:
        return `SELECT id, ${this.#scalar(2)} AS v, ${this.#scalar(1)} AS w FROM t${where} ORDER BY id`;
    }
  }

  #condition(): string {
    const column = this.#pick(COLUMNS);
    const comparison = this.#pick(['=', '<', '<=', '>', '>=', '<>', 'IS', 'IS NOT']);
    switch (this.#random(6)) {
      case 0:
        return `id BETWEEN ${this.#random(30)} AND ${20 + this.#random(40)}`;
      case 1:
        return `${column} IS NOT NULL`;
      case 2:
        return `x ${this.#pick(['LIKE', 'GLOB'])} ${this.#pick(["'a%'", "'A*'", "'%é%'", "'?'", "'_'", "'[0-9]*'"])}`;
      case 3:
        return `(${this.#condition()} OR ${this.#condition()})`;
      default:
        return `${column} ${comparison} ${this.#bound(this.#valueOf(column))}`;
    }
  }

  /** An expression that fails on no row. */
  #scalar(depth: number): string {
    const column = this.#pick(COLUMNS);
    if (depth === 0) return column;
    const inner = (): string => this.#scalar(depth - 1);
    switch (this.#random(16)) {
      case 0:
        return `(${inner()} ${this.#pick(['+', '-', '*', '/', '%', '||', '&', '<<', '<', '='])} ${inner()})`;
      case 1:
        return `CAST(${inner()} AS ${this.#pick(['TEXT', 'INTEGER', 'REAL', 'BLOB', 'NUMERIC'])})`;
      case 2:
        return `printf('${this.#pick(FORMATS)}', ${inner()})`;
      case 3:
        return `round(${this.#pick(['i', 'r', 'x'])}, ${this.#random(6)})`;
      case 4:
        return `printf('%.12g', ${this.#pick(FUNCTIONS_OF_LIBM)}(r % 1000))`;
      case 5:
        return `printf('%.12g', pow(abs(r % 50), ${this.#pick(['0.5', '2', '-1.5'])}))`;
      case 6:
        return `${this.#pick(['sqrt', 'floor', 'ceil', 'trunc'])}(r)`;
      case 7:
        return `${this.#pick(['date', 'time', 'datetime', 'julianday', 'unixepoch'])}('${this.#pick(MOMENTS)}', '${this.#pick(MODIFIERS)}', (id % 9) || ' days')`;
      case 8:
        return `strftime('%Y-%m-%d %H:%M:%f %j %J %s %w %W %u %G-%V', '${this.#pick(MOMENTS)}', '${this.#pick(MODIFIERS)}')`;
      case 9:
        return `${this.#pick(['upper', 'lower', 'length', 'trim', 'hex', 'quote', 'typeof', 'unicode', 'octet_length'])}(${inner()})`;
      case 10:
        return `substr(${column}, ${this.#random(7) - 3}, ${this.#random(5)})`;
      case 11:
        return `replace(x, 'a', ${this.#bound(this.#pick(TEXTS))})`;
      case 12:
        return `instr(x, '${this.#pick(['a', 'b', '1'])}')`;
      case 13:
        return `json_array(i, r, x)`;
      case 14:
        return `CASE WHEN ${this.#condition()} THEN ${inner()} ELSE ${inner()} END`;
      default:
        return `(SELECT count(*) FROM t AS o WHERE o.id < t.id)`;
    }
  }
}
