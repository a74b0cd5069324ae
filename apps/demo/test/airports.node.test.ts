import { expect, test } from 'vitest';
import { insertAirports, parseCsv } from '../src/airports.ts';
import { readAirports } from '../src/dataset.ts';

test('quoted fields keep their commas, quotes and line ends', () => {
  expect(parseCsv('a,b\r\n"x, ""y""\nz",\n')).toEqual([
    ['a', 'b'],
    ['x, "y"\nz', ''],
  ]);
});

test('the last record needs no line end', () => {
  expect(parseCsv('a,b\n1,2')).toEqual([
    ['a', 'b'],
    ['1', '2'],
  ]);
});

test('an open quote is an error that names the record', () => {
  expect(() => parseCsv('a\n"b')).toThrow(/record 2/);
});

test('all airports become rows of seven values', async () => {
  const statements = insertAirports(await readAirports());
  const values = statements.flatMap(({ params }) => params);
  expect(values.length).toBe(3376 * 7);
  expect(values.slice(0, 7)).toEqual(['00M', 'Thigpen', 'Bay Springs', 'MS', 'USA', 31.95376472, -89.23450472]);
});

test('a record with a field too few is an error that says where', () => {
  expect(() => insertAirports('iata,name,city,state,country,latitude,longitude\n1,2,3,4,5,6\n')).toThrow(/record 2 has 6 fields/);
});
