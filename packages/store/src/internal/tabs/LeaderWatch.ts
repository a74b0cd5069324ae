/**
 * A follower's watch over its leader: does it answer?
 *
 * Only while calls wait for it: then it is asked, and where it says nothing for long, its deputy is. A tab that is stopped as a whole keeps its
 * files, and nobody can take over; calls are then told so, and the leader finds its followers gone when it goes on. Time in which this tab could not run
 * – a throttled timer, a suspended machine – says nothing about the leader.
 */

import { type DeputyTalk, deputyChannel } from './deputy.ts';
import { openPort, type Port } from './Port.ts';

const TICK_MS = 1000;

/** Ticks further apart say that this tab could not run. */
const TICK_MS_MAX = 3000;

/** How long nothing is heard before the leader is asked, and before its deputy is. */
const QUIET_MS = 2000;
const SILENCE_MS_MAX = 6000;

/** How long neither the leader nor its deputy says anything before calls wait no longer. */
const PATIENCE_MS = 20_000;

/** What is watched, and how. */
export interface LeaderWatchOptions {
  readonly directory: string;
  /** A name for this follower. */
  readonly session: string;
  /** Whether calls wait for the leader. */
  readonly isNeeded: () => boolean;
  /** Asks the leader. */
  readonly ask: () => void;
  /** The leader hangs, and has lost its files. */
  readonly onVacant: () => void;
  /** Nothing is heard, not even from its deputy: the tab may be stopped as a whole. */
  readonly onSilence: () => void;
}

/** A watch over the leader. */
export class LeaderWatch {
  readonly #options: LeaderWatchOptions;
  readonly #port: Port<DeputyTalk, DeputyTalk>;
  readonly #timer: ReturnType<typeof setInterval>;
  #heardMs = performance.now();
  #tickMs = performance.now();

  constructor(options: LeaderWatchOptions) {
    this.#options = options;
    this.#port = openPort<DeputyTalk, DeputyTalk>(deputyChannel(options.directory));
    this.#port.onMessage = (message) => {
      if (message.session !== options.session || message.type === 'hangs') return;
      this.heard();
      if (message.type === 'lives') return;
      this.end();
      options.onVacant();
    };
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
  }

  /** The leader has said something. */
  heard(): void {
    this.#heardMs = performance.now();
  }

  #tick(): void {
    const { session, isNeeded, ask, onSilence } = this.#options;
    const now = performance.now();
    if (now - this.#tickMs > TICK_MS_MAX || !isNeeded()) this.heard();
    this.#tickMs = now;
    const silenceMs = now - this.#heardMs;
    if (silenceMs > QUIET_MS) ask();
    if (silenceMs > SILENCE_MS_MAX) this.#port.post({ type: 'hangs', session });
    if (silenceMs > PATIENCE_MS) onSilence();
  }

  end(): void {
    clearInterval(this.#timer);
    this.#port.close();
  }
}
