/** What the I/O thread and its creator say to each other. Requests for files take another way: the queue in the memory. */

import type { HostErrorCode } from './HostFiles.ts';
import type { IoQueueLocation } from './IoServer.ts';

/** To the I/O thread, once. */
export interface IoStart extends IoQueueLocation {
  /** The directory: an absolute path in Node, a name in the origin's private file system in a browser. */
  readonly directory: string;
}

/** To the I/O thread later, once it is `detached`; before that it reads no messages. */
export type IoOrder =
  /** The next engine's queue: answer that, with no file open. */
  | ({ readonly type: 'serve' } & IoQueueLocation)
  /** There is no next engine: close the files and end. */
  | { readonly type: 'end' };

/** From the I/O thread. */
export type IoReport =
  /** The directory is open; requests of the first or the next queue are answered. */
  | { readonly type: 'ready' }
  /** The directory can't be opened; the thread has ended. */
  | { readonly type: 'failed'; readonly code: HostErrorCode; readonly message: string }
  /** The queue's engine was fenced off: nothing of it is read or written any more. The directory is still held. */
  | { readonly type: 'detached' }
  /** The files are closed; the thread has ended. */
  | { readonly type: 'closed' };
