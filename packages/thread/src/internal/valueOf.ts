/** What a call on a worker has come to, for who asked for it. */
import { ThreadError } from '../ThreadError.ts';
import type { ModuleResult } from './module-worker.ts';

/**
 * @param what who called it, as `thread 'sum'`
 * @throws ThreadError `THREAD_PANICKED` with what the function threw as `cause`, `START_FAILED`
 */
export function valueOf(result: ModuleResult, what: string): unknown {
  if (result.type === 'returned') return result.value;
  if (result.type === 'unloadable') throw new ThreadError('START_FAILED', `${what} did not start: ${result.message}`);
  const cause = result.error;
  const text = cause instanceof Error ? cause.message : String(cause);
  throw new ThreadError('THREAD_PANICKED', `${what} threw: ${text}`, { cause });
}
