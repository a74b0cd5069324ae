/** Progress on stderr: a bar that redraws itself on a terminal, a line per finished stage elsewhere. */
import type { WriteStream } from 'node:tty';

const BAR_WIDTH = 24;
const REDRAW_MS = 80;

export class Progress {
  readonly #stream: Pick<WriteStream, 'write' | 'isTTY'>;
  #label = '';
  #stageStart = 0;
  #lastDraw = 0;

  constructor(stream: Pick<WriteStream, 'write' | 'isTTY'>) {
    this.#stream = stream;
  }

  /** Begins a stage of the work. */
  stage(label: string): void {
    this.#label = label;
    this.#stageStart = performance.now();
    this.#lastDraw = 0;
    this.update(0);
  }

  /** Shows how far the stage is: `fraction` from 0 to 1, and in words. */
  update(fraction: number, detail: string = ''): void {
    if (!this.#stream.isTTY) return;
    const now = performance.now();
    if (now - this.#lastDraw < REDRAW_MS) return;
    this.#lastDraw = now;
    const filled = Math.round(Math.min(1, fraction) * BAR_WIDTH);
    const bar = '█'.repeat(filled) + '░'.repeat(BAR_WIDTH - filled);
    this.#stream.write(`\r\x1b[K${this.#label.padEnd(28)} ${bar} ${String(Math.floor(fraction * 100)).padStart(3)} %  ${detail}`);
  }

  /** Ends the stage; `result` says what came out. */
  done(result: string = ''): void {
    const seconds = ((performance.now() - this.#stageStart) / 1000).toFixed(1);
    const line = `${this.#label.padEnd(28)} ${seconds.padStart(7)} s  ${result}`.trimEnd();
    this.#stream.write(this.#stream.isTTY ? `\r\x1b[K${line}\n` : `${line}\n`);
  }

  /** A line of its own, for example a mismatch. */
  say(text: string): void {
    this.#stream.write(this.#stream.isTTY ? `\r\x1b[K${text}\n` : `${text}\n`);
  }
}
