/** Real files to import: those of the npm package `vega-datasets`. */
import { isNode, nodeModule } from './host.ts';

// Not written as one literal: Vite would take it for an asset and lose the last slash.
const folder = '../../node_modules/vega-datasets/data/';
const data = new URL(folder, import.meta.url);

/** Three million flights of 2001: date, delay, distance, origin, destination. */
export const FLIGHTS_3M_PARQUET: URL = new URL('flights-3m.parquet', data);

/** Two hundred thousand flights: delay, distance, time. */
export const FLIGHTS_200K_ARROW: URL = new URL('flights-200k.arrow', data);

/** The airports of the United States: iata, name, city, state, country, latitude, longitude. */
export const AIRPORTS_CSV: URL = new URL('airports.csv', data);

const files = new Map<string, Promise<Uint8Array<ArrayBuffer>>>();

/** A file's bytes, read once. */
export function readFixture(url: URL): Promise<Uint8Array<ArrayBuffer>> {
  let file = files.get(url.href);
  if (!file) {
    file = read(url);
    files.set(url.href, file);
  }
  return file;
}

async function read(url: URL): Promise<Uint8Array<ArrayBuffer>> {
  if (isNode) {
    const { readFile } = await nodeModule<typeof import('node:fs/promises')>('node:fs/promises');
    return new Uint8Array(await readFile(url));
  }
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url}: status ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
}
