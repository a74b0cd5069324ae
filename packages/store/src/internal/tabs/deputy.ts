/**
 * The deputy of a tab that leads, as its main thread and the followers see it; what it does is in `deputy-worker.ts`.
 */

import { createDeputyWorker } from '#platform';
import type { IoQueueLocation } from '../io/IoServer.ts';

/** How long the main thread may take to answer its deputy. */
export const MAIN_ANSWER_MS_MAX = 4000;

/** To the deputy. */
export type DeputyOrder =
  | { readonly type: 'start'; readonly directory: string }
  /** The queue of the engine that runs now. */
  | { readonly type: 'guard'; readonly queue: IoQueueLocation | undefined }
  | { readonly type: 'answer' };

/** From the deputy. */
export type DeputyReport =
  /** It wants an answer. */
  | { readonly type: 'ask' }
  /** It got none, and had the files closed. */
  | { readonly type: 'deposed' };

/** What followers and the deputy say to each other. */
export type DeputyTalk =
  /** A follower hears nothing from the leader. */
  | { readonly type: 'hangs'; readonly session: string }
  /** The leader lives: have patience. */
  | { readonly type: 'lives'; readonly session: string }
  /** The leader has no files any more: take the lead. */
  | { readonly type: 'vacant'; readonly session: string };

/** The channel of a directory's deputy. */
export function deputyChannel(directory: string): string {
  return `heddle-store-deputy:${directory}`;
}

/** A worker of the tab that leads, which answers when the main thread doesn't. */
export class Deputy {
  readonly #worker: Worker | undefined;

  /** @param onDeposed called when the main thread was found hanging, once it goes on */
  constructor(directory: string, queue: IoQueueLocation | undefined, onDeposed: () => void) {
    this.#worker = createDeputyWorker();
    this.#worker?.addEventListener('message', ({ data }: MessageEvent<DeputyReport>) => {
      if (data.type === 'ask') this.#order({ type: 'answer' });
      else onDeposed();
    });
    this.#order({ type: 'start', directory });
    this.guard(queue);
  }

  #order(order: DeputyOrder): void {
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker's has no origin
    this.#worker?.postMessage(order);
  }

  /** Another engine runs. */
  guard(queue: IoQueueLocation | undefined): void {
    this.#order({ type: 'guard', queue });
  }

  end(): void {
    this.#worker?.terminate();
  }
}
