/** Waiting for what may never come. */

/** Resolves when `done` does, or after `ms` milliseconds: whether it was done. */
export async function within(ms: number, done: Promise<unknown>): Promise<boolean> {
  const late = Promise.withResolvers<false>();
  const timeout = setTimeout(late.resolve, ms, false);
  try {
    return await Promise.race([done.then(() => true), late.promise]);
  } finally {
    clearTimeout(timeout);
  }
}
