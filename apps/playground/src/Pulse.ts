/**
 * Watches the main thread: how many frames a second it draws, and the longest time in which it could do nothing else.
 *
 * A timer beats every few milliseconds. What lies between two beats beyond that interval is a pause: during it the page could not
 * have answered a key or a click. Frames are counted beside it; they may also come late because the machine's cores are busy.
 * While the page is hidden browsers slow timers down, so nothing is counted then.
 */
const BEAT_MS = 4;

export interface Frame {
  /** When it was drawn, in the clock of `performance.now()`. */
  readonly timeMs: number;
  /** The time since the frame before, in milliseconds. */
  readonly deltaMs: number;
  /** The longest pause since the frame before, in milliseconds. */
  readonly pauseMs: number;
}

export class Pulse {
  /** The longest pause since `reset`, in milliseconds. */
  longestPauseMs = 0;
  #framePauseMs = 0;
  #lastBeatMs = 0;
  #lastFrameMs = 0;
  readonly #frameTimesMs: number[] = [];
  readonly #onFrame: (frame: Frame) => void;

  constructor(onFrame: (frame: Frame) => void) {
    this.#onFrame = onFrame;
    document.addEventListener('visibilitychange', () => this.#restart());
    this.#restart();
    this.#beat();
    requestAnimationFrame((now) => this.#frame(now));
  }

  /** Forgets what was measured. */
  reset(): void {
    this.longestPauseMs = 0;
    this.#restart();
  }

  /** Frames drawn in the last second. */
  framesPerSecond(): number {
    return this.#frameTimesMs.length;
  }

  #restart(): void {
    this.#lastBeatMs = performance.now();
    this.#lastFrameMs = this.#lastBeatMs;
    this.#frameTimesMs.length = 0;
  }

  #beat(): void {
    const now = performance.now();
    const pauseMs = Math.max(0, now - this.#lastBeatMs - BEAT_MS);
    this.#lastBeatMs = now;
    if (document.visibilityState === 'visible') {
      this.longestPauseMs = Math.max(this.longestPauseMs, pauseMs);
      this.#framePauseMs = Math.max(this.#framePauseMs, pauseMs);
    }
    setTimeout(() => this.#beat(), BEAT_MS);
  }

  #frame(now: number): void {
    const deltaMs = Math.max(0, now - this.#lastFrameMs);
    this.#lastFrameMs = now;
    this.#frameTimesMs.push(now);
    while ((this.#frameTimesMs[0] ?? now) < now - 1000) this.#frameTimesMs.shift();
    this.#onFrame({ timeMs: now, deltaMs, pauseMs: this.#framePauseMs });
    this.#framePauseMs = 0;
    requestAnimationFrame((next) => this.#frame(next));
  }
}
