/** What only a browser can answer. `node.ts` answers the same questions for Node. */

import { HeddleStoreError } from '../../HeddleStoreError.ts';
import type { Source } from '../Source.ts';

const NOT_ISOLATED =
  'this page is not cross-origin isolated, so its threads cannot share memory. Serve it, over HTTPS or from localhost, with the headers ' +
  '"Cross-Origin-Opener-Policy: same-origin" and "Cross-Origin-Embedder-Policy: require-corp"';

/** Throws where threads can't share memory. */
export function checkIsolation(): void {
  if (!globalThis.crossOriginIsolated) throw new HeddleStoreError('NOT_CROSS_ORIGIN_ISOLATED', NOT_ISOLATED);
}

/** The directory of a database: a name in the origin's private file system, its parts separated by `/`. */
export function resolveDirectory(location: string | URL): string {
  if (typeof location !== 'string') {
    throw new HeddleStoreError('MISUSE', 'in a browser, a database is opened by a name, not a URL');
  }
  const parts = location.split('/').filter((part) => part !== '');
  if (parts.length === 0 || parts.some((part) => part === '.' || part === '..' || part.includes('\\'))) {
    throw new HeddleStoreError('MISUSE', `"${location}" is not a directory's name: parts separated by "/", none of them "." or ".."`);
  }
  return parts.join('/');
}

/** How long opening is retried while another page has the directory: a page that was left may still be letting go of it. */
export const lockedRetryMs: number = 5000;

/** Calls back when the page goes away, or into the cache from which it may return. */
export function onPageHide(callback: () => void): () => void {
  addEventListener('pagehide', callback);
  return () => removeEventListener('pagehide', callback);
}

/** Whether the tabs of one origin can share a database. */
export const canShare: boolean = 'locks' in navigator && 'BroadcastChannel' in globalThis;

/** Calls back when the browser freezes the page, and when it goes on. Browsers without that, and workers, never freeze. */
export function onFreeze(freeze: () => void, resume: () => void): () => void {
  if (!('document' in globalThis)) return () => {};
  document.addEventListener('freeze', freeze);
  document.addEventListener('resume', resume);
  return () => {
    document.removeEventListener('freeze', freeze);
    document.removeEventListener('resume', resume);
  };
}

/** Creates the worker that answers for a tab whose main thread hangs; see `tabs/deputy-worker.ts`. */
export function createDeputyWorker(): Worker | undefined {
  // The expression is literal, because bundlers look for exactly that.
  return new Worker(new URL('../tabs/deputy-worker.js', import.meta.url), { type: 'module', name: 'heddle store deputy' });
}

/** Opens a file to import: in a browser, from a URL relative to the page. */
export function openFile(source: string | URL, fetchUrl: (url: URL) => Promise<Source>): Promise<Source> {
  return fetchUrl(new URL(source, globalThis.location.href));
}
