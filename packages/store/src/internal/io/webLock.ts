/** A directory's lock in a browser: a Web Lock, which ends with the worker that holds it. */

import { IO_ERROR_LOCKED } from '../layout.ts';
import { HostError } from './HostFiles.ts';

/** The name of a directory's lock. */
export function directoryLock(directory: string): string {
  return `heddle-store:${directory}`;
}

/** Takes the lock of a directory and returns what lets go of it, or throws with `IO_ERROR_LOCKED`. */
export function lockDirectory(directory: string): Promise<() => void> {
  return new Promise((resolve, reject) => {
    const held = (lock: Lock | null): Promise<void> | undefined => {
      if (lock) return new Promise<void>((release) => resolve(() => release()));
      reject(new HostError(IO_ERROR_LOCKED, `another page has the directory "${directory}" open`));
      return undefined;
    };
    // The request is settled when the lock is released; what is waited for here is that it is granted.
    navigator.locks.request(directoryLock(directory), { ifAvailable: true }, held).catch(reject);
  });
}
