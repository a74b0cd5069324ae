/**
 * Imports of Parquet, Arrow and CSV files.
 *
 * The file's bytes are brought into the shared memory, where the engine reads them in place; rows never pass the main thread.
 */

import { HeddleStoreError } from './HeddleStoreError.ts';
import { ask, call } from './internal/call.ts';
import type { Lane } from './internal/Lane.ts';
import type { SqlThread } from './internal/SqlThread.ts';
import { abortable, type ImportSource, openSource, type Source } from './internal/Source.ts';
import { Stop, type StopOptions } from './internal/Stop.ts';
import type { ImportRequest, Response } from './internal/wire.ts';

export type { ImportSource } from './internal/Source.ts';

/** How far an import is. */
export interface ImportProgress {
  /** `reading` the file's bytes, then `importing` its rows. */
  readonly phase: 'reading' | 'importing';
  /** Bytes read. */
  readonly bytes: number;
  /** Bytes of the file, where known. */
  readonly bytesTotal: number | undefined;
  /** Rows that are in the table and durable. */
  readonly rows: number;
  /** Rows to import, where known. */
  readonly rowsTotal: number | undefined;
}

/** What to import, and how. */
export interface ImportOptions extends StopOptions {
  /** The table. */
  readonly table: string;
  /** Creates the table with the file's columns where it is absent; `true` by default. */
  readonly create?: boolean | undefined;
  /**
   * The file's format. Parquet and Arrow are told by their first bytes where it is absent; `csv` has to be said.
   *
   * A CSV file is UTF-8, with a line of names, commas and `"` around fields (RFC 4180). An empty field is NULL. Every other is what the column
   * takes: `true` for BOOLEAN, `2024-02-29` for DATE. A table that is made from it has INTEGER, REAL and BOOLEAN columns where all fields are
   * that, and TEXT columns otherwise.
   */
  readonly format?: 'parquet' | 'arrow' | 'csv' | undefined;
  /** A column of this name, the primary key, numbers the rows from 1. For files that have no key of their own. */
  readonly rowNumber?: string | undefined;
  /** Imports the first so many rows. */
  readonly rows?: number | undefined;
  /** The most rows in a batch; the engine's choice where absent. */
  readonly batchRows?: number | undefined;
  /** Called as the import goes on. What it throws ends the import. */
  readonly onProgress?: ((progress: ImportProgress) => void) | undefined;
}

/** What an import did. */
export interface ImportResult {
  /** Rows imported. */
  readonly rows: number;
}

/** Bytes that the engine can hold in one piece: more would stop it. */
const FILE_SIZE_MAX = 2 ** 31 - 1;

/** Reads a file into a table. */
export async function importInto(lane: Lane, source: ImportSource, options: ImportOptions): Promise<ImportResult> {
  checkOptions(options);
  const stop = lane.begin(options);
  try {
    return await new Importer(lane, options, stop).run(source);
  } finally {
    lane.end(stop);
  }
}

/** Bytes in the shared memory. */
interface Region {
  readonly address: number;
  readonly size: number;
  /** A thread of the engine whose memory it is: gone with that. */
  readonly home: SqlThread;
}

class Importer {
  readonly #lane: Lane;
  readonly #options: ImportOptions;
  readonly #stop: Stop;
  readonly #aborter = new AbortController();
  #progress: ImportProgress = { phase: 'reading', bytes: 0, bytesTotal: undefined, rows: 0, rowsTotal: undefined };

  constructor(lane: Lane, options: ImportOptions, stop: Stop) {
    this.#lane = lane;
    this.#options = options;
    this.#stop = stop;
  }

  async run(source: ImportSource): Promise<ImportResult> {
    this.#listen();
    const region = await this.#load(source);
    try {
      const progress = (response: Response): void => this.#onResponse(response);
      const { rows } = await call(this.#lane, this.#request(region), this.#stop, { progress, beside: region.home });
      return { rows };
    } finally {
      await this.#free(region);
    }
  }

  #request({ address, size }: Region): ImportRequest {
    const { table, format, rowNumber, rows, batchRows, create = true } = this.#options;
    return { op: 'import', address, size, table, format, rowNumber, rows, batchRows, create };
  }

