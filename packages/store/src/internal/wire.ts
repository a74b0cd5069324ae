/**
 * What the main thread and a SQL thread say to each other: MessagePack maps over one channel each way.
 *
 * A request has an `id` above 0 and an `op`; every response to it bears its `id` and a `type`. `done` or `error` is the last.
 *
 * | op | request | responses |
 * |---|---|---|
 * | `open` | location, cacheBytes, memoryBytes, durability, recovery | done with the damage that it went on without |
 * | `attach` | | done |
 * | `query` | sql, params, batchRows (0: send no rows) | columns, rows …, done |
 * | `import` | address, size, table, … | progress …, done |
 * | `alloc` | size | done with an address |
 * | `free` | address, size | done |
 * | `reset` | | done: what was open is rolled back |
 * | `restore` | | done: likewise, and settings are as they were when the thread began |
 * | `stats` | | done with figures |
 * | `close` | | done |
 *
 * # Long messages
 * A channel takes messages up to a size. A longer one travels as pieces, each behind two bytes: {@link PIECE}, which no
 * MessagePack value begins with, and 1, or 0 on the last piece. Nothing else is sent between the pieces of a message.
 */

import type { Damage } from '../Damage.ts';
import { HeddleStoreError, type StoreErrorCode, type StoreErrorDetails } from '../HeddleStoreError.ts';
import type { Row, SqlParams, SqlValue } from '../SqlValue.ts';
import { pack, type Packed, Reader } from './MessagePack.ts';

/** A request without its id. */
export type Request =
  | {
      readonly op: 'open';
      readonly location: string;
      readonly cacheBytes: number;
      readonly memoryBytes: number;
      readonly durability: 'full' | 'relaxed';
      readonly recovery: 'refuse' | 'salvage';
    }
  | { readonly op: 'query'; readonly sql: string; readonly params: SqlParams; readonly batchRows: number }
  | ImportRequest
  | { readonly op: 'alloc'; readonly size: number }
  | { readonly op: 'free'; readonly address: number; readonly size: number }
  | { readonly op: 'attach' | 'reset' | 'restore' | 'stats' | 'close' };

/** Asks a SQL thread to read the file whose bytes are in the shared memory into a table. */
export interface ImportRequest {
  readonly op: 'import';
  readonly address: number;
  readonly size: number;
  readonly table: string;
  readonly format?: string | undefined;
  readonly rowNumber?: string | undefined;
  readonly rows?: number | undefined;
  readonly batchRows?: number | undefined;
  readonly create: boolean;
}

/** The last response of a request that succeeded. Which fields it has depends on the request. */
export interface Done {
  readonly type: 'done';
  readonly changes: number;
  readonly lastInsertRowid: number | bigint;
  readonly address: number;
  readonly rows: number;
  readonly rolledBack: boolean;
  readonly stats: Readonly<Record<string, number>>;
  readonly damage: readonly Damage[];
}

/** The last response of a request that failed. */
export interface Failure {
  readonly type: 'error';
  readonly code: string;
  readonly message: string;
  readonly sqliteCode: number | undefined;
  /** Where in the SQL text, in bytes of UTF-8. */
  readonly offset: number | undefined;
  /** The key that is to blame. */
  readonly key?: OffendingKey | undefined;
}

/** A key that is to blame for a failure. */
interface OffendingKey {
  readonly table: string;
  readonly columns: readonly string[];
  readonly values: readonly SqlValue[];
}

/** A response without its id. */
export type Response =
  | { readonly type: 'columns'; readonly names: readonly string[] }
  | { readonly type: 'rows'; readonly rows: Row[] }
  | { readonly type: 'progress'; readonly rows: number; readonly rowsTotal: number | undefined }
  | Done
  | Failure;

/** The first byte of a piece of a long message; MessagePack never uses it. */
export const PIECE: number = 0xc1;

/** Bytes before the payload of a piece. */
const PIECE_HEADER_SIZE = 2;

/** The engine refuses larger values; it would need several times the bytes to find out. */
const REQUEST_BYTES_MAX = 256 * 2 ** 20;

/** Encodes a request. */
export function encodeRequest(id: number, request: Request): Uint8Array<ArrayBuffer> {
  const message = pack({ id, ...(request as { readonly [name: string]: Packed }) });
  if (message.length > REQUEST_BYTES_MAX) {
    const size = Math.ceil(message.length / 2 ** 20);
    throw new HeddleStoreError('TOO_BIG', `the statement and its parameters take ${size} MiB, more than ${REQUEST_BYTES_MAX / 2 ** 20}`);
  }
  return message;
}

/** The channel messages that carry one message: itself, or its pieces where it is longer than the channel takes. */
export function* pieces(message: Uint8Array<ArrayBuffer>, sizeMax: number): Generator<Uint8Array<ArrayBuffer>> {
  if (message.length <= sizeMax) {
    yield message;
    return;
  }
  const step = sizeMax - PIECE_HEADER_SIZE;
  for (let start = 0; start < message.length; start += step) {
    const end = Math.min(start + step, message.length);
    const piece = new Uint8Array(PIECE_HEADER_SIZE + end - start);
    piece[0] = PIECE;
    piece[1] = end < message.length ? 1 : 0;
    piece.set(message.subarray(start, end), PIECE_HEADER_SIZE);
    yield piece;
  }
}

/** Puts the pieces of long messages together. */
export class Assembler {
  #pieces: Uint8Array[] = [];

