/**
 * What tabs that share a database say to each other.
 *
 * On the *rendezvous*, a channel that all of them hear, a tab only greets and a leader only announces itself. All else goes through
 * a *session*: a channel of one follower and one leader, whose random name the follower's greeting tells. Messages of a channel arrive in the
 * order in which they were sent.
 *
 * A follower borrows a thread (`acquire`, `granted`, `release`), under a number that it chooses, its *ticket*. On it, it runs one
 * request after another. Requests and responses are the engine's own bytes (`wire.ts`), which the leader passes on without looking further
 * than it must.
 */

import { HeddleStoreError, type StoreErrorCode } from '../../HeddleStoreError.ts';
import type { Durability } from '../../open.ts';
import type { Row } from '../../SqlValue.ts';
import type { ThreadActivity } from '../../ThreadActivity.ts';

/** The channel that all tabs of a directory hear. Sessions' names begin with it. */
export function rendezvousChannel(directory: string): string {
  return `heddle-store:${directory}`;
}

/** What tabs must agree on to share a database. */
export interface Terms {
  /** That of this package. */
  readonly version: string;
  /** What an acknowledged commit is worth; it is the leader's engine that acknowledges it. */
  readonly durability: Durability;
}

/** To all tabs of the database. */
export type Greeting =
  /** Whoever leads opens the session and answers there. Said again until it is answered. */
  | { readonly type: 'hello'; readonly tab: string; readonly session: string; readonly terms: Terms }
  /** This tab leads from now on. */
  | { readonly type: 'lead'; readonly tab: string; readonly terms: Terms };

/** From a follower. */
export type ToLeader =
  /** Asks for a thread. */
  | { readonly type: 'acquire'; readonly ticket: number }
  /** Asks no longer. */
  | { readonly type: 'withdraw'; readonly ticket: number }
  /** Gives a thread back. */
  | { readonly type: 'release'; readonly ticket: number }
  /** A request, or a piece of one. */
  | { readonly type: 'request'; readonly ticket: number; readonly bytes: Uint8Array }
  /** Interrupts a request. */
  | { readonly type: 'interrupt'; readonly ticket: number; readonly id: number }
  /** So many bytes of responses were read: as many more may come. */
  | { readonly type: 'taken'; readonly ticket: number; readonly size: number }
  /** Bytes for a place that a request has allocated. */
  | { readonly type: 'write'; readonly engine: number; readonly address: number; readonly bytes: Uint8Array }
  /** Asks what the threads do. */
  | { readonly type: 'look' }
  /** Asks for a sign of life. */
  | { readonly type: 'ping' }
  /** The follower goes. */
  | { readonly type: 'bye' };

/** From the leader. */
export type ToFollower =
  /** The session is open. */
  | { readonly type: 'welcome'; readonly tab: string; readonly threads: readonly ThreadActivity[] }
  /** There is no session: the leader's terms are others. */
  | { readonly type: 'refusal'; readonly terms: Terms }
  /** A thread is the follower's until it is released. */
  | Grant
  /** There is no thread to be had. */
  | { readonly type: 'refused'; readonly ticket: number; readonly error: PlainError }
  /** A piece of a request has been taken: another may come. */
  | { readonly type: 'accepted'; readonly ticket: number }
  /** A message of a thread: a response, or a piece of one. */
  | { readonly type: 'response'; readonly ticket: number; readonly bytes: Uint8Array }
  /** A `write` has been done. */
  | { readonly type: 'written'; readonly engine: number }
  /** The engine has stopped, and with it what ran on all threads; `culprit` is of this follower. */
  | {
      readonly type: 'stopped';
      readonly error: PlainError;
      readonly culprit: { readonly index: number; readonly error: PlainError } | undefined;
    }
  /** Another engine has taken its place. */
  | { readonly type: 'restarted'; readonly error: PlainError; readonly durationMs: number }
  /** What the threads do. */
  | { readonly type: 'threads'; readonly threads: readonly ThreadActivity[] }
  /** A sign of life. */
  | { readonly type: 'pong' }
  /** The files were removed: nobody can take over. */
  | { readonly type: 'removed'; readonly error: PlainError }
  /** The leader gives up, or the follower's session. */
  | { readonly type: 'leaving' };

/** A thread that is lent. */
export interface Grant {
  readonly type: 'granted';
  readonly ticket: number;
  /** Counts the leader's engines. Addresses are those of one engine. */
  readonly engine: number;
  /** The thread's number, from 0. */
  readonly index: number;
  /** The number of the thread's last request. */
  readonly lastId: number;
}

/** An error that can be posted. */
export interface PlainError {
  readonly code: StoreErrorCode;
  readonly message: string;
  readonly sqliteCode: number | undefined;
  readonly offset: number | undefined;
  readonly sql: string | undefined;
  readonly table: string | undefined;
  readonly columns: readonly string[] | undefined;
  readonly key: Readonly<Row> | undefined;
  /** The message of what caused it. */
  readonly cause: string | undefined;
}

/** How many bytes of responses a follower holds at most, unread. */
export const RESPONSE_WINDOW: number = 1 << 20;

/** The longest piece of a request, and how many may be on their way. */
export const REQUEST_PIECE_SIZE_MAX: number = 1 << 18;
export const REQUEST_PIECES_MAX = 4;

/** How many pieces of a file to import may be on their way; one has at most a MiB. */
export const WRITES_MAX = 4;

/** An error as it is posted. */
export function plainError(error: unknown): PlainError {
  if (!(error instanceof HeddleStoreError)) {
    return plainError(new HeddleStoreError('ENGINE_FAILED', textOf(error)));
  }
  const { code, message, sqliteCode, offset, sql, table, columns, key, cause } = error;
  return { code, message, sqliteCode, offset, sql, table, columns, key, cause: cause === undefined ? undefined : textOf(cause) };
}

/** A posted error as it is thrown. */
export function errorFrom({ code, message, cause, ...details }: PlainError): HeddleStoreError {
  return new HeddleStoreError(code, message, { ...details, cause: cause === undefined ? undefined : new Error(cause) });
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/**
 * Bytes that can be posted, and whose copy is no larger than they are: a view is posted with all that lies behind it, and shared memory
 * is not posted to other tabs at all.
 */
export function postable(bytes: Uint8Array): Uint8Array {
  const { buffer, byteLength } = bytes;
  return buffer instanceof ArrayBuffer && byteLength === buffer.byteLength ? bytes : bytes.slice();
}