  /** Brings the source's bytes into the shared memory. */
  async #load(source: ImportSource): Promise<Region> {
    const opened = await openSource(source, this.#aborter.signal);
    this.#report({ bytesTotal: opened.size });
    return opened.size === undefined ? this.#gather(opened) : this.#fill(opened, opened.size);
  }

  /** Copies a source of known size straight to its place. */
  async #fill(source: Source, size: number): Promise<Region> {
    const region = await this.#alloc(size);
    const { failed } = region.home;
    const giveUp = (): void => this.#aborter.abort(failed.reason);
    failed.addEventListener('abort', giveUp);
    try {
      let at = 0;
      for await (const piece of abortable(source.pieces, this.#aborter.signal)) {
        if (at + piece.length > size) throw new HeddleStoreError('BAD_IMPORT', 'the file grew while it was read');
        failed.throwIfAborted();
        await this.#copy(piece, region, at);
        at += piece.length;
      }
      if (at < size) throw new HeddleStoreError('BAD_IMPORT', `the file ended after ${at} of ${size} bytes`);
      return region;
    } catch (error) {
      await this.#free(region);
      throw error;
    } finally {
      failed.removeEventListener('abort', giveUp);
    }
  }

  /** Collects a source whose size shows at its end. */
  async #gather(source: Source): Promise<Region> {
    const pieces: Uint8Array[] = [];
    let size = 0;
    for await (const piece of abortable(source.pieces, this.#aborter.signal)) {
      pieces.push(piece.slice());
      size += piece.length;
      this.#report({ bytes: size });
    }
    this.#report({ bytes: 0 });
    return this.#fill({ size, pieces: each(pieces) }, size);
  }

  async #alloc(size: number): Promise<Region> {
    if (size > FILE_SIZE_MAX) {
      throw new HeddleStoreError('BAD_IMPORT', `the file has ${size} bytes; one of more than ${FILE_SIZE_MAX} doesn't fit into the memory`);
    }
    const { done, thread } = await ask(this.#lane, { op: 'alloc', size }, this.#stop);
    this.#listen();
    return { address: done.address, size, home: thread };
  }

  /** Has reading stop when there is reason to. A call to the engine takes the listener away for as long as it needs its own. */
  #listen(): void {
    this.#stop.listen((error) => this.#aborter.abort(error));
  }

  /** Gives the bytes back. Where that fails, the engine has stopped, and its memory goes with it. */
  async #free({ address, size, home }: Region): Promise<void> {
    if (home.failed.aborted) return;
    await call(this.#lane, { op: 'free', address, size }, new Stop(), { beside: home }).catch(() => undefined);
  }

  async #copy(piece: Uint8Array, { address, home }: Region, offset: number): Promise<void> {
    const written = home.link.memory.write(address + offset, piece);
    if (written) await written;
    this.#report({ bytes: this.#progress.bytes + piece.length });
  }

  #onResponse(response: Response): void {
    if (response.type !== 'progress') return;
    const { rows, rowsTotal } = response;
    this.#report({ phase: 'importing', rows, rowsTotal });
  }

  #report(change: Partial<ImportProgress>): void {
    this.#progress = { ...this.#progress, ...change };
    try {
      this.#options.onProgress?.(this.#progress);
    } catch (cause) {
      this.#stop.stop(new HeddleStoreError('ABORTED', 'onProgress threw an error', { cause }));
    }
  }
}

async function* each(pieces: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* pieces;
}

function checkOptions(options: ImportOptions): void {
  const { table, format, rowNumber, create, rows, batchRows } = options;
  if (typeof table !== 'string' || table === '') throw new HeddleStoreError('MISUSE', 'an import needs the name of a table');
  for (const [name, value, type] of [
    ['format', format, 'string'],
    ['rowNumber', rowNumber, 'string'],
    ['create', create, 'boolean'],
  ] as const) {
    if (value !== undefined && typeof value !== type) {
      throw new HeddleStoreError('MISUSE', `${name} is ${value === null ? 'null' : `a ${typeof value}`}, not a ${type}`);
    }
  }
  for (const [name, value] of Object.entries({ rows, batchRows })) {
    if (value !== undefined && !(Number.isSafeInteger(value) && value > 0)) {
      throw new HeddleStoreError('MISUSE', `${name} is ${value}, not a number of rows`);
    }
  }
}
