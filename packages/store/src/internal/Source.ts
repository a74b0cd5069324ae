/**
 * The bytes of a file to import, from wherever they come, in pieces small enough that copying one doesn't hold up a frame.
 */

import { openFile } from '#platform';
import { HeddleStoreError } from '../HeddleStoreError.ts';

/** What can be imported. A string is a path in Node and a URL, relative to the page, in browsers. */
export type ImportSource = Uint8Array | ArrayBuffer | Blob | ReadableStream<Uint8Array> | URL | string;

/** Bytes on their way. */
export interface Source {
  /** How many there are, where that is known. */
  readonly size: number | undefined;
  /** The bytes, in order. */
  readonly pieces: AsyncIterable<Uint8Array>;
}

const PIECE_SIZE_MAX = 1 << 20;

/** Opens a source. */
export async function openSource(source: ImportSource, signal: AbortSignal): Promise<Source> {
  if (source instanceof Uint8Array) return { size: source.length, pieces: slices(source) };
  if (source instanceof ArrayBuffer) return openSource(new Uint8Array(source), signal);
  if (source instanceof Blob) return { size: source.size, pieces: streamed(source.stream()) };
  if (source instanceof ReadableStream) return { size: undefined, pieces: streamed(source) };
  if (source instanceof URL && /^(?:https?|data|blob):$/.test(source.protocol)) return fetched(source, signal);
  if (source instanceof URL || typeof source === 'string') return openFile(source, (url) => fetched(url, signal));
  throw new HeddleStoreError('MISUSE', 'an import comes from bytes, a Blob, a ReadableStream, a URL or a path');
}

async function fetched(url: URL, signal: AbortSignal): Promise<Source> {
  let response: Response;
  try {
    response = await fetch(url, { signal });
  } catch (cause) {
    signal.throwIfAborted();
    throw new HeddleStoreError('IO_ERROR', `cannot fetch ${url}`, { cause });
  }
  if (response.status === 404) throw new HeddleStoreError('NOT_FOUND', `cannot fetch ${url}: there is no such file`);
  if (!response.ok || !response.body) throw new HeddleStoreError('IO_ERROR', `cannot fetch ${url}: status ${response.status}`);
  // The length is that of the encoded bytes: it counts only where they aren't encoded.
  const length = response.headers.has('content-encoding') ? null : response.headers.get('content-length');
  return { size: length === null ? undefined : Number(length), pieces: streamed(response.body) };
}

async function* slices(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let start = 0; start < bytes.length; start += PIECE_SIZE_MAX) {
    yield bytes.subarray(start, start + PIECE_SIZE_MAX);
    await nextTask();
  }
}

/** A stream's chunks. Leaving the loop cancels the stream. */
async function* streamed(stream: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array> {
  const reader = stream.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      if (!(value instanceof Uint8Array))
        throw new HeddleStoreError('MISUSE', 'the stream to import from yields something else than bytes');
      if (value.length > PIECE_SIZE_MAX) yield* slices(value);
      else yield value;
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

function nextTask(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve));
}
