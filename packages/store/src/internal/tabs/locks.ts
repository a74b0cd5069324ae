/**
 * Web Locks of tabs that share a database, and of their I/O threads.
 *
 * A browser takes a lock from a tab that is closed, left or crashes, and from a worker that is ended, at once and whatever it was doing:
 * nothing else tells so surely that it is gone.
 */

/** A lock that is held until `release`. */
export interface HeldLock {
  readonly release: () => void;
  /** Fires where somebody has taken the lock away. */
  readonly lost: AbortSignal;
}

/** The lock of whoever leads a directory's tabs. */
export function leaderLock(directory: string): string {
  return `heddle-store-leader:${directory}`;
}

/** The lock that a tab holds as long as it lives. */
export function tabLock(tab: string): string {
  return `heddle-store-tab:${tab}`;
}

/** Takes a lock when it is free, after those who asked before. Rejects with the signal's reason where that fires before. */
export function takeLock(name: string, signal?: AbortSignal): Promise<HeldLock> {
  return hold(name, signal ? { signal } : {});
}

/** Takes a lock away from whoever holds it. */
export function stealLock(name: string): Promise<HeldLock> {
  return hold(name, { steal: true });
}

function hold(name: string, options: LockOptions): Promise<HeldLock> {
  return new Promise((resolve, reject) => {
    const losing = new AbortController();
    const held = (): Promise<void> => new Promise<void>((release) => resolve({ release: () => release(), lost: losing.signal }));
    navigator.locks.request(name, options, held).catch((error: unknown) => {
      losing.abort(error);
      reject(error);
    });
  });
}

/** Waits until nobody holds a lock. Returns whether that is so: `false` where the signal fires before. */
export async function whenFree(name: string, signal: AbortSignal): Promise<boolean> {
  try {
    await navigator.locks.request(name, { mode: 'shared', signal }, () => undefined);
  } catch (error) {
    if (!signal.aborted) throw error;
  }
  return !signal.aborted;
}
