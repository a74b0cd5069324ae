/**
 * A directory's lock in Node, which has no `flock`: a name that the operating system gives to one socket at a time and takes back
 * when the process ends, however that ends. There are no stale locks.
 *
 * | system | the name | seen by |
 * |---|---|---|
 * | Linux | an abstract Unix socket named after the directory's device and inode | the processes of one network namespace |
 * | Windows | a named pipe | the machine |
 * | macOS and others | a Unix socket in the temporary directory. Its file stays behind a process that was killed; who finds it connects, and takes it over if nobody listens | the machine |
 */

import { createHash } from 'node:crypto';
import { statSync, unlinkSync } from 'node:fs';
import { connect, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { IO_ERROR_LOCKED, IO_ERROR_OTHER } from '../layout.ts';
import { HostError } from './HostFiles.ts';

/** A held lock. */
export interface DirectoryLock {
  release(): void;
}

/** How often a name is tried that nobody listens on. */
const ATTEMPTS_MAX = 5;

/** Takes the lock of a directory that exists, or throws with `IO_ERROR_LOCKED`. */
export async function lockDirectory(directory: string): Promise<DirectoryLock> {
  const name = lockName(directory);
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt += 1) {
    const outcome = await listen(name);
    if (outcome !== 'taken') {
      // The lock alone keeps no process alive.
      outcome.unref();
      return { release: () => outcome.close() };
    }
    if (!name.isFile || (await hasListener(name.path))) {
      throw new HostError(IO_ERROR_LOCKED, `another process has ${directory} open`);
    }
    removeStale(name.path);
  }
  throw new HostError(IO_ERROR_OTHER, `the lock ${name.path} can't be taken`);
}

interface LockName {
  readonly path: string;
  /** Whether the name is a file that can outlive its process. */
  readonly isFile: boolean;
}

function lockName(directory: string): LockName {
  const { dev, ino } = statSync(directory, { bigint: true });
  if (process.platform === 'linux') return { path: `\0heddle-store-${dev}-${ino}`, isFile: false };
  const hash = createHash('sha256').update(`${dev}-${ino}`).digest('hex').slice(0, 32);
  if (process.platform === 'win32') return { path: `\\\\.\\pipe\\heddle-store-${hash}`, isFile: false };
  return { path: join(tmpdir(), `heddle-${hash}.lock`), isFile: true };
}

function listen({ path }: LockName): Promise<Server | 'taken'> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy());
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') resolve('taken');
      else reject(new HostError(IO_ERROR_OTHER, `the lock can't be taken: ${error.message}`, { cause: error }));
    });
    server.listen({ path }, () => resolve(server));
  });
}

function hasListener(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ path });
    const answer = (isListened: boolean) => {
      socket.destroy();
      resolve(isListened);
    };
    socket.once('connect', () => answer(true));
    // A queue of waiting connections that is full is a listener too.
    socket.once('error', (error: NodeJS.ErrnoException) => answer(error.code !== 'ECONNREFUSED' && error.code !== 'ENOENT'));
  });
}

function removeStale(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}
