/** Waiting for what may never come. */

/** The longest that a timer waits; beyond it, one fires at once. */
const TIMER_MS_MAX = 0x7fff_ffff;

/** Resolves when `done` does, or after `ms` milliseconds: whether it was done. */
export async function within(ms: number, done: Promise<unknown>): Promise<boolean> {
  const late = Promise.withResolvers<false>();
  const timeout = setTimeout(late.resolve, Math.min(ms, TIMER_MS_MAX), false);
  try {
    return await Promise.race([done.then(() => true), late.promise]);
  } finally {
    clearTimeout(timeout);
  }
}
