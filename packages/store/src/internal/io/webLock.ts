/**
 * A directory's Web Lock: what others wait for, because it ends with the worker that holds it, however that ends.
 *
 * Any page of the origin can steal it. Who held it then goes on, undisturbed: what guards the files is the lock in the directory
 * (`OpfsLock.ts`), which is taken after this one and given up before it. Whoever has stolen this one, or comes after the thief, finds the
 * directory `LOCKED`. To end the engine instead would give any page the power to do so, and would help nobody.
 */

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
    // The request is settled when the lock is released, or stolen; what is waited for here is that it is granted.
    navigator.locks.request(directoryLock(directory), { ifAvailable: true }, held).catch(reject);
  });
}
