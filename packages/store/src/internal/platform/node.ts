/** What only Node can answer. `browser.ts` answers the same questions for browsers. */

import { open } from 'node:fs/promises';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { HeddleStoreError, type StoreErrorCode } from '../../HeddleStoreError.ts';
import type { Source } from '../Source.ts';

const PIECE_SIZE = 1 << 20;

const FILE_ERROR_CODES: Readonly<Record<string, StoreErrorCode>> = {
  ENOENT: 'NOT_FOUND',
  ENOTDIR: 'NOT_FOUND',
  EACCES: 'PERMISSION_DENIED',
  EPERM: 'PERMISSION_DENIED',
};

/** Throws where threads can't share memory. In Node they always can. */
export function checkIsolation(): void {}

/** The directory of a database: an absolute path. */
export function resolveDirectory(location: string | URL): string {
  if (location instanceof URL && location.protocol !== 'file:') {
    throw new HeddleStoreError('MISUSE', `a database is opened at a path or a file: URL, not at ${location.protocol}`);
  }
  return resolve(location instanceof URL ? fileURLToPath(location) : location);
}

/** How long opening is retried while another process has the directory. In Node a process that is gone holds no lock. */
export const lockedRetryMs: number = 0;

/** Calls back when the page goes away. Node has no pages. */
export function onPageHide(_callback: () => void): () => void {
  return () => {};
}

/** Whether several can share a database. A directory is one process's. */
export const canShare: boolean = false;

/** Calls back when the page is frozen and goes on. Node has no pages. */
export function onFreeze(_freeze: () => void, _resume: () => void): () => void {
  return () => {};
}

/** Creates the worker that answers for a tab whose main thread hangs. Node has no tabs. */
export function createDeputyWorker(): Worker | undefined {
  return undefined;
}

/** Opens a file to import. In Node, a string is a path. */
export async function openFile(source: string | URL, _fetchUrl: (url: URL) => Promise<Source>): Promise<Source> {
  const path = resolveDirectory(source);
  const file = await open(path).catch((cause: NodeJS.ErrnoException) => {
    const code = FILE_ERROR_CODES[cause.code ?? ''] ?? 'IO_ERROR';
    throw new HeddleStoreError(code, `cannot open ${path}: ${cause.message}`, { cause });
  });
  const stat = await file.stat();
  if (!stat.isFile()) {
    await file.close();
    throw new HeddleStoreError('BAD_IMPORT', `cannot import ${path}: it is not a file`);
  }
  return { size: stat.size, pieces: piecesOf(file) };
}

async function* piecesOf(file: Awaited<ReturnType<typeof open>>): AsyncGenerator<Uint8Array> {
  try {
    const buffer = new Uint8Array(PIECE_SIZE);
    for (;;) {
      const { bytesRead } = await file.read(buffer, 0, PIECE_SIZE);
      if (bytesRead === 0) return;
      yield buffer.subarray(0, bytesRead);
    }
  } finally {
    await file.close();
  }
}
