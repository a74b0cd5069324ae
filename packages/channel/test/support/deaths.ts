/** What the threads share that send and receive until one of them stops in the middle. */
import type { ThreadRegistryHandle } from '@heddle/atomics';
import type { ReceiverHandle, SenderHandle } from '../../src/index.ts';

/** What all workers of a run share. */
export interface DeathsShare {
  readonly registry: ThreadRegistryHandle;
  readonly sender: SenderHandle;
  readonly receiver: ReceiverHandle;
  /** A channel in which nothing is ever sent. */
  readonly silent: ReceiverHandle;
  readonly words: Int32Array;
  /** A bit for each message that was received. */
  readonly received: Int32Array;
}

// Words of the share.
/** The number of the next message. */
export const TICKET = 0;
/** How many messages there are to be. */
export const TOTAL = 1;
/** What went wrong: lost or torn or received twice. */
export const WRONG = 2;

/** How many messages a thread has in its hands at most. */
export const HANDS = 3;
