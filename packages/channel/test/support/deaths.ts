/** What the threads share that send and receive until one of them stops in the middle. */
import type { ThreadRegistryHandle } from '@heddle/atomics';
import type {
  BroadcastReceiverHandle,
  BroadcastSenderHandle,
  ReceiverHandle,
  SenderHandle,
  WatchReceiverHandle,
  WatchSenderHandle,
} from '../../src/index.ts';

/** What all workers of a run share. */
export interface DeathsShare<S = SenderHandle, R = ReceiverHandle> {
  readonly registry: ThreadRegistryHandle;
  readonly sender: S;
  readonly receiver: R;
  /** A channel in which nothing is ever sent. */
  readonly silent: ReceiverHandle;
  readonly words: Int32Array;
  /** A bit for each message that was received. */
  readonly received: Int32Array;
}

/** {@link DeathsShare} of a broadcast channel. */
export type BroadcastShare = DeathsShare<BroadcastSenderHandle, BroadcastReceiverHandle>;

/** {@link DeathsShare} of a watch channel. */
export type WatchShare = DeathsShare<WatchSenderHandle, WatchReceiverHandle>;

/** What a receiver of a broadcast channel heard until it was closed. */
export interface Heard {
  /** How many messages there were before its end was opened. */
  readonly before: number;
  readonly received: number;
  /** How many it was told that it has missed. */
  readonly skipped: number;
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
