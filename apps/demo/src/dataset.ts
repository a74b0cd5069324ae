/**
 * The real data: three million flights of 2001 and the airports they use, from the npm package `vega-datasets`.
 *
 * The flights are read here with `hyparquet`, a Parquet reader that shares no code with the store's, so that an error of the one
 * is not an error of the other.
 */
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { zstdDecompressSync } from 'node:zlib';
import { asyncBufferFromFile, parquetMetadataAsync, parquetRead } from 'hyparquet';
import { DEFAULT_PARSERS } from 'hyparquet/src/convert.js';

/** Where the package keeps its files: its entry is `build/index.js`, the data are in `data/` beside that. */
function dataPath(name: string): string {
  return fileURLToPath(new URL(`../data/${name}`, import.meta.resolve('vega-datasets')));
}

export const FLIGHTS_FILE: string = dataPath('flights-3m.parquet');

export function readAirports(): Promise<string> {
  return readFile(dataPath('airports.csv'), 'utf8');
}

/** Columns of neighbouring rows: `columns.delay[i]` belongs to the row with the number `firstRow + i`, counted from 1. */
export interface FlightsBatch {
  readonly firstRow: number;
  readonly count: number;
  readonly columns: Readonly<Record<'date' | 'delay' | 'distance' | 'origin' | 'destination', ArrayLike<bigint | string>>>;
}

/** Timestamps stay what the file holds: whole microseconds. */
const parsers = { ...DEFAULT_PARSERS, timestampFromMicroseconds: (micros: bigint): bigint => micros };

/** How many flights the file holds. */
export async function countFlights(): Promise<number> {
  const { num_rows } = await parquetMetadataAsync(await asyncBufferFromFile(FLIGHTS_FILE));
  return Number(num_rows);
}

/** Reads the first `rows` flights, a row group at a time. */
export async function* readFlights(rows: number): AsyncGenerator<FlightsBatch> {
  const file = await asyncBufferFromFile(FLIGHTS_FILE);
  const metadata = await parquetMetadataAsync(file);
  let rowStart = 0;
  for (const group of metadata.row_groups) {
    if (rowStart >= rows) return;
    const rowEnd = Math.min(rows, rowStart + Number(group.num_rows));
    const columns: Record<string, ArrayLike<bigint | string>> = {};
    await parquetRead({
      file,
      metadata,
      rowStart,
      rowEnd,
      parsers,
      compressors: { ZSTD: (bytes: Uint8Array) => zstdDecompressSync(bytes) },
      onChunk: (chunk) => (columns[chunk.columnName] = chunk.columnData as ArrayLike<bigint | string>),
    });
    const count = rowEnd - rowStart;
    for (const name of ['date', 'delay', 'distance', 'origin', 'destination'])
      if ((columns[name]?.length ?? 0) < count) throw new Error(`${FLIGHTS_FILE}: column ${name} has too few values after row ${rowStart}`);
    yield { firstRow: rowStart + 1, count, columns: columns as FlightsBatch['columns'] };
    rowStart = rowEnd;
  }
}