  /** Takes a channel message and returns the message it completes, or `undefined` while more pieces follow. */
  add(bytes: Uint8Array): Uint8Array<ArrayBuffer> | undefined {
    // A channel copies messages out of shared memory, though its type doesn't say so.
    if (bytes[0] !== PIECE) return bytes as Uint8Array<ArrayBuffer>;
    this.#pieces.push(bytes.subarray(PIECE_HEADER_SIZE));
    if (bytes[1] === 1) return undefined;
    const message = new Uint8Array(this.#pieces.reduce((size, piece) => size + piece.length, 0));
    let at = 0;
    for (const piece of this.#pieces) {
      message.set(piece, at);
      at += piece.length;
    }
    this.#pieces = [];
    return message;
  }
}

/** Whether a channel message is the last piece of a message, or all of it. */
export function isLastPiece(bytes: Uint8Array): boolean {
  return bytes[0] !== PIECE || bytes[1] === 0;
}

/** What stands at the head of a request. */
export function peekRequest(message: Uint8Array): { readonly id: number; readonly op: string; readonly sql: string | undefined } {
  const { id, op, sql } = fieldsUpTo(message, 'sql');
  return { id: count(id), op: text(op), sql: typeof sql === 'string' ? sql : undefined };
}

/** What stands at the head of a response, in the message or in its first piece. */
export function peekResponse(bytes: Uint8Array): { readonly id: number; readonly type: string } {
  const { id, type } = fieldsUpTo(bytes[0] === PIECE ? bytes.subarray(PIECE_HEADER_SIZE) : bytes, 'type');
  return { id: count(id), type: text(type) };
}

/** The first fields of a message, as far as one of a name. */
function fieldsUpTo(message: Uint8Array, last: string): { readonly [name: string]: Packed } {
  const reader = new Reader(message as Uint8Array<ArrayBuffer>);
  const fields: Record<string, Packed> = Object.create(null);
  for (let left = reader.mapLength(); left > 0; left--) {
    const name = reader.string();
    fields[name] = reader.value();
    if (name === last) break;
  }
  return fields;
}

/**
 * Decodes a response.
 *
 * @param names the columns of the query that is being answered, for its rows
 * @returns the response and the id of the request it belongs to
 */
export function decodeResponse(
  message: Uint8Array<ArrayBuffer>,
  names: readonly string[],
): { readonly id: number; readonly response: Response } {
  const reader = new Reader(message);
  const fields: Record<string, Packed> = Object.create(null);
  let rows: Row[] = [];
  for (let left = reader.mapLength(); left > 0; left--) {
    const name = reader.string();
    if (name === 'rows' && reader.atArray()) rows = reader.rows(names);
    else fields[name] = reader.value();
  }
  return { id: count(fields['id']), response: responseOf(fields, rows) };
}

function responseOf(fields: Readonly<Record<string, Packed>>, rows: Row[]): Response {
  const { type } = fields;
  switch (type) {
    case 'columns':
      return { type, names: (fields['names'] as readonly Packed[]).map(text) };
    case 'rows':
      return { type, rows };
    case 'progress':
      return { type, rows: count(fields['rows']), rowsTotal: optionalCount(fields['rowsTotal']) };
    case 'done':
      return {
        type,
        changes: count(fields['changes']),
        lastInsertRowid: typeof fields['lastInsertRowid'] === 'bigint' ? fields['lastInsertRowid'] : count(fields['lastInsertRowid']),
        address: count(fields['address']),
        rows: count(fields['rows']),
        rolledBack: fields['rolledBack'] === true,
        stats: (fields['stats'] ?? {}) as Readonly<Record<string, number>>,
        damage: ((fields['damage'] ?? []) as Readonly<Record<string, Packed>>[]).map(damageOf),
      };
    case 'error':
      return {
        type,
        code: text(fields['code']),
        message: text(fields['message']),
        sqliteCode: optionalCount(fields['sqliteCode']),
        offset: optionalCount(fields['offset']),
        key: optionalKey(fields['key']),
      };
    default:
      throw new RangeError(`the engine sent a response of the unknown type ${text(type)}`);
  }
}

function damageOf({ file, copy, table, rows, message }: Readonly<Record<string, Packed>>): Damage {
  return { file: text(file), copy: optionalText(copy), table: optionalText(table), rows: optionalCount(rows), message: text(message) };
}

function optionalKey(value: Packed): OffendingKey | undefined {
  if (value === undefined) return undefined;
  const { table, columns, values } = value as Readonly<Record<string, Packed>>;
  return { table: text(table), columns: (columns as readonly Packed[]).map(text), values: values as readonly SqlValue[] };
}

function text(value: Packed): string {
  return typeof value === 'string' ? value : '';
}

function optionalText(value: Packed): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

function count(value: Packed): number {
  return typeof value === 'number' ? value : 0;
}

function optionalCount(value: Packed): number | undefined {
  return typeof value === 'number' ? value : undefined;
}

/** The error that a failed request rejects with. */
export function errorOf(failure: Failure, sql: string | undefined): HeddleStoreError {
  return new HeddleStoreError(failure.code as StoreErrorCode, failure.message, {
    sqliteCode: failure.sqliteCode,
    offset: failure.offset === undefined || sql === undefined ? undefined : utf16Index(sql, failure.offset),
    sql,
    ...detailsOf(failure.key),
  });
}

function detailsOf(key: OffendingKey | undefined): Pick<StoreErrorDetails, 'table' | 'columns' | 'key'> {
  if (key === undefined) return {};
  const { table, columns, values } = key;
  // Not by assignment: a column may be called __proto__.
  return { table, columns, key: Object.fromEntries(columns.map((name, index) => [name, values[index] ?? null])) };
}

/** The index into a string, in UTF-16 units, of a byte of its UTF-8 form. */
function utf16Index(text: string, byteOffset: number): number {
  let bytes = 0;
  let index = 0;
  for (const character of text) {
    if (bytes >= byteOffset) break;
    const point = character.codePointAt(0) ?? 0;
    bytes += point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x1_0000 ? 3 : 4;
    index += character.length;
  }
  return index;
}
