/**
 * A stand-in for the engine's side of the wire, for tests of this package's own side: scheduling, back-pressure, interruption,
 * errors. It answers from `node:sqlite`; the store's own behaviour is tested against the real engine.
 *
 * Beside SQL it understands: `PEER EXIT`, which ends the worker at once; `PEER EXIT AT COMMIT`, which ends it in the place of the next
 * commit; `PEER ROWS n`, which answers n rows by itself; and an import of digits, of which each becomes a row.
 */
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite';
import { workerData } from 'node:worker_threads';
import { ClosedError, Receiver, Sender } from '@heddle/channel';
import { pack, type Packed, Reader } from '../../src/internal/MessagePack.ts';
import { Assembler, pieces } from '../../src/internal/wire.ts';
import {
  CONNECTION_CANCEL_OFFSET,
  CONNECTION_IDLE,
  CONNECTION_RUNNING,
  CONNECTION_STATE_OFFSET,
  CONNECTION_STATEMENTS_OFFSET,
} from '../../src/internal/layout.ts';
import type { PeerData } from './startPeer.ts';

const { requests, responses, record, memory, path } = workerData as PeerData;
const receiver = Receiver.from(requests);
const sender = Sender.from(responses);
const words = new Int32Array(record);
const db = new DatabaseSync(path, { timeout: 5000 });
db.exec('PRAGMA synchronous = OFF');

const CANCEL = CONNECTION_CANCEL_OFFSET / 4;
const STATE = CONNECTION_STATE_OFFSET / 4;
const STATEMENTS = CONNECTION_STATEMENTS_OFFSET / 4;
const BATCH_OF_IMPORT = 4;

let exitsAtCommit = false;

type Fields = { readonly [name: string]: Packed };

class PeerError extends Error {
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

function send(id: number, response: Fields): void {
  for (const piece of pieces(pack({ id, ...response }), sender.messageByteLengthMax)) sender.send(piece);
}

function checkCancel(id: number): void {
  if (Atomics.load(words, CANCEL) === id) throw new PeerError('INTERRUPTED', 'interrupted');
}

function serve(request: Fields): Fields {
  const id = request['id'] as number;
  checkCancel(id);
  switch (request['op']) {
    case 'query':
      return query(id, request['sql'] as string, request['params'] as SQLInputValue[], request['batchRows'] as number);
    case 'import':
      return importDigits(id, request);
    case 'alloc':
      return { address: allocate(request['size'] as number) };
    case 'reset':
    case 'restore': {
      const rolledBack = db.isTransaction;
      if (rolledBack) db.exec('ROLLBACK');
      if (request['op'] === 'restore') db.exec('PRAGMA query_only = OFF');
      return { rolledBack };
    }
    case 'stats':
      return { stats: { statements: Atomics.load(words, STATEMENTS) } };
    default:
      return {};
  }
}

function query(id: number, sql: string, params: SQLInputValue[], batchRows: number): Fields {
  Atomics.add(words, STATEMENTS, 1);
  if (sql === 'PEER EXIT' || (sql === 'COMMIT' && exitsAtCommit)) process.exit(1);
  if (sql === 'PEER EXIT AT COMMIT') {
    exitsAtCommit = true;
    return { changes: 0, lastInsertRowid: 0 };
  }
  const own = /^PEER ROWS (\d+)$/.exec(sql);
  if (own) return sendRows(id, ['i'], numbers(Number(own[1])), batchRows);
  if (batchRows === 0 && params.length === 0 && !/\bRECURSIVE\b/.test(sql)) {
    db.exec(sql);
    return { changes: 0, lastInsertRowid: 0 };
  }
  const statement = db.prepare(sql);
  statement.setReadBigInts(true);
  const columns = statement.columns().map(({ name }) => name);
  if (columns.length === 0) {
    const { changes, lastInsertRowid } = statement.run(...params);
    if (batchRows > 0) send(id, { type: 'columns', names: [] });
    return { changes: Number(changes), lastInsertRowid: BigInt(lastInsertRowid) };
  }
  return sendRows(id, columns, rowsOf(statement, params), batchRows);
}

function* rowsOf(statement: StatementSync, params: SQLInputValue[]): Generator<Packed[]> {
  for (const row of statement.iterate(...params)) yield Object.values<Packed>(row);
}

function* numbers(count: number): Generator<Packed[]> {
  for (let i = 1; i <= count; i++) yield [i];
}

function sendRows(id: number, names: string[], rows: Iterable<Packed[]>, batchRows: number): Fields {
  if (batchRows > 0) send(id, { type: 'columns', names });
  let batch: Packed[][] = [];
  const flush = () => {
    if (batchRows > 0 && batch.length > 0) send(id, { type: 'rows', rows: batch });
    batch = [];
  };
  for (const row of rows) {
    checkCancel(id);
    batch.push(row);
    if (batch.length >= batchRows) flush();
  }
  flush();
  return { changes: 0, lastInsertRowid: 0 };
}

function importDigits(id: number, request: Fields): Fields {
  const bytes = new Uint8Array(memory, request['address'] as number, request['size'] as number).slice();
  const text = new TextDecoder().decode(bytes);
  if (!/^\d*$/.test(text)) throw new PeerError('BAD_IMPORT', 'not a file of digits');
  db.exec(`CREATE TABLE IF NOT EXISTS ${request['table'] as string}(digit INTEGER)`);
  for (let at = 0; at < text.length; at += BATCH_OF_IMPORT) {
    checkCancel(id);
    const digits = text.slice(at, at + BATCH_OF_IMPORT);
    db.exec(`INSERT INTO ${request['table'] as string} VALUES ${digits.replaceAll(/\d/g, '($&),').slice(0, -1)}`);
    send(id, { type: 'progress', rows: at + digits.length, rowsTotal: text.length });
  }
  return { rows: text.length };
}

/** The first word of the memory says where the next allocation goes. */
function allocate(size: number): number {
  return Atomics.add(new Int32Array(memory), 0, size);
}

const assembler = new Assembler();
for (const bytes of receiver) {
  const message = assembler.add(bytes);
  if (message === undefined) continue;
  const request = new Reader(message).value() as Fields;
  const id = request['id'] as number;
  Atomics.store(words, STATE, CONNECTION_RUNNING);
  try {
    send(id, { type: 'done', ...serve(request) });
  } catch (error) {
    if (error instanceof ClosedError) break;
    const { code, message: text, errcode } = error as Error & { code?: string; errcode?: number };
    const known = error instanceof PeerError ? code : 'SQL_ERROR';
    send(id, { type: 'error', code: known, message: text, sqliteCode: errcode });
  }
  Atomics.store(words, STATE, CONNECTION_IDLE);
}
db.close();
