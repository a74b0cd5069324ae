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
  const name = nameOf(url);
  if (url.username || url.password) {
    throw new HeddleStoreError(
      'MISUSE',
      `cannot fetch ${name} with a name or a password in its URL: fetch it with a header, and import the response's body`,
    );
  }
  let response: Response;
  try {
    response = await fetch(url, { signal });
  } catch (cause) {
    signal.throwIfAborted();
    throw new HeddleStoreError('IO_ERROR', `cannot fetch ${name}`, { cause });
  }
  if (response.status === 404) throw new HeddleStoreError('NOT_FOUND', `cannot fetch ${name}: there is no such file`);
  if (!response.ok || !response.body) throw new HeddleStoreError('IO_ERROR', `cannot fetch ${name}: status ${response.status}`);
  // The length is that of the encoded bytes: it counts only where they aren't encoded.
  const length = response.headers.has('content-encoding') ? null : response.headers.get('content-length');
  return { size: length === null ? undefined : Number(length), pieces: streamed(response.body) };
}

/** A URL as messages tell it: a password or a signature in it is nobody else's business, and data are long. */
function nameOf(url: URL): string {
  return /^https?:$/.test(url.protocol) ? `${url.origin}${url.pathname}` : `a URL of ${url.protocol}`;
}

async function* slices(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let start = 0; start < bytes.length; start += PIECE_SIZE_MAX) {
    yield bytes.subarray(start, start + PIECE_SIZE_MAX);
    await nextTask();
  }
}

/** A stream's chunks, cut where they are long. Leaving the loop cancels the stream, even while a chunk is awaited. */
function streamed(stream: ReadableStream<Uint8Array>): AsyncIterable<Uint8Array> {
  return {
    [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
      const reader = stream.getReader();
      let rest: Uint8Array = new Uint8Array(0);
      return {
        async next() {
          while (rest.length === 0) {
            const { done, value } = await reader.read();
            if (done) return { done, value: undefined };
            if (!(value instanceof Uint8Array))
              throw new HeddleStoreError('MISUSE', 'the stream to import yields something else than bytes');
            rest = value;
          }
          const piece = rest.subarray(0, PIECE_SIZE_MAX);
          rest = rest.subarray(PIECE_SIZE_MAX);
          return { done: false, value: piece };
        },
        async return() {
          await reader.cancel();
          return { done: true, value: undefined };
        },
      };
    },
  };
}

/** The same pieces, until the signal fires: then it throws the signal's reason, however long the next piece takes. */
export async function* abortable(pieces: AsyncIterable<Uint8Array>, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  const iterator = pieces[Symbol.asyncIterator]();
  const aborted = Promise.withResolvers<never>();
  const abort = (): void => aborted.reject(signal.reason);
  signal.addEventListener('abort', abort, { once: true });
  // Where nobody waits for a piece when it fires, the check before the next one tells.
  aborted.promise.catch(() => undefined);
  try {
    for (;;) {
      signal.throwIfAborted();
      const next = await Promise.race([iterator.next(), aborted.promise]);
      if (next.done) return;
      yield next.value;
    }
  } finally {
    signal.removeEventListener('abort', abort);
    // Not awaited: it may wait for the piece that was given up.
    void Promise.resolve(iterator.return?.()).catch(() => undefined);
  }
}

function nextTask(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve));
}
