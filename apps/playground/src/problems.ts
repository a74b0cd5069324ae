/** Errors as words that say what to do. */
import { HeddleStoreError, type StoreErrorCode } from '@heddle/store';

export interface Problem {
  readonly title: string;
  readonly text: string;
  /** Something to copy. */
  readonly code?: string;
  /** Whether trying again can help without reloading the page. */
  readonly retry: boolean;
}

const TITLES: Partial<Record<StoreErrorCode, string>> = {
  SQL_ERROR: 'This SQL can’t be run',
  CONSTRAINT: 'A value is not allowed here',
  TYPE_MISMATCH: 'A value has the wrong type',
  CONFLICT: 'Another transaction was first',
  TABLE_BUSY: 'The table is busy',
  ABORTED: 'Stopped',
  TIMEOUT: 'It took too long',
  LOCKED: 'The database is open elsewhere',
  VERSION_MISMATCH: 'Another tab has an older or newer version of this page',
  NO_SPACE: 'There is no room left',
  ENGINE_RESTARTED: 'The engine stopped, and was started again',
  ENGINE_FAILED: 'The engine stopped',
  CORRUPT: 'The stored files are damaged',
  BAD_IMPORT: 'The file could not be read',
  NOT_CROSS_ORIGIN_ISOLATED: 'This page may not share memory between threads',
};

const ADVICE: Partial<Record<StoreErrorCode, string>> = {
  CONFLICT: 'Run it again.',
  TABLE_BUSY: 'Wait for the import to end, then run it again.',
  ENGINE_RESTARTED: 'The page goes on: run it again.',
  LOCKED: 'Another tab has this playground open for itself. Close it there, then try again.',
  VERSION_MISMATCH: 'Reload the other tab, then this one.',
  NO_SPACE: 'Give the browser more room, or import fewer flights.',
};

/** Two response headers make a page cross-origin isolated. */
export const NOT_ISOLATED: Problem = {
  title: 'This page may not share memory between threads',
  text:
    'Browsers share memory between threads only on pages that are cross-origin isolated, and this one is not. ' +
    'Serve it over https or from localhost, with these two response headers:',
  code: 'Cross-Origin-Opener-Policy: same-origin\nCross-Origin-Embedder-Policy: require-corp',
  retry: false,
};

/** What went wrong and, where something helps, what helps. */
export function describeProblem(error: unknown): Problem {
  if (!(error instanceof HeddleStoreError))
    return { title: 'Something went wrong', text: error instanceof Error ? error.message : String(error), retry: true };
  if (error.code === 'NOT_CROSS_ORIGIN_ISOLATED') return NOT_ISOLATED;
  const sentence = /[.!?]$/.test(error.message) ? error.message : `${error.message}.`;
  const advice = ADVICE[error.code];
  return {
    title: TITLES[error.code] ?? 'The database reports an error',
    text: `${sentence.charAt(0).toUpperCase()}${sentence.slice(1)}${advice === undefined ? '' : ` ${advice}`}`,
    retry: true,
  };
}
