/** What the I/O thread and its creator say to each other. Requests for files take another way: the queue in the memory. */

import type { HostErrorCode } from './HostFiles.ts';
import type { IoQueueLocation } from './IoServer.ts';

/** To the I/O thread, once. */
export interface IoStart extends IoQueueLocation {
  /** The directory: an absolute path in Node, a name in the origin's private file system in a browser. */
  readonly directory: string;
}

/** From the I/O thread. */
export type IoReport =
  /** The directory is open; requests are answered. */
  | { readonly type: 'ready' }
  /** The directory can't be opened; the thread has ended. */
  | { readonly type: 'failed'; readonly code: HostErrorCode; readonly message: string }
  /** The files are closed; the thread has ended. */
  | { readonly type: 'closed' };
