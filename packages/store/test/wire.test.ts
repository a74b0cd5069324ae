import { expect, test } from 'vitest';
import { pack, Reader } from '../src/internal/MessagePack.ts';
import { errorFrom, plainError } from '../src/internal/tabs/messages.ts';
import { Assembler, decodeResponse, encodeRequest, errorOf, pieces } from '../src/internal/wire.ts';

const message = (size: number) => pack({ bytes: Uint8Array.from({ length: size }, (_, index) => index % 251) });

test('a message that the channel takes travels as it is', () => {
  const short = message(100);
  expect([...pieces(short, short.length)]).toEqual([short]);
  expect(new Assembler().add(short)).toEqual(short);
});

test.each([101, 200, 1000, 9999, 10_000])('a long message in pieces of %i bytes arrives whole', (sizeMax) => {
  const long = message(10_000);
  const assembler = new Assembler();
  const sent = [...pieces(long, sizeMax)];
  expect(Math.max(...sent.map((piece) => piece.length))).toBeLessThanOrEqual(sizeMax);
  expect(sent.slice(0, -1).map((piece) => assembler.add(piece))).toEqual(sent.slice(0, -1).map(() => undefined));
  expect(assembler.add(sent.at(-1) ?? new Uint8Array())).toEqual(long);
  // The next message starts afresh.
  expect(assembler.add(message(3))).toEqual(message(3));
});

test('a request carries its id, and leaves out what is not given', () => {
  const request = encodeRequest(7, { op: 'import', address: 8, size: 9, table: 't', create: true, format: undefined });
  expect(new Reader(request).value()).toEqual({ id: 7, op: 'import', address: 8, size: 9, table: 't', create: true });
});

test('a response of rows needs the columns of the response before', () => {
  const bytes = pack({ id: 3, type: 'rows', rows: [[1, null]] });
  expect(decodeResponse(bytes, ['a', 'b'])).toEqual({ id: 3, response: { type: 'rows', rows: [{ a: 1, b: null }] } });
});

test('an unknown type of response is an error, not a hang', () => {
  expect(() => decodeResponse(pack({ id: 1, type: 'later' }), [])).toThrow('unknown type later');
});

test('the place of an error in the SQL text counts UTF-16 units, whatever stands before it', () => {
  const sql = "SELECT 'ä€😀', nonsense";
  const offset = new TextEncoder().encode(sql.slice(0, sql.indexOf('nonsense'))).length;
  const error = errorOf({ type: 'error', code: 'SQL_ERROR', message: 'no such column', sqliteCode: 1, offset }, sql);
  expect(error).toMatchObject({ code: 'SQL_ERROR', sqliteCode: 1, offset: sql.indexOf('nonsense'), sql });
});

/** A failure of the engine's about a key with every kind of value, one column named as an object's prototype is. */
function keyed() {
  const key = { table: 't', columns: ['a', '__proto__', 'c', 'd'], values: [2n ** 60n, 'hunter2', Uint8Array.of(0, 255), null] };
  const { response } = decodeResponse(pack({ id: 1, type: 'error', code: 'CONSTRAINT', message: 'there already', key }), []);
  if (response.type !== 'error') throw new Error(`a failure was sent, not ${response.type}`);
  return { key, error: errorOf(response, 'INSERT') };
}

test('the key that is to blame is there for who asks, and in no log', () => {
  const { key, error } = keyed();
  expect(error).toMatchObject({ code: 'CONSTRAINT', table: 't', columns: key.columns });
  expect(Object.entries(error.key ?? {})).toEqual(key.columns.map((name, index) => [name, key.values[index]]));
  expect(JSON.parse(JSON.stringify(error))).toMatchObject({ table: 't', columns: key.columns });
  expect(`${String(error)} ${JSON.stringify(error)} ${Object.getOwnPropertyNames(error).join()}`).not.toMatch(/hunter2|key|sql\b/);
});

test('an error that is posted to another tab loses nothing', () => {
  const { error } = keyed();
  const posted = errorFrom(structuredClone(plainError(error)));
  const { code, message, table, columns, sql, key } = error;
  expect(posted).toMatchObject({ code, message, table, columns, sql });
  expect(Object.entries(posted.key ?? {})).toEqual(Object.entries(key ?? {}));
});
